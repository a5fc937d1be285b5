"""Before a campaign leaves: what it would be, what stands against it, and what one should look at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from engine.errors import Conflict
from engine.settings import Settings


class Refused(Conflict):
    """A campaign that cannot leave as it is; `reasons`, each a sentence."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(reasons))


@dataclass(frozen=True, slots=True)
class Checked:
    """What a campaign would be at this moment. `people`: how many it reaches; `languages`: how many of them read each.

    `refusals`: why it cannot be launched; `warnings`: what one should look at, with where it stands. `hold_minutes`: how long
    it would wait for an undo (0: not at all); `needs_approval`: whether a second person must agree.
    """

    people: int
    languages: Mapping[str, int]
    refusals: Sequence[str] = ()
    warnings: Sequence[str] = ()
    hold_minutes: int = 0
    needs_approval: bool = False


def look(session: Session, slug: str, now: datetime, settings: Settings) -> Checked:
    """Look at a campaign in whatever state. Raises NotFound; Invalid when its audience takes too long to count."""
    raise NotImplementedError
