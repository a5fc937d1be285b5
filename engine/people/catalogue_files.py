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

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from engine import documents, languages
from engine.documents import Document, Fault

LISTS = ("coalitions", "agendas", "ways_to_help")
_LANGUAGES = "(languages)"  # where names in other languages are gathered; nobody writes this key

_Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$")]
_Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
_Purpose = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]

_AS_MAPPING = "must be written as `code: …`, `name: …` and so on"
_SAYS = documents.SAYS | {"dict_type": _AS_MAPPING, "model_type": _AS_MAPPING}
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
    return read_text(documents.written(path, "catalogue"))


def read_text(written: str) -> Told:
    """The same from what the file says."""
    document = documents.read(written)
    if document.node is None and document.faults:
        return Told(faults=document.faults)
    if not isinstance(document.said, dict) or not document.said:
        return Told(faults=[Fault(1, f"begins with one of {', '.join(f'`{name}:`' for name in LISTS)} and a list")])
    try:
        catalogue = Catalogue.model_validate(document.said)
    except ValidationError as error:
        told = document.told(error, _PATTERNS, _SAYS, unwritten=_LANGUAGES)
        return Told(faults=documents.in_order([*document.faults, *told]))
    faults = documents.in_order([*document.faults, *_contradictions(document, catalogue)])
    return Told(None if faults else catalogue, faults)


def understood(document: Mapping[str, Any]) -> Catalogue:
    """A catalogue out of a document that is ours, with the three lists beside other things. Raises ValidationError."""
    return Catalogue.model_validate({name: document[name] for name in LISTS if name in document})


def _contradictions(document: Document, told: Catalogue) -> Iterator[Fault]:
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
                yield Fault(document.line((*place, "coalition")), says)
    for found in places.values():
        first: dict[str, int] = {}
        for path, code in found:
            if code in first:
                yield Fault(document.line(path), f"{code} stands in line {first[code]} already")
            else:
                first[code] = document.line(path)
