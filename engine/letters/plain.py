"""The text part of a letter, made from its Markdown where none was written: lines of 72, links written out, one thing below
the other. A condition or a loop that stands alone takes no line."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from markdown_it.token import Token

from engine.letters import layouts, markdown
from engine.letters.holding import Holding
from engine.letters.markdown import Block

WIDTH = 72
LADDER = (
    "{% for rung in ladder %}{{ rung.words }}:\n{{ rung.url }}\n\n{% endfor %}{{ other_words }}:\n{{ give_url }}\n\n"
)
NOTE = "{% if chapter_wrote %}{{ chapter_note_text }}\n\n{% else %}$otherwise{% endif %}"
_STATEMENT_LINE = re.compile(r"^[ \t]*(\{%[^\n]*?%\})[ \t]*\n", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")


def written(blocks: Sequence[Block], part: str, holding: Holding) -> str:
    """These blocks as text, each with an empty line after it; with words in place of tags, which the holding has."""
    return "".join(_text(block, part, holding) for block in blocks)


def tidied(text: str) -> str:
    """A text part as somebody wrote it by hand: a condition or a loop alone on its line takes the line with it, several
    empty lines are one."""
    return _BLANK_LINES.sub("\n\n", _STATEMENT_LINE.sub(r"\1", text).strip()) + "\n"


def _text(block: Block, part: str, holding: Holding) -> str:
    match block.name:
        case markdown.STATEMENT:
            made = block.said
        case "rule":
            made = "- - -\n\n"
        case "button":
            href, label = markdown.button_of(block, part)
            made = f"{label}:\n{href}\n\n"
        case "ladder":
            made = holding.hold(layouts.of_months(LADDER, monthly=markdown.monthly_ladder(block, part)), "the ladder")
        case "note":
            otherwise = "".join(_text(each, part, holding) for each in markdown.inside(block))
            made = holding.hold(NOTE, "the note").replace("$otherwise", otherwise)
        case "image":
            made = f"[{alt}]\n\n" if (alt := markdown.picture(block).content) else ""
        case _:
            lines = _Lines()
            for token in block.tokens:
                lines.add(token)
            made = "\n".join([*lines.found, "", ""]) if lines.found else ""
    return made


@dataclass(slots=True)
class _Lines:
    """The lines of what stands in a text: paragraphs, headings, lists, quotations. `prefixes`: what the next line begins
    with, and those after it, from the outside in."""

    found: list[str] = field(default_factory=list)
    prefixes: list[tuple[str, str]] = field(default_factory=list)
    number: int = 0

    def add(self, token: Token) -> None:
        match token.type:
            case "bullet_list_open":
                self.number = 0
            case "ordered_list_open":
                self.number = int(token.attrs.get("start", 1))
            case "list_item_open":
                mark = f"{self.number}. " if self.number else "- "
                self.number += 1 if self.number else 0
                self.prefixes.append((mark, " " * len(mark)))
            case "blockquote_open":
                self.prefixes.append(("> ", "> "))
            case "list_item_close" | "blockquote_close":
                self.prefixes.pop()
            case "inline":
                self._paragraph(_said(token))
            case "code_block" | "fence":
                self._paragraph(token.content.strip())

    def _paragraph(self, said: str) -> None:
        if not said:
            return
        begin, go_on = ("".join(each[place] for each in self.prefixes) for place in (0, 1))
        if self.found and begin == go_on:
            self.found.append(go_on.rstrip())
        for line in said.split("\n"):
            self.found += textwrap.wrap(
                line,
                WIDTH,
                initial_indent=begin,
                subsequent_indent=go_on,
                break_long_words=False,
                break_on_hyphens=False,
            ) or [begin.rstrip()]
            begin = go_on
        self.prefixes = [(after, after) for _, after in self.prefixes]


def _said(inline: Token) -> str:
    """The words of a paragraph; a link is its words and, in brackets, where it leads."""
    said, leads = "", ""
    for token in inline.children or ():
        match token.type:
            case "text" | "code_inline":
                said += token.content
            case "softbreak":
                said += " "
            case "hardbreak":
                said += "\n"
            case "image":
                said += f"[{token.content}]" if token.content else ""
            case "link_open":
                leads, begun = str(token.attrs.get("href", "")), len(said)
            case "link_close":
                said += "" if said[begun:] in (leads, leads.removeprefix("mailto:")) else f" ({leads})"
    return "\n".join(" ".join(line.split()) for line in said.split("\n")).strip()
