"""What the person at the terminal sees: a bar (or a line now and then), a table, and the rows that need a look."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from engine.actblue_import import reading, running
from engine.actblue_import.running import Tally
from engine.bootstrap import Deps
from engine.errors import Invalid

FINE, SOME_REFUSED, NO_REPORT = 0, 1, 2  # exit codes
STEPS = 10  # lines where there is no terminal
KINDS = {"gift": "Gifts", "refund": "Refunds", "cancellation": "Cancellations"}


@dataclass(slots=True)
class Screen:
    """How far one file is: a moving bar on a terminal, a line each tenth elsewhere."""

    out: Console
    path: Path
    size: int
    _bar: Progress | None = None
    _tenths: int = 0

    def __enter__(self) -> Self:
        if self.out.is_terminal:
            rows = TextColumn("{task.fields[rows]} rows")
            name = TextColumn("{task.description}", markup=False)
            self._bar = Progress(name, BarColumn(), DownloadColumn(), rows, TimeRemainingColumn(), console=self.out)
            self._bar.add_task(self.path.name, total=self.size, rows="0")
            self._bar.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, bytes_read: int, rows: int) -> None:
        """Say how far we are."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=bytes_read, rows=f"{rows:,}")
            return
        tenths = bytes_read * STEPS // max(1, self.size)
        if tenths > self._tenths:
            self._tenths = tenths
            self.out.print(f"{self.path.name}: {tenths * 100 // STEPS} %, {rows:,} rows", markup=False)


def run(deps: Deps, paths: Sequence[Path], out: Console, *, again: bool, dry_run: bool) -> int:
    """Import these reports one after the other. Returns the exit code: 0, 1 when rows were refused, 2 for no report.

    All headers are read before the first row is: one file that is no report, and nothing is imported.
    """
    faults = [f"{path}: {fault}" for path in paths if (fault := _fault(path))]
    for fault in faults:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"groundswell: {fault}", markup=False)
    if faults:
        return NO_REPORT
    refused = 0
    for path in paths:
        with Screen(out, path, path.stat().st_size) as screen:
            tally = running.run(deps, path, screen.tell, again=again, dry_run=dry_run)
        _sum_up(out, path, tally, dry_run=dry_run)
        refused += tally.refused
    return SOME_REFUSED if refused else FINE


def _fault(path: Path) -> str:
    try:
        with reading.opened(path):
            return ""
    except Invalid as error:
        return str(error)
    except OSError as error:
        return error.strerror or type(error).__name__


def _sum_up(out: Console, path: Path, tally: Tally, *, dry_run: bool) -> None:
    if tally.skipped:
        done = f"{tally.skipped:,} rows were done before (--again reads them once more)"
        out.print(f"{path.name}: {done}", markup=False)
    made = Table("", "Would be new" if dry_run else "New", "Here already", "Different", title=path.name)
    for kind, name in KINDS.items():
        counts = [tally.counts[kind, standing] for standing in ("new", "known", "different")]
        if any(counts):
            made.add_row(name, *(f"{count:,}" for count in counts))
    if made.row_count:
        out.print(made)
    else:
        out.print(f"{path.name}: no new rows", markup=False)
    different = sum(count for (_, standing), count in tally.counts.items() if standing == "different")
    _list(
        out,
        f"Rows that differ from the books, for which nothing was changed: {different:,}",
        tally.differences,
        different,
    )
    _list(
        out,
        f"Gifts that a webhook told and this report does not have (ActBlue never had them?): {tally.unreported:,}",
        tally.strange,
        tally.unreported,
    )
    _list(out, f"Rows that were refused: {tally.refused:,}", tally.refusals, tally.refused)


def _list(out: Console, title: str, lines: Sequence[str], count: int) -> None:
    if not count:
        return
    out.print(title, markup=False)
    for line in lines:
        out.print(f"  {line}", markup=False)
    if count > len(lines):
        out.print(f"  and {count - len(lines):,} more", markup=False)
