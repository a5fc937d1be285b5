"""`/staff/offers`: who offered to help, in one's own chapters. Each offer moves on by button; the list stays where it was."""

from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from engine.staff import dossier, offers, rights
from webhooks.staff.gate import Visit, staff_page

OPEN = "open"


@staff_page()
def show(visit: Visit) -> Response:
    """One of the lists, a page of it."""
    asked = visit.request.query_params
    which, chapter_id = _which(asked.get("show", "")), _number(asked.get("chapter", ""))
    return visit.page(
        "offers.html", which=which, number=visit.page_number, said=visit.said, chapter_id=chapter_id, lists=offers.LISTS,
        listed=offers.read(visit.session, visit.who, which, visit.page_number, chapter_id),
        chapters=dossier.chapters(visit.session, visit.who), path=_path,
    )  # fmt: skip


@staff_page(rights.CHANGE_PEOPLE)
def move(visit: Visit) -> Response:
    """An offer goes on; back to where it stood."""
    form = visit.form
    offers.move(visit.session, visit.who, visit.id("offer"), form.one("state"), visit.now)
    number, chapter_id = _number(form.one("page")), _number(form.one("chapter"))
    return visit.go(_path(show=_which(form.one("show")), page=number, chapter=chapter_id, said="moved"))


def _path(**terms: Any) -> str:
    """The address of a list: which, which chapter's, which page of it but the first."""
    if terms.get("page") == 1:
        del terms["page"]
    return "/staff/offers?" + urlencode({name: value for name, value in terms.items() if value})


def _which(told: str) -> str:
    return told if told in offers.LISTS else OPEN


def _number(told: str) -> int | None:
    """A number that an id or a page can have; None for anything else."""
    return int(told) if told.isascii() and told.isdigit() and len(told) <= 18 else None
