"""The web application driven in process, as a server would through ASGI: its lifespan, raw headers, bodies in chunks."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from starlette.types import ASGIApp

Headers = Iterable[tuple[str, str | bytes]]
HOST = ("host", "127.0.0.1")


@dataclass
class Answer:
    """What the application answered, as far as it came."""

    status: int = 0
    headers: Mapping[str, str] = ()
    body: bytes = b""
    cookies: Sequence[str] = ()

    async def take(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.cookies = [v.decode("latin-1") for n, v in message["headers"] if n == b"set-cookie"]
            self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
        self.body += message.get("body", b"")


class Client:
    """One application, one loop. A `None` among the chunks is a sender who hangs up there."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.last = Answer()
        self.source = "127.0.0.1"  # where requests come from
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._end())
        self._runner.close()

    def send(self, method: str, path: str, headers: Headers = (), *chunks: bytes | None) -> Answer:
        """One request to the path with a Host header of ours, unless it brings its own."""
        return self.together((method, path, headers, *chunks))[0]

    def together(self, *requests: Any) -> list[Answer]:
        """Requests at once, in the order of their answers' places."""

        async def gather() -> list[Answer]:
            return await asyncio.gather(*(self._one(*request) for request in requests))

        return self._runner.run(gather())

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Something else on the application's loop."""

        async def within() -> None:
            await work()

        self._runner.run(within())

    async def _one(self, method: str, path: str, headers: Headers = (), *chunks: bytes | None) -> Answer:
        raw = [(n.encode(), v if isinstance(v, bytes) else v.encode("latin-1")) for n, v in headers]
        named = any(name == b"host" for name, _ in raw)
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method,
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "", "state": {},
            "headers": raw if named else [(HOST[0].encode(), HOST[1].encode()), *raw],
            "client": (self.source, 50000), "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        waiting = [self._part(chunk) for chunk in chunks]
        if None not in chunks:
            waiting.append({"type": "http.request", "body": b"", "more_body": False})

        async def receive() -> Any:
            return waiting.pop(0) if waiting else {"type": "http.disconnect"}

        self.last = answer = Answer()
        await self.app(scope, receive, answer.take)
        return answer

    @staticmethod
    def _part(chunk: bytes | None) -> Any:
        return (
            {"type": "http.disconnect"} if chunk is None else {"type": "http.request", "body": chunk, "more_body": True}
        )

    async def _start(self) -> None:
        self._tell: asyncio.Queue[Any] = asyncio.Queue()
        self._hear: asyncio.Queue[Any] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._life = asyncio.ensure_future(self.app(scope, self._tell.get, self._hear.put))
        await self._turn("startup")

    async def _end(self) -> None:
        await self._turn("shutdown")
        await self._life

    async def _turn(self, what: str) -> None:
        await self._tell.put({"type": f"lifespan.{what}"})
        said = await self._hear.get()
        assert said["type"] == f"lifespan.{what}.complete", said
