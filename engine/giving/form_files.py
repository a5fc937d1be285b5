"""Files of donation forms, as YAML: one form in each, with its picture beside it. Pure but for opening them.

Amounts are in dollars (27, 27.50) and become cents here. This is a whole one; `others` says the words in other languages:

    slug: neighbours
    title: Chip in for your neighbors
    why: Somebody from the next street should be at the door.
    words: |
      Your gift pays for **petrol** and the [phone line](https://www.example.org/phones).
    picture: street.webp
    picture_shows: A street in the snow at night
    fund: action
    chapter: worcester
    processor: stripe
    presets: [27, 50, 100, 250, 1000]
    default: 50
    other: true
    floor: 5
    cap: 5000
    monthly: true
    employer: threshold          # where the fund's is met; or always, or never
    phone: false
    agreed: [This gift is my own money.]
    thanks_letter: thank_you
    goal: 20000
    goal_from: 2026-11-01
    others:
      es:
        title: Apoya a tu vecindario
        picture_shows: Una calle nevada de noche
        agreed: [Este donativo es dinero mío.]
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from engine import documents, languages
from engine.documents import Document, Exact, Fault
from engine.giving import form_words
from engine.giving.forms import DEFAULT_PRESETS, MOST_CENTS, Definition, FormName, Picture, Slug
from engine.giving.fund_files import cents, in_dollars

LARGEST_PICTURE = 32_000  # bytes: the whole page stays below 60 kB
TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}

# What a file calls what a definition says in cents.
AMOUNTS = {
    "preset_cents": "presets",
    "default_cents": "default",
    "floor_cents": "floor",
    "cap_cents": "cap",
    "goal_cents": "goal",
}
ORDER = (
    "slug", "title", "why", "words", "picture", "picture_shows", "fund", "chapter", "processor", "presets", "default",
    "other", "floor", "cap", "monthly", "employer", "phone", "agreed", "thanks_letter", "goal", "goal_from", "others",
)  # fmt: skip
_AS_MAPPING = "must be written as `title: …`, `why: …` and so on"
_SAYS = documents.SAYS | dict.fromkeys(("dict_type", "model_type", "mapping_type"), _AS_MAPPING)
_PATTERNS = {
    "slug": "is no short name: letters, digits, hyphens and underscores",
    "fund": "is no short name: small letters, digits, hyphens and underscores",
}
# In place of what a file does not say, or not so that it can be understood.
_INSTEAD = {"slug": "unread", "title": "Unread", "fund": "unread", "processor": "stripe"}


def _of_one_gift(amount_cents: int) -> int:
    if amount_cents > MOST_CENTS:
        raise PydanticCustomError("amount", "is more than one gift can be")
    return amount_cents


_Amount = Annotated[int, BeforeValidator(cents), AfterValidator(_of_one_gift)]


_ON_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
_Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_ON_ONE_LINE)]
_Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=_ON_ONE_LINE)]
_Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=_ON_ONE_LINE)]
_Sentences = Annotated[tuple[_Sentence, ...], Field(max_length=6, strict=False)]
_Words = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=4000, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$")
]


class WordsSaid(BaseModel):
    """What a file says in one language."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    title: _Title
    why: _Line = ""
    words: _Words = ""
    picture_shows: _Line = ""
    agreed: _Sentences = ()


class FormSaid(WordsSaid):
    """A form as a file says it, held to more than a `Definition` that is read; each field as there."""

    slug: FormName
    fund: Slug
    chapter: _Line = ""
    processor: Literal["actblue", "stripe"]
    preset_cents: Annotated[tuple[_Amount, ...], Field(min_length=1, max_length=6, strict=False)] = Field(
        DEFAULT_PRESETS, validation_alias="presets"
    )
    default_cents: _Amount | None = Field(None, validation_alias="default")
    other: bool = True
    floor_cents: _Amount = Field(500, validation_alias="floor")
    cap_cents: _Amount | None = Field(None, validation_alias="cap")
    monthly: bool = True
    employer: Literal["threshold", "always", "never"] = "threshold"
    phone: bool = False
    thanks_letter: _Line = ""
    goal_cents: Annotated[int, BeforeValidator(cents)] | None = Field(None, validation_alias="goal")
    goal_from: date | None = None
    others: Mapping[str, WordsSaid] = Field(default_factory=dict)
    picture: str = ""


@dataclass(slots=True)
class Told:
    """A file, read: its form and the picture of it, or what is wrong. `document`: where everything stands. `readable`: what
    can be understood of it whatever is wrong, but for its fields `unread`."""

    document: Document
    definition: Definition | None = None
    picture: Picture | None = None
    faults: list[Fault] = field(default_factory=list)
    readable: Definition | None = None
    unread: frozenset[str] = frozenset()


def read(path: Path) -> Told:
    """Read a file, and the picture that it names. Raises Invalid when it is too large or no UTF-8, OSError."""
    return read_text(documents.written(path, "donation form"), path.parent)


def read_text(words: str, folder: Path) -> Told:
    """The same from what the file in this folder says."""
    document = documents.read(words, Exact)
    if document.node is None and document.faults:
        return Told(document, faults=document.faults)
    if not isinstance(document.said, dict) or not document.said:
        return Told(document, faults=[Fault(1, "begins with `slug: …`, `title: …` and so on")])
    picture, faults = _picture(document, folder)
    faults += [*document.faults, *_word_faults(document), *_language_faults(document)]
    unread: frozenset[str] = frozenset()
    try:
        said = FormSaid.model_validate(document.said)
    except ValidationError as error:
        faults += document.told(error, _PATTERNS, _SAYS)
        said, unread = _readable(document.said, error)
    readable = definition_of(said)
    faults += [document.fault((name,), says) for name, says in readable.contradictions(unread)]
    faults += _gaps(document, said, unread)
    if faults:
        return Told(document, faults=documents.in_order(faults), readable=readable, unread=unread)
    return Told(document, readable, picture, readable=readable)


def understood(said: Mapping[str, Any]) -> Definition:
    """A form without a picture, out of a document that is ours. Raises ValidationError."""
    return definition_of(FormSaid.model_validate(said))


def definition_of(said: FormSaid) -> Definition:
    """The form that it says."""
    return Definition.model_validate(said.model_dump(exclude={"picture"}))


def layout(definition: Definition, picture: str = "") -> dict[str, Any]:
    """A form as a file has it, in the file's order, without what is empty. `picture`: its file's name."""
    said = {AMOUNTS.get(name, name): value for name, value in definition.model_dump().items()} | {"picture": picture}
    for name in AMOUNTS.values():
        if said[name] is not None:
            many = isinstance(said[name], tuple)
            said[name] = [in_dollars(each) for each in said[name]] if many else in_dollars(said[name])
    said["others"] = {code: _filled(words) for code, words in said["others"].items()}
    return _filled({name: said[name] for name in ORDER})


def written(definition: Definition, picture: str = "") -> str:
    """A file that says this form; read again, it says the same."""
    return documents.write(layout(definition, picture))


def differences(before: Definition, after: Definition) -> list[str]:
    """What is another in `after`: "floor: 5, then 10", "words: other words"; an empty list when they say the same."""
    was, becomes = layout(before), layout(after)
    return [
        f"{name}: {_short(was.get(name))}, then {_short(becomes.get(name))}"
        if name not in ("words", "agreed", "others")
        else f"{name}: other words"
        for name in ORDER
        if was.get(name) != becomes.get(name)
    ]


def type_of(data: bytes) -> str:
    """What kind of picture these bytes are: "image/webp"; "" for none that a form shows."""
    if data.startswith(b"\xff\xd8\xff"):
        return TYPES[".jpg"]
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return TYPES[".png"]
    return TYPES[".webp"] if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else ""


def _picture(document: Document, folder: Path) -> tuple[Picture | None, list[Fault]]:
    name = document.said.get("picture")
    if not isinstance(name, str) or not name:
        return None, []
    path = folder / name
    if "\0" in name or Path(name).is_absolute() or not path.is_file():
        says = f"there is no file {name[:80]} in the folder of this one"
        return None, [document.fault(("picture",), says)]
    size = path.stat().st_size
    if size > LARGEST_PICTURE:
        most = f"{LARGEST_PICTURE // 1000} kB at most, so that the page is quick on a phone"
        return None, [document.fault(("picture",), f"{name[:80]} is {size / 1000:,.1f} kB large: {most}")]
    data = path.read_bytes()
    kind = type_of(data)
    if not kind:
        return None, [document.fault(("picture",), f"{name[:80]} is no JPEG, PNG or WebP, whatever its name says")]
    return Picture(data, kind), []


def _word_faults(document: Document) -> Iterator[Fault]:
    """What the Markdown means that a form does not show, in every language."""
    said = document.said
    others = said.get("others") if isinstance(said.get("others"), dict) else {}
    for path, of in [((), said), *((("others", code), each) for code, each in others.items())]:
        words = of.get("words") if isinstance(of, dict) else None
        if isinstance(words, str):
            place = (*path, "words")
            for line, says in form_words.faults(words):
                yield Fault(document.inside(place) + line, f"{', '.join(place)}: {says}")


def _language_faults(document: Document) -> Iterator[Fault]:
    others = document.said.get("others")
    offered = set(languages.offered()) - {languages.ENGLISH}
    for code in others if isinstance(others, dict) else ():
        if code not in offered:
            yield document.fault(
                ("others", str(code)), f"pages are not in this language, but in {', '.join(sorted(offered))}"
            )


def _readable(told: Mapping[str, Any], error: ValidationError) -> tuple[FormSaid, frozenset[str]]:
    """What can be understood of a file with faults, and the fields that cannot. Of the languages, each is one by itself."""
    wrong = {problem["loc"][:2] if problem["loc"][0] == "others" else problem["loc"][:1] for problem in error.errors()}
    kept = {name: value for name, value in told.items() if (name,) not in wrong}
    if isinstance(kept.get("others"), dict):
        kept["others"] = {code: words for code, words in kept["others"].items() if ("others", code) not in wrong}
    fields = {name: field for field, name in AMOUNTS.items()}
    unread = frozenset(fields.get(str(place[0]), str(place[0])) for place in wrong if len(place) == 1)
    return FormSaid.model_validate(_INSTEAD | kept), unread


def _gaps(document: Document, said: FormSaid, unread: frozenset[str]) -> Iterator[Fault]:
    """A picture that is not told in each language, and what is told of none."""
    told: dict[tuple[str, ...], str] = {} if "picture_shows" in unread else {("picture_shows",): said.picture_shows}
    for code, words in said.others.items():
        told["others", code, "picture_shows"] = words.picture_shows
    for path, shows in () if "picture" in unread else told.items():
        if said.picture and not shows:
            yield document.fault(path, "is missing: what the picture shows, for those who do not see it")
        if shows and not said.picture:
            yield document.fault(path, "there is no picture")


def _filled(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value not in (None, "", (), [], {})}


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    said = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return said if len(said) <= 60 else said[:59] + "\N{HORIZONTAL ELLIPSIS}"
