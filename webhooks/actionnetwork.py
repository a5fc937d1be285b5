"""`POST /webhooks/actionnetwork/{secret}`: Action Network's actions. It signs nothing: the address is the secret."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from webhooks.receive import into_inbox, json_body
from webhooks.security import require_address

BODY_LIMIT = 1024 * 1024


async def receive(request: Request) -> Response:
    """Look at the address, take the bytes, store, answer."""
    require_address(request.path_params["secret"], request.app.state.deps.settings.actionnetwork_secrets)
    body = await json_body(request, BODY_LIMIT)
    await into_inbox(request, "actionnetwork", "", body)
    return JSONResponse({"status": "stored"})
