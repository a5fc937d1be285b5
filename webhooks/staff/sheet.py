"""`/staff/sheet`: a paper sheet typed in. Good rows are taken, the others stay as they were typed, with what is wrong."""

import re
import secrets
from datetime import date, timedelta
from http import HTTPStatus

from starlette.responses import Response

from engine import bell
from engine.errors import Invalid
from engine.people import opt_in
from engine.staff import rights, sheets
from engine.staff.sheets import Line, Sheet
from webhooks.staff.forms import Form
from webhooks.staff.gate import Visit, staff_page

COLUMNS = (
    ("first_name", "First name"),
    ("last_name", "Last name"),
    ("email", "Address (email)"),
    ("zip", "ZIP"),
    ("phone", "Phone"),
)
OLDEST = timedelta(days=366)
_PAGE = re.compile(r"[0-9a-f]{32}")


@staff_page(rights.CHANGE_PEOPLE)
def blank(visit: Visit) -> Response:
    """An empty sheet."""
    return _shown(visit, [], page=secrets.token_hex(16), where=visit.request.query_params.get("at", ""))


@staff_page(rights.CHANGE_PEOPLE)
def take(visit: Visit) -> Response:
    """Take the good rows; show which, and the others again."""
    form = visit.form
    lines = [line for number in range(sheets.ROWS) if not (line := _line(form, number)).empty]
    good = [line for line in lines if not line.errors()]
    wrong = [line for line in lines if line.errors()]
    where, page = form.one("where"), form.one("page")
    if not _PAGE.fullmatch(page):
        raise Invalid("this sheet did not come from this page; open it again")
    problem = "" if where else "Say where it was signed."
    day = _day(form.one("signed_on"), visit)
    if day is None:
        problem = "The day it was signed is a date of the last year, not one to come."
    if problem or day is None:
        return _shown(visit, lines, page=page, where=where, problem=problem)
    place = sheets.place(visit.session, visit.who, where)
    if good:
        sheet = Sheet(place.chapter_id, place.slug, place.code, day, page)
        # Who signs at a gathering stands before us; of any other sheet, as its chapter takes a yes.
        confirm = not place.code and opt_in.needs_confirmation(
            visit.session, place.chapter_id, visit.now, visit.deps.settings
        )
        sheets.take(visit.session, visit.who, sheet, good, visit.now, confirm=confirm)
        visit.bells.add(bell.INTAKE)
    return _shown(visit, wrong, page=page if wrong else secrets.token_hex(16), where=where, taken=good)


def _shown(
    visit: Visit, lines: list[Line], *, page: str, where: str, taken: list[Line] | None = None, problem: str = ""
) -> Response:
    wrong = [line for line in lines if line.errors()]
    signed_on = visit.form.one("signed_on") or f"{visit.now:%Y-%m-%d}"
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return visit.page(
        "sheet.html", status, lines=[*lines, *[Line()] * (sheets.ROWS - len(lines))], columns=COLUMNS, sheet_page=page,
        where=where, gatherings=sheets.gatherings(visit.session, visit.who, visit.now), taken=taken, wrong=wrong,
        chapters=sheets.chapters(visit.session, visit.who), signed_on=signed_on, problem=problem,
        wording=sheets.wording(visit.session),
    )  # fmt: skip


def _line(form: Form, number: int) -> Line:
    return Line(**{name: form.one(f"{name}-{number}") for name, _ in COLUMNS})


def _day(told: str, visit: Visit) -> date | None:
    try:
        day = date.fromisoformat(told)
    except ValueError:
        return None
    today = visit.now.date()
    return day if today - OLDEST <= day <= today else None
