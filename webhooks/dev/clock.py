"""`/dev/clock`: skips the development clock ahead, for all running processes at once."""

from datetime import timedelta
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.bootstrap import Deps
from engine.clock import SkippableClock
from webhooks.pages import page
from webhooks.receive import body_within
from webhooks.security import require_same_origin

SPANS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "three-days": timedelta(days=3),
    "week": timedelta(days=7),
}
FORM_LIMIT = 1024


def show(request: Request) -> Response:
    """What time the house thinks it is."""
    deps: Deps = request.app.state.deps
    with deps.work() as (_, now):
        pass
    return page(request, "clock.html", now=now, spans=SPANS)


async def skip(request: Request) -> Response:
    """Move it ahead by one of the offered spans."""
    require_same_origin(request)
    asked = parse_qs((await body_within(request, FORM_LIMIT)).decode("ascii", "replace")).get("span", [""])
    if asked[0] not in SPANS:
        raise HTTPException(422, "No such span")
    await run_in_threadpool(_skip, request.app.state.deps, SPANS[asked[0]])
    return RedirectResponse("/dev/clock", 303)


def _skip(deps: Deps, span: timedelta) -> None:
    clock = deps.clock
    if not isinstance(clock, SkippableClock):
        raise HTTPException(404, "Not Found")
    with deps.work() as (session, _):
        clock.skip(session, span)
