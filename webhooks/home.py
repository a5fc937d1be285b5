"""`/`: where people give and join, and in development the doors of this installation and what needs a person."""

from starlette.requests import Request
from starlette.responses import Response

from engine.bootstrap import Deps
from engine.giving import summary
from engine.people import gatherings
from engine.staff import accounts, notices
from webhooks.pages import named, page, spoken


def show(request: Request) -> Response:
    """The home page. Who may sign in, numbers and what needs a person are told in development only."""
    deps: Deps = request.app.state.deps
    development = deps.settings.development
    with deps.work() as (session, now):
        return page(
            request,
            "home.html",
            language=spoken(request),
            lang=named(request),
            house=summary.house(session, now),
            gathering=gatherings.newest_open(session, now) if development else None,
            admin=accounts.first_admin(session) if development else None,
            numbers=summary.numbers(session) if development else None,
            notices=notices.open_notices(session) if development else [],
            metrics_url=deps.settings.metrics_url,
        )
