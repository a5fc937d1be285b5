"""What staff does about one person, by button. Each is checked by right and reach, and put on the audit."""

from starlette.responses import Response

from engine.errors import Invalid
from engine.staff import changes, rights, taking
from webhooks.staff.gate import Visit, staff_page

NOBODY_PLACES_HER = "0"


@staff_page(rights.CHANGE_PEOPLE)
def place(visit: Visit) -> Response:
    """Her home is this chapter; nought: as everything else says."""
    chapter_id = visit.form.number("chapter") or None
    if chapter_id is None and visit.form.one("chapter") != NOBODY_PLACES_HER:
        raise Invalid("name the chapter")
    visit.happened += changes.place(visit.session, visit.who, visit.id(), chapter_id, visit.now)
    return _back(visit, "placed")


@staff_page(rights.CHANGE_PEOPLE)
def stop(visit: Visit) -> Response:
    """No more letters to her address."""
    changes.stop_letters(visit.session, visit.who, visit.id(), visit.now)
    return _back(visit, "stopped")


@staff_page(rights.CHANGE_PEOPLE)
def note(visit: Visit) -> Response:
    """Keep a note."""
    changes.note(visit.session, visit.who, visit.id(), visit.form.one("note"), visit.now)
    return _back(visit, "noted")


@staff_page(rights.CHANGE_PEOPLE)
def move_offer(visit: Visit) -> Response:
    """An offer to help goes on."""
    state = visit.form.one("state")
    changes.move_offer(visit.session, visit.who, visit.id(), offer_id=visit.id("offer"), state=state, now=visit.now)
    return _back(visit, "moved")


@staff_page(rights.EXPORT)
def bundle(visit: Visit) -> Response:
    """Everything about her, as a file."""
    zipped = taking.bundle(visit.session, visit.who, visit.id(), visit.now)
    name = f"person-{visit.id()}-{visit.now:%Y-%m-%d}.zip"
    return Response(
        zipped, media_type="application/zip", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


def _back(visit: Visit, said: str) -> Response:
    return visit.go(f"/staff/people/{visit.id()}", said)
