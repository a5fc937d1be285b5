"""How far a campaign is: its people, its letters, and why it stands still. Counted as it happened, never anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.outreach import campaigns
from engine.outreach.campaigns import CANCELLED, DRAFT, EXPANDING, FINISHED, SCHEDULED, Standing
from engine.staff import audit

SHOWN = 20
COUNTED = (
    "composed", "handed", "skipped", "cancelled", "expired", "refused", "delivered", "bounced", "complained", "unsubscribed",
    "clicked",
)  # fmt: skip

_LETTERS = text(f"""
SELECT {", ".join(f"CAST(coalesce(sum({name}), 0) AS bigint) AS {name}" for name in COUNTED)}
FROM step_tally WHERE campaign_id = :id
""")
_SEQUENCE = text("SELECT paused_at, paused_because FROM sequence WHERE id = :id")


@dataclass(frozen=True, slots=True)
class Progress:
    """`looked_at`: which part of all contacts its expansion has looked at, from 0 to 1. Of those enrolled, some are `active`
    still. `letters`: by what became of them (COUNTED), over all runs; `waiting` of them are ready and have not left. `waits`:
    why it does not go on by itself now, in a sentence; ''. `done`: what was done to it, the newest first: rows of (at,
    action, detail, who)."""

    campaign: Standing
    looked_at: float
    active: int
    letters: Mapping[str, int]
    waiting: int
    waits: str = ""
    done: Sequence[Row[Any]] = ()


def look(session: Session, slug: str, now: datetime) -> Progress:
    """How far it is at this moment. Raises NotFound."""
    campaign = campaigns.one(session, slug)
    letters = dict(session.execute(_LETTERS, {"id": campaign.id}).one()._mapping)
    gone = sum(letters[name] for name in ("handed", "skipped", "cancelled", "expired", "refused"))
    return Progress(
        campaign, _looked_at(campaign), max(campaign.enrolled - campaign.finished - campaign.left_early, 0), letters,
        max(letters["composed"] - gone, 0), _waits(session, campaign, now), audit.of(session, "campaign", campaign.id, SHOWN),
    )  # fmt: skip


def _looked_at(campaign: Standing) -> float:
    if campaign.state in (DRAFT, SCHEDULED):
        return 0.0
    return 1.0 if campaign.state != EXPANDING or not campaign.upto else campaign.cursor / campaign.upto


def _waits(session: Session, campaign: Standing, now: datetime) -> str:
    if campaign.state in (DRAFT, FINISHED, CANCELLED):
        return ""
    sequence = session.execute(_SEQUENCE, {"id": campaign.sequence_id}).one_or_none()
    for what, row in (("it", campaign), ("its sequence", sequence)):
        if row is not None and row.paused_at is not None:
            return f"{what} is paused" + (f": {row.paused_because}" if row.paused_because else "")
    return _begins(campaign, now) if campaign.state == SCHEDULED else ""


def _begins(campaign: Standing, now: datetime) -> str:
    reasons = []
    if campaign.waits_for_approval:
        reasons.append(f"a second person must approve it: `groundswell campaigns approve {campaign.slug} --as ADDRESS`")
    if campaign.held_until is not None and campaign.held_until > max(now, campaign.starts_at or now):
        reasons.append(f"it is held until {campaign.held_until:%Y-%m-%d %H:%M} UTC")
    elif campaign.starts_at is not None and campaign.starts_at > now:
        reasons.append(f"it begins at {campaign.starts_at:%Y-%m-%d %H:%M} UTC")
    if reasons and campaign.run == 1:  # of what repeats, only the first run is undone
        reasons.append(f"until it begins, `groundswell campaigns undo {campaign.slug}` makes it a draft again")
    return "; ".join(reasons)
