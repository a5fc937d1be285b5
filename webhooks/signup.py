"""`POST /webhooks/signup`: sign-ups by other systems, by bearer token. A 2xx means stored, understood or not."""

from starlette.requests import Request

from engine.bootstrap import Deps
from webhooks.receive import JSON, Receiver, by_hash
from webhooks.security import require_bearer
from webhooks.writer import Arrival

BODY_LIMIT = 64 * 1024
OSDI = b"application/hal+json"


def _admit(deps: Deps, request: Request) -> None:
    require_bearer(request, deps.settings.signup_tokens)


def _read(_: Deps, __: Request, body: bytes) -> Arrival:
    return by_hash("signup", "", body)


receive = Receiver(BODY_LIMIT, _admit, _read, kinds=(*JSON, OSDI))
