"""Chapter notes: a paragraph that each chapter may add to a letter of the root's, until its deadline.

Plain Markdown without tags, blocks, HTML or pictures: it is the same for all of a chapter's readers. What cannot stay is
refused with its place, and nothing is taken out in silence. Who of the staff may write for which chapter is asked outside.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.languages import offered
from engine.letters import markdown, plain
from engine.letters.holding import Holding
from engine.letters.language import MOST_FAULTS, Fault, Faulty, tags
from engine.letters.markdown import Block

LONGEST = 2_000  # characters

_LETTER = text("SELECT id, note_until FROM letter WHERE slug = :slug")
_PUT = text("""
INSERT INTO chapter_note AS n (letter_id, chapter_id, language, source, html, plain, staff_id, at)
VALUES (:letter_id, :chapter_id, :language, :source, :html, :plain, :staff_id, :now)
ON CONFLICT (letter_id, chapter_id, language) DO UPDATE SET source = excluded.source, html = excluded.html,
    plain = excluded.plain, staff_id = excluded.staff_id, at = excluded.at
""")
_TAKE_OUT = text("""
DELETE FROM chapter_note WHERE letter_id = :letter_id AND chapter_id = :chapter_id AND language = :language
""")
_OF = text("""
SELECT h.name AS chapter, n.chapter_id, n.language, n.source, n.at FROM chapter_note n JOIN chapter h ON h.id = n.chapter_id
WHERE n.letter_id = :letter_id ORDER BY h.name, n.language
""")


def finished(source: str) -> tuple[str, str]:
    """A note as HTML and as text. Raises Faulty."""
    if len(source) > LONGEST:
        raise Faulty([Fault("note", 1, 1, f"a note has at most {LONGEST:,} characters")])
    if any(tags(source)):
        raise Faulty([Fault("note", 1, 1, "a note is the same for all its readers: no fields, conditions or loops")])
    holding = Holding({})
    blocks = markdown.blocks(source, "note", holding)
    if odd := sorted({line for block in blocks for line in _odd(block)})[:MOST_FAULTS]:
        says = "a note is text and links: no buttons, ladders, pictures, lines or HTML"
        raise Faulty([Fault("note", line, 1, says) for line in odd])
    made = [markdown.html_of(block) for block in blocks]
    if gone := [(block.line, taken) for block, (_, taken) in zip(blocks, made, strict=True) if taken]:
        raise Faulty([Fault("note", line, 1, f"this cannot stay: {', '.join(taken)}") for line, taken in gone])
    return "".join(html for html, _ in made), plain.written(blocks, "note", holding).strip()


def _odd(block: Block) -> Iterator[int]:
    """The lines of what is neither text nor a link."""
    if block.name != "text":
        yield block.line
    for token in block.tokens:
        line = (token.map or [0])[0] + 1
        if token.type == "html_block":
            yield line
        for inner in token.children or ():
            if inner.type in ("image", "html_inline"):
                yield line
            line += inner.type in ("softbreak", "hardbreak")


def put(
    session: Session,
    slug: str,
    chapter_id: int,
    source: str,
    now: datetime,
    *,
    language: str,
    staff_id: int | None,
    zone: str,
) -> None:
    """Keep what a chapter adds to a letter; nothing, to take it out. Raises NotFound, Invalid, and Conflict when it is late,
    with the deadline as the clocks of this zone show it."""
    letter = session.execute(_LETTER, {"slug": slug}).one_or_none()
    if letter is None or letter.note_until is None:
        raise NotFound(f"no letter {slug[:60]} takes notes of chapters")
    if letter.note_until <= now:
        until = letter.note_until.astimezone(ZoneInfo(zone))
        raise Conflict(f"notes for {slug} were taken until {until:%B %-d, %H:%M} ({zone})")
    if language not in offered():
        raise Invalid(f"we do not speak {language[:10]}")
    place = {"letter_id": letter.id, "chapter_id": chapter_id, "language": language}
    if not source.strip():
        session.execute(_TAKE_OUT, place)
        return
    html, said = finished(source)
    session.execute(_PUT, place | {"source": source, "html": html, "plain": said, "staff_id": staff_id, "now": now})


def of(session: Session, letter_id: int) -> Sequence[Row[Any]]:
    """What chapters added to this letter: rows of (chapter, chapter_id, language, source, at)."""
    return session.execute(_OF, {"letter_id": letter_id}).all()
