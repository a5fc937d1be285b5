"""`POST /webhooks/actblue`: ActBlue's events, by HTTP Basic. A 2xx means stored, understood or not."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from webhooks.receive import into_inbox, json_body
from webhooks.security import require_basic

BODY_LIMIT = 256 * 1024


async def receive(request: Request) -> Response:
    """Authenticate, take the bytes, store, answer."""
    require_basic(request, request.app.state.deps.settings.actblue_credentials)
    body = await json_body(request, BODY_LIMIT)
    await into_inbox(request, "actblue", "", body)
    return JSONResponse({"status": "stored"})
