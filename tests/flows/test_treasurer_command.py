"""The treasurer's lists as files: written once, for their owner alone, on record; of a wrong word nothing is left."""

import csv
from datetime import date
from pathlib import Path

import pytest

from engine.bootstrap import Deps
from engine.cli.treasurer import write
from engine.errors import NotFound
from engine.giving.treasurer import Choice
from tests.books import assert_books_balance
from tests.commands import groundswell
from tests.flows.house import change, put, rows, run_everything
from tests.gifts import ZONE
from tests.make import actblue_body, line_item, raw


def test_a_list_becomes_a_file_which_is_never_written_over(deps: Deps, tmp_path: Path):
    change(deps, "UPDATE fund SET limit_cents = 50000 WHERE slug = 'action'")
    donor = {"email": "rosa@example.org", "lastname": "=Delgado"}
    for amount in ("480.0", "100.0"):
        put(deps, raw(actblue_body(donor=donor, lineitems=[line_item(amount=amount)])))
    run_everything(deps)
    file = tmp_path / "over.csv"
    size = write(deps, "over", file, Choice(ZONE, "action", date(2026, 11, 2)))
    assert (file.stat().st_size, file.stat().st_mode & 0o777) == (size, 0o600)
    (row,) = csv.DictReader(file.read_text("utf-8").splitlines())
    assert (row["last_name"], row["over"], row["limit"]) == ("'=Delgado", "80.00", "500.00")
    with pytest.raises(FileExistsError):
        write(deps, "over", file, Choice(ZONE))
    with pytest.raises(NotFound, match="there is no list everything"):
        write(deps, "everything", tmp_path / "new.csv", Choice(ZONE))
    assert not (tmp_path / "new.csv").exists()
    assert [row.detail for row in rows(deps, "SELECT detail FROM audit")] == [
        {"list": "over", "fund": "action", "since": "2026-11-02"}
    ]
    with deps.work() as (session, _):
        assert_books_balance(session)


def test_by_command_a_file_that_is_there_and_a_day_that_is_none_are_said_in_words(deps: Deps, tmp_path: Path):
    file = tmp_path / "gifts.csv"
    assert groundswell(deps, "treasurer", "contributions", file, "--from", "2026-11-01").returncode == 0
    assert file.read_text().splitlines()[0].endswith(",number_at_source,payment")
    again = groundswell(deps, "treasurer", "contributions", file)
    assert (again.returncode, again.stderr) == (1, f"groundswell: {file} is there already: name another file\n")
    for wrong in ("2026-13-01", "2026-1-1", "20261101", "yesterday"):
        assert "a day is written like 2026-11-29" in groundswell(deps, "treasurer", "over", file, "--to", wrong).stderr
