"""The one click of a mail provider (RFC 8058), tried on the very endpoint within this process: no port and no proxy."""

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Route

from engine.bootstrap import Deps
from webhooks.app import ROUTES
from webhooks.writer import Writer

BODY = b"List-Unsubscribe=One-Click"
_ENTRY = next(entry for entry in ROUTES if entry.path.startswith("/u/") and "POST" in entry.methods)


def press(deps: Deps, path: str) -> int:
    """The status that a provider gets which posts to this path. Raises what the endpoint raises."""
    app = Starlette(routes=[Route(_ENTRY.path, _ENTRY.answer, methods=["POST"])])
    app.state.deps, app.state.writer = deps, Writer(deps)
    return asyncio.run(_posted(app, path))


async def _posted(app: Starlette, path: str) -> int:
    kind = b"application/x-www-form-urlencoded"
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "https", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 0),
        "headers": [(b"host", b"127.0.0.1"), (b"content-type", kind), (b"content-length", str(len(BODY)).encode())],
    }  # fmt: skip
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(int(message["status"]))

    await app(scope, receive, send)
    return statuses[0]
