"""Signing in and out. A link is asked for by address and used by a button: scanners follow links, and GET changes nothing.

The answer is the same whatever we know of the address, after the same time.
"""

import asyncio
import secrets
from datetime import timedelta
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.bootstrap import Deps
from engine.sources.words import email_address
from engine.staff import sessions, sign_ins
from webhooks.pages import page
from webhooks.security import network, require_same_origin
from webhooks.staff import cookies, forms
from webhooks.staff.forms import Form
from webhooks.staff.gate import SIGN_IN, Visit, staff_page

BROWSER_FORM = "browser"
ANSWER_SECONDS = 0.25  # longer than any of it takes
MOST_OF_ADDRESS, MOST_OF_NETWORK, SPAN = 5, 30, timedelta(hours=1)
RETRY_AFTER = "900"
WHY = {
    sign_ins.OVER: "This link was used already, or is older than 15 minutes. Ask for a new one.",
    sign_ins.ELSEWHERE: "This link works in the browser in which you asked for it. Open it there, or ask for a new one here.",
}


def ask(request: Request) -> Response:
    """The form that asks for a link; the browser gets the cookie that the link will be bound to."""
    return _form(request)


async def send(request: Request) -> Response:
    """Send a link, if there is somebody to send it to. 429 when this network asked too often, 503 without Redis."""
    require_same_origin(request)
    form = await forms.read(request)
    not_before = asyncio.get_running_loop().time() + ANSWER_SECONDS
    answer = await run_in_threadpool(_send, request, form)
    await asyncio.sleep(max(0.0, not_before - asyncio.get_running_loop().time()))
    return answer


def _send(request: Request, form: Form) -> Response:
    deps: Deps = request.app.state.deps
    browser = cookies.read(request, deps.settings, cookies.ASKED)
    email = email_address(form.one("email"))
    if not browser or not forms.ours(deps.signer, form, BROWSER_FORM, sign_ins.digest(browser)):
        return _form(
            request, 403, email=form.one("email"), error="This page was open for too long. Please press again."
        )
    if email is None:
        return _form(request, 422, email=form.one("email"), error="This is not an address: is a letter missing?")
    if not deps.limiter.hit(f"sign-in network {network(request)}", MOST_OF_NETWORK, SPAN):
        answer = _form(
            request, 429, email=email, error="Too often from this network. Try again in a quarter of an hour."
        )
        answer.headers["Retry-After"] = RETRY_AFTER
        return answer
    if deps.limiter.hit(f"sign-in address {email}", MOST_OF_ADDRESS, SPAN):
        with deps.work() as (session, now):
            happened = sign_ins.ask(session, email, browser, now)
        deps.ring_for(happened)
    return page(request, "staff/sent.html")


def show_link(request: Request) -> Response:
    """What a link opens: a button, or why it does not work any more."""
    deps: Deps = request.app.state.deps
    with deps.work() as (session, now):
        said = sign_ins.look(session, _link(request), cookies.read(request, deps.settings, cookies.ASKED), now)
    return _link_page(request, said)


async def use_link(request: Request) -> Response:
    """The button: the link is used up, and a new session begins, whatever session this browser had."""
    require_same_origin(request)
    await forms.read(request)
    return await run_in_threadpool(_use, request)


def _use(request: Request) -> Response:
    deps: Deps = request.app.state.deps
    settings = deps.settings
    with deps.work() as (session, now):
        said, staff_id = sign_ins.use(session, _link(request), cookies.read(request, settings, cookies.ASKED), now)
        if staff_id is None:
            return _link_page(request, said)
        if before := cookies.read(request, settings, cookies.SESSION):
            sessions.end(session, before, now)
        token = sessions.begin(session, staff_id, now)
    answer = RedirectResponse("/staff", HTTPStatus.SEE_OTHER)
    cookies.put(answer, settings, cookies.SESSION, token, sessions.LIFE)
    cookies.drop(answer, settings, cookies.ASKED)
    return answer


@staff_page()
def sign_out(visit: Visit) -> Response:
    """This browser is signed out."""
    settings = visit.deps.settings
    sessions.end(visit.session, cookies.read(visit.request, settings, cookies.SESSION), visit.now)
    answer = visit.go(SIGN_IN)
    cookies.drop(answer, settings, cookies.SESSION)
    return answer


def _link(request: Request) -> int:
    """The id that a link's token says; 0, which no row has, for any other token."""
    deps: Deps = request.app.state.deps
    said = deps.signer.read("sign-in", request.path_params["token"])
    return said[0] if said and len(said) == 1 and isinstance(said[0], int) and said[0] < 2**63 else 0


def _link_page(request: Request, said: str) -> Response:
    if said == sign_ins.OPEN:
        return page(request, "staff/link.html")
    status = HTTPStatus.GONE if said == sign_ins.OVER else HTTPStatus.FORBIDDEN
    return page(request, "staff/link_over.html", status, why=WHY[said])


def _form(request: Request, status: int = 200, email: str = "", error: str = "") -> Response:
    deps: Deps = request.app.state.deps
    browser = cookies.read(request, deps.settings, cookies.ASKED) or secrets.token_urlsafe(32)
    form_token = forms.token(deps.signer, BROWSER_FORM, sign_ins.digest(browser))
    answer = page(request, "staff/sign_in.html", status, email=email, error=error, form_token=form_token)
    cookies.put(answer, deps.settings, cookies.ASKED, browser, cookies.ASKED_LIFE)
    return answer
