"""A letter as staff hand it in: a Markdown file that begins with what the letter is, and one a further language.

    ---                              rent-vote.md; its Spanish words in rent-vote.es.md, with subject and preview only
    kind: asks
    form: common-ground
    quiet_hours: 21-8
    subject: The rent vote is on Tuesday
    preview: Two members have not said how
    ---
    Dear {{ first_name | default("friend") }}, …

A text part, where it is written by hand, is rent-vote.txt beside it.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from engine.errors import Invalid
from engine.languages import ENGLISH
from engine.letters.finishing import Body
from engine.letters.language import LONGEST_SOURCE

_NAME = re.compile(r"(?P<slug>[a-z0-9][a-z0-9_-]{0,60})(?:\.(?P<spoken>[a-z]{2}))?\.md")
_FRONT = re.compile(r"---[ \t]*\r?\n(?P<front>.*?)^---[ \t]*\r?\n(?P<body>.*)", re.DOTALL | re.MULTILINE)
_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})")
MOST_BYTES = LONGEST_SOURCE * 2


def _free(slug: str) -> str:
    """A letter's name that is no page of staff's own."""
    if slug == "new":
        raise ValueError("new is the page on which letters begin: call it something else")
    return slug


def _moment(said: Any) -> Any:
    """A moment as ISO 8601 writes it, with its offset: "2026-12-01T18:00-05:00"."""
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(said)
        except ValueError:
            raise ValueError("a moment is written like 2026-12-01T18:00-05:00") from None
    if isinstance(said, datetime) and said.tzinfo is None:
        raise ValueError("a moment says its offset from UTC, too: 2026-12-01T18:00-05:00")
    return said


def _hours(said: Any) -> Any:
    """Full hours of the reader's day in which a letter does not come: "21-8"."""
    if not isinstance(said, str):
        return said
    found = _HOURS.fullmatch(said)
    since, until = (int(found[1]), int(found[2])) if found else (24, 24)
    if since > 23 or until > 23 or since == until:
        raise ValueError("quiet hours are written like 21-8")
    return since, until


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,60}$"), AfterValidator(_free)]


class Draft(BaseModel):
    """A letter to be checked or saved: what it is, and its words by language."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    slug: Slug
    kind: Literal["", "asks", "news", "gatherings", "actions"]
    layout: str = "letter"
    fund: str = ""
    form: str = ""
    note_until: Annotated[datetime | None, BeforeValidator(_moment)] = None
    quiet_hours: Annotated[tuple[int, int] | None, BeforeValidator(_hours)] = None
    bodies: Mapping[str, Body] = Field(min_length=1)


def read(paths: Sequence[Path]) -> Draft:
    """The draft of these files: one letter, in one or several languages. Raises Invalid, naming the file."""
    told: dict[str, Any] = {}
    bodies: dict[str, Body] = {}
    slugs = set()
    for path in paths:
        named = _NAME.fullmatch(path.name)
        if named is None:
            raise Invalid(f"{path.name}: a letter's file is named like rent-vote.md, or rent-vote.es.md in Spanish")
        slugs.add(named["slug"])
        front, body = _apart(path)
        spoken = named["spoken"] or ENGLISH
        subject, preview = (_line(path, front, name) for name in ("subject", "preview"))
        bodies[spoken] = Body(subject, body, preview, text=_text(path.with_suffix(".txt")))
        if front and spoken != ENGLISH:
            raise Invalid(f"{path.name}: {', '.join(front)} stands in the English file alone")
        told |= front
    if len(slugs) != 1:
        raise Invalid("these are files of several letters: one at a time")
    return made({"slug": slugs.pop(), "bodies": bodies, **told})


def made(told: Mapping[str, Any]) -> Draft:
    """The draft that these values make. Raises Invalid, naming each that is wrong."""
    try:
        return Draft(**told)
    except ValidationError as error:
        raise Invalid("; ".join(f"{_field(each)}: {each['msg']}" for each in error.errors())) from None
    except TypeError:
        raise Invalid("what stands before the words is not a list of names and values") from None


class _Plain(yaml.SafeLoader):
    """YAML whose values are text as it was written, and None where nothing is; no dates, numbers, yes or no."""


_Plain.yaml_implicit_resolvers = {"": [("tag:yaml.org,2002:null", re.compile("^$"))]}


def _field(problem: Mapping[str, Any]) -> str:
    return ".".join(map(str, problem["loc"])) or "letter"


def _line(path: Path, front: dict[str, Any], name: str) -> str:
    """What a file says under this name, taken out of the rest."""
    said = front.pop(name, "")
    if not isinstance(said, str):
        raise Invalid(f"{path.name}: {name} is a line of words")
    return said


def _apart(path: Path) -> tuple[dict[str, Any], str]:
    """What stands between the first two ---, every value as it was written, and the words after it."""
    found = _FRONT.fullmatch(_text(path, must_be=True))
    if found is None:
        raise Invalid(f"{path.name}: it begins with ---, what the letter is, and --- again")
    try:
        front = yaml.load(found["front"], _Plain) or {}  # noqa: S506 it makes nothing but text, lists and names
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 2}" if mark else ""
        raise Invalid(f"{path.name}{where}: what stands between the first two --- is no YAML") from None
    if not isinstance(front, dict):
        raise Invalid(f"{path.name}: what stands between the first two --- is not a list of names and values")
    if odd := front.keys() & {"slug", "bodies"}:
        raise Invalid(f"{path.name}: {', '.join(sorted(odd))} is said by the file's name and its words")
    return front, found["body"]


def _text(path: Path, *, must_be: bool = False) -> str:
    """A text file; "" when it need not be there. Raises Invalid for one that is no text, or much too long."""
    if not must_be and not path.exists():
        return ""
    with path.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise Invalid(f"{path.name}: longer than {MOST_BYTES:,} bytes")
    try:
        said = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        said = "\0"
    if "\0" in said:  # no text has it, and Postgres takes none
        raise Invalid(f"{path.name}: not UTF-8 text")
    return said
