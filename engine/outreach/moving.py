"""People who are in an older version of a sequence go on by its newest one, when somebody says so.

Each stays at the step that is next for her, by its key; whoever stands at one that the newest version does not have stays in
her own. What is written already stays as it was written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict, NotFound
from engine.outreach import sequences
from engine.outreach.sequences import Standing
from engine.staff import audit

MOST = 10_000

_OLDER = text("SELECT id FROM sequence_version WHERE sequence_id = :id AND id <> :version_id")
# Whoever is just stepping or leaving is not waited for: who moves people looks again.
_MOVE = text("""
WITH theirs AS MATERIALIZED (
    SELECT id FROM enrollment WHERE version_id = ANY(:older) AND campaign_id = :campaign_id AND state = 'active'
        AND step = ANY(:keys)
    LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE enrollment e SET version_id = :version_id FROM theirs WHERE e.id = theirs.id
""")
_STAY = text("""
SELECT step, count(*) AS people FROM enrollment
WHERE version_id = ANY(:older) AND campaign_id = :campaign_id AND state = 'active' AND NOT step = ANY(:keys)
GROUP BY step ORDER BY step
""")
_LEFT = text("""
SELECT EXISTS (SELECT FROM enrollment WHERE version_id = ANY(:older) AND campaign_id = :campaign_id AND state = 'active'
    AND step = ANY(:keys))
""")
_CAMPAIGN = text("""
SELECT k.id, k.state, k.deadline, k.gathering_id, v.sequence_id FROM campaign k
LEFT JOIN sequence_version v ON v.id = k.version_id WHERE k.slug = :slug FOR UPDATE OF k
""")
_SENDS = text(
    "UPDATE campaign SET version_id = :version_id, changed_at = :now WHERE id = :id AND version_id <> :version_id"
)


@dataclass(frozen=True, slots=True)
class Moved:
    """How many were moved by this turn, and whether more are to be (`more`). `stay`: how many stand at steps that the newest
    version does not have, by the key of the step; told with the last turn."""

    people: int
    version: int
    more: bool
    stay: Mapping[str, int]


def move(
    session: Session, slug: str, now: datetime, *, campaign: str = "", most: int = MOST, who: int | None = None
) -> Moved:
    """Move so many of those who entered by an event; of this campaign, its people, and whoever enters it from now on. Raises
    NotFound; Conflict for a campaign that is not under way, or that lacks what the newest version counts from."""
    found = sequences.one(session, slug)
    if found.definition is None:
        raise Conflict(f"{slug} was never published")
    campaign_id = _campaign(session, campaign, found, now) if campaign else 0
    values = {
        "older": list(session.scalars(_OLDER, {"id": found.id, "version_id": found.version_id})),
        "campaign_id": campaign_id, "keys": [step.key for step in found.definition.steps],
    }  # fmt: skip
    done = session.execute(_MOVE, values | {"version_id": found.version_id, "most": most})
    people = int(getattr(done, "rowcount", 0))
    if people:
        detail = {"sequence": slug, "version": found.version, "count": people}
        audit.write(session, who, "people moved to the newest version", "sequence", found.id, detail, now)
    more = bool(session.scalar(_LEFT, values))
    stay = {} if more else {row.step: row.people for row in session.execute(_STAY, values)}
    return Moved(people, found.version, more, stay)


def _campaign(session: Session, slug: str, newest: Standing, now: datetime) -> int:
    """The campaign, which sends the newest version from now on."""
    found = session.execute(_CAMPAIGN, {"slug": slug}).one_or_none()
    if found is None or found.sequence_id != newest.id:
        raise NotFound(f"there is no campaign {slug[:60]} that sends {newest.slug}")
    if found.state not in ("expanding", "running"):
        raise Conflict(f"{slug} is {found.state}: there is nobody to move")
    definition = newest.definition
    if definition is None or newest.trigger:
        raise Conflict(f"people enter {newest.slug} by themselves now ({newest.trigger}): nobody launches it")
    said = {"deadline": found.deadline or definition.deadline, "gathering": found.gathering_id}
    if lacking := [name for name in sorted(definition.anchors) if said[name] is None]:
        raise Conflict(f"{slug} has no {lacking[0]}, which version {newest.version} counts from")
    session.execute(_SENDS, {"id": found.id, "version_id": newest.version_id, "now": now})
    return int(found.id)
