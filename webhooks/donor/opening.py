"""From the button to the processor's page: whether what was pressed is taken, its row, the page that is opened for it.

Looks at the form, the network and the clock, never at what is known of anybody. The processor is asked with no transaction
open, always with the same key for the same press.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from engine.bootstrap import Deps
from engine.errors import Forbidden, Invalid, NotFound, Unavailable
from engine.events import HumanNeeded
from engine.giving import checkout_beginnings
from engine.giving.checkout_beginnings import Begun, Wish
from engine.ports import Basket, Opened
from webhooks.donor.asking import Asked
from webhooks.forms import Stamp
from webhooks.security import wider

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SHARES = 10  # of one network, for all those of one IPv6 customer
# Kinds of notices.
REFUSED, UNABLE, WAITING = "payment page refused", "no payment processor", "people wait to give"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """lead: to `url`. paid: it is done already. begun: by this stamp something else was begun that may be paid. fast, old,
    reused: by its stamp, and nothing can be paid by it. often: the network or the form has had its share. away: the processor
    does not answer; the same press may do. lost: we do not know what there is. refused: another press may do."""

    verdict: Literal["lead", "paid", "begun", "fast", "old", "reused", "often", "away", "lost", "refused"]
    url: str = ""


def open_page(deps: Deps, asked: Asked, stamp: Stamp, wish: Wish, network: str) -> Outcome:
    """Decide, begin, ask. Raises Unavailable when nothing can be counted: then nothing was begun."""
    found = _looked_up(deps, stamp, wish, network)
    if isinstance(found, Outcome):
        return found
    if not _within_its_share(deps, asked, network):
        return Outcome("often")
    with deps.work() as (session, now):
        begun = checkout_beginnings.begin(session, wish, stamp.nonce, network, now)
    if begun.state != "opening":
        return _outcome(begun)
    return _ask(deps, asked, begun, _basket(deps, asked, wish, begun))


def _looked_up(deps: Deps, stamp: Stamp, wish: Wish, network: str) -> Outcome | None:
    """What is decided already; None: it is to be begun, or the processor to be asked again."""
    with deps.work() as (session, now):
        found = checkout_beginnings.find(session, wish, stamp.nonce, network, now)
    if found.state == "new":  # how old a stamp is matters only for what is still to be begun by it
        return Outcome("old") if stamp.too_old(now) else Outcome("fast") if stamp.too_fast(now) else None
    return None if found.state == "opening" else _outcome(found)


def _within_its_share(deps: Deps, asked: Asked, network: str) -> bool:
    """Count one more. Of an IPv6 customer all networks together have some shares, however many they are."""
    settings, around = deps.settings, wider(network)
    if not deps.limiter.hit(f"give network {network}", settings.give_network_minute, MINUTE):
        return False
    if around and not deps.limiter.hit(f"give network {around}", SHARES * settings.give_network_minute, MINUTE):
        return False
    if deps.limiter.hit(f"give form {asked.name}", settings.give_form_minute, MINUTE):
        return True
    slug = asked.definition.slug
    _tell_hourly(
        deps, WAITING, slug,
        f"More than {settings.give_form_minute} people pressed the button of this form within a minute: some had to wait. "
        f"If many want to give, raise GIVE_FORM_MINUTE; if somebody holds it down, close the form for a while with "
        f"`groundswell forms close {slug}`",
    )  # fmt: skip
    return False


def _outcome(begun: Begun) -> Outcome:
    match begun.state:
        case "open":
            return Outcome("lead", begun.url)
        case "paid":
            return Outcome("paid")
        case "refused":
            return Outcome("reused")
    return Outcome("begun")


def is_paid(deps: Deps, stamp: Stamp) -> bool:
    """Whether the gift that was begun by this stamp is paid. Nobody who cannot be asked says yes."""
    try:
        with deps.work() as (session, _):
            return checkout_beginnings.is_paid(session, stamp.nonce)
    except (OperationalError, PoolTimeout) as error:
        log.warning("nobody could be asked whether a gift is paid", error=type(error).__name__)
        return False


def _basket(deps: Deps, asked: Asked, wish: Wish, begun: Begun) -> Basket:
    lang = "" if wish.language == "en" else wish.language
    here = replace(
        asked, lang=lang, amount=wish.amount_cents, monthly=wish.period == "monthly", embed=False, preview="", token="",
        offered=None,
    )  # fmt: skip
    base = deps.settings.base_url
    return checkout_beginnings.basket(
        wish,
        begun,
        asked.form,
        success_url=base + here.url(path="/thanks"),
        cancel_url=base + here.url(whole=True) + "&back=1",
    )


def _ask(deps: Deps, asked: Asked, begun: Begun, basket: Basket) -> Outcome:
    assert deps.payments is not None  # a form without one is out of order
    try:
        opened = deps.payments.check_out(basket, checkout_beginnings.idempotency_key(begun.id))
    except Unavailable as error:
        log.warning("no payment page was opened", checkout=begun.id, error=str(error))
        return Outcome("away")
    except (Invalid, NotFound, Forbidden) as error:
        return _refused(deps, asked, begun, str(error))
    return _led(deps, begun, opened)


def _led(deps: Deps, begun: Begun, opened: Opened) -> Outcome:
    with deps.work() as (session, _):
        checkout_beginnings.opened(session, begun.id, opened)
    return Outcome("lead", opened.url)


def _refused(deps: Deps, asked: Asked, begun: Begun, why: str) -> Outcome:
    """The processor will never open this one, and people should know why."""
    said = HumanNeeded(None, REFUSED, asked.definition.slug, f"Somebody could not give by this form: {why}")
    with deps.work() as (session, now):
        checkout_beginnings.refused(session, begun.id)
        everything = deps.react(session, [said], now)
    deps.ring_for(everything)
    log.warning("a payment page was refused", checkout=begun.id, error=why)
    return Outcome("refused")


def tell_unable(deps: Deps, slug: str) -> None:
    """Tell a person, once an hour, that a form cannot take gifts because no processor is set up."""
    said = "STRIPE_API_KEY is not set, so the form is shown as out of order: nobody can give by it"
    _tell_hourly(deps, UNABLE, slug, said)


def _tell_hourly(deps: Deps, kind: str, slug: str, said: str) -> None:
    try:
        if not deps.limiter.hit(f"{kind} {slug}", 1, HOUR):
            return
        with deps.work() as (session, now):
            everything = deps.react(session, [HumanNeeded(None, kind, slug, said)], now)
    except (Unavailable, OperationalError, PoolTimeout) as error:
        log.warning("nobody could be told of a form", kind=kind, error=type(error).__name__)
        return
    deps.ring_for(everything)
