"""Where somebody's day begins and ends, as SQL: the zone of where she lives, else of the nearest chapter upwards that says
one, else the organisation's; and where a chapter's does."""

from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.settings import Settings

# Of contact `c`; with :zone, the organisation's. The chapters are asked for those alone of whom nobody knows where they live.
ZONE = """
coalesce(nullif(c.time_zone, ''), (
    WITH RECURSIVE up AS (
        SELECT h.parent_id, h.time_zone, 0 AS level FROM chapter h WHERE h.id = c.chapter_id
        UNION ALL
        SELECT p.parent_id, p.time_zone, up.level + 1 FROM chapter p JOIN up ON p.id = up.parent_id WHERE up.time_zone = ''
    )
    SELECT time_zone FROM up WHERE time_zone <> '' ORDER BY level LIMIT 1), :zone)
"""
# When the quiet hours end that are there at :now (:quiet_from to :quiet_until; NULL: none are); NULL: they are not.
WAKES_AT = f"""
(SELECT (date_trunc('day', there.at) + make_interval(hours => quiet.until,
        days => CASE WHEN quiet.since > quiet.until AND there.hour >= quiet.since THEN 1 ELSE 0 END)) AT TIME ZONE there.zone
FROM (SELECT CAST(:quiet_from AS int) AS since, CAST(:quiet_until AS int) AS until) quiet,
    (SELECT zone, :now AT TIME ZONE zone AS at, extract(hour FROM :now AT TIME ZONE zone) AS hour
    FROM (SELECT {ZONE} AS zone) z) there
WHERE CASE WHEN quiet.since > quiet.until THEN there.hour >= quiet.since OR there.hour < quiet.until
    ELSE there.hour >= quiet.since AND there.hour < quiet.until END)
"""
_ZONE = text("""
WITH RECURSIVE up AS (
    SELECT id, parent_id, time_zone, 0 AS level FROM chapter WHERE id = :chapter_id
    UNION ALL
    SELECT p.id, p.parent_id, p.time_zone, up.level + 1 FROM chapter p JOIN up ON p.id = up.parent_id
)
SELECT time_zone FROM up WHERE time_zone <> '' ORDER BY level LIMIT 1
""")


def zone_of(session: Session, chapter_id: int | None, settings: Settings) -> ZoneInfo:
    """The time zone of a chapter; of none, or of one that says none, the organisation's."""
    found: str | None = session.scalar(_ZONE, {"chapter_id": chapter_id})
    return ZoneInfo(found or settings.time_zone)
