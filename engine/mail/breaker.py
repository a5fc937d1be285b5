"""The circuit breaker: a mailing that bounces, annoys or is refused too often is paused, and a person is told."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.errors import NotFound
from engine.events import Event, HumanNeeded, LettersComposed, MatterSettled
from engine.settings import Settings

PAUSED = "mailing paused"  # kind of notice
FEW = 10  # so many bounces or refusals may always be; of complaints three

# What counts is what happened since a person last let the mailing go on.
_BREAK = text("""
WITH since AS MATERIALIZED (
    SELECT id, greatest(handed - coalesce(CAST(excused ->> 'handed' AS bigint), 0), 0) AS handed,
        bounced - coalesce(CAST(excused ->> 'bounced' AS bigint), 0) AS bounced,
        complained - coalesce(CAST(excused ->> 'complained' AS bigint), 0) AS complained,
        refused - coalesce(CAST(excused ->> 'refused' AS bigint), 0) AS refused
    FROM mailing WHERE id = ANY(:ids) AND paused_at IS NULL
), verdict AS (
    SELECT id, CASE
        WHEN complained > :few_complaints AND complained > handed * CAST(:complaints AS float) / 100
            THEN complained || ' of ' || handed || ' called it spam'
        WHEN bounced > :few AND bounced > handed * CAST(:bounces AS float) / 100
            THEN bounced || ' of ' || handed || ' came back'
        WHEN refused > :few AND refused > (handed + refused) * CAST(:bounces AS float) / 100
            THEN refused || ' of ' || handed + refused || ' were refused, or could not be rendered' END AS because
    FROM since
)
UPDATE mailing w SET paused_at = :now, paused_because = v.because FROM verdict v
WHERE w.id = v.id AND v.because IS NOT NULL
RETURNING w.id, w.slug, w.paused_because
""")
_RESUME = text("""
UPDATE mailing SET paused_at = NULL, paused_because = '', excused = jsonb_build_object(
    'handed', handed, 'bounced', bounced, 'complained', complained, 'refused', refused,
    'upto', (SELECT coalesce(max(id), 0) FROM handover))
WHERE slug = :slug AND paused_at IS NOT NULL RETURNING id
""")
_KNOWN = text("SELECT id FROM mailing WHERE slug = :slug")


def look(session: Session, mailing_ids: Collection[int], now: datetime, settings: Settings) -> list[Event]:
    """Pause those of these mailings of which too many came back, were called spam or were refused."""
    limits = {"bounces": settings.most_bounces_percent, "complaints": settings.most_complaints_percent}
    values = {"ids": sorted(mailing_ids), "now": now, "few": FEW, "few_complaints": FEW // 3}
    return [
        HumanNeeded(
            None, PAUSED, row.slug, f"{row.paused_because}: `groundswell letters resume {row.slug}` lets it go on"
        )
        for row in session.execute(_BREAK, values | limits)
    ]


def resume(session: Session, slug: str) -> list[Event]:
    """Let a paused mailing go on. Raises NotFound when there is none of this name; nothing follows if it was not paused."""
    if session.scalar(_KNOWN, {"slug": slug}) is None:
        raise NotFound(f"there is no mailing {slug[:80]}")
    resumed = session.scalar(_RESUME, {"slug": slug}) is not None
    return [MatterSettled(None, PAUSED, slug), LettersComposed(None, bell.DELIVERY)] if resumed else []
