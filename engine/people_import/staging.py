"""The records of all files into `import_row`: COPY, some thousand at a time, each time with how far we are."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any

import psycopg
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.people_import.reading import List, Record
from engine.people_import.reports import opened_for_its_owner_alone
from engine.people_import.rows import Reader, Staged

BATCH_RECORDS = 20_000
LISTED = 20  # refused rows that are told one by one
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a cell that begins so is a formula to a spreadsheet
_COPY = f"COPY import_row ({', '.join(Staged._fields)}) FROM STDIN"


@dataclass(slots=True)
class Tally:
    """What became of the records of one file: how many were read, refused (the first ones told), read as Windows-1252."""

    records: int = 0
    refused: int = 0
    refusals: list[str] = field(default_factory=list)
    repaired: int = 0


class Refusals:
    """`<file>.errors.csv`, made with the first row that is refused: its line, why, and the row, formulas disarmed.

    Not `kept`: nothing is written.
    """

    def __init__(self, found: List, *, kept: bool) -> None:
        self.path = found.path.with_name(found.path.name + ".errors.csv")
        self._header, self._kept = found.header, kept
        self._file: IO[Any] | None = None

    def write(self, record: Record, reason: str) -> None:
        """One row more."""
        if not self._kept:
            return
        if self._file is None:
            self._file = opened_for_its_owner_alone(self.path, "w")
            self._put(["groundswell line", "groundswell reason", *self._header])
        self._put([record.place, reason, *record.cells])

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            self._file.close()

    def _put(self, cells: Iterable[str]) -> None:
        assert self._file is not None  # opened before
        csv.writer(self._file).writerow([disarmed(cell) for cell in cells])


def stage(session: Session, records: Iterator[Record], reader: Reader, tally: Tally, refusals: Refusals) -> int:
    """COPY the next records, in the transaction of the session. Returns how many there were; nought: no more."""
    count = 0
    with _cursor(session).copy(_COPY) as copy:
        for record in islice(records, BATCH_RECORDS):
            count += 1
            for row in _rows(record, reader, tally, refusals):
                copy.write_row(row)
    tally.records += count
    return count


def read_again(records: Iterator[Record], reader: Reader, tally: Tally, refusals: Refusals) -> int:
    """The next records of those that an earlier run has staged: only counted, and the refused ones told once more. Returns
    how many there were; nought: no more."""
    count = 0
    for record in islice(records, BATCH_RECORDS):
        count += 1
        _rows(record, reader, tally, refusals)
    tally.records += count
    return count


def disarmed(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; a reader of ours takes the apostrophe off again."""
    return "'" + cell if cell.startswith(FORMULA) else cell


def _rows(record: Record, reader: Reader, tally: Tally, refusals: Refusals) -> Sequence[Staged]:
    tally.repaired += record.repaired
    try:
        return reader.staged(record)
    except Invalid as error:
        reason = str(error)
        tally.refused += 1
        if len(tally.refusals) < LISTED:
            tally.refusals.append(f"line {record.place}: {reason}")
        refusals.write(record, reason)
        return reader.unread(record)


def _cursor(session: Session) -> psycopg.Cursor[tuple[object, ...]]:
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection.cursor()
