"""Which chapter is home, and why. Pure, over facts loaded for a whole batch.

For now by ZIP, else the root; the full order of precedence (staff, own choice, entity, ZIP, county, radius) has this shape.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

_FACTS = text("""
SELECT zip, chapter_id FROM zip_route WHERE zip = ANY(:zips)
UNION ALL
SELECT NULL, id FROM chapter WHERE parent_id IS NULL
""")


@dataclass(frozen=True, slots=True)
class Route:
    """A home chapter with its reason: `by` the kind of it, `on` what decided."""

    chapter_id: int | None
    by: str
    on: str = ""


@dataclass(frozen=True, slots=True)
class Places:
    """What routing needs to know: whose territory each ZIP is, and the root (None before there is an organisation)."""

    territories: Mapping[str, int]
    root_id: int | None


def places(session: Session, zips: Collection[str]) -> Places:
    """The facts for routing people of these ZIPs."""
    found = session.execute(_FACTS, {"zips": sorted(zips)}).all()
    territories = {row.zip: row.chapter_id for row in found if row.zip is not None}
    return Places(territories, next((row.chapter_id for row in found if row.zip is None), None))


def route(zip_code: str | None, known: Places) -> Route:
    """The home chapter of someone who lives there."""
    if zip_code is not None and zip_code in known.territories:
        return Route(known.territories[zip_code], "zip", zip_code)
    return Route(known.root_id, "root", "no ZIP" if zip_code is None else f"no chapter for {zip_code}")
