"""Rendering pages: Jinja2 over `templates/pages`, autoescaped, in the reader's language, with the few words every page needs.

Templates speak English in `{% trans %}` and `_("…")`; `templates/locale` translates.
"""

import re
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from engine import languages
from engine.bootstrap import Deps
from engine.money import dollars, plain_dollars
from engine.settings import ROOT

_COMMAND = re.compile(r"`([^`\n]+)`")


def moment(at: datetime) -> str:
    """An instant with the date spelled out, UTC: "21 November 2026, 18:03:09 UTC"."""
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC"


def coded(said: str) -> Markup:
    """Words with commands in backticks, as a page shows them."""
    return Markup(_COMMAND.sub(r"<code>\1</code>", str(escape(said))))  # noqa: S704 it is escaped


def page(
    request: Request, name: str, status: int = 200, *, language: str = languages.ENGLISH, **values: Any
) -> Response:
    """The named page as an answer."""
    return HTMLResponse(rendered(request, name, language=language, **values), status)


def rendered(request: Request, name: str, *, language: str = languages.ENGLISH, **values: Any) -> str:
    """The named page's HTML."""
    deps: Deps = request.app.state.deps
    template = _environment(language).get_template(name)
    known = {"development": deps.settings.development, "command": deps.settings.command}
    return template.render(language=language, **known, **values)


def spoken(request: Request) -> str:
    """The language of this reader: `?lang=` if it is one of ours, else what her browser prefers, else English."""
    return languages.choose(request.headers.get("accept-language", ""), request.query_params.get("lang", ""))


def named(request: Request) -> str:
    """The language that the address names, "" for none of ours: her wish, which the links of her page keep."""
    lang = request.query_params.get("lang", "")
    return lang if lang in languages.offered() else ""


@cache
def _environment(language: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(ROOT / "templates" / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.filters |= {
        "dollars": dollars,
        "plain_dollars": plain_dollars,
        "coded": coded,
        "moment": moment,
        "own_name": languages.own_name,
    }
    made.filters["day"] = lambda at: languages.long_date(at.date() if isinstance(at, datetime) else at, language)
    made.globals["tongues"] = languages.offered()
    made.install_gettext_translations(languages.catalogue(language), newstyle=True)  # type: ignore[attr-defined]
    return made
