"""`POST /webhooks/sendgrid`: what became of letters, by ECDSA over time and raw bytes. A 2xx means stored, understood or not.

It goes into the lane `feedback`: a gift never waits behind it.
"""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine import bell
from webhooks.receive import into_inbox, json_body

BODY_LIMIT = 2 * 1024 * 1024
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


async def receive(request: Request) -> Response:
    """Take the bytes, authenticate, store, answer."""
    signature, timestamp = request.headers.get(SIGNATURE, ""), request.headers.get(TIMESTAMP, "")
    if not signature or not timestamp:
        raise _unsigned()
    body = await json_body(request, BODY_LIMIT)
    genuine = request.app.state.deps.feedback_verifier.sendgrid(body, signature, timestamp)
    # Signed are time and body in one piece: a body that begins elsewhere is a time that was cut short.
    if not genuine or not body.startswith(b"["):
        raise _unsigned()
    await into_inbox(request, "sendgrid", "", body, bell.FEEDBACK)
    return JSONResponse({"status": "stored"})


def _unsigned() -> HTTPException:
    return HTTPException(401, "Unauthorized")
