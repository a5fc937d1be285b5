"""Launching a campaign, once: it is scheduled, held for a while when it is large, and waits for a second person where one is
needed. Undoing that while nothing has left."""

from datetime import datetime

from sqlalchemy.orm import Session

from engine.outreach.campaigns import Done
from engine.settings import Settings


def launch(session: Session, slug: str, now: datetime, settings: Settings, *, key: str, who: int | None) -> Done:
    """Schedule it: it begins at `starts_at`, but not before it was held and approved. The same `key` again is the same launch
    and does nothing (`changed` is False).

    Raises NotFound; preflight.Refused with all reasons; Conflict: launched already under another key, or that launch was
    undone, or it is archived; Invalid: no key, or one longer than 255 characters.
    """
    raise NotImplementedError


def approve(session: Session, slug: str, now: datetime, settings: Settings, *, who: int | None) -> Done:
    """A second person agrees. Again by her: nothing is done. Raises NotFound; Forbidden: it is who launched it, or nobody
    knows who it is (None); Conflict: it is not scheduled, or needs no approval; Refused, of what repeats."""
    raise NotImplementedError


def undo(session: Session, slug: str, now: datetime, settings: Settings, *, who: int | None) -> Done:
    """Back to a draft, as long as it has not begun. Of a draft that was undone nothing is done. Raises NotFound, Conflict."""
    raise NotImplementedError
