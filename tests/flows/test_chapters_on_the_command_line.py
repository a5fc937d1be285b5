"""`groundswell chapters`: the tree, a file of chapters, and a change of territories from proposal to approval."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import Person
from engine.people import contacts
from engine.settings import ROOT
from tests.flows.house import one, rows
from tests.system import clean_environment

FILE = "slug,name,parent,kind,counties,postal_address\nfranklin,Franklin [bold],western,forming,MA:Franklin County,\n"


def groundswell(deps: Deps, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = deps.settings
    assert settings.database_url is not None
    assert settings.redis_url is not None
    environment = clean_environment(
        DATABASE_URL=settings.database_url.get_secret_value(),
        REDIS_URL=settings.redis_url.get_secret_value(),
        COLUMNS="200",
    )
    return subprocess.run(
        [sys.executable, "-m", "engine.cli", "chapters", *arguments, "--data-dir", str(folder)],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chapters.csv"
    path.write_text(FILE)
    return path


def test_a_file_with_people_about_waits_for_approval_and_then_moves_them(deps: Deps, tmp_path: Path, file: Path):
    with transaction(deps.sessions) as session:
        now = deps.clock.read(session)
        contacts.admit(session, [(Person(email="rosa@example.org", zip="01301"), now)], now)
    dry = groundswell(deps, tmp_path, "import", str(file), "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert "1 would be new: franklin" in dry.stdout
    assert "moves 1 person; 30 ZIPs change hands" in dry.stdout
    assert rows(deps, "SELECT FROM chapter WHERE slug = 'franklin'") == []
    assert "no change of territories waits" in groundswell(deps, tmp_path, "changes").stdout
    done = groundswell(deps, tmp_path, "import", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    (number,) = one(deps, "SELECT id FROM territory_change")
    assert f"groundswell chapters approve {number}" in done.stdout
    assert (
        one(deps, "SELECT detail FROM notice WHERE resolved_at IS NULL").detail
        == "chapters were imported: moves 1 person"
    )
    listed = groundswell(deps, tmp_path, "changes").stdout
    assert f"{number}  chapters were imported: moves 1 person" in listed
    assert "Common Ground Massachusetts" in listed
    approved = groundswell(deps, tmp_path, "approve", str(number))
    assert (approved.returncode, approved.stdout.strip()) == (0, "approved; 1 person moved")
    assert rows(deps, "SELECT FROM notice WHERE resolved_at IS NULL") == []
    tree = groundswell(deps, tmp_path, "list").stdout.splitlines()
    assert any("franklin  Franklin [bold] (forming): 30 ZIPs, 1 person" in line for line in tree)
    again = groundswell(deps, tmp_path, "approve", str(number))
    assert (again.returncode, again.stderr.strip()) == (1, f"groundswell: territory change {number} is applied already")


def test_a_file_before_there_are_people_holds_at_once(deps: Deps, tmp_path: Path, file: Path):
    done = groundswell(deps, tmp_path, "import", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "nobody lives anywhere yet" in done.stdout
    assert one(deps, "SELECT state FROM territory_change").state == "applied"
    assert (
        one(deps, "SELECT c.slug FROM zip_route r JOIN chapter c ON c.id = r.chapter_id WHERE zip = '01301'").slug
        == "franklin"
    )
    assert "all land stays as it is" in groundswell(deps, tmp_path, "import", str(file)).stdout


def test_a_file_with_a_fault_changes_nothing_and_says_where(deps: Deps, tmp_path: Path, file: Path):
    file.write_text(FILE + "x,X,nowhere,,,\n")
    done = groundswell(deps, tmp_path, "import", str(file))
    assert done.returncode == 1
    assert "line 3: there is no chapter nowhere to be its parent\nnothing was changed" in done.stdout
    assert rows(deps, "SELECT FROM chapter WHERE slug = 'franklin'") == []


def test_a_change_can_be_declined(deps: Deps, tmp_path: Path, file: Path):
    with transaction(deps.sessions) as session:
        now = deps.clock.read(session)
        contacts.admit(session, [(Person(email="rosa@example.org", zip="01301"), now)], now)
    groundswell(deps, tmp_path, "import", str(file))
    (number,) = one(deps, "SELECT id FROM territory_change")
    assert groundswell(deps, tmp_path, "decline", str(number)).stdout.strip() == "declined"
    assert one(deps, "SELECT state FROM territory_change").state == "declined"
    assert rows(deps, "SELECT FROM zip_route WHERE zip = '01301'") == []


def test_what_is_done_about_chapters_on_the_command_line_is_on_the_audit(deps: Deps, tmp_path: Path, file: Path):
    with transaction(deps.sessions) as session:
        now = deps.clock.read(session)
        contacts.admit(session, [(Person(email="rosa@example.org", zip="01301"), now)], now)
    for _ in range(2):
        groundswell(deps, tmp_path, "import", str(file), "--dry-run")
        groundswell(deps, tmp_path, "import", str(file))
    first, second = (row.id for row in rows(deps, "SELECT id FROM territory_change ORDER BY id"))
    groundswell(deps, tmp_path, "decline", str(first))
    groundswell(deps, tmp_path, "approve", str(second))
    groundswell(deps, tmp_path, "approve", str(second))
    told = rows(deps, "SELECT action, subject, subject_id, detail FROM audit WHERE staff_id IS NULL ORDER BY id")
    imported = {"made": ["franklin"], "changed": []}
    assert [tuple(row) for row in told] == [
        ("chapters imported", "territory_change", first, imported),
        ("chapters imported", "territory_change", second, {"made": [], "changed": []}),
        ("territory change declined", "territory_change", first, {}),
        ("territory change approved", "territory_change", second, {}),
    ]
