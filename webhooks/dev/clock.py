"""`/dev/clock`: skips the development clock ahead, for all running processes at once."""

from datetime import timedelta

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.bootstrap import Deps
from engine.clock import SkippableClock
from webhooks import forms
from webhooks.forms import Stamp
from webhooks.pages import page
from webhooks.security import require_same_origin

SPANS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "three-days": timedelta(days=3),
    "week": timedelta(days=7),
}
FORM = "dev/clock"
FORM_LIMIT = 1024


def show(request: Request) -> Response:
    """What time the house thinks it is."""
    deps: Deps = request.app.state.deps
    with deps.work() as (_, now):
        pass
    return page(request, "clock.html", now=now, spans=SPANS, stamp=Stamp.fresh(FORM, now).token(deps.signer))


async def skip(request: Request) -> Response:
    """Move it ahead by one of the offered spans. There is no way back, so nobody else's page may do it."""
    require_same_origin(request)
    deps: Deps = request.app.state.deps
    told = await forms.posted(request, FORM_LIMIT)
    if Stamp.read(deps.signer, told.one("stamp"), FORM) is None:
        raise HTTPException(403, "Forbidden")
    if told.one("span") not in SPANS:
        raise HTTPException(422, "No such span")
    await run_in_threadpool(_skip, deps, SPANS[told.one("span")])
    return RedirectResponse("/dev/clock", 303)


def _skip(deps: Deps, span: timedelta) -> None:
    clock = deps.clock
    if not isinstance(clock, SkippableClock):
        raise HTTPException(404, "Not Found")
    with deps.work() as (session, _):
        clock.skip(session, span)
