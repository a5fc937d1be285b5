"""`/confirm/{token}`: was it she who signed up? GET asks, POST is her yes. Twice is once.

Who stopped all letters since is asked expressly whether she wants them again.
"""

from datetime import datetime

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from engine.bootstrap import Deps
from engine.events import Event
from engine.letters import links
from engine.people import confirmations, preferences
from engine.people.confirmations import Confirmation
from webhooks.pages import page
from webhooks.receive import body_within
from webhooks.subscriber import door
from webhooks.subscriber.door import Fields


def show(request: Request) -> Response:
    """The question, or what became of it."""
    deps: Deps = request.app.state.deps
    named = links.confirmation(deps.signer, request.path_params["token"])
    with deps.work() as (session, now):
        asked = confirmations.find(session, named, now) if named is not None else None
        return _shown(request, session, asked, now, fresh=False)


async def answer(request: Request) -> Response:
    """Her yes."""
    body = await body_within(request, door.BODY_LIMIT)
    return await run_in_threadpool(door.patiently, _answer, request, door.fields(request, body))


def _answer(request: Request, given: Fields) -> Response:
    deps: Deps = request.app.state.deps
    named = links.confirmation(deps.signer, request.path_params["token"])
    if named is None:
        return door.stranger(request)
    expressly = door.first(given, "again") == "yes"
    with deps.work() as (session, now):
        asked = confirmations.find(session, named, now)
        everything: list[Event] = []
        if asked and asked.state == "open" and (expressly or not asked.left_since):
            happened = confirmations.confirm(session, named, now, expressly=expressly)
            everything = deps.react(session, happened, now)
            asked = confirmations.find(session, named, now)
        shown = _shown(request, session, asked, now, fresh=bool(everything))
    deps.ring_for(everything)
    return shown


def _shown(request: Request, session: Session, asked: Confirmation | None, now: datetime, *, fresh: bool) -> Response:
    """`fresh`: she said yes this very moment; only then does the page show the way to her preferences."""
    deps: Deps = request.app.state.deps
    hers = preferences.load(session, asked.contact_id, now) if asked else None
    if asked is None or hers is None:
        return door.stranger(request)
    language = door.language(request, hers.language)
    if asked.state == "expired":
        return door.ended(request, language)
    choose = links.preferences(deps.signer, hers.contact_id, now) if fresh else ""
    return page(request, "confirm.html", language=language, hers=hers, asked=asked, choose=choose)
