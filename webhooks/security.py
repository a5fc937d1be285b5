"""Who may come in, and the security headers that every answer carries."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

from starlette.exceptions import HTTPException
from starlette.requests import Request

LONGEST_AUTHORIZATION = 1024
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


def framed_by(origins: Sequence[str], leading_to: Sequence[str] = ()) -> dict[str, str]:
    """The one header that differs on a page which these sites may show in a frame of theirs, and whose form may end at those:
    browsers hold the redirect after a form to it, too."""
    policy, allowed = HEADERS["Content-Security-Policy"], " ".join(origins) or "'none'"
    policy = policy.replace("form-action 'self'", " ".join(("form-action 'self'", *leading_to)))
    return {"Content-Security-Policy": policy.replace("frame-ancestors 'none'", f"frame-ancestors {allowed}")}


def framed_letter(*, pictures: bool = False) -> dict[str, str]:
    """A letter in a frame of ours is a stranger: no scripts, no forms, no navigation, nothing loaded but its pictures."""
    places = "https: data:" if pictures else "data:"
    policy = f"sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src {places}; frame-ancestors 'self'"
    return {"Content-Security-Policy": policy}


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


def from_our_page(request: Request) -> bool:
    """Whether the browser says that our own page sent this form, or at least not that another site did; or it is no browser.

    Sec-Fetch-Site is asked first: our pages are served with `no-referrer`, which makes a browser's Origin "null". A browser
    that sends no Sec-Fetch-Site cannot tell our pages from one that hides where it is, so its "null" is let through: each
    form carries a token of its own besides, which no other site can know.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    own = f"{request.url.scheme}://{request.headers.get('host')}"
    return request.headers.get("origin") in (None, "null", own)


def require_same_origin(request: Request) -> None:
    """Pass when this form is `from_our_page`; else 403."""
    if not from_our_page(request):
        raise HTTPException(403, "Forbidden")


def network(request: Request) -> str:
    """The network that a request comes from, as limits count it: an IPv4 /24, an IPv6 /64, or the word itself if it is no
    address."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network((address, 24 if address.version == 4 else 64), strict=False))


def wider(network: str) -> str:
    """The IPv6 /48 around a network as `network` says it: one customer may have as many of those as there are in it. "" where
    there is none."""
    try:
        near = ip_network(network)
    except ValueError:
        return ""
    return str(near.supernet(new_prefix=48)) if isinstance(near, IPv6Network) else ""


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
