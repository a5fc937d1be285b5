"""The gate: who is signed in, whether she may, and that the form is ours, before any page of staff is asked for anything.

A page is a function of a `Visit`, behind `@staff_page(right)`. It runs in one transaction; what it refuses is said on a page.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from http import HTTPStatus
from typing import Any

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine import bell
from engine.bootstrap import Deps
from engine.errors import Conflict, Forbidden, GroundswellError, Invalid, NotFound
from engine.events import Event
from engine.staff import rights, sessions
from engine.staff.accounts import Account
from engine.staff.sessions import Signed
from webhooks.pages import page
from webhooks.security import require_same_origin
from webhooks.staff import cookies, forms, words
from webhooks.staff.forms import Form

SIGN_IN = "/staff/sign-in"
SESSION_FORM = "session"
LARGEST_ID = 2**63 - 1
MOST_DIGITS = 6  # of the number of a page
NO_FORM = Form()

# What a page refuses, told in words; anything else is answered as everywhere.
TOLD: dict[type[GroundswellError], tuple[HTTPStatus, str]] = {
    NotFound: (HTTPStatus.NOT_FOUND, "There is no such page"),
    Forbidden: (HTTPStatus.FORBIDDEN, "This was not done"),
    Conflict: (HTTPStatus.CONFLICT, "Somebody was faster"),
    Invalid: (HTTPStatus.UNPROCESSABLE_ENTITY, "That cannot be"),
}


@dataclass(slots=True)
class Visit:
    """One request of someone who is signed in, in its transaction. What happened is followed in it."""

    request: Request
    deps: Deps
    session: Session
    now: datetime
    signed: Signed
    form: Form
    happened: list[Event] = field(default_factory=list)
    bells: set[str] = field(default_factory=set)

    @property
    def who(self) -> Account:
        """Who asks."""
        return self.signed.who

    def id(self, name: str = "id") -> int:
        """A row's id in the path. Raises NotFound for one that no row can have."""
        told = int(self.request.path_params[name])
        if told > LARGEST_ID:
            raise NotFound("no such row")
        return told

    @property
    def page_number(self) -> int:
        """Which page of a long list is asked for; 1 for anything that is none."""
        told = self.request.query_params.get("page", "")
        return int(told) if told.isascii() and told.isdigit() and 0 < len(told) <= MOST_DIGITS and int(told) else 1

    def page(self, template: str, status: int = 200, /, **values: Any) -> Response:
        """A page of staff, with what its frame and its forms need."""
        return page(self.request, f"staff/{template}", status, now=self.now, **_frame(self.deps, self.signed), **values)

    def go(self, path: str, said: str = "") -> Response:
        """To another page, after something was done; `said` is the code of what is told there."""
        return RedirectResponse(f"{path}?said={said}" if said else path, HTTPStatus.SEE_OTHER)

    @property
    def said(self) -> str:
        """The code of what was just done; the page has words for those it knows."""
        return self.request.query_params.get("said", "")


Answer = Callable[[Visit], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


def staff_page(right: str = rights.SEE_PEOPLE, *, limit: int = forms.LIMIT) -> Callable[[Answer], Endpoint]:
    """Makes a page of staff: only for who is signed in and has this right; a form only with its session's token, and of at
    most so many bytes."""

    def made(answer: Answer) -> Endpoint:
        @wraps(answer)
        async def endpoint(request: Request) -> Response:
            form = NO_FORM
            if request.method == "POST":
                require_same_origin(request)
                form = await forms.read(request, limit)
            return await run_in_threadpool(_answered, request, form, right, answer)

        return endpoint

    return made


def _answered(request: Request, form: Form, right: str, answer: Answer) -> Response:
    deps: Deps = request.app.state.deps
    signed: Signed | None = None
    try:
        with deps.work() as (session, now):
            signed = sessions.find(session, cookies.read(request, deps.settings, cookies.SESSION), now)
            if signed is None:
                return _signed_out(request)
            visit = Visit(request, deps, session, now, signed, form)
            _let_in(visit, right)
            response = answer(visit)
            everything = deps.react(session, visit.happened, now)
    except (NotFound, Forbidden, Conflict, Invalid) as error:
        assert signed is not None  # nothing before raises these
        return _refused(request, deps, signed, error)
    deps.bells.ring(*sorted(bell.wanted(everything) | visit.bells))
    return response


def _let_in(visit: Visit, right: str) -> None:
    """Raises Forbidden for a form that was not given to this session, and for who has not this right."""
    bound_to = visit.signed.session_id
    if visit.request.method == "POST" and not forms.ours(visit.deps.signer, visit.form, SESSION_FORM, bound_to):
        raise Forbidden("This form is from an earlier session, or from somewhere else. Nothing was changed.")
    if not visit.who.may(right):
        raise Forbidden(f"{visit.who.role.capitalize()} is a role that may not do this. Ask an admin.")


def _refused(request: Request, deps: Deps, signed: Signed, error: GroundswellError) -> Response:
    status, title = TOLD[type(error)]
    detail = "" if isinstance(error, NotFound) else str(error)
    return page(request, "staff/refused.html", status, title=title, detail=detail, **_frame(deps, signed))


def _signed_out(request: Request) -> Response:
    """To the door; but who sent a form is told that nothing was done, on a page that she can send again from."""
    if request.method == "POST":
        return page(request, "staff/signed_out.html", HTTPStatus.FORBIDDEN)
    return RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)


def _frame(deps: Deps, signed: Signed) -> dict[str, Any]:
    who = signed.who
    doors = [
        ("/staff", "Start", True),
        ("/staff/approvals", "Approvals", who.may(rights.DECIDE)),
        ("/staff/offers", "Offers", True),
        ("/staff/people", "People", True),
        ("/staff/letters", "Letters", True),
        ("/staff/sheet", "Paper sheet", who.may(rights.CHANGE_PEOPLE)),
    ]
    return {
        "who": who,
        "doors": [(path, name) for path, name, open_ in doors if open_],
        "form_token": forms.token(deps.signer, SESSION_FORM, signed.session_id),
        "rights": rights,
        "words": words,
    }
