"""Deadlines without a timer each: a request has several, and a timer costs more than the work it guards.

What is under way is noted, and one look every LOOK_SECONDS ends what is late: up to that much later than asked.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

LOOK_SECONDS = 0.25

_T = TypeVar("_T")


class Deadlines:
    """The deadlines of one process. Nothing is late while `watch` does not run."""

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()

    async def within(self, seconds: float, work: Awaitable[_T]) -> _T:
        """Await this, in the current task. Raises TimeoutError when it takes longer; then it was cancelled."""
        task = asyncio.current_task()
        assert task is not None  # we are awaited
        self._until[task] = asyncio.get_running_loop().time() + seconds
        try:
            return await work
        except asyncio.CancelledError:
            # Ours, unless somebody else cancelled the task as well.
            if task in self._late and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            del self._until[task]
            self._late.discard(task)

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            for task, until in self._until.items():
                if until < now and task not in self._late:
                    self._late.add(task)
                    task.cancel()
