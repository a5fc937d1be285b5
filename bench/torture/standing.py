"""What the stand-ins of providers share as processes: they say where they are, obey a control address, and end when their
standard input does, once they have told all."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import Handler, Server, serving

LAST_SECONDS = 60.0  # how long an ended one still tries to tell what is left

Act = Callable[[Any], Any]


class _Control(Server):
    def __init__(self, acts: Mapping[str, Act]) -> None:
        super().__init__(("127.0.0.1", 0), _Commands)
        self.acts = acts


class _Commands(Handler, BaseHTTPRequestHandler):
    server: "_Control"

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        act = self.server.acts.get(self.path)
        if act is None:
            self.answer(404, b"{}")
            return
        try:
            done = act(said)
        except (KeyError, ValueError) as error:
            self.answer(422, json.dumps({"detail": str(error)}).encode())
            return
        self.answer(200, json.dumps(done or {}).encode())


@contextmanager
def controlled(acts: Mapping[str, Act]) -> Iterator[str]:
    """Obey on an address of its own: `POST` a path with JSON, and what the act returns is answered."""
    with serving(_Control(acts), lambda: None) as url:
        yield url


async def serve_until_told(url: str, control: str, tell: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Print where it is, then tell what happens until standard input ends, and what is left a while longer."""
    ended = asyncio.Event()
    telling = asyncio.ensure_future(tell(ended))
    print(json.dumps({"url": url, "control": control}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    ended.set()
    await asyncio.wait({telling}, timeout=LAST_SECONDS)
    telling.cancel()
