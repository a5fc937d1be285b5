"""`/give/me/{token}`: what she gives every month. GET shows it; a POST asks the processor to change one plan of hers.

Nothing changes here: plans stand otherwise as soon as the processor's webhooks say so. Each press has a key of its own, made
of plan, wish and form, and counts while the plan stands there as it did: pressed twice it is one act, but the way back to an
earlier amount is another.
"""

from datetime import UTC, datetime, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.bootstrap import Deps
from engine.errors import Forbidden, Invalid, NotFound, Unavailable
from engine.events import HumanNeeded
from engine.giving import monthly
from engine.giving.monthly import PAUSES, Hers, Plan
from engine.letters import links
from engine.money import typed_cents
from engine.ports import Payments
from webhooks import forms
from webhooks.donor import own
from webhooks.donor.own import ACTS, AMOUNT, OTHER, PAUSE, Notice, Wish
from webhooks.forms import Posted, Stamp
from webhooks.pages import named
from webhooks.security import network, require_same_origin
from webhooks.subscriber import door

MOST_OF_PERSON, MOST_OF_NETWORK, SPAN = 20, 60, timedelta(hours=1)
REFUSED = "a change of a plan refused"  # the kind of notice


def show(request: Request) -> Response:
    """Her plans as they stand."""
    found, now = _hers(request)
    return own.plans(request, found, now) if isinstance(found, Hers) else found


def consider(request: Request) -> Response:
    """What ends when she ends one of them, and the button for it."""
    found, now = _hers(request)
    if not isinstance(found, Hers):
        return found
    plan = _plan(found, request.path_params["plan"])
    return own.end(request, found, plan, now) if plan.changeable else _back(request)


async def change(request: Request) -> Response:
    """One press on one of the buttons. Whose page it is says the link alone."""
    require_same_origin(request)
    return await run_in_threadpool(_change, request, await forms.posted(request))


def _change(request: Request, form: Posted) -> Response:
    hers, now = _hers(request)
    if not isinstance(hers, Hers):
        return hers
    plan = _plan(hers, _number(form.one("plan")))
    wish = _wish(form, plan)
    if not plan.changeable:  # over meanwhile: the page shows it
        return _back(request)
    deps: Deps = request.app.state.deps
    stamp = Stamp.read(deps.signer, form.one("stamp"), own.name(request.path_params["token"]))
    if stamp is None or stamp.too_old(now):
        return own.plans(request, hers, now, "again", wish=wish)
    if wish.error:
        return own.plans(request, hers, now, "unclear", wish=wish)
    notice, leads_to = _pressed(request, hers, plan, wish, stamp)
    if notice:
        undecided = stamp if notice in ("often", "away") else None
        return own.plans(request, hers, now, notice, wish=wish, stamp=undecided)
    return RedirectResponse(leads_to, 303) if leads_to else _back(request, wish.act)


def _pressed(request: Request, hers: Hers, plan: Plan, wish: Wish, stamp: Stamp) -> tuple[Notice, str]:
    """Ask the processor for what is wished. Returns why that could not be, or where it leads."""
    deps: Deps = request.app.state.deps
    if deps.payments is None:
        return "closed", ""
    try:
        if not _few(request, hers):
            return "often", ""
        return "", _ask(deps.payments, plan, wish, stamp, deps.settings.base_url + _here(request))
    except Unavailable:
        return "away", ""
    except (Invalid, NotFound, Forbidden) as error:
        _tell(deps, plan, wish, error)
        return "refused", ""


def _ask(payments: Payments, plan: Plan, wish: Wish, stamp: Stamp, here: str) -> str:
    """Ask the processor, with no transaction open. Returns where it leads, if that is a page of the processor's."""
    key = f"plan-{plan.id}-{wish.act}-{wish.cents or wish.months}-{stamp.nonce}"
    match wish.act:
        case "amount":
            payments.change_plan(plan.key, wish.cents, key, account=plan.account)
        case "pause":  # counted from the form, not from the press: pressed twice it ends at the same instant
            made = datetime.fromtimestamp(stamp.made // 1000, UTC)
            payments.pause_plan(plan.key, monthly.pause_ends(made, wish.months), account=plan.account)
        case "resume":
            payments.pause_plan(plan.key, None, account=plan.account)
        case "cancel":
            payments.cancel_plan(plan.key, key, account=plan.account)
        case "card":
            return payments.portal(plan.key, here, account=plan.account)
    return ""


def _few(request: Request, hers: Hers) -> bool:
    """Whether this person and this network asked for little so far. Raises Unavailable when nobody can count."""
    deps: Deps = request.app.state.deps
    near = deps.limiter.hit(f"giving acts {network(request)}", MOST_OF_NETWORK, SPAN)
    return near and deps.limiter.hit(f"giving acts of {hers.contact_id}", MOST_OF_PERSON, SPAN)


def _hers(request: Request) -> tuple[Hers | Response, datetime]:
    """The plans of the link's own person, and when it was so; or the answer to a link that is none, or has had its time."""
    deps: Deps = request.app.state.deps
    with deps.work() as (session, now):
        contact_id, works = links.giver(deps.signer, request.path_params["token"], now) or (None, True)
        zone = deps.settings.time_zone
        hers = monthly.load(session, contact_id, now, zone) if contact_id is not None and works else None
        whose = own.house(session, now)
    if not works:
        return own.asking(request, whose, "ended"), now
    return hers or door.stranger(request), now


def _plan(hers: Hers, plan_id: int) -> Plan:
    """One of hers. Raises HTTPException 404 for any other's."""
    plan = hers.plan(plan_id)
    if plan is None:
        raise HTTPException(404, "Not Found")
    return plan


def _number(said: str) -> int:
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 18 else 0


def _wish(form: Posted, plan: Plan) -> Wish:
    """What the form says. Raises HTTPException 422 for what none of our buttons says."""
    act, chosen, typed = form.one("act"), form.one("amount"), form.one(OTHER)
    if act not in ACTS:
        raise HTTPException(422, "There is no such button")
    if act == AMOUNT:
        wanted, error = _amount(plan, chosen, typed)
        return Wish(plan.id, act, chosen, typed, cents=wanted, error=error)
    if act == PAUSE:
        months = _number(form.one("months"))
        error = "" if months in PAUSES else "months"
        return Wish(plan.id, act, form.one("months"), months=months, error=error)
    return Wish(plan.id, act)


def _amount(plan: Plan, chosen: str, typed: str) -> tuple[int, str]:
    """The cents that are meant, or 0 and why there are none. What is typed is read only where Other is chosen."""
    if chosen != OTHER:
        wanted = _number(chosen)
        if wanted not in plan.offered:
            return 0, "no_amount"
    else:
        try:
            wanted = typed_cents(typed)
        except Invalid:
            return 0, "amount"
    if not plan.takes(wanted):
        return 0, "least" if wanted < plan.floor_cents else "most"
    return wanted, ""


def _tell(deps: Deps, plan: Plan, wish: Wish, error: Exception) -> None:
    """A person looks at what the processor refused."""
    need = HumanNeeded(None, REFUSED, f"plan {plan.id}", f"{wish.act}: {error}")
    with deps.work() as (session, now):
        everything = deps.react(session, [need], now)
    deps.ring_for(everything)


def _here(request: Request) -> str:
    return f"/give/me/{request.path_params['token']}"


def _back(request: Request, asked: str = "") -> Response:
    """To her plans, in the language that she chose."""
    terms = {"asked": asked, "lang": named(request)}
    query = "&".join(f"{name}={value}" for name, value in terms.items() if value)
    return RedirectResponse(_here(request) + (f"?{query}" if query else ""), 303)
