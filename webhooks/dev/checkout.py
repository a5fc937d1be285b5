"""`/dev/checkout/{key}`, `/dev/portal/{key}`: the pages of development's own payment processor, where no card is asked for.

What is pressed there comes back as signed events over HTTP, like from the real one: these pages write nothing themselves.
"""

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.bootstrap import Deps
from engine.errors import Invalid
from engine.ports import Cashier
from engine.sources.words import email_address
from webhooks import forms
from webhooks.forms import Posted, Stamp
from webhooks.pages import page
from webhooks.security import require_same_origin

FORM = "dev/checkout"
FORM_LIMIT = 1024


def show(request: Request) -> Response:
    """What is to be paid, and how it may go."""
    return _shown(request)


async def act(request: Request) -> Response:
    """Pay, be declined, or let it run out. Each is told to the receiver before the page answers."""
    told = await _posted(request)
    return await run_in_threadpool(_act, request, told)


def show_portal(request: Request) -> Response:
    """The plan whose card is changed."""
    return _portal(request)


async def act_portal(request: Request) -> Response:
    """Let a month pass: its card works, or is declined."""
    told = await _posted(request)
    return await run_in_threadpool(_act_portal, request, told)


def _act(request: Request, told: Posted) -> Response:
    cashier, key = _cashier(request), request.path_params["key"]
    basket, email = cashier.checkout(key), told.one("email").strip()
    acts: dict[str, Callable[[], None]] = {
        "pay": lambda: cashier.pay(key, email),
        "decline": lambda: cashier.decline(key, email),
        "expire": lambda: cashier.expire(key),
    }
    if (way := told.one("way")) not in acts:
        raise HTTPException(422, "No such way to pay")
    if way != "expire" and not basket.email and email_address(email) is None:
        return _shown(request, 422, wrong="Write an email address, such as rosa@example.org.", typed=email)
    try:
        acts[way]()
    except Invalid:
        return _shown(request, 409)
    if way == "decline":
        return _shown(
            request, 402, wrong="The card was declined. Nothing was charged; another card may work.", typed=email
        )
    return RedirectResponse(basket.success_url if way == "pay" else basket.cancel_url, 303)


def _act_portal(request: Request, told: Posted) -> Response:
    cashier, key = _cashier(request), request.path_params["key"]
    if (way := told.one("way")) not in ("works", "declined"):
        raise HTTPException(422, "No such way to pay")
    cashier.renew(key, good=way == "works")
    return RedirectResponse(request.url.path, 303)


def _shown(request: Request, status: int = 200, *, wrong: str = "", typed: str = "") -> Response:
    basket = _cashier(request).checkout(request.path_params["key"])
    return page(request, "dev_checkout.html", status, basket=basket, wrong=wrong, typed=typed, stamp=_stamp(request))


def _portal(request: Request) -> Response:
    plan = _cashier(request).plan(request.path_params["key"])
    return page(request, "dev_portal.html", plan=plan, stamp=_stamp(request))


async def _posted(request: Request) -> Posted:
    """The form of our own page. Raises HTTPException."""
    require_same_origin(request)
    deps: Deps = request.app.state.deps
    told = await forms.posted(request, FORM_LIMIT)
    if Stamp.read(deps.signer, told.one("stamp"), FORM) is None:
        raise HTTPException(403, "Forbidden")
    return told


def _stamp(request: Request) -> str:
    deps: Deps = request.app.state.deps
    with deps.work() as (_, now):
        return Stamp.fresh(FORM, now).token(deps.signer)


def _cashier(request: Request) -> Cashier:
    """Development's processor; where the real one is asked there is no such page."""
    payments = request.app.state.deps.payments
    if not isinstance(payments, Cashier):
        raise HTTPException(404, "Not Found")
    return payments
