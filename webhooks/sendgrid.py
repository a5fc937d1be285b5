"""`POST /webhooks/sendgrid`: what became of letters, by ECDSA over time and raw bytes. A 2xx means stored, understood or not.

It goes into the lane `feedback`: a gift never waits behind it.
"""

from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine import bell
from engine.bootstrap import Deps
from webhooks.receive import Receiver, by_hash
from webhooks.writer import Arrival

BODY_LIMIT = 2 * 1024 * 1024
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


def _admit(_: Deps, request: Request) -> None:
    """Refuse what cannot be signed without reading its body."""
    if not request.headers.get(SIGNATURE) or not request.headers.get(TIMESTAMP):
        raise _unsigned()


def _read(deps: Deps, request: Request, body: bytes) -> Arrival:
    genuine = deps.verifier.sendgrid(body, request.headers[SIGNATURE], request.headers[TIMESTAMP])
    # Signed are time and body in one piece: a body that begins elsewhere is a time that was cut short.
    if not genuine or not body.startswith(b"["):
        raise _unsigned()
    return by_hash("sendgrid", "", body, bell.FEEDBACK)


def _unsigned() -> HTTPException:
    return HTTPException(401, "Unauthorized")


receive = Receiver(BODY_LIMIT, _admit, _read)
