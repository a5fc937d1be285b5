"""The offers to help of one's own chapters, as staff works through them: what is still open, then what is settled."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.people import volunteers
from engine.staff import changes, rights
from engine.staff.accounts import Account
from engine.staff.rights import IN_REACH

SHOWN = 40
# The lists, by the states of their offers in the order in which they are shown.
LISTS: Mapping[str, tuple[str, ...]] = {
    "open": ("new", "contacted"),
    "placed": ("placed",),
    "withdrawn": ("withdrawn",),
}

_WHOSE = text(
    f"SELECT c.id FROM volunteer_offer o JOIN contact c ON c.id = o.contact_id WHERE o.id = :id AND {IN_REACH}"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list: its rows as `volunteers.list_of` has them, whether there are more, how many each list has."""

    rows: Sequence[Row[Any]]
    more: bool
    counts: Mapping[str, int]


def read(session: Session, who: Account, which: str, page: int, chapter_id: int | None) -> Listed:
    """A page of one of LISTS, within her reach; of one chapter and those below it, if one within it is named."""
    chapter_ids = _chapters(session, who, chapter_id)
    found = volunteers.list_of(session, chapter_ids, LISTS[which], most=SHOWN + 1, skip=(page - 1) * SHOWN)
    census = volunteers.census(session, chapter_ids)
    counts = {name: sum(census.get(state, 0) for state in states) for name, states in LISTS.items()}
    return Listed(found[:SHOWN], len(found) > SHOWN, counts)


def move(session: Session, who: Account, offer_id: int, state: str, now: datetime) -> None:
    """An offer goes on to this state. Raises NotFound for one that is out of reach; Invalid, Conflict."""
    contact_id = session.scalar(_WHOSE, who.reach.values() | {"id": offer_id})
    if contact_id is None:
        raise NotFound("no such offer")
    changes.move_offer(session, who, contact_id, offer_id=offer_id, state=state, now=now)


def _chapters(session: Session, who: Account, chapter_id: int | None) -> Collection[int] | None:
    """The chapters whose offers are meant; None: everybody's, also of those who have no chapter."""
    if chapter_id is None or chapter_id not in who.reach.chapter_ids:
        return None if who.reach.everywhere else who.reach.chapter_ids
    return rights.reach(session, chapter_id).chapter_ids
