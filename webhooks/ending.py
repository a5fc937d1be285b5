"""The time between being told to end and ending: `/readyz` says 503, everything else goes on.

For proxies that find out by asking there (Caddy, balancers); one that asks the next process when the first refuses needs none
of it. `DRAIN_SECONDS` says how long; without it a process that is told to end takes no new connection from then on.
"""

import signal
from asyncio import get_running_loop
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Ending:
    """Whether this process was told to end."""

    def __init__(self) -> None:
        self.begun = False

    @contextmanager
    def announced(self, seconds: int) -> Iterator[None]:
        """In this block, hear SIGTERM first, and pass it on to the server so many seconds later; 0: it is not heard here."""
        if not seconds:
            yield
            return
        loop, server = get_running_loop(), signal.getsignal(signal.SIGTERM)
        assert callable(server)  # uvicorn's, which is there before the application starts

        def hear(number: int, frame: FrameType | None) -> None:
            if self.begun:
                server(number, frame)  # told again: at once
            self.begun = True
            loop.call_soon_threadsafe(loop.call_later, seconds, server, number, None)

        signal.signal(signal.SIGTERM, hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, server)
