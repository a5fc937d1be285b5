"""The HTML that staff write between their Markdown, down to what a letter may hold; what was taken out is told. By nh3.

Elements and attributes by an allow-list, links to https, http and mailto only, and no style but a few properties of text.
"""

from collections import Counter
from collections.abc import Mapping
from html.parser import HTMLParser
from types import MappingProxyType

import nh3

from engine.letters.holding import WORD

LINK_SCHEMES = ("https://", "http://", "mailto:")
_TEXT = frozenset(
    {"a", "b", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "i", "img", "li", "ol", "p", "pre", "s",
     "small", "span", "strong", "sub", "sup", "u", "ul"}
)  # fmt: skip
_ATTRIBUTES: Mapping[str, set[str]] = MappingProxyType(
    {"a": {"href"}, "img": {"src", "alt", "width", "height"}, "ol": {"start"}, "*": {"style", "lang", "dir"}}
)
_STYLES = frozenset(
    {"border-left", "color", "font-size", "font-style", "font-weight", "letter-spacing", "line-height", "margin", "max-width",
     "padding", "text-align", "text-decoration"}
)  # fmt: skip
_VOID = frozenset({"br", "hr", "img"})


def cleaned(html: str) -> tuple[str, list[str]]:
    """The HTML that may stay, and what may not: "<script>", "onclick of <b>", "href of <a>"; each once, in order."""
    stays = nh3.clean(
        html, tags=set(_TEXT), attributes=dict(_ATTRIBUTES), attribute_filter=_attribute, link_rel=None,
        filter_style_properties=set(_STYLES), url_schemes={"https", "http", "mailto"}, strip_comments=True,
    )  # fmt: skip
    before, after = _Parts(html).found, _Parts(stays).found
    return stays, [_shown(name) for name in before if before[name] > after[name]]


def _shown(name: str) -> str:
    """As it is told: attributes may have any name."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)


def _attribute(_: str, name: str, value: str) -> str | None:
    """A link is one of ours (a word in place of its tag) or has a scheme of LINK_SCHEMES; everything else stays as it is."""
    if name in ("href", "src") and not WORD.fullmatch(value) and not value.lower().startswith(LINK_SCHEMES):
        return None
    return value


class _Parts(HTMLParser):
    """Which elements and attributes there are, and how many of each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[f"<{tag}>"] += 1
        self.found.update(f"{name} of <{tag}>" for name, _ in attrs)

    def handle_comment(self, _: str) -> None:
        self.found["a comment"] += 1
