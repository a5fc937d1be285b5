"""Finding people, within the reach of who searches: by the beginning of an address, or of a first or last name."""

from collections.abc import Sequence

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.sources.words import clean, email_address
from engine.staff.rights import IN_REACH, Reach

SHOWN = 50
SHORTEST = 2

_SHOWN = f"""
SELECT c.id, c.email, c.first_name, c.last_name, c.city, c.zip, h.name AS chapter
FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id
WHERE {IN_REACH} AND c.merged_into_id IS NULL AND c.erased_at IS NULL
"""
_BY_ADDRESS = text(f"{_SHOWN} AND c.email = :email")
_BY_ID = text(f"{_SHOWN} AND c.id = :id")
_BY_BEGINNING = text(f"""{_SHOWN} AND (
    c.email LIKE :beginning OR lower(c.last_name) LIKE :beginning OR lower(c.first_name) LIKE :beginning
    OR lower(c.first_name || ' ' || c.last_name) LIKE :beginning)
ORDER BY c.last_name, c.first_name, c.id LIMIT :most
""")


def people(session: Session, reach: Reach, asked: str) -> Sequence[Row[tuple[object, ...]]]:
    """At most SHOWN + 1: rows of (id, email, first_name, last_name, city, zip, chapter). Of a whole address, the one."""
    said = clean(asked).lower()[:200]
    if len(said) < SHORTEST:
        return []
    if "@" in said and (email := email_address(said)) is not None:
        return session.execute(_BY_ADDRESS, reach.values() | {"email": email}).all()
    beginning = said.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    return session.execute(_BY_BEGINNING, reach.values() | {"beginning": beginning, "most": SHOWN + 1}).all()


def one(session: Session, reach: Reach, asked: str) -> int | None:
    """The person of this whole address or number; None when there is none within reach."""
    said = clean(asked).lower()[:200]
    if said.isascii() and said.isdigit() and len(said) <= 18:
        found = session.execute(_BY_ID, reach.values() | {"id": int(said)}).first()
    elif (email := email_address(said)) is not None:
        found = session.execute(_BY_ADDRESS, reach.values() | {"email": email}).first()
    else:
        found = None
    return None if found is None else int(found.id)
