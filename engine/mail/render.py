"""From a mailing's words and one person's facts to a letter. Pure.

Values are plain strings and lists of them; HTML is autoescaped; a missing fact is an error, never a blank.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.errors import Invalid

_HTML = ImmutableSandboxedEnvironment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
_TEXT = ImmutableSandboxedEnvironment(autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_HTML.globals.clear()
_TEXT.globals.clear()
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the recipient reads."""

    subject: str
    html: str
    text: str


def render(subject: str, body_html: str, body_text: str, facts: Mapping[str, Any]) -> Rendered:
    """The letter for these facts. Raises Invalid naming what is missing or wrong in the template."""
    try:
        return Rendered(
            subject=one_line(_template(_TEXT, subject).render(facts)),
            html=_template(_HTML, body_html).render(facts),
            text=_BLANK_LINES.sub("\n\n", _template(_TEXT, body_text).render(facts)).strip() + "\n",
        )
    except TemplateError as error:
        raise Invalid(f"the letter does not render: {error.message}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # what expressions can raise
        raise Invalid(f"the letter does not render: {type(error).__name__}") from None


def one_line(text: str) -> str:
    """Text fit for a header: no line break or other control can end it early."""
    return " ".join(_CONTROLS.sub(" ", text).split())


@lru_cache(maxsize=256)
def _template(environment: ImmutableSandboxedEnvironment, source: str) -> Template:
    return environment.from_string(source)
