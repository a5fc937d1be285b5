"""Layouts: MJML in `templates/layouts/`, checked in by an organisation's technical person; staff never edit them.

A letter's body is poured into one and compiled by mrml, while all tags are held out: mrml is known to drop some silently.
A layout has a text part beside it, and the blocks that letters are made of are small files in `templates/layouts/blocks/`.
"""

import re
from collections import Counter
from functools import cache
from string import Template
from typing import Any

import mrml
from jinja2 import nodes

from engine.errors import Invalid
from engine.languages import ENGLISH
from engine.letters import contexts, language
from engine.letters.holding import WORD, Holding
from engine.letters.language import Faulty
from engine.settings import ROOT

LAYOUTS = ROOT / "templates" / "layouts"
BODY_PLACE, PREVIEW_PLACE = "<!-- body -->", "<!-- preview -->"
# Left alone, mrml links a font service for every well-known family: a third party in each reader's letter.
_NO_WEB_FONTS = mrml.RenderOptions(fonts={})
OWN_BUSINESS = (
    "unsubscribe_url",
    "preferences_url",
    "confirm_url",
    "sign_in_url",
    "giving_url",
    "own_plans_url",
    "offers_url",
)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")


@cache
def names() -> tuple[str, ...]:
    """The layouts there are."""
    return tuple(sorted(path.stem for path in LAYOUTS.glob("*.mjml")))


@cache
def block(name: str) -> Template:
    """The MJML of a block, with `$names` for what the letter fills in."""
    return Template((LAYOUTS / "blocks" / f"{name}.mjml").read_text("utf-8").strip())


def ladder(*, monthly: bool) -> str:
    """The MJML of a ladder of gifts, once or each month."""
    return of_months(block("ladder").template, monthly=monthly)


def of_months(said: str, *, monthly: bool) -> str:
    """What is said of a ladder, of one of gifts that come each month."""
    return said.replace("in ladder", "in monthly_ladder").replace("give_url", "give_monthly_url") if monthly else said


def pour(layout: str, spoken: str, preview: str, body: str, holding: Holding) -> str:
    """The HTML of a letter with its tags. `preview` and `body` (MJML): with words in place of their tags, which the holding
    has. Raises Faulty for tags that stand where they cannot; Invalid for what is no MJML."""
    whole = holding.hold(_read(layout, "mjml"), f"layout {layout}")
    whole = whole.replace('<mjml lang="en">', f'<mjml lang="{spoken or ENGLISH}">')
    shown = f"<mj-preview>{preview}</mj-preview>" if preview else ""
    mjml = whole.replace(PREVIEW_PLACE, shown).replace(BODY_PLACE, body)
    html = compiled(mjml)
    restored = holding.restore(_untracked(html, holding))
    if found := contexts.faults(html, holding):
        raise Faulty(found[: language.MOST_FAULTS])
    _must_be_same(
        "".join(holding.places[word].tag.source for word in WORD.findall(mjml) if word in holding.places), restored
    )
    return restored


def pour_text(layout: str, body: str) -> str:
    """The text part of a letter with its tags; `body` has its own."""
    return _read(layout, "txt").replace(BODY_PLACE, body.rstrip())


def compiled(mjml: str) -> str:
    """The HTML of a whole MJML letter. Raises Invalid when it is none."""
    try:
        html: str = mrml.to_html(mjml, None, _NO_WEB_FONTS).content
    except OSError as error:  # how mrml reports a parse error
        raise Invalid(f"not MJML: {error}") from None
    return html


def _untracked(html: str, holding: Holding) -> str:
    """Links to stop letters and to choose are nobody's business: SendGrid leaves alone what says clicktracking="off"."""
    for word, place in holding.places.items():
        if place.tag.says is not None and place.tag.says.strip() in OWN_BUSINESS:
            html = html.replace(f'href="{word}"', f'clicktracking="off" href="{word}"')
    return html


def _read(layout: str, kind: str) -> str:
    if not _NAME.fullmatch(layout) or layout not in names():
        raise Invalid(f"there is no layout {layout[:40]}; there are {', '.join(names())}")
    return (LAYOUTS / f"{layout}.{kind}").read_text("utf-8")


def _must_be_same(tags: str, html: str) -> None:
    """After compiling, the nodes must be exactly the source's, and conditions and loops must close around the same."""
    if _shapes(language.parse(tags).body) != _shapes(language.parse(html).body):
        raise Invalid("compiling changed the order of conditions or loops: let them begin and end between paragraphs")


def _shapes(body: list[Any]) -> Counter[str]:
    """Each node outside of plain text, with what is inside of it, in any order."""
    found: Counter[str] = Counter()
    for node in body:
        if isinstance(node, nodes.Output):
            found.update(repr(each) for each in node.nodes if not isinstance(each, nodes.TemplateData))
        elif isinstance(node, nodes.If):
            found[f"if {node.test!r} {_ordered(node.body)} {_ordered(node.elif_)} {_ordered(node.else_)}"] += 1
        elif isinstance(node, nodes.For):
            found[f"for {node.target!r} {node.iter!r} {_ordered(node.body)}"] += 1
    return found


def _ordered(body: list[Any]) -> list[tuple[str, int]]:
    return sorted(_shapes(body).items())
