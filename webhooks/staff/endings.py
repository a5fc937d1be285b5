"""Merging and erasing: a page that says what it would do, with a button that says it again, and then it is done."""

from typing import Any

from sqlalchemy import Row
from starlette.responses import Response

from engine.staff import dossier, endings, rights
from webhooks.staff import words
from webhooks.staff.gate import Visit, staff_page


@staff_page(rights.ERASE_PEOPLE)
def compare(visit: Visit) -> Response:
    """Both records side by side."""
    one = endings.living(visit.session, visit.who, visit.id())
    other = endings.other(visit.session, visit.who, visit.request.query_params.get("with", "").strip()[:200])
    return visit.page("merge.html", one=_side(one), other=_side(other), same=one.id == other.id)


@staff_page(rights.ERASE_PEOPLE)
def merge(visit: Visit) -> Response:
    """They are one."""
    into = visit.form.number("into")
    visit.happened += endings.merge(visit.session, visit.who, visit.id(), into, visit.now)
    return visit.go(f"/staff/people/{into}", "merged")


@staff_page(rights.ERASE_PEOPLE)
def consider(visit: Visit) -> Response:
    """What goes and what stays."""
    name, outlook = endings.outlook(visit.session, visit.who, visit.id())
    return visit.page("erase.html", id=visit.id(), called=name, outlook=outlook)


@staff_page(rights.ERASE_PEOPLE)
def erase(visit: Visit) -> Response:
    """She is forgotten."""
    visit.happened += endings.erase(visit.session, visit.who, visit.id(), visit.deps.signer, visit.now)
    return visit.go("/staff/people", "erased")


def _side(person: Row[Any]) -> dict[str, Any]:
    return {
        "id": person.id, "name": dossier.called(person), "email": person.email, "phone": person.phone,
        "lives": " ".join(part for part in (person.street, person.city, person.zip) if part),
        "chapter": person.chapter, "gifts": person.gave_count, "since": words.day(person.created_at),
    }  # fmt: skip
