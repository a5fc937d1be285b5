"""Catalogues of what people can choose, as YAML: agendas with their interests, who carries them, ways to help. Pure but for
opening the file.

Read strictly, and everything that is wrong is told with its line. This is a whole one:

    coalitions:
      - {code: c4m9, name: Homes for All, purpose: Tenants together, link: "https://homes.example.org"}
    agendas:
      - code: a2k8
        name: A place to live
        es: Un lugar donde vivir
        interests:
          - {code: i3f7, name: Housing and rent, es: Vivienda y alquileres, coalition: c4m9}
    ways_to_help:
      - {code: w3h8, name: Knock on doors, es: Tocar puertas}
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from engine import languages
from engine.errors import Invalid
from engine.people.chapter_files import Fault, Plain

LARGEST = 1_000_000  # bytes
LISTS = ("coalitions", "agendas", "ways_to_help")
_LANGUAGES = "(languages)"  # where names in other languages are gathered; nobody writes this key

_Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")]
_Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
_Purpose = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]

# What is wrong, by pydantic's word for it; anything else is told in pydantic's own sentence.
_SAYS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "must be words; put them in quotation marks",
    "string_too_short": "is empty",
    "string_too_long": "is too long",
    "list_type": "must be a list",
    "dict_type": "must be written as `code: …`, `name: …` and so on",
    "model_type": "must be written as `code: …`, `name: …` and so on",
}
_PATTERNS = {
    "code": "is no code: small letters, digits, hyphens and underscores",
    "coalition": "is no code: small letters, digits, hyphens and underscores",
    "link": "must begin with https://",
}


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Named(_Told):
    """One thing to choose: its code, its name in English, and in other languages, each under its own key (`es: Vivienda`)."""

    code: _Code
    name: _Line
    names: dict[str, _Line] = Field(default={}, validation_alias=_LANGUAGES)

    @model_validator(mode="before")
    @classmethod
    def _gather_languages(cls, told: Any) -> Any:
        if not isinstance(told, dict):
            return told
        others = {
            name: value for name, value in told.items() if name in languages.offered() and name != languages.ENGLISH
        }
        return {name: value for name, value in told.items() if name not in others} | {_LANGUAGES: others}


class Interest(Named):
    """An issue; `coalition` is the code of who carries it."""

    coalition: _Code | None = None


class Agenda(Named):
    """A group of interests, as it stands on a form."""

    interests: list[Interest] = []


class Coalition(_Told):
    """Organisations that carry an interest together: what for, and where to read more."""

    code: _Code
    name: _Line
    purpose: _Purpose = ""
    link: Annotated[str, StringConstraints(pattern=r"^(https://\S+)?$", max_length=500)] = ""


class Catalogue(_Told):
    """All of it, each list in the order in which it is shown. None: the file does not speak of these."""

    coalitions: list[Coalition] | None = None
    agendas: list[Agenda] | None = None
    ways_to_help: list[Named] | None = None


@dataclass(slots=True)
class Told:
    """A file, read: its catalogue, or what is wrong with it."""

    catalogue: Catalogue | None = None
    faults: list[Fault] = field(default_factory=list)


def read(path: Path) -> Told:
    """Read a file. Raises Invalid when it is too large or no UTF-8, OSError."""
    if path.stat().st_size > LARGEST:
        raise Invalid(f"the file is larger than {LARGEST // 1_000_000} MB: that is no catalogue")
    try:
        return read_text(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise Invalid(f"the file is not UTF-8 (byte {error.start:,})") from None


def read_text(written: str) -> Told:
    """The same from what the file says."""
    try:
        loader = Plain(written)
        node = loader.get_single_node()
        document = loader.construct_document(node) if node is not None else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that there is not
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        says = f"cannot be read as YAML: {problem}" if problem else "cannot be read as YAML"
        return Told(faults=[Fault(mark.line + 1 if mark else 0, says)])
    if not isinstance(document, dict) or not document:
        return Told(faults=[Fault(1, f"begins with one of {', '.join(f'`{name}:`' for name in LISTS)} and a list")])
    twice = list(_said_twice(node))
    try:
        catalogue = Catalogue.model_validate(document)
    except ValidationError as error:
        return Told(faults=_sorted([*twice, *(_fault(node, problem) for problem in error.errors())]))
    faults = _sorted([*twice, *_contradictions(node, catalogue)])
    return Told(None if faults else catalogue, faults)


def understood(document: Mapping[str, Any]) -> Catalogue:
    """A catalogue out of a document that is ours, with the three lists beside other things. Raises ValidationError."""
    return Catalogue.model_validate({name: document[name] for name in LISTS if name in document})


def _contradictions(node: Any, told: Catalogue) -> Iterator[Fault]:
    """Codes that stand twice, and interests that are carried by nobody in the file."""
    carriers = {one.code for one in told.coalitions or ()}
    places: dict[str, list[tuple[tuple[str | int, ...], str]]] = {
        "coalitions": [(("coalitions", n, "code"), one.code) for n, one in enumerate(told.coalitions or ())],
        "agendas": [(("agendas", n, "code"), one.code) for n, one in enumerate(told.agendas or ())],
        "interests": [],
        "ways_to_help": [(("ways_to_help", n, "code"), one.code) for n, one in enumerate(told.ways_to_help or ())],
    }
    for n, agenda in enumerate(told.agendas or ()):
        for m, one in enumerate(agenda.interests):
            place = ("agendas", n, "interests", m)
            places["interests"].append(((*place, "code"), one.code))
            if one.coalition is not None and one.coalition not in carriers:
                says = f"there is no coalition {one.coalition} in this file"
                yield Fault(_line(node, (*place, "coalition")), says)
    for found in places.values():
        first: dict[str, int] = {}
        for path, code in found:
            if code in first:
                yield Fault(_line(node, path), f"{code} stands in line {first[code]} already")
            else:
                first[code] = _line(node, path)


def _fault(node: Any, problem: Any) -> Fault:
    path = tuple(step for step in problem["loc"] if step != _LANGUAGES)
    name = str(path[-1]) if path else "the file"
    says = _PATTERNS.get(name, "holds signs that cannot be printed")
    if problem["type"] != "string_pattern_mismatch":
        says = _SAYS.get(problem["type"], problem["msg"])
    where = _said_as(path)
    return Fault(_line(node, path), f"{where}: {says}" if where else says)


def _said_as(path: Sequence[str | int]) -> str:
    """A place in words, counted from one: "agendas 2, interests 1, name"."""
    said: list[str] = []
    for step in path:
        if isinstance(step, int) and said:
            said[-1] += f" {step + 1}"
        else:
            said.append(str(step)[:60])
    return ", ".join(said)


def _line(node: Any, path: Sequence[str | int]) -> int:
    """The line of what stands there, or of what it should stand in."""
    line = node.start_mark.line + 1
    for step in path:
        found: Any = None
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = node.value[step]
            line = found.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    found, line = value, key.start_mark.line + 1
        if found is None:
            break
        node = found
    return int(line)


def _said_twice(node: Any) -> Iterator[Fault]:
    """Keys that stand twice in one mapping: YAML would take the last without a word."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                yield Fault(key.start_mark.line + 1, f"{str(key.value)[:60]} stands twice")
            seen.add(str(key.value))
            yield from _said_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _said_twice(each)


def _sorted(faults: Iterable[Fault]) -> list[Fault]:
    return sorted(dict.fromkeys(faults), key=lambda fault: fault.line)
