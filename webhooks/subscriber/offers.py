"""What the join forms show, kept for a second."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from engine.bootstrap import Deps
from engine.people import join_forms
from engine.people.join_forms import House
from webhooks.newest import KEEP_SECONDS, Newest


@dataclass(frozen=True, slots=True)
class Offer:
    """The house as it was a moment ago."""

    house: House
    read_at: float

    @property
    def now(self) -> datetime:
        """The house's time, from its clock as it stood then."""
        return self.house.now + timedelta(seconds=monotonic() - self.read_at)


class Offers(Newest[Offer]):
    """The newest Offer of one process."""

    def __init__(self, deps: Deps, keep_seconds: float = KEEP_SECONDS) -> None:
        def read() -> Offer:
            with deps.work() as (session, now):
                return Offer(join_forms.house(session, now), monotonic())

        super().__init__(read, "the join forms", keep_seconds)
