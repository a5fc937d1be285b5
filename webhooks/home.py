"""`/`: the doors of this installation, and what needs a person."""

from starlette.requests import Request
from starlette.responses import Response

from engine.bootstrap import Deps
from engine.giving import summary
from engine.staff import notices
from webhooks.pages import page


def show(request: Request) -> Response:
    """The home page. Numbers and what needs a person are shown in development only, until staff can sign in."""
    deps: Deps = request.app.state.deps
    with deps.work() as (session, _):
        house = summary.house(session)
        numbers = summary.numbers(session) if deps.settings.development else None
        waiting = notices.open_notices(session) if deps.settings.development else []
    metrics_url = deps.settings.metrics_url
    return page(request, "home.html", house=house, numbers=numbers, notices=waiting, metrics_url=metrics_url)
