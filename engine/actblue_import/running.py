"""The import of one report: batches of rows, each in one transaction with the bookmark that says how far we are.

Killed between two batches it goes on after the last one. A batch that fails is done again row by row, and the row at
fault is refused by its line number; when Postgres itself is away the import ends, to be started again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, StatementError

from engine.actblue_import import reading, unreported
from engine.actblue_import.comparing import Row, compare
from engine.actblue_import.reading import Record, Report
from engine.actblue_import.unreported import Seen
from engine.bootstrap import Deps
from engine.errors import Conflict, Invalid
from engine.events import Event
from engine.sources import actblue_csv

BATCH_ROWS = 500
TRIES = 4
LISTED = 50  # differences, and refused rows, that are told one by one

# Where the reader of this file is; 0 for a new one.
_OPEN = text("""
INSERT INTO bookmark (name, number) VALUES (:name, 0)
ON CONFLICT (name) DO UPDATE SET updated_at = now(), number = CASE WHEN :again THEN 0 ELSE bookmark.number END
RETURNING number
""")
_MOVE = text("""
UPDATE bookmark SET number = :after, updated_at = now() WHERE name = :name AND number = :before
""")


@dataclass(slots=True)
class Tally:
    """What came of a report: facts by (kind, standing), and the first lines of what a person should see."""

    skipped: int = 0
    rows: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    refused: int = 0
    refusals: list[str] = field(default_factory=list)
    unreported: int = 0
    seen: Seen = field(default_factory=Seen)
    strange: list[str] = field(default_factory=list)  # gifts on the books that the report does not have

    def take(self, row: Row) -> None:
        """Count a fact that was understood."""
        self.counts[row.kind, row.standing] += 1
        if row.different and len(self.differences) < LISTED:
            self.differences.append(f"line {row.line}: {row.different}")

    def miss(self, line: str) -> None:
        """Count a gift that the report should have."""
        self.unreported += 1
        if len(self.strange) < LISTED:
            self.strange.append(line)

    def refuse(self, place: str, reason: str) -> None:
        """Count a row that was not."""
        self.rows += 1
        self.refused += 1
        if len(self.refusals) < LISTED:
            self.refusals.append(f"{place}: {reason}")


Progress = Callable[[int, int], None]  # bytes and rows so far


@dataclass(slots=True)
class _Bookmark:
    """How many records of one file are done; None as its name: nothing is written."""

    name: str | None
    done: int = 0


def run(deps: Deps, path: Path, tell: Progress, *, again: bool = False, dry_run: bool = False) -> Tally:
    """Import one report from where it was left, or all of it when `again`; `dry_run` writes nothing and reads it all.

    Raises Invalid for a file that is no report, Conflict when the same file is being imported elsewhere.
    """
    with reading.opened(path) as report:
        mark = _Bookmark(None) if dry_run else _open(deps, reading.fingerprint(path), again=again)
        tally = Tally(skipped=mark.done)
        for batch in _batches(report.records(skip=mark.done)):
            _import(deps, report, mark, batch, tally)
            tell(report.bytes_read(), tally.skipped + tally.rows)
    if not tally.skipped:  # of a part nobody can say what it lacks
        with deps.work() as (session, _):
            for line in unreported.find(session, tally.seen):
                tally.miss(line)
    return tally


def _open(deps: Deps, name: str, *, again: bool) -> _Bookmark:
    with deps.work() as (session, _):
        return _Bookmark(name, session.execute(_OPEN, {"name": name, "again": again}).scalar_one())


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    records = iter(records)
    while batch := list(islice(records, BATCH_ROWS)):
        yield batch


def _import(deps: Deps, report: Report, mark: _Bookmark, batch: Sequence[Record], tally: Tally) -> None:
    """One batch, or its rows one by one when one of them cannot be booked."""
    rows, refused = read(report, batch)
    try:
        compared = _patiently(lambda: _book(deps, report, mark, rows, records=len(batch)))
    except (StatementError, Invalid, ValueError) as error:
        if _postgres_is_away(error):
            raise
        if len(batch) > 1:
            for record in batch:
                _import(deps, report, mark, [record], tally)
            return
        compared, refused = [], [(batch[0].place, f"cannot be booked ({_name(error)})")]
        _book(deps, report, mark, [], records=1)
    tally.rows += len({row.line for row in compared})
    tally.seen.note(compared)
    for row in compared:
        tally.take(row)
    for place, reason in refused:
        tally.refuse(place, reason)


def read(report: Report, batch: Sequence[Record]) -> tuple[list[Row], list[tuple[str, str]]]:
    """What the records say, and those that cannot be understood, by place, with the reason. Empty lines say nothing."""
    rows: list[Row] = []
    refused: list[tuple[str, str]] = []
    for record in batch:
        if record.fault:
            refused.append((record.place, record.fault))
        elif any(record.cells):
            try:
                rows += [Row(record.line, fact) for fact in actblue_csv.facts_of(report.layout, record.cells)]
            except Invalid as error:
                refused.append((record.place, str(error)))
    return rows, refused


def _book(deps: Deps, report: Report, mark: _Bookmark, rows: Sequence[Row], *, records: int) -> list[Row]:
    """Compare with the books, let follow what follows, move the bookmark; one transaction. Then ring."""
    with deps.work() as (session, now):
        compared = compare(session, report.layout, rows)
        if mark.name is None:
            return compared
        told: list[Event] = [event for row in compared if not row.different for event in row.events]
        everything = deps.react(session, told, now)
        places = {"name": mark.name, "before": mark.done, "after": mark.done + records}
        if session.connection().execute(_MOVE, places).rowcount != 1:
            raise Conflict("the same file is being imported elsewhere, too: this import ends here")
    mark.done += records
    deps.ring_for(everything)
    return compared


def _patiently(book: Callable[[], list[Row]]) -> list[Row]:
    """Do it; once more when others were in the way: a lock that was held too long, a circle that Postgres broke."""
    for _ in range(TRIES - 1):
        try:
            return book()
        except OperationalError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
                raise
    return book()


def _postgres_is_away(error: Exception) -> bool:
    """Whether Postgres failed and not the row: anything operational but a value too large for an index."""
    return isinstance(error, OperationalError | InterfaceError) and not isinstance(
        error.orig, psycopg.errors.ProgramLimitExceeded
    )


def _name(error: Exception) -> str:
    """What went wrong, without what was said: a database's words repeat the row."""
    return type(error.orig if isinstance(error, DBAPIError) else error).__name__
