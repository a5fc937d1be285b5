"""People of the invented organisation as a campaigner sees them: what they do comes in over HTTP, days pass on the house's
clock, and letters come to their mailboxes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.letters import links
from engine.ports import Letter
from tests import make_stripe
from tests.asgi import Client
from tests.books import assert_books_balance
from tests.campaigns import NOW
from tests.flows.house import one, put, rows, run_everything
from tests.letters import Sent, element
from tests.make import actblue_body, basic, join_body, line_item, raw, stripe_signature
from tests.signing import signed
from webhooks.app import build
from workers import entrances

HERE = ZoneInfo("America/New_York")
JSON = ("content-type", "application/json")
_numbers = count(1)

# The next moment at which somebody has a step or a letter has its turn.
_NEXT = text("""
SELECT min(at) FROM (
    SELECT min(due_at) AS at FROM enrollment WHERE state = 'active' AND due_at > :now
    UNION ALL SELECT min(due_at) FROM message WHERE state = 'ready' AND due_at > :now
) s
""")


@dataclass
class Supporters:
    """One house, its door, and everybody's mail: (day, subject) by address, the oldest first."""

    deps: Deps
    door: Client
    plan: str = ""  # the last one that began at Stripe, and when
    began: int = 0
    _read: dict[str, int] = field(default_factory=dict)
    _arrived: list[tuple[datetime, Letter]] = field(default_factory=list)

    # What people do.

    def joins(self, email: str, **typed: Any) -> None:
        """She fills in the form for joining."""
        put(self.deps, raw(join_body(email=email, at=self.now.isoformat(), **typed)), source="join")
        self.happens()

    def gives(self, email: str, dollars: float = 27, *, entity: int = 12345, **terms: Any) -> str:
        """She gives at ActBlue; the number of the order."""
        number = 810_000_000 + next(_numbers)
        donor = {"email": email, "firstname": email.partition("@")[0].title(), "lastname": "Delgado"} | terms.pop(
            "donor", {}
        )
        body = actblue_body(
            donor=donor,
            contribution={"orderNumber": f"AB{number}"} | terms,
            lineitems=[line_item(number, amount=f"{dollars}", entityId=entity, paidAt=self.now.isoformat())],
        )
        answer = self.door.send("POST", "/webhooks/actblue", [basic(), JSON], raw(body))
        assert answer.status == 200, answer.body
        self.happens()
        return f"AB{number}"

    def stripe(self, *events: tuple[str, dict[str, Any]]) -> None:
        """Stripe tells of these, signed."""
        for kind, told in events:
            body = make_stripe.raw(make_stripe.event(kind, told, created=int(self.now.timestamp())))
            answer = self.door.send("POST", "/webhooks/stripe", [stripe_signature(body), JSON], body)
            assert answer.status == 200, answer.body
        self.happens()

    def offers_help(self, email: str, *codes: str) -> None:
        """She ticks ways to help on her own page, behind the link of a letter."""
        contact_id = one(self.deps, f"SELECT id FROM contact WHERE email = '{email}'").id
        path = links.preferences(self.deps.signer, contact_id, self.now)
        stamp = re.search(rb'name="form" value="([^"]+)"', self.door.send("GET", path).body)
        assert stamp is not None
        said = {"form": stamp[1].decode(), "act": "save", "zip": "01605", "language": "en", "chapters": "yes",
                "letters": ["news", "asks", "actions", "gatherings"], "help": codes}  # fmt: skip
        form = ("content-type", "application/x-www-form-urlencoded")
        assert self.door.send("POST", path, [form], urlencode(said, doseq=True).encode()).status == 303
        self.happens()

    def follows_a_link(self, email: str, subject: str, url: str = "https://example.org/give") -> None:
        """She follows a link in her newest letter of this subject; SendGrid tells, signed."""
        row = one(self.deps, f"""SELECT m.id, m.handover_id, m.contact_id, h.provider_id FROM message m
            JOIN contact c ON c.id = m.contact_id JOIN handover h ON h.id = m.handover_id
            JOIN mailing w ON w.id = m.mailing_id
            WHERE c.email = '{email}' AND m.state IN ('handed', 'delivered') AND w.subject LIKE '{subject}%'
            ORDER BY m.id DESC LIMIT 1""")  # fmt: skip
        click = element("click", Sent(row.id, row.handover_id, row.contact_id, email, row.provider_id), url=url)
        body = raw([click | {"timestamp": int(self.now.timestamp())}])
        assert self.door.send("POST", "/webhooks/sendgrid", signed(body), body).status == 200
        self.happens()

    # What the house does.

    @property
    def now(self) -> datetime:
        return self.deps.clock.now

    def happens(self) -> None:
        """All that is due now."""
        before = len(self.deps.mailer.accepted)
        run_everything(self.deps)
        self._arrived += [(self.now, letter) for _, letter in self.deps.mailer.accepted[before:]]

    def wait(self, **span: float) -> None:
        """So long passes; whatever falls due meanwhile happens in its time."""
        self.wait_until(self.now + timedelta(**span))

    def wait_until(self, moment: datetime) -> None:
        while True:
            with transaction(self.deps.sessions) as session:
                due = session.scalar(_NEXT, {"now": self.now})
            if due is None or due > moment:
                break
            self.deps.clock.now = due
            self.happens()
        self.deps.clock.now = moment
        self.happens()

    def a_new_day(self) -> None:
        """The chore that lets people into sequences once a day."""
        entrances.look(self.deps)
        self.happens()

    # What came.

    def mail(self, email: str) -> list[str]:
        """The subjects of her letters since somebody last looked, each with the day and time on her clock."""
        hers = [(at, letter) for at, letter in self._arrived if letter.to_email == email]
        new = hers[self._read.get(email, 0) :]
        self._read[email] = len(hers)
        return [f"{at.astimezone(HERE):%b %-d %H:%M}  {letter.subject}" for at, letter in new]

    def letter(self, email: str, subject: str = "") -> Letter:
        """Her newest letter of this subject."""
        found = [x for _, x in self._arrived if x.to_email == email and x.subject.startswith(subject)]
        assert found, [x.subject for _, x in self._arrived if x.to_email == email]
        return found[-1]

    def unsent(self, email: str) -> list[tuple[str, str]]:
        """Of her letters that did not leave: what they stand at, and why."""
        return [
            tuple(row)
            for row in rows(
                self.deps,
                f"""SELECT m.state, m.reason FROM message m JOIN contact c ON c.id = m.contact_id
                WHERE c.email = '{email}' AND m.state NOT IN ('handed', 'delivered') ORDER BY m.id""",
            )
        ]

    def place(self, email: str, sequence: str) -> tuple[str, str]:
        """How far she came in a sequence at last: its state and its reason."""
        row = one(self.deps, f"""SELECT e.state, e.reason FROM enrollment e JOIN contact c ON c.id = e.contact_id
            JOIN sequence q ON q.id = e.sequence_id WHERE c.email = '{email}' AND q.slug = '{sequence}'
            ORDER BY e.id DESC LIMIT 1""")  # fmt: skip
        return row.state, row.reason


def at(day: int, hour: int = 12, month: int = 11, year: int = 2026) -> datetime:
    """A moment where the organisation is."""
    return datetime(year, month, day, hour, tzinfo=HERE).astimezone(UTC)


@contextmanager
def supporters(deps: Deps) -> Iterator[Supporters]:
    """On Tuesday, November 3, 2026, at seven in the morning."""
    deps.clock.now = NOW
    with Client(build(deps)) as door:
        yield Supporters(deps, door)
        with transaction(deps.sessions) as session:
            assert_books_balance(session)
