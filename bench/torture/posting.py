"""Posting as providers do: over asyncio, a connection each, to any of the addresses, again and again until it is taken.

Every try and its end stand in the journal. Nothing here raises over a server that is away, slow or mad.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import urlsplit

from bench.torture.journal import Writer, comes_again

ANSWER_SECONDS = 15.0  # as long as the slowest provider waits
FIRST_PAUSE, LONGEST_PAUSE = 0.3, 6.0
AT_ONCE = 200  # requests under way; beyond these, new ones wait as in a provider's queue


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted. `headers`: made anew for each try, for signatures say when they were made."""

    path: str
    body: bytes
    headers: Callable[[], Mapping[str, str]]
    method: str = "POST"


@dataclass(slots=True)
class Poster:
    """Sends requests to the doors of the house."""

    urls: Sequence[str]
    journal: Writer
    chance: random.Random
    under_way: set[asyncio.Task[int]] = field(default_factory=set)
    ending: bool = False
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def later(self, number: int, request: Request, delay: float = 0.0) -> asyncio.Task[int]:
        """Post it, so many seconds from now, until it is taken or refused."""
        task = asyncio.get_running_loop().create_task(self.until_taken(number, request, delay))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        return task

    async def until_taken(self, number: int, request: Request, delay: float = 0.0) -> int:
        """The status of its last answer."""
        await asyncio.sleep(delay)
        pause, status = FIRST_PAUSE, 0
        while True:
            async with self._room:
                status, _ = await self.once(number, request)
            if not comes_again(status):
                return status
            await asyncio.sleep(pause * self.chance.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def once(self, number: int, request: Request) -> tuple[int, bytes]:
        """One try: its status (0: nobody knows) and whole answer."""
        self.journal.sent(number)
        began = monotonic()
        status, answer = 0, b""
        with suppress(OSError, TimeoutError, ValueError, IndexError):
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await _exchange(self.chance.choice(self.urls), request)
                status = int(answer.split(b" ", 2)[1])
        self.journal.answered(number, status, (monotonic() - began) * 1000)
        return status, answer

    async def drained(self, seconds: float) -> bool:
        """Whether all that was begun came to its end within so many seconds."""
        deadline = monotonic() + seconds
        while self.under_way and monotonic() < deadline:
            await asyncio.wait(list(self.under_way), timeout=min(1.0, max(0.01, deadline - monotonic())))
        left = list(self.under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return not left


async def _exchange(url: str, request: Request) -> bytes:
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        headers = {"Host": place.netloc, "Connection": "close", "Content-Length": str(len(request.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in (headers | dict(request.headers())).items())
        writer.write(f"{request.method} {request.path} HTTP/1.1\r\n{head}\r\n".encode() + request.body)
        await writer.drain()
        answer = await reader.read(1 << 20)
        while more := await reader.read(1 << 20):
            answer += more
        return answer
    finally:
        writer.close()
