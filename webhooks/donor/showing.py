"""The giving page and its answers. What they say follows from the form, its link and what was typed, and from nothing that is
known of anybody."""

from collections import defaultdict
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from engine import languages
from engine.bootstrap import Deps
from engine.giving import form_words
from webhooks.donor.asking import Asked
from webhooks.donor.typed import LINES, OTHER, WORDS, Filled, asks, bounds
from webhooks.forms import Stamp
from webhooks.pages import rendered
from webhooks.security import framed_by
from webhooks.writer import RETRY_AFTER

TRAP = "website"  # people cannot see this field; programs fill it in
PROCESSORS = ("https://checkout.stripe.com", "https://secure.actblue.com")  # whose pages the form leads to
SOON = {"Retry-After": str(int(timedelta(minutes=1).total_seconds()))}

# back: from the processor's page, with nothing given; begun, lost: see `opening`.
Notice = Literal["", "again", "begun", "often", "away", "back", "lost"]


def blank(request: Request, asked: Asked, token: str) -> Response:
    """The page as it is opened: the same for everybody who comes by the same link, but for the token of its stamp."""
    back = request.query_params.get("back") == "1"
    values = _filled_in(asked, Filled.blank(asked), token, "back" if back else "")
    return _answer(request, asked, _rendered(request, "give.html", asked, **values, untouched=True), 200)


def form(request: Request, asked: Asked, stamp: Stamp, filled: Filled, notice: Notice = "", *, status: int) -> Response:
    """The page once more, with what was typed and what is wrong with it."""
    values = _filled_in(asked, filled, stamp.token(_deps(request).signer), notice)
    answer = _answer(request, asked, _rendered(request, "give.html", asked, **values, untouched=False), status)
    answer.headers.update({"often": SOON, "away": RETRY_AFTER, "lost": RETRY_AFTER}.get(notice, {}))
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


def _filled_in(asked: Asked, filled: Filled, stamp: str, notice: Notice = "") -> dict[str, Any]:
    faults = _faults(asked, filled)
    return {
        "stamp": stamp, "kept": filled.kept, "ticked": filled.ticked, "trap": TRAP, "errors": defaultdict(str, faults),
        "faults": faults, "notice": notice, "OTHER": OTHER, "asks": {name: asks(asked, name) for name in LINES},
        "words": Markup(form_words.html(asked.said.words)),  # noqa: S704 it is cleaned there
    }  # fmt: skip


def _page(request: Request, name: str, asked: Asked, status: int, **values: Any) -> Response:
    return _answer(request, asked, _rendered(request, name, asked, **values), status)


def _rendered(request: Request, name: str, asked: Asked, **values: Any) -> str:
    said = asked.language if asked.language in asked.definition.others else languages.ENGLISH
    organisation = asked.offer.giving.organisation or "Groundswell"
    return rendered(
        request, name, language=asked.language, asked=asked, form=asked.definition, fund=asked.form.fund, said=asked.said,
        said_in=said, organisation=organisation, letters=_deps(request).settings.own_form_donors != "thanks", **values,
    )  # fmt: skip


def _answer(request: Request, asked: Asked, html: str, status: int) -> Response:
    embedders = _deps(request).settings.embedders if asked.embed else ()
    return HTMLResponse(html, status, framed_by(embedders, PROCESSORS))


def _deps(request: Request) -> Deps:
    deps: Deps = request.app.state.deps
    return deps
