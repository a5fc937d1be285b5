"""`POST /webhooks/stripe`: Stripe's events, by their signature over the raw bytes. A 2xx means stored, understood or not.

Only what the inbox needs is read here: the event's id, its key, and whether it comes from the mode that we expect.
"""

import hashlib
import re

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine import bell
from engine.bootstrap import Deps
from webhooks.receive import Receiver
from webhooks.writer import Arrival

SOURCE = "stripe"
BODY_LIMIT = 256 * 1024
LONGEST_SIGNATURE = 4096
OTHER_MODE = "other mode"  # the kind of a test event in production, or of a live one in development

_KEY = re.compile(r"[A-Za-z0-9_-]{1,255}")


def _admit(_: Deps, request: Request) -> None:
    """Refuse what cannot be signed without reading its body."""
    if not 0 < len(request.headers.get("stripe-signature", "")) <= LONGEST_SIGNATURE:
        raise _unsigned()


def _read(deps: Deps, request: Request, body: bytes) -> Arrival:
    if not deps.verifier.stripe(body, request.headers["stripe-signature"]):
        raise _unsigned()
    key, live = _told(body)
    expected = not deps.settings.development
    kind = "" if live is None or live is expected else OTHER_MODE
    own = key is not None
    return Arrival(SOURCE, key or hashlib.sha256(body).hexdigest(), kind, bell.INTAKE, body, own_key=own)


def _told(body: bytes) -> tuple[str | None, object]:
    """The event's id, None when it has none that can be a key; and its `livemode`, None when it says nothing of it."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, None
    if not isinstance(event, dict):
        return None, None
    key = event.get("id")
    return key if isinstance(key, str) and _KEY.fullmatch(key) else None, event.get("livemode")


def _unsigned() -> HTTPException:
    return HTTPException(400, "Bad Request")


receive = Receiver(BODY_LIMIT, _admit, _read)
