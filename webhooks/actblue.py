"""`POST /webhooks/actblue`: ActBlue's events, by HTTP Basic. A 2xx means stored, understood or not.

One URL that infers the kind from the body, and one a kind for dashboards that are set up that way; the kind is kept with
the bytes. What happens when URL and body disagree: `engine.sources.actblue`.
"""

from functools import partial

from starlette.requests import Request

from engine.bootstrap import Deps
from engine.sources import actblue
from engine.sources.actblue_words import SOURCE
from webhooks.receive import Receiver, by_hash
from webhooks.security import require_basic
from webhooks.writer import Arrival

BODY_LIMIT = 256 * 1024


def _admit(deps: Deps, request: Request) -> None:
    require_basic(request, deps.settings.actblue_credentials)


def _read(kind: str, _: Deps, __: Request, body: bytes) -> Arrival:
    return by_hash(SOURCE, kind, body)


receive = Receiver(BODY_LIMIT, _admit, partial(_read, ""))
receive_contribution = Receiver(BODY_LIMIT, _admit, partial(_read, actblue.CONTRIBUTION))
receive_refund = Receiver(BODY_LIMIT, _admit, partial(_read, actblue.REFUND))
receive_cancellation = Receiver(BODY_LIMIT, _admit, partial(_read, actblue.CANCELLATION))
