"""How far a campaign is: its people, its letters, and why it stands still. Counted as it happened, never anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from engine.outreach.campaigns import Standing


@dataclass(frozen=True, slots=True)
class Progress:
    """`looked_at`: which part of all contacts its expansion has looked at, from 0 to 1. Of those enrolled, some are `active`
    still. `letters`: by what became of them (composed, handed, skipped, cancelled, expired, refused, delivered, bounced,
    complained, unsubscribed, clicked), over all runs. `waits`: why it does not go on by itself now, in a sentence; ''."""

    campaign: Standing
    looked_at: float
    active: int
    letters: Mapping[str, int]
    waits: str = ""
    done: Sequence[str] = ()


def look(session: Session, slug: str, now: datetime) -> Progress:
    """How far it is at this moment; `done`: what people did to it, the newest first. Raises NotFound."""
    raise NotImplementedError
