"""Taking in raw events, the hot path: a sender is let in, its bytes are taken with a limit and a deadline, stored, answered.

A `Receiver` is a raw ASGI endpoint: it makes no Response object for the one answer it has.
"""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from engine import bell
from engine.bootstrap import Deps
from webhooks.edge import STORED_AS
from webhooks.writer import Arrival, Writer

BODY_SECONDS = 10.0
LONGEST_LENGTH = 18  # digits of a Content-Length worth reading
JSON = (b"application/json",)
STORED = b'{"status":"stored"}'

_STORED_HEADERS = ((b"content-length", str(len(STORED)).encode()), (b"content-type", b"application/json"))


@dataclass(frozen=True, slots=True)
class Receiver:
    """One sender's endpoint. Both functions raise HTTPException to turn a request away.

    `admit`: by the headers alone, before a byte of the body is read. `read`: by the body; returns what to store.
    """

    limit: int
    admit: Callable[[Deps, Request], None]
    read: Callable[[Deps, Request, bytes], Arrival]
    kinds: Collection[bytes] = JSON

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 200 once it is committed."""
        request = Request(scope, receive)
        state = request.app.state
        self.admit(state.deps, request)
        body = await self._body(request)
        stored = await state.writer.store(self.read(state.deps, request, body))
        scope[STORED_AS] = stored or "known"
        await send({"type": "http.response.start", "status": 200, "headers": [*_STORED_HEADERS]})
        await send({"type": "http.response.body", "body": STORED})

    async def _body(self, request: Request) -> bytes:
        """The raw bytes: 415 for another type or any encoding, else as `body_within`."""
        for name, value in request.scope["headers"]:
            if name == b"content-type" and not (value in self.kinds or _bare(value) in self.kinds):
                raise HTTPException(415, "Unsupported Media Type")
            if name == b"content-encoding" and value.lower() != b"identity":
                raise HTTPException(415, "Unsupported Media Type")
        return await body_within(request, self.limit)


async def body_within(request: Request, limit: int) -> bytes:
    """The raw bytes of any request: 413 over the limit, 408 when it is not whole after BODY_SECONDS, however it drips.

    The one way to read a body: the proxy passes bodies on as they come, and this is where a slow one ends.
    """
    for name, value in request.scope["headers"]:
        if name == b"content-length" and _is_longer(value, limit):
            raise HTTPException(413, "Content Too Large")
    writer: Writer = request.app.state.writer
    try:
        return await writer.deadlines.within(BODY_SECONDS, _whole(request.receive, limit))
    except TimeoutError:
        raise HTTPException(408, "Request Timeout") from None


def by_hash(source: str, kind: str, body: bytes, lane: str = bell.INTAKE) -> Arrival:
    """An event under the hash of its bytes and its kind: sent to a wrong address, it can be sent again to the right one."""
    digest = hashlib.sha256(body).hexdigest()
    return Arrival(source, f"{digest}:{kind}" if kind else digest, kind, lane, body)


def _bare(kind: bytes) -> bytes:
    return kind.partition(b";")[0].strip().lower()


def _is_longer(length: bytes, limit: int) -> bool:
    return length.isdigit() and (len(length.lstrip(b"0")) > LONGEST_LENGTH or int(length) > limit)


async def _whole(receive: Receive, limit: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise HTTPException(400, "Bad Request")  # the sender hung up
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise HTTPException(413, "Content Too Large")
    return bytes(body)
