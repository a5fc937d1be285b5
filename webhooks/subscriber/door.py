"""What the pages behind letters' links share: strangers are turned away and counted, forms prove that they are ours, and
each page speaks its reader's language.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qs

import psycopg
import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from engine import languages
from engine.bootstrap import Deps
from engine.errors import Unavailable
from engine.events import HumanNeeded
from engine.tokens import Signer
from webhooks import forms
from webhooks.pages import page, spoken
from webhooks.security import network

BODY_LIMIT = 16 * 1024
MOST_FIELDS = 500
FORM_SPAN = timedelta(hours=2)
STRANGERS, STRANGERS_SPAN = 30, timedelta(minutes=10)  # links that are none, from one network
GUESSED, TOLD_SPAN = (
    "links guessed",
    timedelta(hours=1),
)  # the kind of notice; how often a person is told of one network

Fields = Mapping[str, list[str]]


def stranger(request: Request) -> Response:
    """The answer to a link that is none of ours, altered or made for something else: 404; who tries many: 429, and a person
    is told.

    When nobody can count, 404 it stays: nothing is given away. A link that is ours never comes here.
    """
    deps: Deps = request.app.state.deps
    near = network(request)
    try:
        few = deps.limiter.hit(f"stranger:{near}", STRANGERS, STRANGERS_SPAN)
        news = not few and deps.limiter.hit(f"{GUESSED}:{near}", 1, TOLD_SPAN)
    except Unavailable:
        few, news = True, False
    if few:
        return page(request, "no_link.html", 404, language=spoken(request), ended=False)
    answer = page(request, "too_many.html", 429, language=spoken(request))
    answer.headers["Retry-After"] = str(int(STRANGERS_SPAN.total_seconds()))
    if news:  # once it is answered: whoever answers may be in the middle of a transaction
        answer.background = BackgroundTask(_tell, deps, near)
    return answer


def _tell(deps: Deps, near: str) -> None:
    minutes = int(STRANGERS_SPAN.total_seconds()) // 60
    said = f"more than {STRANGERS} links that are none of ours within {minutes} minutes from {near}; each is answered 429 now"
    try:
        with deps.work() as (session, now):
            everything = deps.react(session, [HumanNeeded(None, GUESSED, "links in letters", said)], now)
    except (OperationalError, PoolTimeout) as error:
        structlog.get_logger(__name__).warning("nobody could be told of guessed links", error=type(error).__name__)
        return
    deps.ring_for(everything)


def patiently(act: Callable[[Request, Fields], Response], request: Request, given: Fields) -> Response:
    """Do what was posted; once more when Postgres ended it to break a circle of waiting transactions: a merge or an erasure
    takes letters before people, and a mail program posts but once."""
    try:
        return act(request, given)
    except OperationalError as error:
        if not isinstance(error.orig, psycopg.errors.DeadlockDetected):
            raise
    return act(request, given)


def ended(request: Request, language: str) -> Response:
    """The answer to a link of ours that has had its time."""
    return page(request, "no_link.html", 410, language=language, ended=True)


def language(request: Request, hers: str) -> str:
    """`?lang=` if it is one of ours, else her own, else what her browser prefers."""
    asked = request.query_params.get("lang", "")
    return spoken(request) if asked in languages.offered() or hers not in languages.offered() else hers


def fields(request: Request, body: bytes) -> Fields:
    """What a form of ours says; nothing when this is none."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != forms.TYPE:
        return {}
    try:
        return parse_qs(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}


def first(given: Fields, name: str) -> str:
    """The first value under this name, or ''."""
    return given.get(name, [""])[0]


def form_token(signer: Signer, link: str, now: datetime) -> str:
    """What a form carries to prove that this house showed it, behind this very link, not long ago."""
    return signer.sign("form", _digest(link), int(now.timestamp()))


def form_holds(signer: Signer, link: str, given: Fields, now: datetime) -> bool:
    """Whether a form carries such a proof."""
    match signer.read("form", first(given, "form")):
        case (str(digest), int(shown)):
            age = now.timestamp() - shown
            return hmac.compare_digest(digest, _digest(link)) and age <= FORM_SPAN.total_seconds()
    return False


def _digest(link: str) -> str:
    return hashlib.sha256(link.encode()).hexdigest()[:32]
