"""The pages of a monthly donor as they are shown: asking for the link, her plans, the end of one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from engine import languages
from engine.bootstrap import Deps
from engine.giving import monthly
from engine.giving.monthly import PAUSES, Hers, Plan
from engine.money import amount, dollars
from engine.outreach.about_gifts import RHYTHMS
from webhooks.forms import Stamp
from webhooks.pages import named, page, spoken
from webhooks.security import framed_by
from webhooks.subscriber import door
from webhooks.writer import RETRY_AFTER

ASKING = "give/me"  # the name of the form, as its stamp says it
AMOUNT, PAUSE, RESUME, CANCEL, CARD = "amount", "pause", "resume", "cancel", "card"
ACTS = (AMOUNT, PAUSE, RESUME, CANCEL, CARD)
OTHER = "other"
PORTALS = ("https://billing.stripe.com",)  # whose page the button for the card leads to
ACTBLUE = "https://secure.actblue.com/signin"
LATER = {"Retry-After": "900"}
HEADERS: Mapping[str, dict[str, str]] = {"often": LATER, "away": RETRY_AFTER, "closed": RETRY_AFTER}
STATUS = {
    "": 200,
    "again": 403,
    "wrong": 422,
    "unclear": 422,
    "often": 429,
    "away": 503,
    "closed": 503,
    "refused": 503,
    "ended": 410,
}

# What is wrong with an amount. Translated where it is shown.
WORDS = {
    "no_amount": "Please choose an amount.",
    "amount": "Please write an amount in dollars, like 35 or 35.50.",
    "least": "The least that can be given here is %(least)s.",
    "most": "The most that can be given here is %(most)s.",
    "months": "Please choose how long.",
}

Notice = Literal["", "again", "wrong", "often", "away", "ended", "closed", "refused", "unclear"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What she wants of one plan. `chosen`, `typed`: as she chose and typed it; `cents` or `months`: as it is meant, 0 where
    it is neither; `error`: one of WORDS, why it cannot be."""

    plan_id: int = 0
    act: str = ""
    chosen: str = ""
    typed: str = ""
    cents: int = 0
    months: int = 0
    error: str = ""


NOTHING = Wish()


@dataclass(frozen=True, slots=True)
class House:
    """Whose page it is that asks for an address, and the house's time."""

    now: datetime
    organisation: str


def house(session: Session, now: datetime) -> House:
    """This one."""
    return House(now, monthly.organisation(session))


def asking(request: Request, whose: House, notice: Notice = "", *, email: str = "") -> Response:
    """The form that asks for a link; nothing that was typed is lost."""
    stamp = Stamp.fresh(ASKING, whose.now).token(_deps(request).signer)
    answer = page(
        request, "giving_ask.html", STATUS[notice], language=spoken(request), notice=notice, email=email, stamp=stamp,
        asking=_asking(request), organisation=whose.organisation,
    )  # fmt: skip
    answer.headers.update(HEADERS.get(notice, {}))
    return answer


def sent(request: Request, whose: House) -> Response:
    """What is said to everybody who asked."""
    return page(
        request, "giving_sent.html", language=spoken(request), asking=_asking(request), organisation=whose.organisation
    )


def name(token: str) -> str:
    """The name of the forms behind this link, as their stamps say it."""
    return f"{ASKING}/{hashlib.sha256(token.encode()).hexdigest()[:32]}"


def plans(
    request: Request, hers: Hers, now: datetime, notice: Notice = "", *, wish: Wish = NOTHING, stamp: Stamp | None = None
) -> Response:  # fmt: skip
    """All of hers. `wish`: what is kept and told of, when it could not be done; `stamp`: of a press that was
    not decided, for the same press once more."""
    deps, language = _deps(request), door.language(request, hers.language)
    told = languages.catalogue(language).gettext
    asked = request.query_params.get("asked", "") if not notice else ""
    answer = page(
        request, "giving_own.html", STATUS[notice], language=language, hers=hers, notice=notice, wish=wish,
        asked=asked if asked in ACTS else "", sums={plan.id: total(plan, language) for plan in hers.plans},
        error=_error(wish, hers.plan(wish.plan_id), told), stamp=_stamp(request, now, stamp), open=deps.payments is not None,
        pauses=PAUSES, actblue=ACTBLUE, OTHER=OTHER, here=f"/give/me/{request.path_params['token']}", terms=_terms(request),
        asking=_asking(request),
    )  # fmt: skip
    answer.headers.update(HEADERS.get(notice, {}) | framed_by((), PORTALS))
    return answer


def end(request: Request, hers: Hers, plan: Plan, now: datetime) -> Response:
    """What ends, and one button."""
    language = door.language(request, hers.language)
    back = f"/give/me/{request.path_params['token']}{_terms(request)}"
    return page(
        request, "giving_end.html", language=language, hers=hers, plan=plan, sum=total(plan, language),
        stamp=_stamp(request, now), back=back, open=_deps(request).payments is not None,
    )  # fmt: skip


def total(plan: Plan, language: str) -> str:
    """How much and how often: "$10 a month"."""
    rhythm = RHYTHMS.get(plan.period)
    words = languages.catalogue(language).gettext(rhythm) if rhythm else f" ({plan.period})"
    return amount(plan.amount_cents, plan.currency) + words


def _terms(request: Request) -> str:
    return f"?lang={named(request)}" if named(request) else ""


def _asking(request: Request) -> str:
    """Where she asks for a link."""
    return f"/give/me{_terms(request)}"


def _error(wish: Wish, plan: Plan | None, told: Any) -> str:
    if not wish.error or plan is None:
        return ""
    said: str = told(WORDS[wish.error]) % {"least": dollars(plan.floor_cents), "most": dollars(plan.cap_cents)}
    return said


def _stamp(request: Request, now: datetime, stamp: Stamp | None = None) -> str:
    made = stamp or Stamp.fresh(name(request.path_params["token"]), now)
    return made.token(_deps(request).signer)


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps
