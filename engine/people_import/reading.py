"""One file as a stream of records, each with its line number; nothing but the record at hand is kept in memory.

UTF-8, with or without its mark; a record whose bytes are none is read as Windows-1252, and that is told. Commas,
semicolons or tabs, as the header has them. A line without end is refused before it fills the memory.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol, Self, TextIO

from engine.errors import Invalid
from engine.people_import.layout import Choices, Layout, layout_of

KNOWN_BY = 1024 * 1024  # so many bytes of its beginning and of its end, and its size, tell one file from another
LONGEST_LINE = 1024 * 1024  # characters
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its first and last line (the header is line 1), its cells, or why it cannot be read as one."""

    line: int
    last: int
    cells: Sequence[str]
    fault: str = ""
    repaired: bool = False  # it was no UTF-8

    @property
    def place(self) -> str:
        """Where it stands: a quotation mark that does not close takes many lines with it."""
        return str(self.line) if self.last <= self.line else f"{self.line}-{self.last}"


class Rows(Protocol):
    """What `csv.reader` is."""

    @property
    def line_num(self) -> int:
        """How many lines were read."""

    def __next__(self) -> list[str]: ...


@dataclass(slots=True)
class List:
    """An open file of people."""

    path: Path
    size: int
    layout: Layout
    header: Sequence[str]
    _file: TextIO
    _rows: Rows
    _lines: "_Lines"

    def bytes_read(self) -> int:
        """How far the file was read; a little ahead of the records."""
        return self._file.buffer.tell()

    def records(self) -> Iterator[Record]:
        """The records, one by one. A line that is no record at all is one with a fault. Raises Invalid for an endless one."""
        while True:
            line = self._rows.line_num + 1
            self._lines.held.clear()
            try:
                cells = next(self._rows)
            except StopIteration:
                return
            except csv.Error:
                lost = [_marked(each) for each in self._lines.held]
                yield Record(line, self._rows.line_num, lost, "a cell without end: a quotation mark does not close")
                continue
            yield _record(line, self._rows.line_num, cells)


@contextmanager
def opened(path: Path, choices: Choices, most_bytes: int) -> Iterator[List]:
    """Open a file and read its header. Raises Invalid when it is no list of people or larger than `most_bytes`, OSError
    when it cannot be opened."""
    size = path.stat().st_size
    if size > most_bytes:
        raise Invalid(f"{size / 1e6:,.0f} MB: at most {most_bytes / 1e6:,.0f} are taken (IMPORT_MEGABYTES)")
    with path.open("rb") as raw:
        if raw.read(2) in _UTF_16:
            raise Invalid("UTF-16: save it as CSV in UTF-8")
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = _Lines(file)
        first = next(lines, "")
        delimiter = max(",;\t", key=first.count)
        try:
            header = _record(1, 1, next(csv.reader([first], delimiter=delimiter), [])).cells
        except csv.Error:
            raise Invalid("this is no CSV file") from None
        if not any(cell.strip() for cell in header):
            raise Invalid("it is empty")
        rows = csv.reader(chain([first], lines), delimiter=delimiter)
        next(rows)
        yield List(path, size, layout_of(header, path.name, choices), header, file, rows, lines)


class _Lines:
    """The lines of a file, of a length that can be; `held` are those of the record at hand."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._count = file, 0
        self.held: list[str] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LONGEST_LINE)
        if not line:
            raise StopIteration
        self._count += 1
        if len(line) == LONGEST_LINE and not line.endswith("\n"):
            raise Invalid(f"line {self._count:,} has no end: this is no list of people")
        self.held.append(line)
        return line


def fingerprint(path: Path) -> bytes:
    """What tells this file's content from another's."""
    with path.open("rb") as file:
        known = hashlib.sha256(file.read(KNOWN_BY))
        known.update(_end(file, path.stat().st_size))
    known.update(str(path.stat().st_size).encode())
    return known.digest()


def _end(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - KNOWN_BY))
    return file.read(KNOWN_BY)


def _record(line: int, last: int, cells: list[str]) -> Record:
    """The record, its bytes read as Windows-1252 where they were no UTF-8: each such byte is half a surrogate now."""
    text = "".join(cells)
    if text.isascii() or _is_text(text):
        return Record(line, last, cells)
    try:
        return Record(line, last, [_repaired(cell) for cell in cells], repaired=True)
    except UnicodeError:
        return Record(line, last, [_marked(cell) for cell in cells], "neither UTF-8 nor Windows-1252")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _repaired(cell: str) -> str:
    return cell if _is_text(cell) else cell.encode("utf-8", "surrogateescape").decode("cp1252")


def _marked(cell: str) -> str:
    return cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
