"""The pages of a monthly donor as they are shown: asking for the link, her plans, the end of one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from engine import languages
from engine.bootstrap import Deps
from engine.giving.monthly import PAUSES, Hers, Plan
from engine.money import amount, dollars
from engine.outreach.about_gifts import RHYTHMS
from webhooks.forms import Stamp
from webhooks.pages import page, spoken
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


def asking(request: Request, now: datetime, notice: Notice = "", *, email: str = "") -> Response:
    """The form that asks for a link; nothing that was typed is lost."""
    stamp = Stamp.fresh(ASKING, now).token(_deps(request).signer)
    answer = page(
        request, "giving_ask.html", STATUS[notice], language=spoken(request), notice=notice, email=email, stamp=stamp,
        action="/give/me",
    )  # fmt: skip
    answer.headers.update(HEADERS.get(notice, {}))
    return answer


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
        pauses=PAUSES, actblue=ACTBLUE, OTHER=OTHER, here=f"/give/me/{request.path_params['token']}", lang=_lang(request),
    )  # fmt: skip
    answer.headers.update(HEADERS.get(notice, {}) | framed_by((), PORTALS))
    return answer


def end(request: Request, hers: Hers, plan: Plan, now: datetime) -> Response:
    """What ends, and one button."""
    language, lang = door.language(request, hers.language), _lang(request)
    back = f"/give/me/{request.path_params['token']}" + (f"?lang={lang}" if lang else "")
    return page(
        request, "giving_end.html", language=language, hers=hers, plan=plan, sum=total(plan, language),
        stamp=_stamp(request, now), back=back, open=_deps(request).payments is not None,
    )  # fmt: skip


def total(plan: Plan, language: str) -> str:
    """How much and how often: "$10 a month"."""
    rhythm = RHYTHMS.get(plan.period)
    words = languages.catalogue(language).gettext(rhythm) if rhythm else f" ({plan.period})"
    return amount(plan.amount_cents, plan.currency) + words


def _lang(request: Request) -> str:
    """The language that the address names, if it is one of ours."""
    lang = request.query_params.get("lang", "")
    return lang if lang in languages.offered() else ""


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
