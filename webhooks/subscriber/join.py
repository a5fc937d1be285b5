"""`/join`, `/join/{chapter}`: the form by which people join. `/introductions`: its one question after, where no chapter is.

A POST stores a raw event of the source "join" under its stamp's number and answers after the commit; the worker does the
rest. The same words under the same stamp are stored once and answered alike, however often the button was pressed.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine import bell, inbox
from engine.bootstrap import Deps
from engine.errors import Unavailable
from engine.people import join_forms
from engine.sources.join import KIND, SOURCE
from webhooks import forms
from webhooks.edge import STORED_AS
from webhooks.forms import Stamp
from webhooks.rendered import Rendered
from webhooks.security import from_our_page, network, require_same_origin
from webhooks.subscriber import showing
from webhooks.subscriber.asking import Asked, asked
from webhooks.subscriber.showing import INTRODUCE, TRAP
from webhooks.subscriber.typed import Filled, Typed
from webhooks.subscriber.weighing import Weighed, stored_before, weigh
from webhooks.writer import Arrival


async def show(request: Request) -> Response:
    """The form. Touches no database by itself."""
    state = request.app.state
    offer = await state.offers.current()

    async def render(token: str) -> tuple[str, Response]:
        wanted = asked(request, offer)
        return wanted.name, showing.untouched(request, wanted, token)

    rendered: Rendered = state.rendered
    return await rendered.form(request, offer.now, offer.read_at, state.deps.signer, render)


async def receive(request: Request) -> Response:
    """Take a filled-in form, or show it again with what was typed."""
    wanted = asked(request, await request.app.state.offers.current())
    told = await forms.posted(request)
    filled = Filled.read(told, wanted.house)
    signer = request.app.state.deps.signer
    stamp = Stamp.read(signer, told.one("stamp"), wanted.name) if from_our_page(request) else None
    if filled.typed is None:
        return showing.form(request, wanted, stamp or wanted.stamp(), filled, status=422)
    if stamp is None:
        return showing.form(request, wanted, wanted.stamp(), filled, "again", status=403)
    if told.one(TRAP):
        return showing.form(request, wanted, wanted.stamp(), filled, "again")
    try:
        return await _taken(request, wanted, stamp, filled, filled.typed)
    except (Unavailable, OperationalError, PoolTimeout):
        return showing.form(request, wanted, stamp, filled, "away", status=503)
    except HTTPException as refused:
        if refused.status_code != 503:
            raise
        return showing.form(request, wanted, stamp, filled, "away", status=503)


async def introduce(request: Request) -> Response:
    """Store once more what she said when she joined, now with her wish to be introduced to others of her place."""
    wanted = asked(request, await request.app.state.offers.current())
    require_same_origin(request)
    deps: Deps = request.app.state.deps
    stamp = Stamp.read(deps.signer, (await forms.posted(request)).one("stamp"), INTRODUCE)
    found = await run_in_threadpool(_joined, deps, stamp) if stamp else None
    if stamp is None or found is None:
        raise HTTPException(403, "Forbidden")
    document, now = found
    await _store(request, f"{stamp.nonce}:{INTRODUCE}", {**document, "introduce": True, "at": now})
    return showing.introduced(request, wanted)


async def _taken(request: Request, wanted: Asked, stamp: Stamp, filled: Filled, typed: Typed) -> Response:
    deps: Deps = request.app.state.deps
    weighed = await run_in_threadpool(weigh, deps, wanted, stamp, typed, network(request))
    match weighed.verdict:
        case "often":
            return showing.form(request, wanted, stamp, filled, "often", status=429)
        case "fast":
            return showing.form(request, wanted, stamp, filled, "again")
        case "old" | "reused":
            return showing.form(request, wanted, wanted.stamp(aged=True), filled, "again", status=403)
    document = weighed.earlier or _document(wanted, typed, weighed)
    if weighed.verdict == "take" and await _store(request, stamp.nonce, document) is None:
        known = await run_in_threadpool(stored_before, deps, stamp, document)
        if known is None:  # the same stamp with other words, at the same instant
            return showing.form(request, wanted, wanted.stamp(aged=True), filled, "again", status=403)
        document = known
    return showing.thanks(request, wanted, stamp, document, weighed.near, zip_as_typed=filled.zip_as_typed)


def _document(wanted: Asked, typed: Typed, weighed: Weighed) -> Mapping[str, Any]:
    """The body of source "join"."""
    return {
        "form": wanted.name, "at": weighed.now, **typed.model_dump(mode="json"), "state": "", "phone": "",
        "language": wanted.language, "gathering": weighed.gathering, "confirm": weighed.confirm, "introduce": False,
        "wording": showing.wording(wanted),
    }  # fmt: skip


async def _store(request: Request, key: str, document: Mapping[str, Any]) -> int | None:
    arrival = Arrival(SOURCE, key, KIND, bell.INTAKE, orjson.dumps(document))
    number: int | None = await request.app.state.writer.store(arrival)
    request.scope[STORED_AS] = number or "known"
    return number


def _joined(deps: Deps, stamp: Stamp) -> tuple[Mapping[str, Any], datetime] | None:
    """What was stored under this stamp and what time it is; None when the stamp is too old, nothing is there, or nobody can
    be introduced to her: her ZIP is in no county that we know."""
    with deps.work() as (session, now):
        body = None if stamp.too_old(now) else inbox.body_of(session, SOURCE, stamp.nonce)
        document = orjson.loads(body) if body else None
        if document is None or not join_forms.near(session, document["zip"]).county:
            return None
    return document, now
