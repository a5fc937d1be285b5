"""Who may come in, and what every answer carries: credentials, security headers, one log line a request."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from time import perf_counter

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import metrics

LONGEST_AUTHORIZATION = 1024
PROBES = ("/healthz", "/readyz")  # asked every few seconds: counted, and logged only when something is wrong
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; form-action 'self';"
        " frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

log = structlog.get_logger("webhooks.requests")


def require_basic(request: Request, credentials: Sequence[str]) -> None:
    """Pass when the Authorization header holds one of these `user:password`; else 401. Constant time over all of them."""
    given = _digest(_basic(request.headers.get("authorization", "")))
    matches = [hmac.compare_digest(given, _digest(valid.encode())) for valid in credentials]
    if not any(matches):
        raise HTTPException(401, "Unauthorized", {"WWW-Authenticate": 'Basic realm="webhooks", charset="UTF-8"'})


def require_bearer(request: Request, tokens: Sequence[str]) -> None:
    """Pass when the request bears one of these tokens, as a bearer's or in OSDI's own header; else 401. Constant time."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = token.strip() if scheme.lower() == "bearer" else request.headers.get("osdi-api-token", "")
    if not _one_of(given.encode("latin-1"), tokens):
        raise HTTPException(401, "Unauthorized", {"WWW-Authenticate": 'Bearer realm="webhooks"'})


def require_address(secret: str, secrets: Sequence[str]) -> None:
    """Pass when the secret part of the address is one of these; else 404, as for any address that does not exist."""
    if not _one_of(secret.encode(errors="replace"), secrets):
        raise HTTPException(404)


def require_same_origin(request: Request) -> None:
    """Pass when the browser says that our own page sent this form, or when it is no browser; else 403.

    Pages are served with `no-referrer`, which makes a browser's Origin "null": Sec-Fetch-Site is asked first.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = f"{request.url.scheme}://{request.headers.get('host')}"
    ours = site == "same-origin" if site else origin in (None, own)
    if not ours:
        raise HTTPException(403, "Forbidden")


def _basic(header: str) -> bytes:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(header) > LONGEST_AUTHORIZATION:
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):  # ValueError: characters that are not ASCII
        return b""


def _one_of(given: bytes, secrets: Sequence[str]) -> bool:
    matches = [hmac.compare_digest(_digest(given), _digest(secret.encode())) for secret in secrets]
    return any(matches) and len(given) <= LONGEST_AUTHORIZATION


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


class SecurityHeaders:
    """Adds HEADERS to every answer that does not set its own, and keeps pages out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer through the inner application."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers)


class RequestLog:
    """One line and one count a request: the route's template, never the path, query or body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer through the inner application, watching."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        structlog.contextvars.clear_contextvars()
        began = perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            _note(scope, status, perf_counter() - began)


def _note(scope: Scope, status: int, seconds: float) -> None:
    route = scope.get("route")
    template = getattr(route, "path", None) or "unrouted"
    method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS") else "other"
    metrics.REQUESTS.labels(template, method, str(status)).inc()
    metrics.REQUEST_SECONDS.labels(template).observe(seconds)
    if template not in PROBES or status != 200:
        log.info("request", method=method, route=template, status=status, ms=round(seconds * 1000, 1))
