"""Rendering pages: Jinja2 over `templates/pages`, autoescaped, with the few words every page needs."""

from datetime import datetime
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from engine.bootstrap import Deps
from engine.money import dollars
from engine.settings import ROOT

_environment = Environment(
    loader=FileSystemLoader(ROOT / "templates" / "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["dollars"] = dollars


def moment(at: datetime) -> str:
    """An instant with the date spelled out, UTC: "21 November 2026, 18:03:09 UTC"."""
    return f"{at.day} {at:%B %Y, %H:%M:%S} UTC"


_environment.filters["moment"] = moment


def page(request: Request, name: str, status: int = 200, **values: Any) -> Response:
    """The named page as an answer."""
    deps: Deps = request.app.state.deps
    html = _environment.get_template(name).render(development=deps.settings.development, **values)
    return HTMLResponse(html, status)
