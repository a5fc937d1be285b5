"""Files of chapters and territories, CSV or YAML, read into what they say. Pure but for opening the file.

A key that is not there leaves the chapter as it is; one that is there and empty empties it. Everything that cannot be
understood is told with its line, in plain words; nobody's cell reaches the database unread.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from engine.documents import Fault, Plain
from engine.errors import Invalid
from engine.people import lands
from engine.sources.words import email_address, zip_code

LARGEST = 5_000_000  # bytes
MOST_FAULTS = 1000
LONGEST_TEXT = 300
KINDS = ("region", "chapter", "forming")
OPT_INS = ("single", "double", "auto")
_FORMULA = ("=", "+", "-", "@")

Cell = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChapterSaid:
    """What the file says of one chapter. `said` holds only what it speaks of, read: words, tuples, numbers, None."""

    line: int
    slug: str
    said: Mapping[str, Any]


@dataclass(slots=True)
class Told:
    """A file, read: its chapters, what is wrong with it, and what was put right in silence's stead."""

    chapters: list[ChapterSaid] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)


def read(path: Path) -> Told:
    """Read a file by its name's end: .csv, .yaml or .yml. Raises Invalid when it is no such file at all, OSError."""
    if path.stat().st_size > LARGEST:
        raise Invalid(f"the file is larger than {LARGEST // 1_000_000} MB: that is no list of chapters")
    suffix = path.suffix.lower()
    if suffix not in {".csv", ".yaml", ".yml"}:
        raise Invalid("a file of chapters ends in .csv, .yaml or .yml")
    try:
        written = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"the file is not UTF-8 (byte {error.start:,})") from None
    told = Told()
    for line, cells in _from_csv(written, told) if suffix == ".csv" else _from_yaml(written, told):
        _understand(line, cells, told)
        if len(told.faults) >= MOST_FAULTS:
            break
    if not told.chapters and not told.faults:
        told.faults.append(Fault(0, "there is no chapter in it"))
    return told


def _from_csv(written: str, told: Told) -> Iterator[tuple[int, dict[str, Cell]]]:
    rows = csv.reader(StringIO(written, newline=""), strict=True)
    try:
        heading = _heading(next(rows, []), told)
        if not heading:
            return
        while len(told.faults) < MOST_FAULTS:
            line = rows.line_num + 1
            row = next(rows, None)
            if row is None:
                return
            if len(row) > len(heading):
                told.faults.append(Fault(line, f"has {len(row):,} cells where the heading has {len(heading)}"))
            elif any(cell.strip() for cell in row):
                yield line, dict(zip(heading, row, strict=False))
    except csv.Error:
        told.faults.append(
            Fault(rows.line_num, "cannot be read as CSV: a quotation mark does not close, or a cell is endless")
        )


def _heading(row: Sequence[str], told: Told) -> list[str]:
    names = ["_".join(cell.lower().split()) for cell in row]
    strange = [cell for cell, name in zip(row, names, strict=True) if name not in COLUMNS]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(names) <= len(COLUMNS) else []
    if strange:
        told.faults.append(Fault(1, _strange("columns", strange)))
    if twice:
        told.faults.append(Fault(1, f"these columns stand twice: {', '.join(twice)}"))
    if not strange and "slug" not in names:
        told.faults.append(Fault(1, "there is no column slug: it names each chapter"))
    return [] if told.faults else names


def _strange(what: str, names: Sequence[str]) -> str:
    shown = ", ".join(_shown(name) for name in islice(names, 5))
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return f"these {what} are not known: {shown}{more}; known are {', '.join(COLUMNS)}"


def _from_yaml(written: str, told: Told) -> Iterator[tuple[int, dict[str, Cell]]]:
    try:
        document = yaml.compose(written, Loader=Plain)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        told.faults.append(Fault(mark.line + 1 if mark else 0, "cannot be read as YAML"))
        return
    except RecursionError:
        told.faults.append(Fault(0, "is nested too deeply"))
        return
    listed = _listed(document)
    if listed is None:
        told.faults.append(Fault(1, "begins with `chapters:` and a list of them"))
        return
    for node in listed:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.MappingNode):
            told.faults.append(Fault(line, "a chapter is written as `slug: …`, `name: …` and so on"))
        elif (cells := _cells(node, told)) is not None:
            yield line, cells


def _listed(document: Any) -> Sequence[Any] | None:
    """The nodes below `chapters:`."""
    if isinstance(document, yaml.MappingNode) and len(document.value) == 1:
        key, value = document.value[0]
        if isinstance(key, yaml.ScalarNode) and key.value == "chapters" and isinstance(value, yaml.SequenceNode):
            return list(value.value)
    return None


def _cells(node: Any, told: Told) -> dict[str, Cell] | None:
    """A mapping's words as they are written: 01604 stays 01604, and is no number in base eight."""
    cells: dict[str, Cell] = {}
    before = len(told.faults)
    for key, value in node.value:
        line, name = key.start_mark.line + 1, key.value if isinstance(key, yaml.ScalarNode) else "a list"
        if name not in COLUMNS:
            told.faults.append(Fault(line, _strange("keys", [name])))
        elif name in cells:
            told.faults.append(Fault(line, f"{name} stands twice"))
        elif isinstance(value, yaml.ScalarNode):
            cells[name] = "" if value.tag.endswith(":null") else value.value
        elif isinstance(value, yaml.SequenceNode) and all(isinstance(each, yaml.ScalarNode) for each in value.value):
            cells[name] = tuple(each.value for each in value.value)
        else:
            told.faults.append(Fault(line, f"{name}: a word or a list of words was expected"))
    return cells if len(told.faults) == before else None


def _understand(line: int, cells: Mapping[str, Cell], told: Told) -> None:
    """Read every cell of one chapter."""
    said: dict[str, Any] = {}
    before = len(told.faults)
    for name, cell in cells.items():
        try:
            said[name] = COLUMNS[name](cell)
        except Invalid as fault:
            told.faults.append(Fault(line, f"{name}: {fault}"))
    said.setdefault("slug", "")
    if not said["slug"] and len(told.faults) == before:
        told.faults.append(Fault(line, "slug: a chapter needs one"))
    if (said.get("latitude") is None) != (said.get("longitude") is None):
        told.faults.append(Fault(line, "a place has a latitude and a longitude, or neither"))
    if len(told.faults) == before:
        told.notes += (Fault(line, note) for note in _repaired(cells.get("zips", "")))
        told.chapters.append(ChapterSaid(line, str(said.pop("slug")), said))


def _repaired(cell: Cell) -> Iterator[str]:
    for written in _many(cell):
        code = zip_code(written, "")
        if code != written:
            yield f"{written} was read as {code}"


def _one(cell: Cell) -> str:
    if isinstance(cell, tuple):
        raise Invalid("one word was expected, not a list")
    cell = cell.strip()
    if not cell.isprintable():
        raise Invalid("holds characters that cannot be printed")
    if len(cell) > LONGEST_TEXT:
        raise Invalid(f"is longer than {LONGEST_TEXT} characters")
    return cell


def _text(cell: Cell) -> str:
    """Words that people will read; what a spreadsheet would run as a formula is refused."""
    written = _one(cell)
    if written.startswith(_FORMULA):
        raise Invalid(f"begins with {written[0]}: a spreadsheet would take it for a formula")
    return written


def _many(cell: Cell, separators: str = ",; \n") -> tuple[str, ...]:
    """A list, or words with separators between them; each once, in order."""
    if isinstance(cell, str):
        for separator in separators[1:]:
            cell = cell.replace(separator, separators[0])
        cell = tuple(cell.split(separators[0]))
    words = tuple(dict.fromkeys(word.strip() for word in cell if word.strip()))
    if not all(word.isprintable() for word in words):
        raise Invalid("holds characters that cannot be printed")
    return words


def _zips(cell: Cell) -> tuple[str, ...]:
    read = {word: zip_code(word, "") for word in _many(cell)}
    if wrong := [word for word, code in read.items() if code is None]:
        raise Invalid(f"{_shown(wrong[0])} is no ZIP{_and_more(wrong)}")
    return tuple(sorted({code for code in read.values() if code is not None}))


def _counties(cell: Cell) -> tuple[str, ...]:
    words = _many(cell, ",;\n")
    if wrong := [word for word in words if word[2:3] != ":"]:
        raise Invalid(f"{_shown(wrong[0])} is no county: write its state too, MA:Worcester County{_and_more(wrong)}")
    return tuple(sorted({f"{word[:2].upper()}{word[2:]}" for word in words}))


def _states(cell: Cell) -> tuple[str, ...]:
    words = tuple(word.upper() for word in _many(cell))
    if wrong := [word for word in words if len(word) != 2 or not word.isascii() or not word.isalpha()]:
        raise Invalid(f"{_shown(wrong[0])} is no state: write its two letters{_and_more(wrong)}")
    return tuple(sorted(set(words)))


def _slug(cell: Cell) -> str:
    written = _one(cell).lower()
    if written and not lands.is_slug(written):
        raise Invalid(f"{_shown(written)} is no short name: small letters, digits, hyphens between them")
    return written


def _choice(allowed: Sequence[str]) -> Callable[[Cell], str]:
    def read(cell: Cell) -> str:
        written = _one(cell).lower()
        if written and written not in allowed:
            raise Invalid(f"{_shown(written)} is none of {', '.join(allowed)}")
        return written

    return read


def _address(cell: Cell) -> str:
    written = _one(cell)
    found = email_address(written) if written else ""
    if found is None:
        raise Invalid("is no email address")
    return found


def _addresses(cell: Cell) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_address(word) for word in _many(cell)))


def _whole(most: int) -> Callable[[Cell], int]:
    def read(cell: Cell) -> int:
        written = _one(cell)
        if not written:
            return 0
        if not (written.isascii() and written.isdigit() and len(written) <= 18 and int(written) <= most):
            raise Invalid(f"{_shown(written)} is no whole number from 0 to {most:,}")
        return int(written)

    return read


def _degrees(most: int) -> Callable[[Cell], float | None]:
    def read(cell: Cell) -> float | None:
        written = _one(cell)
        if not written:
            return None
        try:
            degrees = float(written)
        except ValueError:
            degrees = float("nan")
        if not -most <= degrees <= most:
            raise Invalid(f"{_shown(written)} is no number of degrees from -{most} to {most}")
        return degrees

    return read


def _numbers(cell: Cell) -> tuple[int, ...]:
    return tuple(sorted({number for word in _many(cell) if (number := _whole(10**15)(word))}))


def _shown(written: str) -> str:
    """As much of it as fits a line."""
    clear = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in written)
    return clear if len(clear) <= 40 else clear[:39] + "\N{HORIZONTAL ELLIPSIS}"


def _and_more(wrong: Sequence[str]) -> str:
    return f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""


COLUMNS: Mapping[str, Callable[[Cell], Any]] = {
    "slug": _slug,
    "name": _text,
    "parent": _slug,
    "kind": _choice(KINDS),
    "zips": _zips,
    "counties": _counties,
    "states": _states,
    "radius_miles": _whole(lands.WIDEST_MILES),
    "latitude": _degrees(90),
    "longitude": _degrees(180),
    "sender_name": _text,
    "sender_email": _address,
    "reply_to": _address,
    "postal_address": _text,
    "opt_in": _choice(OPT_INS),
    "leads": _addresses,
    "actblue_entities": _numbers,
    "fund": _slug,
}
