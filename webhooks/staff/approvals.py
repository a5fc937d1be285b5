"""`/staff/approvals`: what the root decides. Changed territories and new chapters, each with what it would do to whom."""

from starlette.responses import Response

from engine.errors import Invalid
from engine.people import sparks, territories
from engine.staff import audit, rights
from webhooks.staff.gate import Visit, staff_page

YES, NO = "approved", "declined"


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
    decide = territories.approve if _decision(visit) == YES else territories.decline
    visit.happened += decide(visit.session, visit.id(), visit.who.id, visit.now)
    return _decided(visit, "territory_change")


@staff_page(rights.DECIDE)
def decide_spark(visit: Visit) -> Response:
    """Yes, under this name, or no to a forming chapter."""
    if _decision(visit) == YES:
        name = visit.form.one("name")
        happened = sparks.approve(visit.session, visit.id(), visit.who.id, visit.now, name=name)
    else:
        happened = sparks.decline(visit.session, visit.id(), visit.who.id, visit.now)
    visit.happened += happened
    return _decided(visit, "spark")


def _decision(visit: Visit) -> str:
    said = visit.form.one("decision")
    if said not in (YES, NO):
        raise Invalid("say yes or no")
    return said


def _decided(visit: Visit, subject: str) -> Response:
    said = _decision(visit)
    action = f"{subject.replace('_', ' ')} {said}"
    audit.write(visit.session, visit.who.id, action, subject, visit.id(), {}, visit.now)
    return visit.go("/staff/approvals", said)
