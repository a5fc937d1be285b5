"""Sequences as files, YAML or JSON (which is YAML, too): one in each, as `definitions` shows. Pure but for opening them.

Read strictly, and everything that is wrong is told with its line and its field.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import documents
from engine.documents import Document, Exact, Fault
from engine.errors import Invalid
from engine.outreach import definitions, waits
from engine.outreach.definitions import RULES, Definition
from engine.segments import files, rules

_DAYS = ("wait", "deadline", "expires")  # a day that stands there is written as one
_STEP = "must be written as `key: …` and the one thing that it does"
_SAYS = files.SAYS | {
    "model_type": "must be written as names and their values",
    "too_short": "needs {min_length} or more",
    "union_tag_not_found": "must be gave, or a rule: `op: …` and what belongs to it",
    "model_attributes_type": "must be a rule: `op: …` and what belongs to it",
    "dict_type": "must be written as names and their values",
}
_PATTERNS = files.PATTERNS | {
    "key": "is no key: small letters, digits, hyphens and underscores",
    "name": "holds signs that cannot be printed",
    "tag": "holds signs that cannot be printed",
}


@dataclass(slots=True)
class Told:
    """A file, read: its sequence, or what is wrong. `document`: where everything stands."""

    document: Document
    definition: Definition | None = None
    faults: list[Fault] = field(default_factory=list)


def read(path: Path) -> Told:
    """Read a file. Raises Invalid when it is too large or no UTF-8, OSError."""
    return read_text(documents.written(path, "sequence"))


def read_text(words: str) -> Told:
    """The same from what the file says."""
    return read_document(documents.read(words, Exact))


def read_document(document: Document) -> Told:
    """The same from what was read already, in whatever language it was written."""
    found, faults = files.whole(
        document, "`slug: …`, `name: …` and `steps: …`", definitions.read, _place,
        too_much=_too_much, says=_SAYS, patterns=_PATTERNS,
    )  # fmt: skip
    return Told(document, found, faults)


def written(definition: Definition) -> str:
    """A file that says this sequence; read again, it says the same."""
    said = definitions.said(definition)
    words = documents.write({name: _plain(name, value) for name, value in said.items()})
    return words.replace("\n'on': ", "\non: ", 1)  # YAML's yes; our files have no such word among their keys


def _plain(name: str, said: Any) -> Any:
    if name in RULES:
        return files.plain(said)
    if name == "steps":
        return [{key: _plain(key, value) for key, value in step.items()} for step in said]
    if name in _DAYS and isinstance(said, str):
        return waits.day(said) or said
    return said


def _place(at: Sequence[str | int]) -> list[str | int]:
    """Where something is wrong, as the writer sees it: without the names of operators and choices that nobody writes."""
    path: list[str | int] = []
    for number, step in enumerate(at):
        path.append(step)
        if step in RULES and number in (0, 2):
            rest = tuple(at[number + 1 :])
            return [*path, *rules.place(rest[1:] if rest[:1] == ("rule",) else rest)]
    return path


def _too_much(said: Any) -> Sequence[str | int]:
    """Where the first rule stands that is too deep or too large."""
    for path, rule in definitions.rules_told(said):
        try:
            rules.measure(rule)
        except Invalid:
            return path
    return ()
