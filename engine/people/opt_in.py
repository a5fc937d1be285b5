"""How a form takes a yes: at once, or only once a letter was answered.

Each chapter says single, double or auto, or nothing: then its parent's word holds; the root's is auto until it says
another. Auto is single, and double while the form is under attack and for an hour after. What is counted are the sign-ups
on record that came by the form's own page without a gathering's code.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.settings import Settings

BURST, LONG = timedelta(minutes=10), timedelta(hours=1)  # the two spans in which sign-ups are counted
AFTER = timedelta(hours=1)  # how long a form stays double once the attack is over

_POLICY = text("""
WITH RECURSIVE up AS (
    SELECT id, parent_id, slug, kind, opt_in, 0 AS height FROM chapter
    WHERE id = :chapter_id OR (CAST(:chapter_id AS bigint) IS NULL AND parent_id IS NULL)
    UNION ALL SELECT c.id, c.parent_id, c.slug, c.kind, c.opt_in, up.height + 1
    FROM chapter c JOIN up ON c.id = up.parent_id
)
SELECT (SELECT opt_in FROM up WHERE opt_in <> '' ORDER BY height LIMIT 1) AS policy,
    (SELECT slug FROM up WHERE height = 0) AS slug
""")

# The newest ones; no more than it takes to decide.
_ARRIVALS = text("""
SELECT at FROM sign_up WHERE source = 'join' AND place = :place AND at > :since AND at <= :now
    AND coalesce(detail -> 'wishes' ->> 'gathering', '') = ''
ORDER BY at DESC LIMIT :most
""")


def needs_confirmation(session: Session, chapter_id: int | None, now: datetime, settings: Settings) -> bool:
    """Whether a yes on this chapter's form (None: on the organisation's own) counts only once it was confirmed by letter.

    `now`: the house's clock. Not to be asked for a sign-up that a gathering's code lets in.
    """
    found = session.execute(_POLICY, {"chapter_id": chapter_id}).one()
    if found.policy in ("single", "double"):
        return bool(found.policy == "double")
    values = {
        "place": "join" if chapter_id is None else f"join/{found.slug}",
        "since": now - LONG - AFTER,
        "now": now,
        "most": settings.join_most_hour + max(settings.join_most_hour, settings.join_most_10_minutes),
    }
    arrivals = session.scalars(_ARRIVALS, values).all()
    return under_attack(arrivals, now, burst=settings.join_most_10_minutes, long=settings.join_most_hour)


def under_attack(arrivals: Sequence[datetime], now: datetime, *, burst: int, long: int) -> bool:
    """Whether somebody came in the hour before `now` who was the last of more than `burst` within ten minutes, or of more
    than `long` within an hour. Pure.

    `arrivals`: those of the two hours before `now`, the newest first. The newest `long` + max(`burst`, `long`) suffice: when
    more than `long` came in the last hour the first of them decides.
    """
    return _crowded(arrivals, now, burst, BURST) or _crowded(arrivals, now, long, LONG)


def _crowded(arrivals: Sequence[datetime], now: datetime, most: int, span: timedelta) -> bool:
    """Whether any that came in the last hour is the last of more than `most` within the span."""
    return any(
        newest > now - AFTER and newest - oldest < span
        for newest, oldest in zip(arrivals, arrivals[most:], strict=False)
    )
