"""`groundswell sequences`: from a file to a published version, and what can be done to it then."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engine.bootstrap import Deps
from engine.outreach import sequence_files, sequences
from engine.outreach.definitions import TRIGGERS
from tests import campaigns
from tests.commands import Done, groundswell
from tests.flows.house import change, rows
from tests.staff import hire

RENT = """\
slug: rent
name: Before the rent vote
on: joined
steps:
  - key: call
    email: rent-call
  - key: pause
    wait: 3 days
  - key: ask
    ask: rent-ask
"""
ENROLL = """
INSERT INTO enrollment (contact_id, version_id, sequence_id, reason, step, waits_for, due_at, entered_at)
SELECT n, v.id, v.sequence_id, '', step, '', now(), now()
FROM sequence_version v JOIN sequence q ON q.id = v.sequence_id, (VALUES (1, 'call'), (2, 'ask'), (3, 'pause')) s(n, step)
WHERE q.slug = 'rent'
"""
VERSIONS = """
SELECT q.slug, v.version FROM sequence q JOIN sequence_version v ON v.sequence_id = q.id WHERE q.slug = 'rent'
"""


@pytest.fixture
def folder(deps: Deps, tmp_path: Path) -> Path:
    """A folder with the sequence in it, in a house that has its letters."""
    campaigns.letter(deps, "rent-call")
    campaigns.letter(deps, "rent-ask", campaigns.ASK, "asks")
    (tmp_path / "rent.yaml").write_text(RENT)
    return tmp_path


def says(deps: Deps, folder: Path, *arguments: str, code: int = 0) -> str:
    """What the command says in this folder."""
    done: Done = groundswell(deps, "sequences", *arguments, cwd=folder)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def audited(deps: Deps) -> list[tuple[Any, ...]]:
    """What is on the audit."""
    return [tuple(row) for row in rows(deps, "SELECT action, detail FROM audit ORDER BY id")]


def listed(deps: Deps, folder: Path) -> str:
    """What the list says of the sequence."""
    return next((line for line in says(deps, folder, "list").splitlines() if line.startswith("rent")), "")


def test_whoever_changes_a_sequence_is_on_record_and_must_be_allowed_to(deps: Deps, folder: Path):
    hire(deps, "ines@example.org", "organizer", "worcester")
    refused = says(deps, folder, "publish", "rent.yaml", "--as", "ines@example.org", code=1)
    assert refused == "groundswell: ines@example.org may not change sequences of all chapters\n"
    assert listed(deps, folder) == ""
    (folder / "rent.yaml").write_text(RENT.replace("on: joined", "chapter: worcester\non: joined"))
    says(deps, folder, "publish", "rent.yaml", "--as", "ines@example.org")
    says(deps, folder, "pause", "rent", "--because", "rain", "--as", "ines@example.org")
    told = rows(
        deps, "SELECT action, s.email FROM audit a JOIN staff s ON s.id = a.staff_id WHERE subject = 'sequence'"
    )
    assert {row.action for row in told} == {"sequence published", "sequence paused"}


def test_a_sequence_goes_from_a_file_to_a_version_and_back_into_the_file(deps: Deps, folder: Path):
    assert says(deps, folder, "check", "rent.yaml").splitlines() == [
        "rent: Before the rent vote",
        "  begins: she joins (her yes to letters begins to hold), and a chapter is near her; once in her life",
        "  nothing comes between 21:00 and 8:00 where she lives",
        "  1. call: the letter rent-call",
        "  2. pause: wait 3 days",
        "  3. ask: the ask rent-ask",
    ]
    assert listed(deps, folder) == ""
    assert says(deps, folder, "publish", "rent.yaml") == "rent is published as version 1\n"
    assert says(deps, folder, "publish", "rent.yaml") == "rent says all of this already, as version 1\n"
    assert says(deps, folder, "show", "rent") == RENT
    assert listed(deps, folder).endswith("  Before the rent vote (version 1, on joined)")
    campaigns.letter(deps, "rent-call", campaigns.NEWS + "More.")
    assert says(deps, folder, "publish", "rent") == "rent is published as version 2\n"
    assert says(deps, folder, "pause", "rent", "--because", "the bill is dead") == "rent is paused\n"
    assert says(deps, folder, "pause", "rent", "--because", "x") == "rent is paused already: the bill is dead\n"
    assert listed(deps, folder).endswith("(version 2, on joined, paused: the bill is dead)")
    assert says(deps, folder, "resume", "rent") == "rent goes on\n"
    assert says(deps, folder, "resume", "rent") == "rent was not paused\n"
    assert says(deps, folder, "archive", "rent") == "rent is archived\n"
    assert listed(deps, folder) == ""
    assert says(deps, folder, "show", "rent", "--version", "1") == RENT
    assert audited(deps) == [
        ("sequence published", {"sequence": "rent", "version": 1}),
        ("sequence published", {"sequence": "rent", "version": 2}),
        ("sequence paused", {"sequence": "rent", "because": "the bill is dead"}),
        ("sequence resumed", {"sequence": "rent"}),
        ("sequence archived", {"sequence": "rent"}),
    ]


def test_what_is_wrong_with_a_file_is_told_with_its_line_and_field_and_nothing_is_published(deps: Deps, folder: Path):
    (folder / "wrong.yaml").write_text(RENT.replace("3 days", "401 days").replace("on: joined", "on: fridays"))
    assert says(deps, folder, "publish", "wrong.yaml", code=1).splitlines() == [
        "wrong.yaml, line 3: on: must be launch, or " + ", ".join(TRIGGERS),
        "wrong.yaml, line 8: steps 2, wait: is longer than 400 days",
    ]
    (folder / "wrong.yaml").write_text(RENT.replace("rent-call", "rent-cal").replace("ask: rent-ask", "ask: rent-call"))
    assert says(deps, folder, "check", "wrong.yaml", code=1).splitlines() == [
        "wrong.yaml, line 6: steps 1, email: there is no letter rent-cal; rent-call?",
        "wrong.yaml, line 10: steps 3, ask: rent-call does not ask for money (its kind is news): write it as email",
    ]
    assert says(deps, folder, "show", "rent", code=1) == "groundswell: there is no sequence rent\n"
    assert audited(deps) == []


def test_published_by_many_at_once_it_is_one_version(deps: Deps, folder: Path):
    definition = sequence_files.read(folder / "rent.yaml").definition
    assert definition is not None

    def publish(_: int) -> bool:
        with deps.work() as (session, now):
            return sequences.publish(session, definition, now).changed

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(publish, range(8))) == 1
    assert [tuple(row) for row in rows(deps, VERSIONS)] == [("rent", 1)]


def test_people_are_moved_to_the_newest_version_and_who_cannot_be_is_told(deps: Deps, folder: Path):
    says(deps, folder, "publish", "rent.yaml")
    change(deps, ENROLL)
    (folder / "rent.yaml").write_text(RENT.replace("key: pause", "key: breath"))
    says(deps, folder, "publish", "rent.yaml")
    assert says(deps, folder, "move", "rent").splitlines() == [
        "2 people are in version 2 of rent now",
        "1 stay where they are: version 2 has no step pause",
    ]
    assert says(deps, folder, "move", "rent").startswith("0 people are in version 2 of rent now")
    assert audited(deps)[-1] == (
        "people moved to the newest version",
        {"sequence": "rent", "version": 2, "count": 2},
    )
