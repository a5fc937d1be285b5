"""Contacts: admitted by address, one per normalised address; the best word about them wins, in whatever order it came."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Person
from engine.people import chapters

# Sorted by address: the lock order of the whole house; a row that the WHERE leaves as it is gets locked all the same. The
# best word about a person is kept whole: one that tells her name and where she lives before one that tells only the place,
# before one that tells neither; then the newest, then (same second) the greater by its letters. So the order in which
# words arrive does not matter. `_worth` says the same in Python.
_ADMIT = text("""
INSERT INTO contact AS c (email, first_name, last_name, street, city, state, zip, country, phone,
                          details_at, chapter_id, routed_by, routed_on)
SELECT email, first_name, last_name, street, city, state, zip, country, phone,
       details_at, chapter_id, routed_by, routed_on
FROM json_to_recordset(CAST(:rows AS json)) AS v(
    email text, first_name text, last_name text, street text, city text, state text, zip text, country text,
    phone text, details_at timestamptz, chapter_id bigint, routed_by text, routed_on text)
ORDER BY email
ON CONFLICT (email) DO UPDATE SET
    first_name = excluded.first_name, last_name = excluded.last_name, street = excluded.street, city = excluded.city,
    state = excluded.state, zip = excluded.zip, country = excluded.country, phone = excluded.phone,
    chapter_id = excluded.chapter_id, routed_by = excluded.routed_by, routed_on = excluded.routed_on,
    details_at = excluded.details_at
    WHERE (excluded.zip IS NOT NULL AND excluded.last_name <> '', excluded.zip IS NOT NULL, excluded.details_at,
           coalesce(excluded.zip, '') COLLATE "C",
           excluded.first_name COLLATE "C", excluded.last_name COLLATE "C", excluded.street COLLATE "C",
           excluded.city COLLATE "C", excluded.state COLLATE "C", excluded.country COLLATE "C",
           excluded.phone COLLATE "C")
        > (c.zip IS NOT NULL AND c.last_name <> '', c.zip IS NOT NULL, c.details_at, coalesce(c.zip, ''), c.first_name,
           c.last_name, c.street, c.city, c.state, c.country, c.phone)
""")

_KNOWN = text("SELECT email, id FROM contact WHERE email = ANY(:emails)")

# Locked in the order of addresses, as always; she who is written to now comes last.
_CHAIN = """
WITH RECURSIVE chain AS (
    SELECT id, merged_into_id, 0 AS step FROM contact WHERE id = :id
    UNION ALL
    SELECT c.id, c.merged_into_id, chain.step + 1 FROM contact c JOIN chain ON c.id = chain.merged_into_id WHERE step < 50
), locked AS MATERIALIZED (
    SELECT id, email, erased_at FROM contact WHERE id IN (SELECT id FROM chain) ORDER BY email {lock}
)
SELECT locked.id, email FROM locked JOIN chain USING (id) WHERE erased_at IS NULL ORDER BY step
"""
_SAME, _SAME_LOCKED = text(_CHAIN.format(lock="")), text(_CHAIN.format(lock="FOR NO KEY UPDATE"))

NOWHERE = chapters.Places({}, None)
# A word that never wins: it locks a row and leaves it as it is.
LOCKED_ONLY: Mapping[str, object] = dict.fromkeys(
    ("first_name", "last_name", "street", "city", "state", "country", "phone", "routed_by", "routed_on"), ""
) | {"zip": None, "details_at": "-infinity", "chapter_id": None}


@dataclass(frozen=True, slots=True)
class Same:
    """One of the contacts that are the same person."""

    id: int
    email: str | None


def same(session: Session, contact_id: int, *, lock: bool) -> list[Same]:
    """This contact and those that it was merged into, one after the other: the last is who she is now.

    Nobody when there is no such contact; whoever was erased is left out.
    """
    return [Same(*row) for row in session.execute(_SAME_LOCKED if lock else _SAME, {"id": contact_id})]


def admit(session: Session, said: Iterable[tuple[Person, datetime]], also: Collection[str] = ()) -> None:
    """Make or update the contacts of these people; each with when her words were said. People without an address are
    passed by. `also` are addresses of contacts that are locked only.

    One statement for facts, one to write; however many. Every row is locked for the rest of the transaction, changed or
    not, in the order of addresses.
    """
    best: dict[str, tuple[Person, datetime]] = {}
    for person, moment in sorted(said, key=_worth):
        if person.email:
            best[person.email] = (person, moment)
    known = chapters.places(session, {person.zip for person, _ in best.values() if person.zip}) if best else NOWHERE
    records = [_record(person, moment, chapters.route(person.zip, known)) for person, moment in best.values()]
    records += [{**LOCKED_ONLY, "email": email} for email in also if email not in best]
    if records:
        session.execute(_ADMIT, {"rows": rows(records)})


def known(session: Session, emails: Collection[str]) -> Mapping[str, int]:
    """The contacts of these addresses: email -> id."""
    return {row.email: row.id for row in session.execute(_KNOWN, {"emails": list(emails)})}


def spoken(name: str) -> str:
    """A name as one would write it: forms often send "MARY" or "mary"; anything mixed is left as its owner wrote it."""
    return name.title() if name.isupper() or name.islower() else name


def _worth(word: tuple[Person, datetime]) -> tuple[object, ...]:
    donor, moment = word
    names = (spoken(donor.first_name), spoken(donor.last_name))
    placed = donor.zip is not None
    return (
        placed and names[1] != "", placed, moment, donor.zip or "", *names, donor.street, donor.city, donor.state,
        donor.country, donor.phone,
    )  # fmt: skip


def _record(donor: Person, moment: datetime, home: chapters.Route) -> dict[str, object]:
    return {
        "email": donor.email,
        "first_name": spoken(donor.first_name),
        "last_name": spoken(donor.last_name),
        "street": donor.street,
        "city": donor.city,
        "state": donor.state,
        "zip": donor.zip,
        "country": donor.country,
        "phone": donor.phone,
        "details_at": moment,
        "chapter_id": home.chapter_id,
        "routed_by": home.by,
        "routed_on": home.on,
    }
