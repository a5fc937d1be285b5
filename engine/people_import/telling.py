"""What the person at the terminal sees: a bar (or a line now and then), and one report of all files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from engine.bootstrap import Deps
from engine.people_import import running
from engine.people_import.layout import STRICTEST
from engine.people_import.reports import FileCount, Summary
from engine.people_import.running import Outcome, Source
from engine.people_import.staging import Tally

FINE, SOME_REFUSED, NO_LIST = 0, 1, 2  # exit codes
MEASURED = 10_000  # characters: wider than any table
STEPS = 10  # lines of each phase where there is no terminal
PHASES = {"reading": "Reading", "merging": "Merging"}
SHARE = {"reading": (0.0, 0.4), "merging": (0.4, 0.6)}  # of the whole: where a phase begins, how long it is


@dataclass(slots=True)
class Screen:
    """How far the import is: a moving bar on a terminal, a line each tenth of a phase elsewhere."""

    out: Console
    _bar: Progress | None = None
    _told: tuple[str, int] = ("", 0)

    def __enter__(self) -> Self:
        if self.out.is_terminal:
            what = TextColumn("{task.description}")
            self._bar = Progress(what, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=self.out)
            self._bar.add_task(PHASES["reading"], total=1.0)
            self._bar.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, phase: str, done: int, whole: int) -> None:
        """Say how far we are: bytes read, or addresses merged."""
        part = done / max(1, whole)
        if self._bar is not None:
            begins, length = SHARE[phase]
            self._bar.update(self._bar.task_ids[0], completed=begins + length * part, description=PHASES[phase])
            return
        tenths = int(part * STEPS)
        if (phase, tenths) != self._told and tenths:
            self._told = (phase, tenths)
            unit = f"{done / 1e6:,.1f} MB" if phase == "reading" else f"{done:,} addresses"
            self.out.print(f"{PHASES[phase]}: {tenths * 100 // STEPS} %, {unit}", markup=False)


def run(
    deps: Deps, sources: Sequence[Source], out: Console, *, again: bool = False, dry_run: bool = False,
    rows_to: Path | None = None,
) -> int:  # fmt: skip
    """Import these files as one and say what came of it. Returns the exit code: 0, 1 when rows were refused, 2 when a file
    is no list of people, and then nothing is done."""
    checked = [(source.path, running.check(source, deps.settings.import_megabytes)) for source in sources]
    faults = [f"{path}: {fault}" for path, fault in checked if fault]
    for fault in faults:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"groundswell: {fault}", markup=False)
    if faults:
        return NO_LIST
    with Screen(out) as screen:
        outcome = running.run(deps, sources, screen.tell, again=again, dry_run=dry_run, rows_to=rows_to)
    if outcome.finished_at is not None:
        at = f"{outcome.finished_at:%Y-%m-%d %H:%M}"
        out.print(f"these files were imported on {at} UTC: nothing was done (--again imports them once more)")
        return FINE
    _sum_up(out, outcome, dry_run=dry_run)
    return SOME_REFUSED if any(tally.refused for _, _, tally in outcome.files) else FINE


def _sum_up(out: Console, outcome: Outcome, *, dry_run: bool) -> None:
    summary = outcome.summary
    assert summary is not None  # it was done
    if outcome.went_on_at:
        out.print(f"went on where it was: {outcome.went_on_at:,} rows had been read before")
    _files(out, outcome, summary)
    _people(out, summary, dry_run=dry_run)
    notes = {
        "told of by several tools": summary.several,
        "rows beyond the first of an address": summary.further,
        "ZIPs that had lost their leading zero, which was put back": sum(file.repaired for file in summary.files),
        "erased before, and not brought back": summary.erased,
    }
    for note, count in notes.items():
        if count:
            out.print(f"{note}: {count:,}")
    for file, (_, _, tally) in zip(summary.files, outcome.files, strict=True):
        _unread(out, file)
        _oddities(out, file.name, tally, dry_run=dry_run)


def _unread(out: Console, file: FileCount) -> None:
    """ZIPs that are none: their rows are taken all the same, and whoever has them may look."""
    if not file.unread:
        return
    were = "1 ZIP could not be read; its row was taken without it"
    if file.unread > 1:
        were = f"{file.unread:,} ZIPs could not be read; their rows were taken without them"
    out.print(f"{file.name}: {were}", markup=False)
    for line in file.unread_lines:
        out.print(f"  {line}", markup=False)
    if more := file.unread - len(file.unread_lines):
        out.print(f"  and {more:,} more", markup=False)


def _oddities(out: Console, name: str, tally: Tally, *, dry_run: bool) -> None:
    if tally.repaired:
        out.print(f"{name}: {tally.repaired:,} rows were no UTF-8 and read as Windows-1252", markup=False)
    if tally.refused:
        where = "" if dry_run else f", see {name}.errors.csv"
        were = "1 row was" if tally.refused == 1 else f"{tally.refused:,} rows were"
        out.print(f"{name}: {were} refused{where}", markup=False)
        for line in tally.refusals:
            out.print(f"  {line}", markup=False)


def _files(out: Console, outcome: Outcome, summary: Summary) -> None:
    standings = [each for each in STRICTEST if any(file.standings[each] for file in summary.files)]
    names = ["rows", *standings, "ZIPs repaired"]
    table = Table("File", "Tool", *(name[0].upper() + name[1:] for name in names), title="Read")
    sentences = ["Read"]
    for file, (_, _, tally) in zip(summary.files, outcome.files, strict=True):
        read = max(tally.records, file.standings.total())
        numbers = [f"{number:,}" for number in (read, *(file.standings[each] for each in standings), file.repaired)]
        table.add_row(file.name, file.tool, *numbers)
        told = (f"{number} {name}" for number, name in zip(numbers, names, strict=True))
        sentences.append(f"{file.name} ({file.tool}): {', '.join(told)}")
    fits = Measurement.get(out, out.options.update(max_width=MEASURED), table).maximum <= out.width
    for each in [table] if fits else sentences:  # a table that does not fit would be cut
        out.print(each, markup=False)


def _people(out: Console, summary: Summary, *, dry_run: bool) -> None:
    table = Table("People", "", title="Would be" if dry_run else "Imported")
    table.add_row("new", f"{summary.outcomes['new']:,}")
    table.add_row("known", f"{summary.outcomes['known']:,}")
    if summary.outcomes["nobody"]:
        table.add_row("addresses alone, of nobody we know", f"{summary.outcomes['nobody']:,}")
    table.add_section()
    table.add_row("may be mailed", f"{summary.mailable:,}")
    for reason, count in summary.refusals.most_common():
        table.add_row(f"may not: {reason}", f"{count:,}")
    out.print(table)
