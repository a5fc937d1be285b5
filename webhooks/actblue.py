"""`POST /webhooks/actblue`: ActBlue's events, by HTTP Basic. A 2xx means stored, understood or not."""

from starlette.requests import Request

from engine.bootstrap import Deps
from webhooks.receive import Receiver, by_hash
from webhooks.security import require_basic
from webhooks.writer import Arrival

BODY_LIMIT = 256 * 1024


def _admit(deps: Deps, request: Request) -> None:
    require_basic(request, deps.settings.actblue_credentials)


def _read(_: Deps, __: Request, body: bytes) -> Arrival:
    return by_hash("actblue", "", body)


receive = Receiver(BODY_LIMIT, _admit, _read)
