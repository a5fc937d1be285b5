"""`POST /webhooks/actblue`: ActBlue's events, by HTTP Basic. A 2xx means stored, understood or not.

One URL that infers the kind from the body, and one a kind for dashboards that are set up that way; the kind is kept with
the bytes. What happens when URL and body disagree: `engine.sources.actblue`.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.sources import actblue
from engine.sources.actblue_words import SOURCE
from webhooks.receive import into_inbox, json_body
from webhooks.security import require_basic

BODY_LIMIT = 256 * 1024


async def receive(request: Request) -> Response:
    """Any kind: the body shows which."""
    return await _receive(request, "")


async def receive_contribution(request: Request) -> Response:
    """A gift, or an instalment of a recurring one."""
    return await _receive(request, actblue.CONTRIBUTION)


async def receive_refund(request: Request) -> Response:
    """Money that went back to a donor."""
    return await _receive(request, actblue.REFUND)


async def receive_cancellation(request: Request) -> Response:
    """The end of a recurring gift."""
    return await _receive(request, actblue.CANCELLATION)


async def _receive(request: Request, kind: str) -> Response:
    """Authenticate, take the bytes, store, answer."""
    require_basic(request, request.app.state.deps.settings.actblue_credentials)
    body = await json_body(request, BODY_LIMIT)
    await into_inbox(request, SOURCE, kind, body)
    return JSONResponse({"status": "stored"})
