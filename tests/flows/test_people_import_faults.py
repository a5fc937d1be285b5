"""Imports of people that are killed, meet what cannot be read, or are watched while they run."""

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import event, text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Conflict, Invalid
from engine.people_import import running, staging, telling
from engine.people_import.layout import MOST_COLUMNS, Choices
from engine.people_import.reading import LONGEST_LINE
from engine.people_import.running import Source
from tests import people_lists as make
from tests.commands import Done, groundswell
from tests.flows.house import rows
from tests.flows.lists import contact, everything, imported, mailable, outcome, sources
from tests.of_a_person import contact as person

ROSA = "rosa@example.org"


class Killed(Exception):
    """The end of the process, for a test."""


def many(tmp_path: Path, count: int = 25_000) -> Path:
    told = [
        {"Email": f"p{number}@example.org", "Subscription status": "subscribed", "ZIP": "01605"}
        for number in range(count)
    ]
    return make.write(tmp_path / "many.csv", make.LIST, told)


@pytest.mark.parametrize("phase", ["reading", "merging"])
def test_an_import_that_was_killed_goes_on_where_it_was(deps: Deps, tmp_path: Path, phase: str):
    path = many(tmp_path)

    def die(now: str, *_: int) -> None:
        if now == phase:
            raise Killed

    with pytest.raises(Killed):
        running.run(deps, sources(path), die)
    merged = len(rows(deps, "SELECT id FROM contact"))
    assert merged == 0 if phase == "reading" else 0 < merged < 25_000
    told: list[tuple[str, int]] = []
    found = running.run(deps, sources(path), lambda now, done, _: told.append((now, done)))
    assert found.went_on_at == {"reading": staging.BATCH_RECORDS, "merging": 25_000}[phase]
    assert found.summary.outcomes == {"new": 25_000}
    assert len(mailable(deps)) == len(rows(deps, "SELECT id FROM chapter_move")) == 25_000
    assert rows(deps, "SELECT email FROM import_row") == rows(deps, "SELECT email FROM import_person") == []
    assert ("merging", 25_000) in told


@pytest.mark.parametrize("phase", ["reading", "merging"])
def test_an_import_that_was_killed_tells_the_rows_refused_before_the_kill_when_it_goes_on(
    deps: Deps, tmp_path: Path, phase: str
):
    told = [{"Email": "nobody", "Subscription status": "subscribed"}] * 30
    told += [{"Email": f"p{number}@example.org"} for number in range(staging.BATCH_RECORDS)]
    path = make.write(tmp_path / "list.csv", make.LIST, [*told, {"Email": "late"}])

    def die(now: str, *_: int) -> None:
        if now == phase:
            raise Killed

    with pytest.raises(Killed):
        running.run(deps, sources(path), die)
    code, said = imported(deps, path)
    assert f"went on where it was: {20_000 if phase == 'reading' else 20_031:,} rows had been read before" in said
    assert (code, "list.csv: 31 rows were refused, see list.csv.errors.csv\n  line 2: not an email address" in said) == (
        1, True,
    )  # fmt: skip
    with (tmp_path / "list.csv.errors.csv").open(encoding="utf-8", newline="") as file:
        assert [row[0] for row in csv.reader(file)][1:] == [*map(str, range(2, 32)), "20032"]


def test_what_was_staged_before_postgres_crashed_or_another_import_came_is_staged_anew(deps: Deps, tmp_path: Path):
    path = many(tmp_path, 100)

    def die(*_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        running.run(deps, sources(path), die)
    outcome(deps, make.write(tmp_path / "other.csv", make.LIST, [{"Email": ROSA}]))
    found = outcome(deps, path)
    assert (found.went_on_at, found.summary.outcomes) == (0, {"new": 100})
    assert len(rows(deps, "SELECT id FROM contact")) == 101


def test_two_imports_at_once_are_refused(deps: Deps, tmp_path: Path):
    path, other = many(tmp_path, 5), make.write(tmp_path / "other.csv", make.LIST, [{"Email": ROSA}])
    with pytest.raises(Conflict, match="one import at a time"):
        running.run(deps, sources(path), lambda *_: outcome(deps, other))
    assert outcome(deps, other).summary.outcomes == {"new": 1}


def test_rows_that_cannot_be_read_are_in_a_file_beside_it_with_their_formulas_disarmed(deps: Deps, tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text(
        "Email,First name,Subscription status\r\n"
        "not an address,=HYPERLINK(1),subscribed\r\n"
        f'{ROSA},"@SUM(1)",subscribed\r\n'
        ",Ana,subscribed\r\n"
        "short@example.org\r\n"
        "\r\n"
        "long@example.org,Ana,subscribed,more,+more\r\n",
        newline="",
    )
    (tmp_path / "list.csv.errors.csv").touch(mode=0o644)  # of an earlier run, and open to others
    code, said = imported(deps, path)
    with (tmp_path / "list.csv.errors.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.reader(file))
    assert found == [
        ["groundswell line", "groundswell reason", "Email", "First name", "Subscription status"],
        ["2", "not an email address", "not an address", "'=HYPERLINK(1)", "subscribed"],
        ["4", "no email address", "", "Ana", "subscribed"],
        ["5", "1 columns where the header has 3", "short@example.org"],
        ["7", "5 columns where the header has 3", "long@example.org", "Ana", "subscribed", "more", "'+more"],
    ]
    assert (code, "list.csv: 4 rows were refused, see list.csv.errors.csv" in said) == (1, True)
    assert (tmp_path / "list.csv.errors.csv").stat().st_mode & 0o077 == 0
    assert mailable(deps) == {ROSA}


def test_who_is_in_a_row_that_cannot_be_read_is_not_mailed_for_a_yes_elsewhere(deps: Deps, tmp_path: Path):
    gone = tmp_path / "unsubscribed.csv"
    gone.write_bytes(b"Email Address,UNSUB_TIME\r\na@example.org\r\nb@example.org,2024-01-01 00:00:00,x,=y\r\n"
        b'"c@example.org,2024-01-01 00:00:00\r\n' + b"d@example.org,2024-01-01\r\n" * 9000)  # fmt: skip
    told = [make.subscriber(f"{name}@example.org") for name in "abcde"]
    found = outcome(deps, gone, make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, told))
    assert mailable(deps) == {"e@example.org"}
    assert found.summary.refusals["a row of hers could not be read"] == 3
    assert "a cell without end" in found.files[0][2].refusals[2]


def test_bytes_of_another_encoding_are_read_and_told(deps: Deps, tmp_path: Path):
    path = tmp_path / "list.csv"
    rows_told = [
        "Email,Last name",
        f"{ROSA},N\u00fa\u00f1ez",
        "b@example.org,N\u00fa\u00f1ez",
        "c@example.org,O\0'Neil\x07",
    ]
    encoded = [line.encode("cp1252" if line.startswith("b@") else "utf-8") for line in rows_told]
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([*encoded, b"d@example.org,\x81"]))
    _, said = imported(deps, path)
    assert [contact(deps, f"{name}@example.org").last_name for name in ("rosa", "b", "c")] == [
        "N\u00fa\u00f1ez", "N\u00fa\u00f1ez", "O'Neil",
    ]  # fmt: skip
    assert "list.csv: 1 rows were no UTF-8 and read as Windows-1252" in said
    assert "line 5: neither UTF-8 nor Windows-1252" in said


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_are_read_as_they_were_before_a_spreadsheet_or_an_export_touched_them(
    deps: Deps, tmp_path: Path, delimiter: str
):
    cells = ['"Rosa@Example.org "', '"Del\r\ngado"', "'+1 508 555 0123", "1605"]
    (tmp_path / "list.csv").write_text(
        delimiter.join(("Email", "Last name", "Phone", "ZIP")) + "\r\n" + delimiter.join(cells), newline=""
    )
    imported(deps, tmp_path / "list.csv")
    her = contact(deps, ROSA)
    assert (her.last_name, her.phone, her.zip) == ("Del gado", "+1 508 555 0123", "01605")


HOSTILE = {
    "empty": (b"", "it is empty"),
    "blank": (b"\r\n\r\n", "it is empty"),
    "no addresses": (b"Name,ZIP\r\nRosa,01605\r\n", "it has no column for email addresses"),
    "wide": (b"Email" + b",x" * 10_000 + b"\r\n", f"10,001 columns: a list of people has at most {MOST_COLUMNS:,}"),
    "double": (b"Email,email\r\na@example.org,b@example.org\r\n", "columns stand twice: email"),
    "UTF-16": ("Email\r\na@example.org\r\n".encode("utf-16"), "UTF-16"),
    "a picture": (bytes(range(256)) * 40, "it has no column for email addresses"),
    "one line": (b"x" * (LONGEST_LINE + 10), "line 1 has no end"),
}


@pytest.mark.parametrize(("content", "reason"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_file_that_is_no_list_of_people_stops_everything_with_one_sentence(
    deps: Deps, tmp_path: Path, content: bytes, reason: str, capsys
):
    before = everything(deps)
    good, bad = many(tmp_path, 3), tmp_path / "bad.csv"
    bad.write_bytes(content)
    assert imported(deps, good, bad) == (2, "")
    said = capsys.readouterr().err
    assert said.startswith(f"groundswell: {bad}: ")
    assert (reason in said, said.count("\n")) == (True, 1)
    assert everything(deps) == before


def test_a_line_without_end_further_down_stops_the_import_before_anything_is_merged(deps: Deps, tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_bytes(b"Email\r\na@example.org\r\n" + b"x" * (LONGEST_LINE + 10))
    with pytest.raises(Invalid, match="line 3 has no end"):
        outcome(deps, path)
    assert rows(deps, "SELECT email FROM contact") == []


def test_a_file_that_is_too_large_is_refused_and_a_header_alone_is_fine(deps: Deps, tmp_path: Path):
    with (tmp_path / "large.csv").open("wb") as file:
        file.write(b"Email\r\n")
        file.truncate(deps.settings.import_megabytes * 1_000_000 + 1)
    assert "at most 1,024 are taken (IMPORT_MEGABYTES)" in running.check(Source(tmp_path / "large.csv"), 1024)
    (tmp_path / "header.csv").write_text("Email,Name\r\n")
    assert imported(deps, tmp_path / "header.csv")[0] == 0
    assert running.check(Source(tmp_path / "nowhere.csv"), 1) == "No such file or directory"


def test_a_mapping_that_names_no_column_or_no_field_is_refused(tmp_path: Path):
    path = make.write(tmp_path / "list.csv", make.LIST, [])
    assert running.check(Source(path, Choices(mapping={"Correo": "email"})), 1) == "there is no column Correo"
    assert "there is no field shoes" in running.check(Source(path, Choices(mapping={"ZIP": "shoes"})), 1)


def statements(deps: Deps, path: Path) -> int:
    counted: list[str] = []
    pool = deps.sessions.kw["bind"]

    def count(_: object, __: object, statement: str, *___: object) -> None:
        counted.append(statement)

    event.listen(pool, "before_cursor_execute", count)
    try:
        outcome(deps, path)
    finally:
        event.remove(pool, "before_cursor_execute", count)
    return len(counted)


def test_the_number_of_statements_does_not_grow_with_the_batch(deps: Deps, tmp_path: Path):
    few = statements(
        deps, make.write(tmp_path / "few.csv", make.LIST, [{"Email": f"a{number}@example.org"} for number in range(4)])
    )
    assert statements(deps, many(tmp_path, 4_000)) == few


@pytest.mark.parametrize("terminal", [True, False])
def test_how_far_it_is_is_shown(deps: Deps, tmp_path: Path, terminal: bool):
    out = io.StringIO()
    screen = Console(file=out, width=160, force_terminal=terminal, highlight=False, legacy_windows=False)
    assert telling.run(deps, sources(many(tmp_path, 500)), screen, dry_run=True) == 0
    assert ("Merging: 100 %, 500 addresses" in out.getvalue()) is not terminal
    assert ("100%" in out.getvalue()) is terminal


@pytest.mark.parametrize("width", [80, 200])
def test_what_was_read_of_each_file_is_readable_where_a_table_of_it_is_too_wide(deps: Deps, tmp_path: Path, width: int):
    out = io.StringIO()
    told = [{"Email": "a@example.org", "Subscription status": each} for each in ("subscribed", "bounced", "")]
    path = make.write(
        tmp_path / "everybody_who_ever_wrote_to_us.csv", make.LIST, [*told, {"Email": "b"}, {"ZIP": "1605"}]
    )
    telling.run(deps, sources(path), Console(file=out, width=width, highlight=False, soft_wrap=True), dry_run=True)
    line = f"{path.name} (a list): 5 rows, 1 cleaned, 1 unknown, 1 subscribed, 0 ZIPs repaired\n"
    assert (line in out.getvalue(), "\u2026" in out.getvalue()) == (width == 80, False)
    assert (path.name in out.getvalue(), "Subscribed" in out.getvalue()) == (True, width == 200)


def command(deps: Deps, folder: Path, *arguments: str | Path) -> Done:
    return groundswell(deps, *arguments, folder=folder)


def test_the_commands_import_each_tools_files_and_several_at_once(deps: Deps, tmp_path: Path):
    paths = {
        "mailchimp": make.write(tmp_path / "m.csv", make.MAILCHIMP, [make.subscriber("m@example.org")]),
        "actionnetwork": make.write(tmp_path / "a.csv", make.ACTION_NETWORK, [make.activist("a@example.org")]),
        "nationbuilder": make.write(tmp_path / "n.csv", make.NATION_BUILDER, [make.signup("n@example.org")]),
    }
    named = [part for tool, path in paths.items() for part in (f"--{tool}", path)]
    done = command(deps, tmp_path, "import", "people", *named, "--dry-run")
    assert (done.returncode, done.stderr, "may be mailed" in done.stdout) == (0, "", True)
    for tool, path in paths.items():
        assert command(deps, tmp_path, "import", tool, path).returncode == 0
    assert mailable(deps) == {"m@example.org", "a@example.org", "n@example.org"}
    own = tmp_path / "own.csv"
    own.write_text(f"Correo\n{ROSA}\n")
    (tmp_path / "own.yaml").write_text("Correo: email\n")
    done = command(deps, tmp_path, "import", "people", own, "--mapping", tmp_path / "own.yaml", "--as", "subscribed")
    assert (done.returncode, ROSA in mailable(deps)) == (0, True)
    done = command(deps, tmp_path, "import", "people", own)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert command(deps, tmp_path, "import", "people", own, "--map", "nonsense").returncode == 1
    done = command(deps, tmp_path, "export", "people", "--to", tmp_path / "out.csv", "--mailable")
    assert (done.returncode, len((tmp_path / "out.csv").read_text().splitlines())) == (0, 5)
    assert command(deps, tmp_path, "export", "people", "--to", tmp_path / "out.csv").returncode == 1


def test_an_export_that_cannot_be_leaves_no_file_and_no_word_on_the_audit(deps: Deps, tmp_path: Path):
    (tmp_path / "there.csv").write_text("mine")
    for which, to in ((("--chapter", "nowhere"), "y.csv"), (("--interest", "nothing"), "y.csv"), ((), "there.csv")):
        done = command(deps, tmp_path, "export", "people", *which, "--to", tmp_path / to)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert not (tmp_path / "y.csv").exists()
    assert rows(deps, "SELECT action FROM audit") == []
    done = command(deps, tmp_path, "export", "people", "--chapter", "lowell", "--to", tmp_path / "y.csv")
    assert (done.returncode, (tmp_path / "y.csv").stat().st_mode & 0o077) == (0, 0)
    (told,) = rows(deps, "SELECT action, detail FROM audit")
    assert tuple(told) == ("people exported", {"chapter": "lowell"})


def test_a_bundle_that_cannot_be_written_is_not_on_the_audit(deps: Deps, tmp_path: Path):
    with transaction(deps.sessions) as session:
        person(session, ROSA)
    (tmp_path / "there.zip").write_text("mine")
    done = command(deps, tmp_path, "people", "bundle", ROSA, "--to", tmp_path / "there.zip")
    assert (done.returncode, rows(deps, "SELECT FROM audit")) == (1, [])
    done = command(deps, tmp_path, "people", "bundle", ROSA, "--to", tmp_path / "hers.zip")
    assert (done.returncode, (tmp_path / "hers.zip").stat().st_mode & 0o077, done.stderr) == (0, 0, "")
    assert [row.action for row in rows(deps, "SELECT action FROM audit")] == ["bundled"]


def test_a_lock_that_is_held_by_others_is_waited_for(deps: Deps, tmp_path: Path):
    outcome(deps, make.write(tmp_path / "a.csv", make.LIST, [{"Email": ROSA}]))
    with transaction(deps.sessions) as session:
        session.execute(text("SELECT FROM contact FOR KEY SHARE"))  # as a row that refers to her takes it
        told = {"Email": ROSA, "Last name": "Delgado", "ZIP": "01605"}
        assert outcome(deps, make.write(tmp_path / "b.csv", make.LIST, [told])).summary.outcomes == {"known": 1}
    assert contact(deps, ROSA).zip == "01605"


def test_who_left_under_an_address_that_was_merged_is_not_mailed_under_another(deps: Deps, tmp_path: Path):
    with transaction(deps.sessions) as session:
        her = person(session, ROSA)
        person(session, "old@example.org", merged_into_id=her)
        session.execute(
            text(
                "INSERT INTO consent (contact_id, channel, given, at, source) VALUES (:id, 'mail', true, now(), 'join')"
            ),
            {"id": her},
        )
    assert mailable(deps) == {ROSA}
    told = [make.left("old@example.org", "2020-02-03 10:00:00")]
    imported(deps, make.write(tmp_path / "unsubscribed.csv", make.MAILCHIMP_UNSUBSCRIBED, told))
    assert mailable(deps) == set()
