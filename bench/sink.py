"""`python -m bench.sink`: a provider that takes every request at once and answers 202. It prints its port, and counts.

It reads and forgets, so that what is measured is who sends. `GET /` says how many requests and bytes there were.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

_REFUSAL = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
_ANSWER = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: sink\r\nContent-Length: 0\r\n\r\n"
_LENGTH = b"content-length:"


class Taker(asyncio.Protocol):
    """One connection. `take` gets the body of each request, before it is answered; `tell` says what `GET /` answers.
    `admit`: whether a request with this head is taken at all, or answered 401."""

    def __init__(
        self,
        take: Callable[[bytes], None] | None,
        tell: Callable[[], object],
        admit: Callable[[bytes], bool] = lambda _: True,
    ) -> None:
        self._take, self._tell, self._admit = take, tell, admit
        self._admitted = True
        self._head = b""
        self._missing = 0
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read on; what is whole is answered."""
        if not self._missing:
            self._head += data
            before, mark, data = self._head.partition(b"\r\n\r\n")
            if not mark:
                return
            self._head = b""
            if before.startswith(b"GET"):
                told = json.dumps(self._tell()).encode()
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
                return
            self._admitted = self._admit(before)
            place = before.lower().index(_LENGTH) + len(_LENGTH)
            self._missing = int(before[place:].partition(b"\r\n")[0])
        self._missing -= len(data)
        if self._take is not None:
            self._body.append(data)
        if self._missing <= 0:
            self._answer()

    def _answer(self) -> None:
        self._missing = 0
        if self._take is not None and self._admitted:
            self._take(b"".join(self._body))
        self._body.clear()
        self._transport.write(_ANSWER if self._admitted else _REFUSAL)


async def serve(
    make: Callable[[], Taker], told: object = None, address: str = "127.0.0.1", until: Awaitable[None] | None = None
) -> None:
    """Serve on a free port, said in a line of JSON with what else is told, until standard input ends: whoever started it is
    gone then."""
    server = await asyncio.get_running_loop().create_server(make, address, 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1], "told": told}), flush=True)
    if until is None:
        await asyncio.to_thread(sys.stdin.read)
    else:
        await until


def main() -> None:
    """Take and forget."""
    asyncio.run(serve(lambda: Taker(None, lambda: None)))


if __name__ == "__main__":
    main()
