"""`/give/{form}`: the page where people give, its picture, and the page they come back to.

A POST begins a checkout and leads to the processor's page: Stripe's for the gift that was begun here, ActBlue's own form with
amount and codes filled in. The same press leads to the same page, however often.
"""

from collections.abc import Callable, Mapping

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.bootstrap import Deps
from engine.errors import Unavailable
from engine.events import Person
from engine.giving import form_links
from engine.giving.checkout_beginnings import Wish
from webhooks import forms
from webhooks.donor import showing
from webhooks.donor.asking import Asked
from webhooks.donor.finding import found
from webhooks.donor.opening import Outcome, is_paid, open_page, tell_unable
from webhooks.donor.published import Published
from webhooks.donor.showing import TRAP, Notice
from webhooks.donor.typed import Chosen, Filled
from webhooks.forms import Posted, Stamp
from webhooks.rendered import Rendered
from webhooks.security import from_our_page, network

PICTURES = ("image/webp", "image/jpeg", "image/png", "image/avif")
# How the form is shown again, and whether it needs a fresh stamp: the same one leads to the same page of the processor's.
_AGAIN: Mapping[str, tuple[int, Notice, bool]] = {
    "fast": (200, "again", False),
    "old": (403, "again", True),
    "reused": (403, "again", True),
    "begun": (403, "begun", True),
    "often": (429, "often", False),
    "away": (503, "away", False),
    "lost": (503, "lost", False),
    "refused": (503, "away", True),
}
KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}  # a version never changes


async def show(request: Request) -> Response:
    """The page. Touches no database by itself, but for a preview."""
    if request.query_params.get("preview"):
        draft = await found(request, _in_address(request))
        return showing.blank(request, draft, draft.stamp().token(request.app.state.deps.signer))

    async def render(token: str) -> tuple[str, Response]:
        asked = await found(request, _in_address(request))
        return asked.name, _unable(request, asked) or showing.blank(request, asked, token)

    state = request.app.state
    offer = await state.published.current()
    rendered: Rendered = state.rendered
    return await rendered.form(request, offer.now, offer.read_at, state.deps.signer, render)


async def receive(request: Request) -> Response:
    """Lead to the processor, or show the form again with what was typed."""
    told = await forms.posted(request)
    asked = await found(request, told.one)
    if unable := _unable(request, asked):
        stamp = _stamp(request, asked, told)
        paid = stamp is not None and await run_in_threadpool(is_paid, request.app.state.deps, stamp)
        return RedirectResponse(asked.url(path="/thanks"), 303) if paid else unable
    filled = Filled.read(told, asked)
    if asked.preview:
        return showing.form(request, asked, asked.stamp(), filled, status=422 if filled.errors else 200)
    if asked.definition.processor == "actblue":
        return _to_actblue(request, asked, filled)
    return await _to_checkout(request, asked, told, filled)


async def thank(request: Request) -> Response:
    """Where she comes back to; says nothing that it cannot know."""
    return showing.thanks(request, await found(request, _in_address(request)))


async def picture(request: Request) -> Response:
    """The form's picture: of the version that is named, if that one is or was published, or is the preview's own."""
    asked = await found(request, _in_address(request))
    named = request.query_params.get("v", str(asked.form.version))
    version = int(named) if named.isascii() and named.isdigit() and len(named) < 10 else 0
    published: Published = request.app.state.published
    slug, shown = asked.definition.slug, asked.form.version
    draft = bool(asked.preview) and version == shown
    known = await published.picture(slug, version, shown, draft=draft) if version <= shown else None
    if known is None or known.type not in PICTURES:
        raise HTTPException(404, "Not Found")
    return Response(known.data, media_type=known.type, headers=KEPT)


def _in_address(request: Request) -> Callable[[str], str]:
    return lambda name: request.query_params.get(name, "")


def _unable(request: Request, asked: Asked) -> Response | None:
    """The answer of a form by which nothing can be given."""
    deps: Deps = request.app.state.deps
    if asked.preview:
        return None
    if asked.form.closed:
        return showing.closed(request, asked)
    if asked.definition.processor == "actblue" or deps.payments is not None:
        return None
    answer = showing.out_of_order(request, asked)
    answer.background = BackgroundTask(tell_unable, deps, asked.definition.slug)
    return answer


def _to_actblue(request: Request, asked: Asked, filled: Filled) -> Response:
    """Nothing is begun here, so nothing has to be proved. Nobody is known, and no saved card is asked for."""
    if filled.chosen is None:
        return showing.form(request, asked, asked.stamp(), filled, status=422)
    deps: Deps = request.app.state.deps
    there = form_links.Form(asked.definition.slug, "actblue", deps.settings.base_url)
    place = form_links.link(
        there, cents=filled.chosen.cents, monthly=filled.chosen.period == "monthly", refcode=asked.refcode,
        refcode2=asked.refcode2,
    )  # fmt: skip
    return RedirectResponse(place, 303)


async def _to_checkout(request: Request, asked: Asked, told: Posted, filled: Filled) -> Response:
    deps: Deps = request.app.state.deps
    stamp = _stamp(request, asked, told)
    if filled.chosen is None or filled.donor is None or filled.errors:
        return showing.form(request, asked, stamp or asked.stamp(), filled, status=422)
    if stamp is None:
        return showing.form(request, asked, asked.stamp(), filled, "again", status=403)
    if told.one(TRAP):
        return showing.form(request, asked, asked.stamp(), filled, "again", status=200)
    wish = _wish(asked, filled.chosen, filled.donor)
    try:
        outcome = await run_in_threadpool(open_page, deps, asked, stamp, wish, network(request))
    except (Unavailable, OperationalError, PoolTimeout):
        outcome = Outcome("lost")
    if outcome.verdict == "lead":
        return RedirectResponse(outcome.url, 303)
    if outcome.verdict == "paid":
        return RedirectResponse(asked.url(path="/thanks"), 303)
    status, notice, fresh = _AGAIN[outcome.verdict]
    return showing.form(request, asked, asked.stamp(aged=True) if fresh else stamp, filled, notice, status=status)


def _stamp(request: Request, asked: Asked, told: Posted) -> Stamp | None:
    deps: Deps = request.app.state.deps
    return Stamp.read(deps.signer, told.one("stamp"), asked.name) if from_our_page(request) else None


def _wish(asked: Asked, chosen: Chosen, donor: Person) -> Wish:
    return Wish(
        form_id=asked.form.id, form_version=asked.form.version, amount_cents=chosen.cents, period=chosen.period,
        donor=donor, language=asked.language, refcode=asked.refcode, refcode2=asked.refcode2,
        account=asked.form.fund.stripe_account,
    )  # fmt: skip
