"""`/staff/approvals`: what the root decides. Changed territories and new chapters, each with what it would do to whom."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session
from starlette.responses import Response

from engine.errors import Invalid
from engine.events import Event
from engine.people import sparks, territories
from engine.staff import audit, rights
from webhooks.staff.gate import Visit, staff_page

Decision = Callable[[Session, int, int | None, datetime], list[Event]]


@staff_page(rights.DECIDE)
def show(visit: Visit) -> Response:
    """All that waits."""
    return visit.page(
        "approvals.html",
        changes=territories.waiting(visit.session),
        sparks=sparks.waiting(visit.session),
        said=visit.said,
    )


@staff_page(rights.DECIDE)
def decide_territories(visit: Visit) -> Response:
    """Yes or no to a change of territories."""
    return _decide(visit, "territory_change", territories.approve, territories.decline)


@staff_page(rights.DECIDE)
def decide_spark(visit: Visit) -> Response:
    """Yes or no to a forming chapter."""
    return _decide(visit, "spark", sparks.approve, sparks.decline)


def _decide(visit: Visit, subject: str, approve: Decision, decline: Decision) -> Response:
    said = visit.form.one("decision")
    if said not in ("approved", "declined"):
        raise Invalid("say yes or no")
    decision = approve if said == "approved" else decline
    visit.happened += decision(visit.session, visit.id(), visit.who.id, visit.now)
    audit.write(visit.session, visit.who.id, f"{subject.replace('_', ' ')} {said}", subject, visit.id(), {}, visit.now)
    return visit.go("/staff/approvals", said)
