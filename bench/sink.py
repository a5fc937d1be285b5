"""`python -m bench.sink`: a provider that takes every request at once and answers 202. It prints its port, and counts.

It reads and forgets, so that what is measured is who sends. `GET /` says how many requests and bytes there were.
"""

import asyncio
import json
import sys

_ANSWER = b"HTTP/1.1 202 Accepted\r\nX-Message-Id: sink\r\nContent-Length: 0\r\n\r\n"
_LENGTH = b"content-length:"


class _Taker(asyncio.Protocol):
    requests = 0
    taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.head = b""
        self.missing = 0

    def data_received(self, data: bytes) -> None:
        _Taker.taken += len(data)
        if self.missing:
            self.missing -= len(data)
            if self.missing <= 0:
                self._answer()
            return
        self.head += data
        before, mark, body = self.head.partition(b"\r\n\r\n")
        if not mark:
            return
        self.head = b""
        if before.startswith(b"GET"):
            told = json.dumps({"requests": _Taker.requests, "bytes": _Taker.taken}).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
            return
        place = before.lower().index(_LENGTH) + len(_LENGTH)
        self.missing = int(before[place:].partition(b"\r\n")[0]) - len(body)
        if self.missing <= 0:
            self._answer()

    def _answer(self) -> None:
        self.missing = 0
        _Taker.requests += 1
        self.transport.write(_ANSWER)


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(_Taker, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until whoever started it is gone


if __name__ == "__main__":
    asyncio.run(_main())
