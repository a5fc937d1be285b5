"""Changes of territories: proposed with a preview of whom they move, decided by the root, applied a stretch at a time.

Approved in a moment, applied by a chore: the map of ZIPs first, so that whoever comes meanwhile ends up right; then all
others in the order of their ids, each stretch in a transaction of its own with a bookmark. Consents are not about a chapter:
nothing of them moves.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import datetime
from time import monotonic
from typing import Any

import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from engine import bookmarks
from engine.bookmarks import Place
from engine.errors import Conflict, NotFound
from engine.events import Event, HumanNeeded, MatterSettled
from engine.people import lands, relocation, routing
from engine.people.lands import Land, Proposal

WAITING = "territories wait for approval"  # the kind of notice
STRETCH = 10_000  # contacts a transaction: locked for well under a second
SPELL_SECONDS = 60.0  # so long at a time; what is left is done when the chore comes round again
ONE_AT_A_TIME = 0x67726D74
DECIDING = 0x67726D75
_STANDS_IN_THE_WAY = {"55P03", "40P01"}  # a lock that is not to be had in time; a deadlock

_COLUMNS = "id, state, why, proposal::text AS proposal, preview, proposed_by, proposed_at, decided_by, decided_at"
_PROPOSE = text(f"""
INSERT INTO territory_change (why, proposal, preview, proposed_by, proposed_at)
VALUES (:why, CAST(:proposal AS jsonb), CAST(:preview AS jsonb), :staff_id, :now) RETURNING {_COLUMNS}
""")
_WAITING = text(f"SELECT {_COLUMNS} FROM territory_change WHERE state = 'proposed' ORDER BY id")
_FIND = text(f"SELECT {_COLUMNS} FROM territory_change WHERE id = :id FOR NO KEY UPDATE")
_DECIDE = text("""
UPDATE territory_change SET state = :state, decided_by = :staff_id, decided_at = :now
WHERE id = :id AND state = 'proposed' RETURNING id
""")
_ONE_DECIDES = text("SELECT pg_advisory_xact_lock(:lock)")
_BEING_APPLIED = text("SELECT EXISTS (SELECT FROM territory_change WHERE state = 'approved')")
_SOON = text("SET LOCAL lock_timeout = '2s'")  # others wait behind us meanwhile
_TRY_ALONE = text("SELECT pg_try_advisory_xact_lock(:lock)")
_NEXT = text(f"SELECT {_COLUMNS} FROM territory_change WHERE state = 'approved' ORDER BY decided_at, id LIMIT 1")
_LAST_CONTACT = text("SELECT coalesce(max(id), 0) FROM contact")
_APPLIED = text("UPDATE territory_change SET state = 'applied', applied_at = :now WHERE id = :id")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """Whom a change moves: how many people, of them leads or volunteers, between which chapters; how many stay because they
    chose or were placed; how many ZIPs change hands. `land`: the fingerprint of all land when this was worked out."""

    people: int
    active: int
    stay: int
    zips: int
    moves: tuple[relocation.Moves, ...]
    land: str

    @property
    def sentence(self) -> str:
        """As it is told to the root: "moves 4,812 people, 61 of them leads or volunteers"."""
        if not self.people:
            return "moves nobody"
        said = "moves 1 person" if self.people == 1 else f"moves {self.people:,} people"
        return f"{said}, {self.active:,} of them leads or volunteers" if self.active else said


@dataclass(frozen=True, slots=True)
class Change:
    """One change of territories, proposed or decided."""

    id: int
    state: str
    why: str
    proposal: Proposal
    preview: Preview
    proposed_by: int | None
    proposed_at: datetime
    decided_by: int | None
    decided_at: datetime | None

    @property
    def subject(self) -> str:
        """What it is called in notices."""
        return f"territory change {self.id}"

    @property
    def asks(self) -> HumanNeeded:
        """The word to the root that it waits."""
        return HumanNeeded(None, WAITING, self.subject, f"{self.why}: {self.preview.sentence}")


def preview(session: Session, proposal: Proposal) -> Preview:
    """Whom it would move if it were applied now. Changes nothing, locks nothing. Raises NotFound, Invalid."""
    lands.check(session, proposal)
    known = lands.chapter_ids(session, proposal.chapters)
    named = {known[slug]: land for slug, land in proposal.chapters.items()}
    claims = [claim for claim in routing.claims(session) if claim.chapter_id not in named]
    claims += [routing.Claim(number, *claim) for number, land in named.items() for claim in land.claims]
    seats = [_seat(seat, named) for seat in routing.seats(session)]
    drawn = routing.settle(routing.places(session), claims, seats)
    states: dict[str, int] = {}
    for claim in claims:
        if claim.kind == "state":
            states[claim.place] = min(claim.chapter_id, states.get(claim.place, claim.chapter_id))
    moves, stay = relocation.would_move(session, drawn, states)
    was = lands.owners(session)
    changed = sum(
        1 for code in was.keys() | drawn.keys() if was.get(code) != getattr(drawn.get(code), "chapter_id", None)
    )
    people, active = sum(each.people for each in moves), sum(each.active for each in moves)
    return Preview(people, active, stay, changed, tuple(moves), lands.fingerprint(session))


def propose(session: Session, proposal: Proposal, why: str, staff_id: int | None, now: datetime) -> Change:
    """Keep a proposal with its preview. Its `asks` is to be told to the root. Raises NotFound, Invalid."""
    worked_out = asdict(preview(session, proposal))
    values = {"why": why, "proposal": proposal.model_dump_json(), "preview": orjson.dumps(worked_out).decode()}
    return _change(session.execute(_PROPOSE, values | {"staff_id": staff_id, "now": now}).one())


def waiting(session: Session) -> Sequence[Change]:
    """What waits for the root's decision, the oldest first."""
    return [_change(row) for row in session.execute(_WAITING)]


def approve(session: Session, change_id: int, staff_id: int | None, now: datetime) -> list[Event]:
    """The root says yes: a chore applies it. Raises NotFound; Conflict when it was decided before, when another is being
    applied, or when land has changed hands since the preview was worked out."""
    session.execute(_ONE_DECIDES, {"lock": DECIDING})  # of two at once the second sees what the first decided
    found = _find(session, change_id)
    if found.state == "proposed" and session.scalar(_BEING_APPLIED):
        raise Conflict("another change of territories is being applied; try again in a minute")
    if found.state == "proposed" and found.preview.land != lands.fingerprint(session):
        raise Conflict(f"{found.subject}: territories have changed since it was proposed; propose it anew")
    return _decide(session, found, "approved", staff_id, now)


def decree(session: Session, proposal: Proposal, why: str, staff_id: int | None, now: datetime) -> Change:
    """A change that needs no more asking, approved as soon as it is kept. Raises NotFound, Invalid."""
    session.execute(_ONE_DECIDES, {"lock": DECIDING})
    made = propose(session, proposal, why, staff_id, now)
    _decide(session, made, "approved", staff_id, now)
    return made


def decline(session: Session, change_id: int, staff_id: int | None, now: datetime) -> list[Event]:
    """The root says no. Raises NotFound; Conflict when it was decided before."""
    return _decide(session, _find(session, change_id), "declined", staff_id, now)


@dataclass(frozen=True, slots=True)
class Step:
    """What a step of applying did: `people` moved; whether there is `more` to do at once."""

    people: int = 0
    more: bool = False


def step(session: Session, now: datetime) -> Step:
    """One step of the change that was approved first, in this transaction: write its land and draw the map, or move the next
    stretch of contacts. Nothing to do, or another at it: nothing more.

    The map is drawn in a step of its own: whoever waits for it may hold the rows of contacts.
    """
    if not session.scalar(_TRY_ALONE, {"lock": ONE_AT_A_TIME}):
        return Step()
    session.execute(_SOON)
    row = session.execute(_NEXT).one_or_none()
    if row is None:
        return Step()
    change = _change(row)
    reached = bookmarks.find(session, change.subject)
    if reached is None:
        lands.write(session, change.proposal)
        routing.remake(session)
        bookmarks.put(session, change.subject, Place())
        return Step(more=True)
    last = int(session.scalar(_LAST_CONTACT) or 0)
    upto = reached.number + STRETCH
    people = relocation.move(session, range(reached.number + 1, upto + 1), now, change.id, change.decided_by)
    bookmarks.put(session, change.subject, Place(number=upto))
    if upto >= last:
        session.execute(_APPLIED, {"id": change.id, "now": now})
        bookmarks.take_out(session, change.subject)
    return Step(people, more=True)


def apply(work: Callable[[], AbstractContextManager[tuple[Session, datetime]]], seconds: float = SPELL_SECONDS) -> int:
    """Apply what is approved, a step a transaction (`work` opens one), for so long. Returns how many people moved.

    Ends early when there is nothing to do or somebody stands in the way; where it ended, the next one goes on.
    """
    began, moved = monotonic(), 0
    while monotonic() - began < seconds:
        try:
            with work() as (session, now):
                done = step(session, now)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in _STANDS_IN_THE_WAY:
                raise
            log.info("a change of territories waits for others")
            break
        moved += done.people
        if not done.more:
            break
    return moved


def _seat(seat: routing.Seat, named: Mapping[int, Land]) -> routing.Seat:
    land = named.get(seat.chapter_id)
    return seat if land is None else routing.Seat(seat.chapter_id, land.latitude, land.longitude)


def _find(session: Session, change_id: int) -> Change:
    row = session.execute(_FIND, {"id": change_id}).one_or_none()
    if row is None:
        raise NotFound(f"there is no territory change {change_id}")
    return _change(row)


def _decide(session: Session, found: Change, state: str, staff_id: int | None, now: datetime) -> list[Event]:
    if not session.scalar(_DECIDE, {"id": found.id, "state": state, "staff_id": staff_id, "now": now}):
        raise Conflict(f"{found.subject} is {found.state} already")
    return [MatterSettled(None, WAITING, found.subject)]


def _change(row: Any) -> Change:
    told = row.preview | {"moves": tuple(relocation.Moves(**each) for each in row.preview["moves"])}
    return Change(
        row.id, row.state, row.why, Proposal.model_validate_json(row.proposal), Preview(**told), row.proposed_by,
        row.proposed_at, row.decided_by, row.decided_at,
    )  # fmt: skip
