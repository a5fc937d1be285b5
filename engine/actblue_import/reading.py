"""One report as a stream of records, each with its line number; nothing but the record at hand is kept in memory."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, TextIO

from engine.errors import Invalid
from engine.sources import actblue_csv
from engine.sources.actblue_csv import Layout

KNOWN_BY = 1024 * 1024  # so many bytes of its beginning, and its size, tell one file from another


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its first and last line (the header is line 1), its cells, or why it cannot be read as one."""

    line: int
    last: int
    cells: Sequence[str]
    fault: str = ""

    @property
    def place(self) -> str:
        """Where it stands, in words: a quotation mark that does not close takes many lines with it."""
        return f"line {self.line}" if self.last <= self.line else f"lines {self.line} to {self.last}"


class Rows(Protocol):
    """What `csv.reader` is."""

    @property
    def line_num(self) -> int:
        """How many lines were read."""

    def __next__(self) -> list[str]: ...


@dataclass(slots=True)
class Report:
    """An open report."""

    path: Path
    size: int
    layout: Layout
    _file: TextIO
    _rows: Rows

    def records(self, skip: int = 0) -> Iterator[Record]:
        """The records after the first `skip`, one by one. A line that is no record at all is one with a fault."""
        return islice(self._records(), skip, None)

    def bytes_read(self) -> int:
        """How far the file was read, in bytes; a little ahead of the records."""
        return self._file.buffer.tell()

    def _records(self) -> Iterator[Record]:
        while True:
            line = self._rows.line_num + 1
            try:
                cells = next(self._rows)
            except StopIteration:
                return
            except csv.Error:
                yield Record(line, self._rows.line_num, (), "a cell without end: a quotation mark does not close")
                continue
            yield Record(line, self._rows.line_num, cells, "" if _is_text(cells) else "not UTF-8")


@contextmanager
def opened(path: Path) -> Iterator[Report]:
    """Open a report and read its header. Raises Invalid when it is none that we know, OSError when it cannot be opened.

    Bytes that are no UTF-8 spoil their own record only.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file)
        try:
            layout = actblue_csv.layout_of(next(rows, []))
        except csv.Error:
            raise Invalid("this is no CSV file") from None
        yield Report(path, path.stat().st_size, layout, file, rows)


def fingerprint(path: Path) -> str:
    """What the bookmark of this file is called."""
    with path.open("rb") as file:
        known = hashlib.sha256(file.read(KNOWN_BY))
    known.update(str(path.stat().st_size).encode())
    return f"import:{known.hexdigest()}"


def _is_text(cells: Sequence[str]) -> bool:
    """Whether the bytes of this record were UTF-8: a byte that was none is half a surrogate now."""
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True
