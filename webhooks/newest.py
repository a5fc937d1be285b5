"""What a page shows, read now and then and kept meanwhile: a page that a thousand people open costs the database one look."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Generic, TypeVar

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool

KEEP_SECONDS = 1.0

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Newest(Generic[T]):
    """The newest reading of one process. While the database is away, pages go on being shown from the last one."""

    def __init__(self, read: Callable[[], T], what: str, keep_seconds: float = KEEP_SECONDS) -> None:
        """`read` runs in a thread; `what` it reads, for the log."""
        self._read = read
        self._what = what
        self._keep_seconds = keep_seconds
        self._known: tuple[T, float] | None = None
        self._reading: asyncio.Task[tuple[T, float]] | None = None

    async def current(self, *, wait: bool = True) -> T:
        """What holds now; not to `wait`: what held last, while it is read anew for the next one who asks.

        Raises what the database raises, as long as it was never read.
        """
        known = self._known
        if known is not None and monotonic() - known[1] < self._keep_seconds:
            return known[0]
        if self._reading is None:
            self._reading = asyncio.create_task(run_in_threadpool(self._timed))
            self._reading.add_done_callback(self._done)
        if known is not None and not wait:
            return known[0]
        try:
            return (await asyncio.shield(self._reading))[0]
        except (OperationalError, PoolTimeout) as error:
            if known is None:
                raise
            log.warning("shown as it was", what=self._what, error=type(error).__name__)
            return known[0]

    def _timed(self) -> tuple[T, float]:
        return self._read(), monotonic()

    def _done(self, reading: asyncio.Task[tuple[T, float]]) -> None:
        self._reading = None
        if not reading.cancelled() and reading.exception() is None:
            self._known = reading.result()
