"""The join form and its answers as pages. What they say follows from what was typed and nothing else."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from engine import languages
from engine.bootstrap import Deps
from engine.people.join_forms import Near
from webhooks.forms import Stamp
from webhooks.lines import WORDS
from webhooks.pages import page
from webhooks.security import framed_by
from webhooks.subscriber.asking import Asked
from webhooks.subscriber.typed import LINES, LISTS, Filled
from webhooks.writer import RETRY_AFTER

TRAP = "website"  # people cannot see this field; programs fill it in
LATER = {"Retry-After": str(int(timedelta(hours=1).total_seconds()))}
INTRODUCE = "introduce"
EMPTY = Filled()

# The sentence above the button, which a sign-up is stored with in the language it was read in.
WORDING = (
    "You agree that %(organisation)s and your chapter may write to you by email. Every letter says how to stop them."
)

Notice = Literal["", "again", "often", "away"]


def wording(asked: Asked) -> str:
    """What she agrees to, in her language."""
    return languages.catalogue(asked.language).gettext(WORDING) % {"organisation": _organisation(asked)}


def untouched(request: Request, asked: Asked, token: str) -> Response:
    """The form as everybody first sees it."""
    return _form_page(request, asked, token)


def form(
    request: Request, asked: Asked, stamp: Stamp, filled: Filled = EMPTY, notice: Notice = "", *, status: int = 200
) -> Response:
    """The form, with what was typed and what is wrong with it."""
    answer = _form_page(request, asked, stamp.token(_deps(request).signer), filled, notice, status=status)
    answer.headers.update({"often": LATER, "away": RETRY_AFTER}.get(notice, {}))
    return answer


def thanks(
    request: Request, asked: Asked, stamp: Stamp, document: Mapping[str, Any], near: Near, *, zip_as_typed: str
) -> Response:
    """The answer to a sign-up, from the words of that sign-up alone; at a gathering with a fresh form for the next person."""
    host = asked.host(document["gathering"])
    values: dict[str, Any] = {"told": document, "near": near, "zip_as_typed": zip_as_typed, "host": host}
    if asked.gathering and document["gathering"]:
        fresh = _form(asked, asked.stamp().token(_deps(request).signer), EMPTY)
        return _page(request, "joined_next.html", asked, 200, **values, **fresh)
    introduce = Stamp(INTRODUCE, stamp.made, stamp.nonce).token(_deps(request).signer)
    return _page(request, "joined.html", asked, 200, **values, introduce=introduce)


def introduced(request: Request, asked: Asked) -> Response:
    """The answer to whoever wants to be introduced to others of her place."""
    return _page(request, "introduced.html", asked, 200)


def _form_page(
    request: Request, asked: Asked, token: str, filled: Filled = EMPTY, notice: Notice = "", *, status: int = 200
) -> Response:
    return _page(request, "join.html", asked, status, **_form(asked, token, filled), notice=notice)


def _form(asked: Asked, token: str, filled: Filled) -> dict[str, Any]:
    words = languages.catalogue(asked.language)
    errors = dict.fromkeys((*LINES, *LISTS), "")
    errors |= {name: words.gettext(WORDS[code]) for name, code in filled.errors.items()}
    return {
        "house": asked.house, "stamp": token, "kept": filled.kept, "ticked": filled.ticked,
        "errors": errors, "wrong": bool(filled.errors), "untouched": filled is EMPTY, "wording": wording(asked), "trap": TRAP,
    }  # fmt: skip


def _page(request: Request, name: str, asked: Asked, status: int, **values: Any) -> Response:
    shown = {"asked": asked, "organisation": _organisation(asked), "gathering": asked.gathering}
    answer = page(request, name, status, language=asked.language, **shown, **values)
    if asked.embed:
        answer.headers.update(framed_by(_deps(request).settings.embedders))
    return answer


def _organisation(asked: Asked) -> str:
    root = asked.house.root
    return root.name if root else "Groundswell"


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps
