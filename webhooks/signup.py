"""`POST /webhooks/signup`: sign-ups by other systems, by bearer token. A 2xx means stored, understood or not."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from webhooks.receive import JSON, into_inbox, json_body
from webhooks.security import require_bearer

BODY_LIMIT = 64 * 1024
OSDI = "application/hal+json"


async def receive(request: Request) -> Response:
    """Authenticate, take the bytes, store, answer."""
    require_bearer(request, request.app.state.deps.settings.signup_tokens)
    body = await json_body(request, BODY_LIMIT, (*JSON, OSDI))
    await into_inbox(request, "signup", "", body)
    return JSONResponse({"status": "stored"})
