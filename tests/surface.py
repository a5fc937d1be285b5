"""An organisation as everybody around it sees it: people, processors, the mail provider and staff act on it over HTTP, a
clock moves, and letters leave. Beside it stands what must be true of it, kept in a few lines of Python (`Surface`)."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from engine.bootstrap import Deps
from engine.db import transaction
from engine.giving import books
from engine.letters import writing
from engine.letters.drafts import Draft
from engine.letters.finishing import Body
from engine.ports import Letter
from tests import make_stripe
from tests.asgi import Answer, Client
from tests.fakes import FakeClock
from tests.flows.house import one, rows, run_everything
from tests.letters import Sent, element
from tests.make import actblue_body, basic, line_item, raw, stripe_signature
from tests.programs import Program, program
from tests.signing import signed
from tests.staff import Desk, hire
from tests.webhooks.joining import Visitor

JSON, FORM = ("content-type", "application/json"), ("content-type", "application/x-www-form-urlencoded")
MAILING = "List-Unsubscribe"  # the header that letters have which can be stopped
EVERYBODY = {"op": "language", "language": "en"}
_numbers = count(1)


@dataclass
class Address:
    """What must be true of one address. `yes`: she may be written to; `barred`: it bounced, or she complained; `question`:
    the path of a letter that asks her; `known`: she is on record; `gone`: she was erased, and did not come again."""

    email: str
    yes: bool = False
    no_chapters: bool = False
    barred: bool = False
    known: bool = False
    gone: bool = False
    question: str = ""
    now_is: "Address | None" = None  # whom she was merged into
    since: datetime = FakeClock.now  # nothing is known of her from before

    @property
    def person(self) -> "Address":
        return self if self.now_is is None else self.now_is.person


@dataclass
class Gift:
    """One gift. `body`: as it was told; `key`: of its payment."""

    of: Address
    cents: int
    body: Any
    key: str = ""
    back: int = 0


@dataclass
class Campaign:
    """One campaign; its letter has its name for a subject."""

    slug: str
    chapter: bool
    leaves: bool = True
    got: Counter[str] = field(default_factory=Counter)


@dataclass
class Surface:
    """The house, its door, and the model."""

    deps: Deps
    door: Client
    addresses: list[Address] = field(default_factory=list)
    gifts: list[Gift] = field(default_factory=list)
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    left: list[tuple[datetime, Letter]] = field(default_factory=list)  # letters, as the provider has them
    desk: Desk | None = None
    mine: Program | None = None

    # Over HTTP.

    def post(self, path: str, body: bytes, *headers: tuple[str, Any]) -> Answer:
        answer = self.door.send("POST", path, headers, body)
        assert answer.status in (200, 303), (path, answer.status, answer.body[:500])
        return answer

    def joins(self, who: Address) -> None:
        self.later()
        visitor = Visitor(self.door)
        visitor.open((self.deps.clock, 30))
        assert visitor.press(email=who.email).status in (200, 303)
        before = len(self.left)
        self.happens(lambda: self._came(who.person if not who.gone else who, before))

    def _came(self, who: Address, before: int) -> None:
        """Asked by letter she has said nothing yet; else it was her yes."""
        who.gone, who.known = False, True
        asked = [x for _, x in self.left[before:] if x.to_email == who.email and "/confirm/" in x.text]
        if asked:
            who.question = _path(asked[-1].text, "/confirm/")
        else:
            who.yes, who.no_chapters = True, False

    def confirms(self, who: Address) -> None:
        self.later()
        self.post(who.question, b"", FORM)
        who.question, who.yes = "", True
        self.happens()

    def gives(self, who: Address, cents: int, times: int = 1, *, back_first: bool = False) -> None:
        self.later()
        number = 820_000_000 + next(_numbers)
        item = line_item(number, amount=f"{cents / 100:.2f}", paidAt=self.now.isoformat())
        body = actblue_body(donor={"email": who.email}, contribution={"orderNumber": f"AB{number}"}, lineitems=[item])
        gift = Gift(who, cents, body)
        self.gifts.append(gift)
        if back_first:
            self._goes_back(gift)
        for _ in range(times):
            self.post("/webhooks/actblue", raw(body), basic(), JSON)
        self._gave(who)

    def _gave(self, who: Address) -> None:
        """On a form of ours a gift allows news, unless she said no before."""
        person = who.person
        person.gone, who.known, person.known = False, True, True
        self.gave.add(person.email)
        self.happens()

    def _goes_back(self, gift: Gift) -> None:
        item = gift.body["lineitems"][0] | {"refundedAt": self.now.isoformat()}
        self.post("/webhooks/actblue", raw(gift.body | {"lineitems": [item]}), basic(), JSON)
        gift.back = gift.cents

    def gives_by_card(self, who: Address, cents: int) -> None:
        self.later()
        paid = make_stripe.payment_intent(
            amount=cents, amount_received=cents, receipt_email=who.email, created=int(self.now.timestamp())
        )
        self.gifts.append(Gift(who, cents, paid, paid["id"]))
        self._stripe("payment_intent.succeeded", paid)
        self._gave(who)

    def _stripe(self, kind: str, told: Any, times: int = 1) -> None:
        body = make_stripe.raw(make_stripe.event(kind, told, created=int(self.now.timestamp())))
        for _ in range(times):
            self.post("/webhooks/stripe", body, stripe_signature(body), JSON)

    def takes_back(self, gift: Gift) -> None:
        """All of it at ActBlue; of a card half of what is left, told twice."""
        self.later()
        if not gift.key:
            self._goes_back(gift)
        else:
            some = (gift.cents - gift.back + 1) // 2
            back = make_stripe.refund(
                amount=some,
                payment_intent=gift.key,
                charge=gift.body["latest_charge"],
                created=int(self.now.timestamp()),
            )
            self._stripe("refund.created", back, 2)
            gift.back += some
        self.happens()

    def unsubscribes(self, who: Address, scope: str = "") -> bool:
        """By her newest letter that can be stopped: by the provider's click, or by this button of the page."""
        hers = [x for _, x in self.left if x.to_email == who.email and MAILING in x.headers]
        if not hers or who.gone:
            return False
        self.later()
        path = _path(hers[-1].headers[MAILING], "/u/")
        if not scope:
            self.post(path, b"List-Unsubscribe=One-Click", FORM)
        else:
            form = self.door.send("GET", path).body.decode().partition('name="form" value="')[2].partition('"')[0]
            if not form:  # all is stopped: there is nothing to press
                return False
            self.post(path, f"form={form}&scope={scope}".encode(), FORM)
        if scope == "chapter":
            who.person.no_chapters = True
        else:
            who.person.yes = False
            self.gave.discard(who.person.email)
            self.stopped.add(who.person.email)
        self.happens()
        return True

    def comes_back(self, who: Address, kind: str) -> bool:
        """Her newest letter bounced, or she complained of it."""
        found = rows(self.deps, f"""SELECT m.id, m.handover_id, m.contact_id, c.email, h.provider_id FROM message m
            JOIN contact c ON c.id = m.contact_id JOIN handover h ON h.id = m.handover_id
            WHERE c.email = '{who.email}' AND m.state IN ('handed', 'delivered') ORDER BY m.id DESC LIMIT 1""")  # fmt: skip
        if not found:
            return False
        self.later()
        body = raw([element(kind, Sent(*found[0])) | {"timestamp": int(self.now.timestamp())}])
        self.post("/webhooks/sendgrid", body, *signed(body), JSON)
        who.barred = True
        self.happens()
        return True

    def known(self) -> list[Address]:
        """Who is on record under an address of her own."""
        return [each for each in self.addresses if each.known and each.now_is is None and not each.gone]

    def kept(self) -> list[Gift]:
        """Gifts of which something can go back."""
        return [gift for gift in self.gifts if gift.back < gift.cents]

    def readers(self, *, stoppable: bool = False) -> list[Address]:
        """Who has got a letter, or one that can be stopped, and was not erased."""
        to = {x.to_email for _, x in self.left if MAILING in x.headers or not stoppable}
        return [each for each in self.addresses if each.email in to and not each.gone]

    # Staff.

    def staff(self) -> Desk:
        self.deps.limiter.counts.clear()
        desk = Desk(self.door)
        desk.sign_in(self.deps, hire(self.deps, f"s{next(_numbers)}@staff.example.org", "admin"))
        return desk

    def id_of(self, who: Address) -> int | None:
        found = rows(self.deps, f"SELECT coalesce(merged_into_id, id) AS id FROM contact WHERE email = '{who.email}'")
        return found[0].id if found else None

    def erases(self, who: Address) -> bool:
        number = self.id_of(who)
        if number is None or who.now_is is not None:
            return False
        self.later()
        desk = self.staff()
        desk.get(f"/staff/people/{number}/erase")
        assert desk.post(f"/staff/people/{number}/erase").status == 303
        for each in self.addresses:
            if each.person is who:
                self._forgotten(each)
        for each in self.addresses:
            if each.now_is is who:
                each.now_is = None
        self.happens()
        return True

    def _forgotten(self, who: Address) -> None:
        who.yes = who.no_chapters = False
        who.gone, who.question, who.known, who.since = True, "", False, self.now
        self.gave.discard(who.email)
        self.stopped.add(who.email)
        self.gifts = [gift for gift in self.gifts if gift.of is not who]

    def merges(self, one_: Address, into: Address) -> bool:
        number, other = self.id_of(one_), self.id_of(into)
        if None in (number, other) or number == other or one_.now_is or into.now_is or one_.gone or into.gone:
            return False
        self.later()
        desk = self.staff()
        desk.get(f"/staff/people/{number}/merge?with={other}")
        assert desk.post(f"/staff/people/{number}/merge", into=str(other)).status == 303
        both = (one_, into)
        stopped = any(each.email in self.stopped and not each.yes for each in both)
        into.yes = any(each.yes for each in both) and not stopped
        into.no_chapters = any(each.no_chapters for each in both)
        if any(each.email in self.gave for each in both) and not stopped:
            self.gave.add(into.email)
        if stopped:
            self.gave.discard(into.email)
            self.stopped.add(into.email)
        one_.now_is = into
        for campaign in self.campaigns.values():
            campaign.got[into.email] = max(campaign.got[into.email], campaign.got[one_.email])
        self.happens()
        return True

    def launches(self, *, chapter: bool) -> None:
        self.later()
        slug = f"campaign{next(_numbers)}"
        words = Body(f"{slug} is here", "Dear {{ first_name | default('friend') }},\n\nCome.\n".replace("'", '"'))
        with transaction(self.deps.sessions) as session:
            writing.save(session, Draft(slug=slug, kind="news", bodies={"en": words}))
        if self.mine is None:
            self.mine = program(self.deps, self.door)
        body = {"slug": slug, "name": slug, "letter": slug, "rule": EVERYBODY}
        assert self.mine.post("/campaigns", body | ({"chapter": "worcester"} if chapter else {})).status == 201
        if self.mine.post(f"/campaigns/{slug}/launch").status == 200:
            self.campaigns[slug] = Campaign(slug, chapter)
        self.happens()

    def tells(self, campaign: Campaign, verb: str) -> None:
        """Pause, resume or cancel it; one that is over cannot be."""
        self.later()
        assert self.mine is not None
        status = self.mine.post(
            f"/campaigns/{campaign.slug}/{verb}", None if verb == "resume" else {"because": "x"}
        ).status
        assert status in (200, 409)
        if status == 200:
            campaign.leaves = verb == "resume"
        self.happens()

    # Time, and what must hold.

    @property
    def now(self) -> datetime:
        return self.deps.clock.now

    @property
    def gave(self) -> set[str]:
        """Whom a gift allows to be sent news."""
        return self._gave_

    @property
    def stopped(self) -> set[str]:
        """Who said no, or was erased: a gift is no yes of hers."""
        return self._stopped

    _gave_: set[str] = field(default_factory=set)
    _stopped: set[str] = field(default_factory=set)

    def later(self, **span: float) -> None:
        """A minute passes, or this."""
        self.deps.clock.skip(timedelta(**(span or {"minutes": 1})))

    def passes(self, hours: int) -> None:
        """So many hours, each with all that falls due in it."""
        for _ in range(min(hours, 12)):
            self.later(hours=max(1, hours // 12))
            self.happens()

    def happens(self, then: Callable[[], None] = lambda: None) -> None:
        """All that is due now; and every letter that left may have."""
        before = len(self.left)
        for _ in range(2):
            seen = len(self.deps.mailer.accepted)
            run_everything(self.deps)
            self.left += [(self.now, letter) for _, letter in self.deps.mailer.accepted[seen:]]
        then()
        for _, letter in self.left[before:]:
            self._may_leave(letter)
        self.holds()

    def _may_leave(self, letter: Letter) -> None:
        who = next((each for each in self.addresses if each.email == letter.to_email), None)
        if who is None:
            return  # to staff
        assert not who.gone, f"to somebody who was erased: {letter.subject}"
        assert not who.barred, f"to an address that bounced: {letter.subject}"
        if MAILING not in letter.headers:
            return
        assert who.now_is is None, "to an address that is somebody else's by now"
        allowed = who.yes or (who.email in self.gave and who.email not in self.stopped)
        assert allowed, f"nobody allowed {letter.subject} to {who.email}"
        campaign = self.campaigns.get(letter.subject.partition(" ")[0])
        if campaign is not None:
            assert campaign.leaves, f"{campaign.slug} was stopped"
            assert not (campaign.chapter and who.no_chapters), "a chapter's, which she stopped"
            campaign.got[who.email] += 1
            assert campaign.got[who.email] == 1, f"{campaign.slug} twice to {who.email}"

    def holds(self) -> None:
        """What is true at any moment."""
        with transaction(self.deps.sessions) as session:
            assert books.check(session).discrepancies == ()
        times = Counter(letter.message_id for _, letter in self.left)
        assert [number for number, many in times.items() if many > 1] == [], "a letter twice"
        owed: Counter[str] = Counter()
        for gift in self.gifts:
            owed[gift.of.person.email] += gift.cents - gift.back
        for each in self.addresses:
            if each.now_is is None and not each.gone and self.id_of(each) is not None:
                kept = one(self.deps, f"SELECT gave_cents FROM contact WHERE email = '{each.email}'").gave_cents
                assert kept == owed[each.email], f"{each.email} gave {kept}, not {owed[each.email]}"
        self._caps()

    def _caps(self) -> None:
        """Not more letters in a day, and in a week, than the house allows."""
        settings = self.deps.settings
        since = {each.email: each.since for each in self.addresses}
        for span, most in ((timedelta(days=1), settings.letters_a_day), (timedelta(days=7), settings.letters_a_week)):
            recent = Counter(
                x.to_email for at, x in self.left
                if MAILING in x.headers and at > max(self.now - span, since.get(x.to_email, at))
            )  # fmt: skip
            assert all(many <= most for many in recent.values()), (span, recent)


def _path(words: str, part: str) -> str:
    """The path in a letter, or a header, that has this part."""
    return part + words.partition(part)[2].split()[0].strip("<>,)")
