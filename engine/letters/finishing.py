"""From what was written to the finished words of a mailing: poured into a layout, every fault told with its place. Pure."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.errors import Invalid
from engine.languages import ENGLISH
from engine.letters import language, layouts, markdown, plain
from engine.letters.holding import Holding
from engine.letters.language import Fault, Faulty
from engine.letters.sheets import Words
from engine.letters.vocabulary import FLAG, HTML, Kind, Record, Rows, Vocabulary, one_line

LONGEST_SUBJECT, LONGEST_PREVIEW = 200, 300


@dataclass(frozen=True, slots=True)
class Body:
    """A letter as it was written in one language: Markdown, and the text part, "" to have it made from that."""

    subject: str
    markdown: str
    preview: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of it; `removed`: what a letter cannot hold, and was taken out."""

    words: Words
    removed: list[str] = field(default_factory=list)


def finish(body: Body, layout: str, spoken: str, vocabulary: Vocabulary) -> Finished:
    """The finished words. Raises Faulty with all faults that can be told at once."""
    part = "body" if spoken == ENGLISH else f"body ({spoken})"
    holding, faults = Holding(vocabulary), list[Fault]()
    subject, preview, written = "", "", markdown.Written()
    with _gathered(faults):
        subject = _line(body.subject, "subject", LONGEST_SUBJECT, vocabulary)
    with _gathered(faults):
        preview = holding.hold(_line(body.preview, "preview", LONGEST_PREVIEW, vocabulary), "preview")
    with _gathered(faults):
        blocks = markdown.blocks(holding.hold(body.markdown, part), part, holding)
        if not blocks:
            raise Faulty([Fault(part, 1, 1, "it says nothing")])
        written = markdown.written(blocks, part, holding)
    with _gathered(faults):
        language.read(body.text, vocabulary, "text")
    if faults:
        raise Faulty(faults)
    html = layouts.pour(layout, spoken, markdown.escaped(preview), written.mjml, holding)
    return Finished(Words(subject, html, _text(body, layout, part, vocabulary)), written.removed)


@contextmanager
def _gathered(faults: list[Fault]) -> Iterator[None]:
    """Keep the faults of this part, and look at the next."""
    try:
        yield
    except Faulty as error:
        faults.extend(error.faults)


def finish_mjml(words: Words, layout: str, spoken: str, vocabulary: Vocabulary) -> Words:
    """The same of a letter whose body is MJML and whose text was written: one that comes with the code."""
    holding = Holding(vocabulary)
    html = layouts.pour(layout, spoken, "", holding.hold(words.html, "body"), holding)
    language.read(words.text, vocabulary, "text")
    subject = _line(words.subject, "subject", LONGEST_SUBJECT, vocabulary)
    return Words(subject, html, plain.tidied(layouts.pour_text(layout, words.text)))


def sample(kind: Kind) -> Any:
    """A value of this kind, to try a template with."""
    if isinstance(kind, Record):
        return {name: sample(part) for name, part in kind.parts.items()}
    if isinstance(kind, Rows):
        return [{name: sample(part) for name, part in kind.parts.items()}] * 2
    return True if kind == FLAG else "https://www.example.org/" if kind == HTML else "sample"


def _text(body: Body, layout: str, part: str, vocabulary: Vocabulary) -> str:
    holding = Holding(vocabulary)
    if body.text.strip():
        said = body.text
    else:
        said = holding.hold(body.markdown, part)
        said = holding.restore(plain.written(markdown.blocks(said, part, holding), part, holding), whole=False)
    whole = plain.tidied(layouts.pour_text(layout, said))
    language.parse(whole)
    return whole


def _line(said: str, part: str, longest: int, vocabulary: Vocabulary) -> str:
    """A subject or a preview: one line, not too long. Raises Faulty."""
    if said != one_line(said):
        raise Faulty([Fault(part, 1, 1, "it is one line, without line breaks or other controls")])
    if len(said) > longest:
        raise Faulty([Fault(part, 1, longest + 1, f"longer than {longest} characters")])
    if not said and part == "subject":
        raise Faulty([Fault(part, 1, 1, "a letter has a subject")])
    places = language.read(said, vocabulary, part)
    if odd := [place for place in places if place.kind == HTML or isinstance(place.kind, Mapping)]:
        raise Faulty([place.fault("this cannot stand in one line") for place in odd])
    return said


def trial(words: Words, vocabulary: Vocabulary) -> None:
    """Render the words with a sample of everything. Raises Invalid when they do not."""
    values = {name: sample(kind) for name, kind in vocabulary.items()}
    for source, html in ((words.subject, False), (words.html, True), (words.text, False)):
        try:
            language.environment(html=html).from_string(source).render(values)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # what expressions can raise
            raise Invalid(f"it does not render: {type(error).__name__}") from None
