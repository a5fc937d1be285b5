"""SAFEGUARDS: what keeps the promises, each taken away here and nowhere else, so that a run without it must turn red.

Taken away are words of a statement on its way to Postgres, an index of the run's own database, or a function of the product,
replaced in a process that begins in `bench.torture.process`. Some harm is too rare to be waited for: it is `provoked`, and a
run that has the safeguard must stay green all the same. Nothing in the product can be switched off.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from bench.torture import provoked
from engine import bell, inbox
from engine.adapters.sendgrid_mail import SendgridMail
from engine.bootstrap import Deps
from engine.letters.links import Links
from engine.mail import handovers
from engine.outreach import about_gifts, claims, confirm, deliver, giving_links, steps_taken
from engine.staff import notices
from webhooks.writer import Arrival, Writer
from workers import delivery

ON_CONFLICT = "ON CONFLICT (source, key) DO NOTHING"
ONE_OCCASION = "ON CONFLICT (contact_id, occasion) DO NOTHING"


# Three letters to each reader, all due, in an order of its own each: more than she may have in a day.
THREE_LETTERS = """
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, language, fund_id, facts, created_at)
SELECT c.id, m.id, 'torture:' || l.slug, 'delivery', l.kind, now(), m.language, l.fund_id, '{}', now()
FROM letter l JOIN mailing m ON m.letter_id = l.id CROSS JOIN contact c
WHERE l.slug LIKE 'torture-%' AND c.email LIKE '%@readers.example.org' ORDER BY md5(l.slug || c.email)
"""


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a statement of this module, and what stands there instead."""

    module: ModuleType
    words: str
    instead: str


@dataclass(frozen=True, slots=True)
class Safeguard:
    """One of them. `schema`: what is done to the database; `words`: to statements; `act`: to a process; `writer`: the
    inbox's. `provoke`: the harm that is done besides, and `also` what is in the database for that. `faults`: which ones
    bring it out; `breaks`: the invariants that may be broken then.
    """

    says: str
    breaks: tuple[str, ...]
    faults: tuple[str, ...] = ()
    schema: tuple[str, ...] = ()
    words: tuple[Words, ...] = ()
    act: Callable[[], None] = lambda: None
    writer: Callable[[Deps], Writer] = Writer
    provoke: Callable[[], None] = lambda: None
    also: tuple[str, ...] = ()


class Hasty(Writer):
    """Answers when an event is in its queue, before the commit."""

    async def store(self, arrival: Arrival) -> int | None:
        """Say that it is stored."""
        self.accept(arrival)
        arrival.stored.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody waits for it
        return 1


def _never_swept() -> None:
    def expire(session: Session) -> int:
        del session
        return 0

    handovers.expire = expire


def _unguarded() -> None:
    given = SendgridMail.hand_over

    def hand_over(self: SendgridMail, *what: object, before: Callable[[], bool]) -> object:
        def guard() -> bool:
            before()
            return True

        return given(self, *what, before=guard)  # type: ignore[arg-type]

    SendgridMail.hand_over = hand_over  # type: ignore[method-assign, assignment]


def _careless() -> None:
    delivery.hand_over = careless


def careless(deps: Deps, lane: str) -> None:
    """Claim, request and answer in one transaction: nothing is on record while the request is under way."""
    mailer = delivery.mailer_of(deps)
    with deps.work() as (session, now):
        terms = delivery._terms(deps, mailer, now)
        claimed = (claims.receipts if lane == bell.RECEIPTS else claims.campaign)(session, terms)
        links = Links(deps.signer, deps.settings.base_url, now)
        if not claimed.letters:
            return
        for parcel in deliver.load(session, claimed.letters, links, deps.settings.time_zone, claimed.readers):
            request = deliver.request(parcel, links, mailer.most_substitution_bytes)
            answer = mailer.hand_over(parcel.handover_id, request.sheet, request.copies, before=lambda: True)
            happened = handovers.record(session, [delivery._outcome(parcel, request, answer)], now)
            deps.react(session, [*happened, *delivery._consequences(deps, session, parcel, answer, now)], now)


SAFEGUARDS: Mapping[str, Safeguard] = {
    "inbox_key": Safeguard(
        "the inbox takes each key once", ("I2",), ("kill -9 of a web",),
        schema=(
            "DROP INDEX inbound_event_source_key_key",
            "CREATE INDEX inbound_event_source_key_key ON inbound_event (source, key)",
        ),
        words=(Words(inbox, ON_CONFLICT, ""),),
        writer=partial(
            Writer, receive=inbox.RECEIVE.replace(ON_CONFLICT, ""), again=inbox.RECEIVE_AGAIN.replace(ON_CONFLICT, "")
        ),
    ),
    "commit_first": Safeguard(
        "an event is committed before it is answered 2xx", ("I1",),
        ("kill -9 of a web", "Postgres: immediate restart", "the way to postgres: reset"), writer=Hasty,
    ),
    "sweep": Safeguard(
        "what a dead process had taken is taken up again", ("I14", "L4", "L1"),
        ("kill -9 of a group", "kill -9 of a host", "mail provider: hang", "mail provider: accept then hang"),
        act=_never_swept,
    ),
    "last_look": Safeguard(
        "who may be written to is decided as a letter is claimed", ("I8", "I9", "I13", "I15", "I11"),
        words=(Words(claims, "SELECT CASE WHEN m.expires_at <= ", "SELECT CASE WHEN true THEN '' WHEN m.expires_at <= "),),
        also=(THREE_LETTERS,),
    ),
    "one_letter": Safeguard(
        "one letter for each person and occasion", ("I7", "I5", "I6"),
        schema=(
            "DROP INDEX message_contact_id_occasion_key",
            "CREATE INDEX message_contact_id_occasion_key ON message (contact_id, occasion) INCLUDE (handed_at, lane, kind)",
        ),
        words=tuple(
            Words(module, ONE_OCCASION, "") for module in (about_gifts, confirm, giving_links, steps_taken, notices)
        ),
        provoke=provoked.letters_written_twice,
    ),
    "lock": Safeguard(
        "claims of letters wait for each other", ("I13",), words=(Words(claims, "pg_advisory_xact_lock(", "abs("),),
        provoke=provoked.slow_claims, also=(THREE_LETTERS,),
    ),
    "handover_row": Safeguard(
        "a handover is on record before its request leaves", ("I6 on record", "I5", "I6"),
        ("kill -9 of a group", "mail provider: accept then hang"), act=_careless,
    ),
    "zombie_guard": Safeguard(
        "a process that slept through its claim sends nothing", ("I6 on record", "I8", "I5", "I6"),
        act=_unguarded, provoke=provoked.asleep_after_the_claim, also=(THREE_LETTERS,),
    ),
    "lease_token": Safeguard(
        "an answer counts for the handover that it is about, while that is open", ("I5", "I6"),
        ("mail provider: busy moment", "mail provider: unauthorized"),
        words=(
            Words(
                handovers, "WHERE h.state IN ('submitting', 'uncertain') ORDER BY h.id FOR UPDATE OF h",
                "ORDER BY h.id FOR UPDATE OF h",
            ),
            Words(
                handovers, "JOIN message m ON m.handover_id = v.id AND",
                "JOIN message m ON m.mailing_id = (SELECT b.mailing_id FROM handover b WHERE b.id = v.id) AND",
            ),
        ),
    ),
    "attempts_first": Safeguard(
        "attempts are counted before the work", ("L1", "I14", "I1"), provoke=provoked.poison,
        schema=(
            """CREATE FUNCTION uncounted() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.attempts := OLD.attempts; RETURN NEW; END'""",
            "CREATE TRIGGER uncounted BEFORE UPDATE ON inbound_event FOR EACH ROW EXECUTE FUNCTION uncounted()",
        ),
    ),
}  # fmt: skip


def arm(name: str, *, kept: bool) -> Safeguard:
    """Make this process one of a build that lacks it, and provoke what it is against; `kept`: provoke only."""
    safeguard = SAFEGUARDS[name]
    safeguard.provoke()
    if kept:
        return Safeguard(safeguard.says, safeguard.breaks)
    safeguard.act()
    _alter(safeguard.words)
    return safeguard


def _alter(words: tuple[Words, ...]) -> None:
    @event.listens_for(Engine, "before_cursor_execute", retval=True)
    def altered(_: object, __: object, statement: str, values: object, ___: object, ____: object) -> tuple[str, object]:
        for each in words:
            statement = statement.replace(each.words, each.instead)
        return statement, values
