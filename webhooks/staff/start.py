"""`/staff`: what waits for whoever is signed in."""

from starlette.responses import Response

from engine.staff import notices, rights, waiting
from webhooks.staff.gate import Visit, staff_page


@staff_page()
def show(visit: Visit) -> Response:
    """The start page."""
    who = visit.who
    decides = who.may(rights.DECIDE)
    return visit.page(
        "start.html",
        waits=waiting.counts(visit.session, who.reach),
        offers=waiting.new_offers(visit.session, who.reach),
        notices=notices.open_notices(visit.session) if decides else [],
        decides=decides,
    )
