"""`groundswell chapters`: the tree, a file of chapters, and a change of territories from proposal to approval."""

from pathlib import Path

import pytest

from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import Person
from engine.people import contacts
from tests.commands import Done, groundswell
from tests.flows.house import one, rows

FILE = "slug,name,parent,kind,counties,postal_address\nfranklin,Franklin [bold],western,forming,MA:Franklin County,\n"


def chapters(deps: Deps, folder: Path, *arguments: str) -> Done:
    return groundswell(deps, "chapters", *arguments, folder=folder)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chapters.csv"
    path.write_text(FILE)
    return path


def test_a_file_with_people_about_waits_for_approval_and_then_moves_them(deps: Deps, tmp_path: Path, file: Path):
    with transaction(deps.sessions) as session:
        now = deps.clock.read(session)
        contacts.admit(session, [(Person(email="rosa@example.org", zip="01301"), now)], now)
    dry = chapters(deps, tmp_path, "import", str(file), "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert "1 would be new: franklin" in dry.stdout
    assert "moves 1 person; 30 ZIPs change hands" in dry.stdout
    assert rows(deps, "SELECT FROM chapter WHERE slug = 'franklin'") == []
    assert "no change of territories waits" in chapters(deps, tmp_path, "changes").stdout
    done = chapters(deps, tmp_path, "import", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    (number,) = one(deps, "SELECT id FROM territory_change")
    assert f"groundswell chapters approve {number}" in done.stdout
    assert (
        one(deps, "SELECT detail FROM notice WHERE resolved_at IS NULL").detail
        == "chapters were imported: moves 1 person"
    )
    listed = chapters(deps, tmp_path, "changes").stdout
    assert f"{number}  chapters were imported: moves 1 person" in listed
    assert "Common Ground Massachusetts" in listed
    approved = chapters(deps, tmp_path, "approve", str(number))
    assert (approved.returncode, approved.stdout.strip()) == (0, "approved; 1 person moved")
    assert rows(deps, "SELECT FROM notice WHERE resolved_at IS NULL") == []
    tree = chapters(deps, tmp_path, "list").stdout.splitlines()
    assert any("franklin  Franklin [bold] (forming): 30 ZIPs, 1 person" in line for line in tree)
    again = chapters(deps, tmp_path, "approve", str(number))
    assert (again.returncode, again.stderr.strip()) == (1, f"groundswell: territory change {number} is applied already")


def test_a_file_before_there_are_people_holds_at_once(deps: Deps, tmp_path: Path, file: Path):
    done = chapters(deps, tmp_path, "import", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "nobody lives anywhere yet" in done.stdout
    assert one(deps, "SELECT state FROM territory_change").state == "applied"
    assert (
        one(deps, "SELECT c.slug FROM zip_route r JOIN chapter c ON c.id = r.chapter_id WHERE zip = '01301'").slug
        == "franklin"
    )
    assert "all land stays as it is" in chapters(deps, tmp_path, "import", str(file)).stdout


def test_a_file_with_a_fault_changes_nothing_and_says_where(deps: Deps, tmp_path: Path, file: Path):
    file.write_text(FILE + "x,X,nowhere,,,\n")
    done = chapters(deps, tmp_path, "import", str(file))
    assert done.returncode == 1
    assert "line 3: there is no chapter nowhere to be its parent\nnothing was changed" in done.stdout
    assert rows(deps, "SELECT FROM chapter WHERE slug = 'franklin'") == []


def test_a_change_can_be_declined(deps: Deps, tmp_path: Path, file: Path):
    with transaction(deps.sessions) as session:
        now = deps.clock.read(session)
        contacts.admit(session, [(Person(email="rosa@example.org", zip="01301"), now)], now)
    chapters(deps, tmp_path, "import", str(file))
    (number,) = one(deps, "SELECT id FROM territory_change")
    assert chapters(deps, tmp_path, "decline", str(number)).stdout.strip() == "declined"
    assert one(deps, "SELECT state FROM territory_change").state == "declined"
    assert rows(deps, "SELECT FROM zip_route WHERE zip = '01301'") == []


def test_what_is_done_about_chapters_on_the_command_line_is_on_the_audit(deps: Deps, tmp_path: Path, file: Path):
    with transaction(deps.sessions) as session:
        now = deps.clock.read(session)
        contacts.admit(session, [(Person(email="rosa@example.org", zip="01301"), now)], now)
    for _ in range(2):
        chapters(deps, tmp_path, "import", str(file), "--dry-run")
        chapters(deps, tmp_path, "import", str(file))
    first, second = (row.id for row in rows(deps, "SELECT id FROM territory_change ORDER BY id"))
    chapters(deps, tmp_path, "decline", str(first))
    chapters(deps, tmp_path, "approve", str(second))
    chapters(deps, tmp_path, "approve", str(second))
    told = rows(deps, "SELECT action, subject, subject_id, detail FROM audit WHERE staff_id IS NULL ORDER BY id")
    imported = {"made": ["franklin"], "changed": []}
    assert [tuple(row) for row in told] == [
        ("chapters imported", "territory_change", first, imported),
        ("chapters imported", "territory_change", second, {"made": [], "changed": []}),
        ("territory change declined", "territory_change", first, {}),
        ("territory change approved", "territory_change", second, {}),
    ]
