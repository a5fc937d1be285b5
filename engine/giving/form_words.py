"""The words of a donation form: a little Markdown, to HTML that is safe on a page. By markdown-it-py and nh3.

Paragraphs, lists, emphasis and links to https, and nothing else: what else was meant is told with its line (`faults`) when
a form is written. HTML shows as it was typed.
"""

from collections.abc import Iterator
from functools import cache, lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

SCHEME = "https://"
_TAGS = frozenset({"p", "br", "ul", "ol", "li", "em", "strong", "a"})
_RULES = ["list", "emphasis", "link", "autolink", "escape", "entity", "newline"]
# What would be something elsewhere, by markdown-it's word for it.
_ELSEWHERE = {
    "heading_open": "a heading",
    "hr": "a line across",
    "image": "a picture",
    "code_inline": "code",
    "fence": "code",
    "code_block": "code: begin the line with fewer spaces",
    "blockquote_open": "a quotation",
    "html_block": "HTML",
    "html_inline": "HTML",
}


@lru_cache(maxsize=256)
def html(words: str) -> str:
    """These words as HTML: "*Thank* you" -> "<p><em>Thank</em> you</p>". Never raises, whatever was written."""
    return nh3.clean(
        _plain().render(words),
        tags=set(_TAGS),
        attributes={"a": {"href", "target"}, "ol": {"start"}},
        set_tag_attribute_values={
            "a": {"target": "_top"}
        },  # a form may stand in a frame, where few sites show themselves
        url_schemes={"https"},
        link_rel="noopener",
    ).strip()


def faults(words: str) -> list[tuple[int, str]]:
    """What these words mean that a form does not show, each with its line, counted from one."""
    return list(_faults(_whole().parse(words), 1))


def _faults(tokens: list[Token], line: int) -> Iterator[tuple[int, str]]:
    for token in tokens:
        line = token.map[0] + 1 if token.map else line
        if token.type in _ELSEWHERE:
            yield line, f"{_ELSEWHERE[token.type]}: a form shows paragraphs, lists, emphasis and links"
        if token.type == "link_open" and not _leads(str(token.attrGet("href"))):
            yield line, f"a link begins with {SCHEME}"
        yield from _faults(token.children or [], line)
        line += token.type in ("softbreak", "hardbreak")


def _leads(url: str) -> bool:
    return url.lower().startswith(SCHEME) and len(url) > len(SCHEME)


@cache
def _plain() -> MarkdownIt:
    parser = MarkdownIt("zero", {"html": False}).enable(_RULES)
    parser.validateLink = _leads  # type: ignore[method-assign]
    return parser


@cache
def _whole() -> MarkdownIt:
    parser = MarkdownIt("commonmark")
    parser.validateLink = bool  # type: ignore[method-assign, assignment]
    return parser
