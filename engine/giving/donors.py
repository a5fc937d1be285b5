"""Donors who gave no address: people all the same, recorded and never mailed.

Who says name, street and ZIP is the same donor the next time she says them; of anybody else each gift stands for itself. Who
says no name is nobody we could record. Once an address is learned the gift is its contact's, and of the donor without one
nothing stays unless something else is known of her.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from unicodedata import normalize

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.events import ChapterChanged, Person
from engine.giving import totals
from engine.people import contacts

_WORD = re.compile(r"\w+")

# In an UPDATE of contribution g: its contact, if that is one with an address.
ADDRESSED = "(SELECT k.id FROM contact k WHERE k.id = g.contact_id AND k.donor_key IS NULL)"

_WITHOUT = text("""
SELECT g.id, g.donor, g.paid_at, g.entity_id, g.inbound_event_id FROM contribution g
LEFT JOIN contact c ON c.id = g.contact_id
WHERE g.id = ANY(:ids) AND (g.contact_id IS NULL OR c.donor_key IS NOT NULL)
ORDER BY g.id
""")

# Merged by a person into somebody else: it is hers.
_GIVE = text("""
UPDATE contribution g SET contact_id = h.id, chapter_id = h.chapter_id
FROM unnest(CAST(:ids AS bigint[]), CAST(:keys AS text[])) v(id, donor_key)
JOIN contact c ON c.donor_key = v.donor_key JOIN contact h ON h.id = coalesce(c.merged_into_id, c.id)
WHERE g.id = v.id
RETURNING g.id, g.contact_id, old.contact_id AS contact_before
""")


# A contact without an address goes when nothing at all points at it: every foreign key to contacts is looked at, as a test
# knows. They stand here by name, for no process that works needs the models, which take a quarter of a second to import.
POINTING = (
    ("ask_rest", "contact_id"), ("chapter_lead", "contact_id"), ("confirmation", "contact_id"), ("consent", "contact_id"),
    ("contact", "merged_into_id"), ("contact_interest", "contact_id"), ("contribution", "contact_id"),
    ("followed_chapter", "contact_id"), ("introduction", "contact_id"), ("message", "contact_id"),
    ("recurring_plan", "contact_id"), ("sign_up", "contact_id"), ("volunteer_offer", "contact_id"),
)  # fmt: skip
_UNKNOWN = " ".join(f"AND NOT EXISTS (SELECT FROM {table} x WHERE x.{column} = c.id)" for table, column in POINTING)
_FORGET = text(f"""
WITH gone AS (DELETE FROM contact c WHERE c.id = ANY(:ids) AND c.donor_key IS NOT NULL {_UNKNOWN} RETURNING id)
DELETE FROM chapter_move m USING gone WHERE m.contact_id = gone.id
""")


@dataclass(frozen=True, slots=True)
class Settled:
    """`gifts`: rows (id, contact_id, contact_before) of the gifts whose donor has no address. `moved`: who has another
    chapter by that."""

    gifts: Sequence[Row[Any]] = ()
    moved: Sequence[ChapterChanged] = ()


def settle(session: Session, contribution_ids: Collection[int], now: datetime) -> Settled:
    """Give those of these gifts that belong to nobody with an address to whom their words name. The caller has booked them
    alone (see `engine.people.admission`) and holds the map of chapters. As many statements however many gifts."""
    if not contribution_ids:
        return Settled()
    said = {}
    for row in session.execute(_WITHOUT, {"ids": list(contribution_ids)}):
        if donor_key := key(donor := _person(row.donor), row.id):
            said[row.id] = contacts.Said(donor, row.paid_at, row.entity_id, row.inbound_event_id, donor_key)
    if not said:
        return Settled()
    moved = contacts.admit_donors(session, list(said.values()), now)
    given = {"ids": list(said), "keys": [one.donor_key for one in said.values()]}
    return Settled(session.execute(_GIVE, given).all(), moved)


def left(*moved: Sequence[Row[Any]]) -> set[int]:
    """The contacts that these gifts (rows with contact_before) belonged to."""
    return {row.contact_before for rows in moved for row in rows if row.contact_before is not None}


def forget(session: Session, contact_ids: Collection[int]) -> None:
    """Gifts were taken from these contacts: their totals follow, and a donor without an address of whom nothing is left is
    no more."""
    totals.refresh(session, contact_ids)
    if contact_ids:
        session.execute(_FORGET, {"ids": list(contact_ids)})


def key(donor: Person, contribution_id: int) -> str | None:
    """Which donor without an address that is: by name, street and ZIP if all are said, else by the gift; None for nobody.

    The words themselves cannot be read from it.
    """
    said = [
        " ".join(_WORD.findall(normalize("NFKC", word).casefold()))
        for word in (donor.first_name, donor.last_name, donor.street, donor.zip or "")
    ]
    if all(said):
        return sha256("\n".join(said).encode()).hexdigest()
    return f"gift:{contribution_id}" if said[0] or said[1] else None


def _person(donor: Mapping[str, Any]) -> Person:
    """The snapshot on a contribution as a person without an address."""
    return Person(**dict(donor) | {"email": None})
