"""What is said when a request is turned away: a page to people, RFC 9457 to programs. Says nothing of what was sent, but to
staff's programs: all that is wrong with it.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.documents import Fault
from webhooks.pages import page, spoken

API = "/api/"
PROGRAMS = ("/webhooks/", API)
MOST_ERRORS = 50

# Per status: what happened, and what to do. Translated where it is shown; 0: any other.
PEOPLE: Mapping[int, tuple[str, str]] = {
    403: ("This form has grown old", "Nothing was stored. Please open the page again and fill in the form once more."),
    404: ("There is no page here", "The address may have been mistyped, or what was here is over."),
    405: ("There is no page here", "The address may have been mistyped, or what was here is over."),
    408: ("That took too long", "Nothing was stored. Please check your connection and try again."),
    410: ("This preview is over", "Staff print a new link with `groundswell forms preview`."),
    413: ("That was too much to read", "Nothing was stored. Please make it shorter and send it again."),
    415: ("We could not read that", "Nothing was stored. Please send the form from its own page."),
    429: ("Too many at once", "Nothing is lost. Please wait a little and try again."),
    500: ("Something went wrong here", "It is our fault, not yours, and we will look into it. Please try again."),
    503: (
        "Please try again in a minute",
        "Something of ours does not answer right now. Nothing has changed, and nothing you sent has been kept.",
    ),
    0: ("We could not read that", "Nothing was stored. Please go back, look it over and send it again."),
}


class Refused(HTTPException):
    """A program of staff's is turned away, and told each thing that is wrong: its line and field, or a sentence."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[Fault | str] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, headers)
        self.errors = errors


def problem(status: int, title: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """An RFC 9457 answer."""
    body = {"type": "about:blank", "title": title, "status": status} | more
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def refusal(
    request: Request,
    status: int,
    title: str,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Fault | str] = (),
) -> Response:
    """A page for a browser, `problem` for whoever did not ask for one."""
    if request.url.path.startswith(API):
        told: dict[str, Any] = {"errors": [_error(each) for each in errors[:MOST_ERRORS]]} if errors else {}
        phrase = HTTPStatus(status).phrase
        if status == HTTPStatus.NOT_FOUND and title == phrase:
            title = "there is nothing at this address: /api/docs lists what there is"
        return problem(status, phrase, headers, **({"detail": title} if title != phrase else {}), **told)
    if "text/html" not in request.headers.get("accept", "") or request.url.path.startswith(PROGRAMS):
        return problem(status, title, headers)
    what, then = PEOPLE.get(status, PEOPLE[0])
    join = "/join" if request.url.path.startswith("/join") else ""
    answer = page(request, "error.html", status, language=spoken(request), what=what, then=then, code=status, join=join)
    answer.headers.update(headers or {})
    return answer


def _error(fault: Fault | str) -> dict[str, Any]:
    if isinstance(fault, str):
        return {"says": fault}
    where = {"line": fault.line} if fault.line else {}
    field = {"field": ".".join(map(str, fault.path))} if fault.path else {}
    return where | field | {"says": fault.bare}
