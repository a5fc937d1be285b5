"""`POST /webhooks/actionnetwork/{secret}`: Action Network's actions. It signs nothing: the address is the secret."""

from starlette.requests import Request

from engine.bootstrap import Deps
from webhooks.receive import Receiver, by_hash
from webhooks.security import require_address
from webhooks.writer import Arrival

BODY_LIMIT = 1024 * 1024


def _admit(deps: Deps, request: Request) -> None:
    require_address(request.path_params["secret"], deps.settings.actionnetwork_secrets)


def _read(_: Deps, __: Request, body: bytes) -> Arrival:
    return by_hash("actionnetwork", "", body)


receive = Receiver(BODY_LIMIT, _admit, _read)
