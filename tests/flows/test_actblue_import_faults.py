"""Imports that are killed, meet what cannot be read or booked, or are watched while they run."""

import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import event, text

from engine.actblue_import import running, telling
from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Conflict, Invalid
from tests.commands import Done, environment, groundswell
from tests.csv_reports import (
    as_csv,
    paid,
    write,
)
from tests.flows.house import rows
from tests.flows.reports import PERSONAL, imported, keys, many, tally


class Killed(Exception):
    """The end of the process, for a test."""


def test_an_import_that_was_killed_goes_on_where_it_was(deps: Deps, tmp_path: Path):
    path = write(tmp_path / "paid.csv", many(1100))

    def die(_: int, rows_done: int) -> None:
        if rows_done >= 1000:
            raise Killed

    with pytest.raises(Killed):
        running.run(deps, path, die)
    assert len(keys(deps)) == 1000
    code, said = imported(deps, path)
    assert (code, "1,000 rows were done before (--again reads them once more)" in said) == (0, True)
    assert len(keys(deps)) == 1100
    code, said = imported(deps, path)
    assert (code, "1,100 rows were done before" in said, "no new rows" in said) == (0, True, True)
    assert tally(deps, path, again=True).counts == {("gift", "known"): 1100}


def test_a_file_under_another_name_is_the_same_file_and_one_with_another_row_is_not(deps: Deps, tmp_path: Path):
    tally(deps, write(tmp_path / "a.csv", many(3)))
    assert tally(deps, write(tmp_path / "b.csv", many(3))).skipped == 3
    assert tally(deps, write(tmp_path / "c.csv", many(4))).counts == {("gift", "known"): 3, ("gift", "new"): 1}


def test_the_same_file_twice_at_once_ends_one_of_them_and_books_nothing_twice(deps: Deps, tmp_path: Path):
    path = write(tmp_path / "paid.csv", many(1200))

    def overtake(_: int, rows_done: int) -> None:
        if rows_done == 500:
            tally(deps, path)

    with pytest.raises(Conflict, match="imported elsewhere"):
        running.run(deps, path, overtake)
    assert len(keys(deps)) == 1200


def test_a_row_that_the_database_refuses_is_told_by_its_line_and_the_import_goes_on(deps: Deps, tmp_path: Path):
    with transaction(deps.sessions) as session:
        session.execute(text("ALTER TABLE contribution ADD CONSTRAINT poison CHECK (refcode <> 'poison')"))
    told = many(30)
    told[7]["Reference Code"] = "poison"
    path = write(tmp_path / "paid.csv", told)
    code, said = imported(deps, path)
    assert code == 1
    assert "Rows that were refused: 1\n  line 9: cannot be booked (CheckViolation)\n" in said
    assert [word for word in (*PERSONAL, "poison") if word in said.lower()] == []
    assert len(keys(deps)) == 29
    assert imported(deps, path)[0] == 0


def test_rows_that_cannot_be_read_are_told_by_their_lines_and_the_others_are_booked(deps: Deps, tmp_path: Path):
    told = [
        paid(1, Comments='Said "yes",\r\nand more,\r\n\r\nover four lines'),
        paid(2, Amount="rosa"),
        paid(3, Donor_First_Name="Zo\u00eb"),
        paid(4, Donor_Last_Name="Delgado, Jr."),
    ]
    whole = b"\xef\xbb\xbf" + as_csv(told)
    latin = as_csv([paid(5, Donor_Last_Name="Nu\u00f1ez")]).split(b"\r\n")[1].decode().encode("latin-1")
    path = tmp_path / "paid.csv"
    path.write_bytes(whole + b"\r\n" + latin + b"\r\n" + b"AB6,too,short\r\n" + as_csv([paid(7)]).split(b"\r\n")[1])
    found = tally(deps, path)
    assert found.refusals == [
        "line 6: not understood: Amount",
        "line 10: not UTF-8",
        "line 11: 3 columns where the header has 101",
    ]
    assert keys(deps) == ["1", "3", "4", "7"]
    assert [
        row.first_name for row in rows(deps, "SELECT donor->>'first_name' AS first_name FROM contribution ORDER BY id")
    ][1] == "Zo\u00eb"


def test_a_quotation_mark_that_never_closes_costs_the_lines_that_are_told(deps: Deps, tmp_path: Path):
    told = [row | {"Recipient Committee": "PAC"} for row in many(900)]
    told[3]["Fundraising Page"] = "OPEN"
    path = tmp_path / "paid.csv"
    path.write_bytes(as_csv(told).replace(b"OPEN", b'"open'))
    found = tally(deps, path)
    (refusal,) = found.refusals
    assert refusal.startswith("lines 5 to ")
    assert refusal.endswith(": a cell without end: a quotation mark does not close")
    last = int(refusal.removeprefix("lines 5 to ").partition(":")[0])
    assert keys(deps) == [str(line - 1) for line in range(2, 902) if not 5 <= line <= last]
    assert last < 600


def test_a_file_that_is_no_report_stops_everything_with_one_sentence(deps: Deps, tmp_path: Path, capsys):
    good = write(tmp_path / "paid.csv", many(1))
    files = {
        "no.csv": b"Name,Email\r\nRosa,rosa@example.org\r\n",
        "empty.csv": b"",
        "missing.csv": as_csv(many(1), ("Receipt ID", "Lineitem ID", "Date")),
        "picture.csv": bytes(range(256)) * 40,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert imported(deps, good, tmp_path / name) == (2, "")
        said = capsys.readouterr().err
        assert said.startswith(f"groundswell: {tmp_path / name}: ")
        assert (said.count("\n"), "rosa" in said) == (1, False)
    assert imported(deps, tmp_path / "nowhere.csv")[0] == 2
    assert keys(deps) == []
    with pytest.raises(Invalid):
        tally(deps, tmp_path / "no.csv")


def test_an_empty_report_and_empty_lines_are_fine(deps: Deps, tmp_path: Path):
    path = tmp_path / "paid.csv"
    path.write_bytes(as_csv([]) + b"\r\n\r\n")
    assert imported(deps, path)[0] == 0
    assert tally(deps, path, again=True).rows == 0


def statements(deps: Deps, path: Path) -> int:
    counted: list[str] = []
    pool = deps.sessions.kw["bind"]

    def count(_: Any, __: Any, statement: str, *___: Any) -> None:
        counted.append(statement)

    event.listen(pool, "before_cursor_execute", count)
    try:
        tally(deps, path)
    finally:
        event.remove(pool, "before_cursor_execute", count)
    return len(counted)


def test_the_number_of_statements_does_not_grow_with_the_batch(deps: Deps, tmp_path: Path):
    few = statements(deps, write(tmp_path / "few.csv", many(5)))
    assert statements(deps, write(tmp_path / "more.csv", many(running.BATCH_ROWS, first=100))) == few


@pytest.mark.parametrize("terminal", [True, False])
def test_how_far_it_is_is_shown(deps: Deps, tmp_path: Path, terminal: bool):
    path, out = write(tmp_path / "paid.csv", many(1500)), io.StringIO()
    screen = Console(file=out, width=160, force_terminal=terminal, highlight=False, legacy_windows=False)
    assert telling.run(deps, [path], screen, again=False, dry_run=True) == 0
    assert ("paid.csv: 100 %, 1,500 rows" in out.getvalue()) is not terminal
    assert "1,500 rows" in out.getvalue()


def command_line(deps: Deps, arguments: Sequence[str | Path], folder: Path) -> dict[str, Any]:
    argv = [sys.executable, "-m", "engine.cli", "import", "actblue", *arguments, "--data-dir", folder]
    return {"args": argv, "env": environment(deps, folder)}


def command(deps: Deps, arguments: Sequence[str | Path], folder: Path) -> Done:
    return groundswell(deps, "import", "actblue", *arguments, folder=folder)


def test_the_command_imports_says_what_came_of_it_and_ends_with_its_code(deps: Deps, tmp_path: Path):
    good, bad = write(tmp_path / "paid.csv", many(3)), write(tmp_path / "bad.csv", [*many(2), paid(9, Date="?")])
    done = command(deps, [good], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Gifts" in done.stdout
    assert len(keys(deps)) == 3
    done = command(deps, [good, bad, "--again"], tmp_path)
    assert (done.returncode, "line 4: not understood: Date" in done.stdout) == (1, True)
    (tmp_path / "no.csv").write_text("x")
    done = command(deps, [tmp_path / "no.csv", "--dry-run"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"groundswell: {tmp_path / 'no.csv'}: this is no report of ActBlue's")


def test_a_command_that_is_killed_loses_nothing_and_goes_on(deps: Deps, tmp_path: Path):
    path = write(tmp_path / "paid.csv", many(4000))
    with subprocess.Popen(**command_line(deps, [path], tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("paid.csv: ")
        process.kill()
    before = len(keys(deps))
    assert 0 < before < 4000
    done = command(deps, [path], tmp_path)
    assert (done.returncode, f"paid.csv: {before:,} rows were done before" in done.stdout) == (0, True)
    assert sorted(keys(deps), key=int) == [str(number) for number in range(1, 4001)]
