"""The edge: one middleware around everything. Which hosts are answered, what every answer carries, one log line a request."""

from asyncio import get_running_loop
from collections.abc import Awaitable, Sequence
from time import perf_counter

from prometheus_client import Counter, Histogram
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import log, metrics
from webhooks.security import HEADERS

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES = ("/healthz", "/readyz")  # asked every few seconds: counted, and logged only when something is wrong
MOST_HOSTS = 100
STORED_AS = "inbound_event"  # where a receiver leaves the id of what it stored, in the request's scope, for its line

_CARRIED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_UNCACHED = [*_CARRIED, (b"cache-control", b"no-store")]
# No browser draws JSON as a page, as long as it does not guess: what is answered most often is answered shortly.
_FOR_JSON = [pair for pair in _UNCACHED if pair[0] in (b"x-content-type-options", b"cache-control")]
_NAMES = frozenset(name for name, _ in _UNCACHED)


class Edge:
    """Refuses other hosts; adds HEADERS to every answer that does not set its own, and keeps answers out of caches.

    Writes one line and counts once a request: the route's template, never the path, query or body.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._strict = TrustedHostMiddleware(self._remembering, allowed_hosts=hosts, www_redirect=False)
        self._hosts: set[bytes] = set()
        self._meters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._lines = log.Lines("request")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer through the inner application, watching."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        status = 500
        carried = _CARRIED if scope["path"].startswith("/static/") else _UNCACHED

        def watched(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])  # some answers name theirs by a word of http.HTTPStatus
                message["headers"] = _completed(message["headers"], carried)
            return send(message)

        app = self._app if _host(scope) in self._hosts else self._strict
        try:
            await app(scope, receive, watched)
        finally:
            self._note(scope, status, perf_counter() - began)

    async def _remembering(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the strict look lets through it need not look at again."""
        host = _host(scope)
        if host is not None and len(self._hosts) < MOST_HOSTS:
            self._hosts.add(host)
        await self._app(scope, receive, send)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        template = getattr(scope.get("route"), "path", None) or "unrouted"
        method = scope["method"] if scope["method"] in METHODS else "other"
        meters = self._meters.get((template, method, status))
        if meters is None:
            counter = metrics.REQUESTS.labels(template, method, str(status))
            meters = self._meters[template, method, status] = counter, metrics.REQUEST_SECONDS.labels(template)
        meters[0].inc()
        meters[1].observe(seconds)
        if template not in PROBES or status != 200:
            fields = {"method": method, "route": template, "status": status, "ms": int(seconds * 10_000) / 10}
            if (stored := scope.get(STORED_AS)) is not None:
                fields[STORED_AS] = stored
            if self._lines.add(fields):
                get_running_loop().call_soon(self._lines.flush)


def _host(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"host":
            found: bytes = value
            return found
    return None


def _completed(headers: Sequence[tuple[bytes, bytes]], carried: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """An answer's own headers, and those of `carried` that it does not set itself; of these, JSON needs but two."""
    missing = carried
    for name, value in headers:
        if name == b"content-type" and value == b"application/json":
            missing = _FOR_JSON
        if name.lower() in _NAMES:
            own = {name.lower() for name, _ in headers}
            return [*headers, *(pair for pair in carried if pair[0] not in own)]
    return [*headers, *missing]
