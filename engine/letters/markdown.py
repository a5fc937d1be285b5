"""What staff write: Markdown with blocks, to the MJML of a letter's body. By markdown-it-py.

    ::: button https://www.example.org/letter        a button, with its words
    Write to your senator
    :::

    ::: ladder                                       the five amounts that were chosen for each reader;
    :::                                              `::: ladder monthly`: those of a gift that comes each month

    ::: note                                         what her chapter added, or these words if it added nothing
    More from your chapter soon.
    :::

A condition or a loop stands alone on its line, around whole paragraphs, or inside of one paragraph. Everything comes in
with words in place of its tags (`engine.letters.holding`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.ruler import RuleOptionsType
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token
from mdit_py_plugins.container import container_plugin

from engine.letters import layouts
from engine.letters.cleaning import LINK_SCHEMES, cleaned
from engine.letters.holding import WORD, Holding
from engine.letters.language import MOST_FAULTS, Fault, Faulty

BLOCKS = ("button", "ladder", "note")
STATEMENT = "statement"  # a line that is a condition or a loop and nothing else
_STRAY = re.compile(r"[ \t]*:{3,}[ \t]*(\S{0,20})")  # a line that was meant to begin or end a block
_NEW_LINE = re.compile(r"\r\n?|\n")

_STYLES = {
    "h1": "margin:0;font-size:26px;line-height:1.25;font-weight:650;letter-spacing:-0.01em",
    "h2": "margin:0;font-size:21px;line-height:1.3;font-weight:650;letter-spacing:-0.01em",
    "h3": "margin:0;font-size:17px;line-height:1.4;font-weight:650",
    "p": "margin:0 0 12px 0",
    "ul": "margin:0;padding:0 0 0 22px",
    "ol": "margin:0;padding:0 0 0 24px",
    "li": "margin:0 0 6px 0",
    "blockquote": "margin:0;padding:0 0 0 16px;border-left:3px solid #0f5c5a",
    "a": "color:#0f5c5a",
    "img": "max-width:100%",
}


@dataclass(frozen=True, slots=True)
class Block:
    """One thing of a letter, one below the other. `name`: one of BLOCKS, STATEMENT, "rule", "image" or "text"; `said`: what
    stands behind the name of a block, or the statement; `tokens`: what is inside."""

    name: str
    line: int
    said: str = ""
    tokens: Sequence[Token] = ()


@dataclass(slots=True)
class Written:
    """A body: its MJML, and what was taken out of its HTML."""

    mjml: str = ""
    removed: list[str] = field(default_factory=list)


def blocks(markdown: str, part: str, holding: Holding) -> list[Block]:
    """The things that a body is made of, from top to bottom. Raises Faulty for those that nobody knows, or without an end."""
    statements = {word for word, place in holding.places.items() if place.tag.does is not None}
    tokens = _parser().parse(markdown, {"statements": statements})
    if found := [Fault(part, line, 1, says) for line, says in _strays(tokens, _NEW_LINE.split(markdown))]:
        raise Faulty(found[:MOST_FAULTS])
    return list(_blocks(tokens))


def written(found: Sequence[Block], part: str, holding: Holding) -> Written:
    """These blocks as MJML. Raises Faulty."""
    result = Written()
    result.mjml = "\n".join(_mjml(block, part, holding, result.removed) for block in found)
    return result


def words(tokens: Sequence[Token]) -> str:
    """The plain words of what is inside of a block, on one line."""
    said = (
        inner.content for token in tokens for inner in token.children or () if inner.type in ("text", "code_inline")
    )
    return " ".join("".join(said).split())


def button_of(block: Block, part: str) -> tuple[str, str]:
    """Where a button leads, and its words. Raises Faulty for one that lacks either."""
    href, label = block.said.strip(), words(block.tokens)
    if not WORD.fullmatch(href) and (not href.lower().startswith(LINK_SCHEMES) or len(href.split()) != 1):
        raise Faulty([Fault(part, block.line, 1, "a button says where it leads: ::: button https://www.example.org/")])
    if not label:
        raise Faulty([Fault(part, block.line, 1, "a button has words: the line after it")])
    return href, label


def monthly_ladder(block: Block, part: str) -> bool:
    """Whether a ladder is of gifts that come each month. Raises Faulty for words that say neither."""
    if block.said not in ("", "monthly"):
        raise Faulty([Fault(part, block.line, 1, "behind ::: ladder stands nothing, or monthly")])
    return block.said == "monthly"


def inside(block: Block) -> list[Block]:
    """The things inside of a block."""
    return list(_blocks(block.tokens))


def picture(block: Block) -> Token:
    """The picture of an "image"."""
    return _images(block.tokens[1])[0]


def _mjml(block: Block, part: str, holding: Holding, removed: list[str]) -> str:
    match block.name:
        case "statement":
            made = f"<mj-raw>{block.said}</mj-raw>"
        case "rule":
            made = layouts.block("rule").substitute()
        case "button":
            href, label = button_of(block, part)
            made = layouts.block("button").substitute(href=escaped(href), words=escaped(label))
        case "image":
            image = picture(block)
            made = layouts.block("image").substitute(src=escaped(str(image.attrs["src"])), alt=escaped(image.content))
        case "ladder":
            if block.tokens:
                raise Faulty([Fault(part, block.line, 1, "a ladder has nothing inside: the line after it is :::")])
            made = holding.hold(layouts.ladder(monthly=monthly_ladder(block, part)), "the ladder")
        case "note":
            otherwise = "\n".join(_mjml(each, part, holding, removed) for each in inside(block))
            made = holding.hold(layouts.block("note").template, "the note").replace("$otherwise", otherwise)
        case _:
            html = _html(block, removed)
            made = layouts.block("text").substitute(html=html) if html else ""
    return made


def _html(block: Block, removed: list[str]) -> str:
    """What a text is in HTML: of a lone paragraph what is inside of it, for the block is its frame."""
    alone = len(block.tokens) == 3 and block.tokens[0].type == "paragraph_open"
    html, gone = cleaned(_parser().renderer.render(block.tokens[1:2] if alone else block.tokens, _parser().options, {}))
    removed += [each for each in gone if each not in removed]
    return html.strip()


def html_of(block: Block) -> tuple[str, list[str]]:
    """A text in HTML, its paragraph around it; and what was taken out of it."""
    html, gone = cleaned(_parser().renderer.render(block.tokens, _parser().options, {}))
    return html.strip(), gone


def escaped(text: str) -> str:
    """Text for an attribute or between elements of MJML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    for group in _grouped(tokens):
        first, line = group[0], (group[0].map or [0])[0] + 1
        name = first.type.removeprefix("container_").removesuffix("_open")
        if first.type == STATEMENT:
            yield Block(STATEMENT, line, first.content)
        elif first.type == "hr":
            yield Block("rule", line)
        elif first.type.startswith("container_"):
            yield Block(name, line, first.info.strip().removeprefix(name).strip(), _lifted(group[1:-1]))
        elif first.type == "paragraph_open" and _is_image(group[1]):
            yield Block("image", line, tokens=group)
        else:
            yield Block("text", line, tokens=group)


def _strays(tokens: Sequence[Token], lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The lines that were meant to be blocks and are none, and blocks that go on to the end of all."""
    for token in tokens:
        first = (token.map or [0])[0]
        if token.type in ("inline", "html_block"):
            for number, said in enumerate(token.content.split("\n"), first + 1):
                if found := _STRAY.match(said):
                    unknown = f"no block `{found[1]}` can begin here; there are {', '.join(BLOCKS)}"
                    yield number, unknown if found[1] else "there is no block open here for this :::"
        elif token.type.startswith("container_") and token.map:
            end = token.map[1]
            if end >= len(lines) or not lines[end].rstrip().endswith(":::"):
                yield first + 1, "this block has no end: ::: on a line of its own"


def _grouped(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The tokens, by what they belong to on the outermost level."""
    group: list[Token] = []
    depth = 0
    for token in tokens:
        group.append(token)
        depth += token.nesting
        if depth == 0:
            yield group
            group = []


def _lifted(tokens: Sequence[Token]) -> list[Token]:
    return [token.copy(level=token.level - 1) for token in tokens]


def _images(inline: Token) -> list[Token]:
    return [child for child in inline.children or () if child.type == "image"]


def _is_image(inline: Token) -> bool:
    return bool(inline.children) and len(inline.children or ()) == len(_images(inline)) == 1


@cache
def _parser() -> MarkdownIt:
    """CommonMark with raw HTML (it is cleaned after), our blocks, statements, and styles where mail programs want them."""
    parser = MarkdownIt("commonmark", {"html": True})
    for name in BLOCKS:
        container_plugin(parser, name)
    interrupts: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("paragraph", STATEMENT, _statement, interrupts)
    parser.core.ruler.push("styles", lambda state: _dress(state.tokens))
    return parser


def _statement(state: StateBlock, line: int, _: int, silent: bool) -> bool:  # noqa: FBT001 the parser's own way
    """A line that holds one word in place of a tag that says nothing, as the holding knows by `state.env`."""
    said = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip()
    if said not in state.env["statements"]:
        return False
    if not silent:
        token = state.push(STATEMENT, "", 0)
        token.content, token.map = said, [line, line + 1]
        state.line = line + 1
    return True


def _dress(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.nesting >= 0 and (style := _STYLES.get(token.tag)):
            token.attrSet("style", style)
        _dress(token.children or ())
