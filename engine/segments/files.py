"""Segments as files, YAML or JSON (which is YAML, too): one in each. Pure but for opening them.

Read strictly, and everything that is wrong is told with its line and its field. This is a whole one:

    slug: worcester-givers
    name: Gave within a year, not lately
    chapter: worcester           # whose segment it is; without it the root's
    rule:
      op: all
      of:
        - {op: chapter, chapter: worcester}
        - {op: gave, at_least: 25, within: 12 months}
        - {op: not, of: {op: gave, within: 30 days}}
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from engine import documents
from engine.documents import Document, Exact, Fault
from engine.errors import Invalid
from engine.segments import rules
from engine.segments.rules import KINDS, Name, Rule, Words

_AS_RULE = "must be written as `op: …` and what belongs to it"
SAYS = documents.SAYS | {
    "dict_type": _AS_RULE,
    "model_type": _AS_RULE,
    "model_attributes_type": _AS_RULE,
    "union_tag_not_found": "has no op: one of " + ", ".join(KINDS),
    "union_tag_invalid": "is no operator; there are " + ", ".join(KINDS),
}
_SPAN = "is no span: write it like 12 months, 30 days or 1 year"
_SHORT_NAME = "is no short name: small letters, digits, hyphens and underscores"
PATTERNS = dict.fromkeys(("within", "after"), _SPAN) | dict.fromkeys(
    ("slug", "chapter", "fund", "form", "code", "way", "letter", "sequence", "salt"), _SHORT_NAME
) | {"zips": "is no ZIP of five digits", "counties": "is no county: write its state too, MA:Worcester County",
     "states": "is no state: write its two letters", "language": "is no language: write its code, like es"}  # fmt: skip


Whole = TypeVar("Whole")


class Said(BaseModel):
    """A segment as it is written. `chapter`: whose it is, and whose people alone it chooses; none: the root's."""

    model_config = ConfigDict(title="Segment", extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    slug: Name
    name: Words
    chapter: Name | None = None
    rule: rules.Written


@dataclass(frozen=True, slots=True)
class Draft:
    """A segment as it is written. `chapter`: whose it is; '' the root's."""

    slug: str
    name: str
    chapter: str
    rule: Rule


@dataclass(slots=True)
class Told:
    """A file, read: its segment, or what is wrong. `document`: where everything stands."""

    document: Document
    draft: Draft | None = None
    faults: list[Fault] = field(default_factory=list)


def read(path: Path) -> Told:
    """Read a file. Raises Invalid when it is too large or no UTF-8, OSError."""
    return read_text(documents.written(path, "segment"))


def read_text(words: str) -> Told:
    """The same from what the file says."""
    return read_document(documents.read(words, Exact))


def read_document(document: Document) -> Told:
    """The same from what was read already, in whatever language it was written."""
    if document.node is None and document.faults:
        return Told(document, faults=document.faults)
    if not isinstance(document.said, dict) or not document.said:
        return Told(document, faults=[Fault(1, "begins with `slug: …`, `name: …` and `rule: …`")])
    faults = list(document.faults)
    said, rule = None, None
    try:
        said = Said.model_validate(document.said)
    except ValidationError as error:
        faults += document.told(error, PATTERNS, SAYS)
    if "rule" in document.said:
        try:
            rule = rules.read(document.said["rule"])
        except ValidationError as error:
            faults += problems(document, error, lambda at: ["rule", *rules.place(at)])
        except Invalid as error:
            faults.append(document.fault(("rule",), str(error)))
    if faults or said is None or rule is None:
        return Told(document, faults=documents.in_order(faults))
    return Told(document, Draft(said.slug, said.name, said.chapter or "", rule))


def whole(
    document: Document,
    begins: str,
    read: Callable[[Any], Whole],
    place: Callable[[tuple[str | int, ...]], Sequence[str | int]],
    *,
    too_much: Callable[[Any], Sequence[str | int]],
    says: Mapping[str, str],
    patterns: Mapping[str, str],
) -> tuple[Whole | None, list[Fault]]:
    """What `read` makes of something that has rules in it, or else all that is wrong with it. `begins`: how such a file
    begins; `too_much`: where the rule stands that is too deep or too large; the others as `problems` has them."""
    if document.node is None and document.faults:
        return None, document.faults
    if not isinstance(document.said, dict) or not document.said:
        return None, [Fault(1, f"begins with {begins}")]
    faults, found = list(document.faults), None
    try:
        found = read(document.said)
    except ValidationError as error:
        faults += problems(document, error, place, says, patterns)
    except Invalid as error:
        faults.append(document.fault(too_much(document.said), str(error)))
    return (None, documents.in_order(faults)) if faults else (found, [])


def written(draft: Draft) -> str:
    """A file that says this segment; read again, it says the same."""
    said: Mapping[str, Any] = {"slug": draft.slug, "name": draft.name, "chapter": draft.chapter,
                               "rule": plain(rules.said(draft.rule))}  # fmt: skip
    return documents.write({key: value for key, value in said.items() if value})


def plain(said: Any) -> Any:
    """A rule as files have it: each operator first, and amounts as the writer of files has them."""
    if isinstance(said, dict):
        ordered = {"op": said["op"]} | said if "op" in said else said
        return {key: plain(value) for key, value in ordered.items()}
    if isinstance(said, list):
        return [plain(each) for each in said]
    return Decimal(str(said)) if isinstance(said, float) else said


def problems(
    document: Document,
    error: ValidationError,
    place: Callable[[tuple[str | int, ...]], Sequence[str | int]],
    says: Mapping[str, str] = SAYS,
    patterns: Mapping[str, str] = PATTERNS,
) -> Iterator[Fault]:
    """What a model that has rules in it finds wrong. `place`: where that is in the document, of pydantic's path; `says`,
    `patterns`: as `Document.told` has them."""
    for problem in error.errors():
        told = problem.get("ctx", {})
        if problem["type"] == "too_short" and len(problem["input"]) >= told["min_length"]:
            continue  # what is wrong with each that it holds is told
        path = list(place(problem["loc"]))
        named = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
        if problem["type"] == "string_pattern_mismatch":
            said = patterns.get(named, "holds signs that cannot be printed or do not belong there")
        elif problem["type"] == "literal_error":
            said = f"must be {told['expected'].replace(chr(39), '')}"
        else:
            known = says.get(problem["type"])
            said = known.format(**told) if known else problem["msg"]
        if problem["type"] == "union_tag_invalid":
            path, said = [*path, "op"], f"{told['tag'][:40]} {said}"
        yield document.fault(path, said)
