"""What the join forms show, kept for a second: a page that a thousand people open costs the database one look."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool

from engine.bootstrap import Deps
from engine.people import join_forms
from engine.people.join_forms import House

KEEP_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """The house as it was a moment ago."""

    house: House
    read_at: float

    @property
    def now(self) -> datetime:
        """The house's time, from its clock as it stood then."""
        return self.house.now + timedelta(seconds=monotonic() - self.read_at)


class Offers:
    """The newest Offer of one process. While the database is away, forms go on being shown from the last one."""

    def __init__(self, deps: Deps, keep_seconds: float = KEEP_SECONDS) -> None:
        self._deps = deps
        self._keep_seconds = keep_seconds
        self._known: Offer | None = None
        self._reading: asyncio.Task[Offer] | None = None

    async def current(self) -> Offer:
        """What is offered now. Raises what the database raises, as long as it was never read."""
        known = self._known
        if known is not None and monotonic() - known.read_at < self._keep_seconds:
            return known
        if self._reading is None:
            self._reading = asyncio.create_task(run_in_threadpool(self._read))
            self._reading.add_done_callback(self._done)
        try:
            return await asyncio.shield(self._reading)
        except (OperationalError, PoolTimeout) as error:
            if known is None:
                raise
            log.warning("the join forms are shown as they were", error=type(error).__name__)
            return known

    def _read(self) -> Offer:
        with self._deps.work() as (session, now):
            return Offer(join_forms.house(session, now), monotonic())

    def _done(self, reading: asyncio.Task[Offer]) -> None:
        self._reading = None
        if not reading.cancelled() and reading.exception() is None:
            self._known = reading.result()
