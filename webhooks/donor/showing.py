"""The giving page and its answers. What they say follows from the form, its link and what was typed, and from nothing that is
known of anybody."""

from collections import defaultdict
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from engine import languages
from engine.bootstrap import Deps
from engine.giving import form_words
from webhooks.donor.asking import Asked
from webhooks.donor.typed import LINES, OTHER, WORDS, Filled, asks, bounds
from webhooks.forms import Stamp
from webhooks.pages import page
from webhooks.security import framed_by
from webhooks.writer import RETRY_AFTER

TRAP = "website"  # people cannot see this field; programs fill it in
PROCESSORS = ("https://checkout.stripe.com", "https://secure.actblue.com")  # whose pages the form leads to
SOON = {"Retry-After": str(int(timedelta(minutes=1).total_seconds()))}

Notice = Literal["", "again", "often", "away"]


def form(
    request: Request,
    asked: Asked,
    stamp: Stamp,
    filled: Filled | None = None,
    notice: Notice = "",
    *,
    status: int = 200,
) -> Response:
    """The page, with what was typed and what is wrong with it."""
    shown = filled or Filled.blank(asked)
    faults = _faults(asked, shown)
    values = {
        "stamp": stamp.token(_deps(request).signer), "kept": shown.kept, "ticked": shown.ticked, "trap": TRAP,
        "errors": defaultdict(str, faults), "faults": faults, "untouched": filled is None, "notice": notice, "OTHER": OTHER,
        "asks": {name: asks(asked, name) for name in LINES}, "words": Markup(form_words.html(asked.said.words)),  # noqa: S704 cleaned there
    }  # fmt: skip
    answer = _page(request, "give.html", asked, status, **values)
    answer.headers.update({"often": SOON, "away": RETRY_AFTER}.get(notice, {}))
    return answer


def closed(request: Request, asked: Asked) -> Response:
    """The answer where nothing can be given any more: 404, said kindly."""
    return _page(request, "give_closed.html", asked, 404)


def out_of_order(request: Request, asked: Asked) -> Response:
    """The answer of a form that cannot take gifts now, and it is our fault: 503."""
    answer = _page(request, "give_away.html", asked, 503)
    answer.headers.update(RETRY_AFTER)
    return answer


def thanks(request: Request, asked: Asked) -> Response:
    """Where the processor sends her when she has paid; true for whoever comes here, whatever the address says."""
    base = _deps(request).settings.base_url
    place = f"{base}/{asked.name}"
    values = {"place": place, "shown_place": place.removeprefix(f"{urlsplit(base).scheme}://")}
    return _page(request, "give_thanks.html", asked, 200, **values)


def _faults(asked: Asked, filled: Filled) -> dict[str, str]:
    """What is wrong, in words, by field, in the order of the page."""
    words = languages.catalogue(asked.language)
    ticks = [f"agreed-{number}" for number in range(len(asked.definition.agreed))]
    found = {name: filled.errors[name] for name in ("amount", "period", *LINES, *ticks) if name in filled.errors}
    return {name: words.gettext(WORDS[code]) % bounds(asked.definition) for name, code in found.items()}


def _page(request: Request, name: str, asked: Asked, status: int, **values: Any) -> Response:
    settings = _deps(request).settings
    said = asked.language if asked.language in asked.definition.others else languages.ENGLISH
    answer = page(
        request, name, status, language=asked.language, asked=asked, form=asked.definition, fund=asked.form.fund,
        said=asked.said, said_in=said, organisation=asked.organisation or "Groundswell", **values,
    )  # fmt: skip
    answer.headers.update(framed_by(settings.embedders if asked.embed else (), PROCESSORS))
    return answer


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps
