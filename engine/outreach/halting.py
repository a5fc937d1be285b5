"""Pausing a campaign, letting it go on, and cancelling it with all that is queued."""

from datetime import datetime

from sqlalchemy.orm import Session

from engine.outreach.campaigns import Done


def pause(session: Session, slug: str, now: datetime, *, who: int | None, because: str = "") -> Done:
    """Nobody enters it or steps in it, none of its letters leaves, until `resume`. Paused already: nothing is done. Raises
    NotFound; Conflict for a draft and for one that ended."""
    raise NotImplementedError


def resume(session: Session, slug: str, now: datetime, *, who: int | None) -> Done:
    """It goes on. Not paused: nothing is done. Raises NotFound, Conflict for one that ended."""
    raise NotImplementedError


def cancel(session: Session, slug: str, now: datetime, *, who: int | None, because: str = "") -> Done:
    """For good: from this commit on nothing of it leaves; its people leave it and its queued letters read `cancelled:
    campaign cancelled`, of a large one within moments (`clear`). Cancelled already: nothing is done. Raises NotFound, and
    Conflict for one that has finished."""
    raise NotImplementedError
