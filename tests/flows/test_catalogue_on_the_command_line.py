"""`groundswell catalogue` and `gatherings`: what people can choose in an organisation of one's own, codes for rallies."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Conflict, Invalid, NotFound
from engine.people import gatherings
from engine.people.gatherings import Planned
from tests.commands import groundswell
from tests.flows.house import one, rows
from tests.make import NOON

FILE = """
coalitions:
  - {code: k1, name: Homes for All}
agendas:
  - code: a2k8
    name: A place to live
    es: Un lugar donde vivir
    interests:
      - {code: i3f7, name: "Housing [bold]", es: Vivienda, coalition: k1}
      - {code: new1, name: Gardens}
ways_to_help:
  - {code: w3h8, name: Knock on doors, es: Tocar puertas}
"""
PLANNED = {
    "name": "May Day",
    "chapter": "worcester",
    "begins": "2026-12-05 18:00",
    "ends": "2026-12-05 21:00",
    "most": 300,
}


def audited(deps: Deps) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in rows(deps, "SELECT action, subject, detail FROM audit ORDER BY id")]


def test_a_catalogue_is_looked_at_brought_in_once_and_retired_only_when_that_is_said(deps: Deps, tmp_path: Path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(FILE)
    dry = groundswell(deps, "catalogue", "import", path, "--dry-run", "--retire")
    assert (dry.returncode, dry.stderr) == (0, "")
    for line in (
        "1 interest would be new: new1",
        "1 interest would be changed: i3f7",
        "8 interests would be retired: ",
    ):
        assert line in dry.stdout
    assert (audited(deps), rows(deps, "SELECT FROM interest WHERE code = 'new1'")) == ([], [])
    done = groundswell(deps, "catalogue", "import", path)
    assert "1 coalition new: k1" in done.stdout
    assert "8 interests not in the file, and offered as before (--retire takes them off the forms): " in done.stdout
    again = groundswell(deps, "catalogue", "import", path)
    assert "all of it is offered as it stands there already" in again.stdout
    groundswell(deps, "catalogue", "import", path, "--retire")
    assert rows(deps, "SELECT code FROM interest WHERE retired_at IS NULL ORDER BY position") == [("i3f7",), ("new1",)]
    first, second = audited(deps)
    assert first == ("catalogue imported", "catalogue", {"made": ["k1", "new1"], "changed": ["i3f7"], "retired": []})
    assert len(second[2]["retired"]) == 8 + 6
    listed = groundswell(deps, "catalogue", "list").stdout
    assert (
        "a2k8         A place to live\n  i3f7         Housing [bold], carried by Homes for All\n  new1         Gardens"
        in listed
    )


def test_a_catalogue_with_faults_changes_nothing_and_each_is_told_with_its_line(deps: Deps, tmp_path: Path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(FILE + "gatherings: []\n" + "interests: []\n")
    done = groundswell(deps, "catalogue", "import", path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "line 13: gatherings: is not known here", "line 14: interests: is not known here", "nothing was changed",
    ]  # fmt: skip
    assert audited(deps) == []
    missing = groundswell(deps, "catalogue", "import", tmp_path / "nowhere.yaml")
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


def test_a_gathering_is_entered_with_a_code_of_its_own_and_listed(deps: Deps):
    begins, ends = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(days=2)
    done = groundswell(
        deps, "gatherings", "add", "Rally at [Elm] Park", "--chapter", "lowell", "--from", begins.isoformat(), "--until",
        f"{ends.astimezone(ZoneInfo('America/New_York')):%Y-%m-%d %H:%M}", "--count", "300",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    (code,) = re.findall(r"/join\?g=([a-z]{6})\n", done.stdout)
    row = one(deps, f"SELECT g.*, h.slug FROM gathering g JOIN chapter h ON h.id = g.chapter_id WHERE code = '{code}'")
    assert (row.name, row.slug, row.most, row.starts_at) == ("Rally at [Elm] Park", "lowell", 300, begins)
    assert row.ends_at == ends.replace(second=0, microsecond=0)
    assert audited(deps) == [
        ("gathering added", "gathering", {"code": code, "chapter_id": row.chapter_id, "most": 300})
    ]
    listed = groundswell(deps, "gatherings", "list").stdout
    assert f"{code}     open     " in listed
    assert "(America/New_York), 0 of 300: Rally at [Elm] Park, Greater Lowell" in listed
    with transaction(deps.sessions) as session:
        assert gatherings.take(session, code, datetime.now(UTC)) is not None


def test_a_gathering_that_cannot_be_is_refused_in_a_sentence(deps: Deps):
    done = groundswell(
        deps, "gatherings", "add", "x", "--chapter", "nowhere", "--from", "soon", "--until", "later", "--count", "1"
    )
    assert (done.returncode, done.stderr) == (1, "groundswell: no chapter nowhere\n")
    assert audited(deps) == []


@pytest.mark.parametrize(
    ("changed", "error", "says"),
    [
        ({"chapter": "nowhere"}, NotFound, "no chapter nowhere"), ({"begins": "soon"}, Invalid, "soon is no time"),
        ({"ends": "2026-12-05 18:00"}, Invalid, "over before it begins"), ({"name": " "}, Invalid, "needs a name"),
        ({"begins": "2026-10-01", "ends": "2026-10-02"}, Invalid, "over already"), ({"most": 0}, Invalid, "from 1 to"),
        ({"name": "x" * 201}, Invalid, "at most 200"), ({"code": "a b"}, Invalid, "letters, digits"),
        ({"code": "g7m4"}, Conflict, "another gathering's"), ({"code": "x" * 41}, Invalid, "letters, digits"),
    ],
)  # fmt: skip
def test_what_no_gathering_can_be_is_told_in_words(session: Session, changed: Any, error: type[Exception], says: str):
    with pytest.raises(error, match=says):
        gatherings.add(session, Planned(**PLANNED | changed), NOON)


def test_times_are_those_of_the_chapter_unless_an_offset_is_said(session: Session):
    made = gatherings.add(session, Planned(**PLANNED), NOON)
    assert (made.starts_at, made.time_zone) == (datetime(2026, 12, 5, 23, 0, tzinfo=UTC), "America/New_York")
    said = gatherings.add(
        session, Planned(**PLANNED | {"begins": "2026-12-05T18:00Z", "code": "May-1", "chapter": "western"}), NOON
    )
    assert (said.starts_at, said.code, said.time_zone) == (
        datetime(2026, 12, 5, 18, 0, tzinfo=UTC),
        "May-1",
        "America/New_York",
    )
    assert [row.code for row in gatherings.newest(session, 2)] == [made.code, "May-1"]


def test_a_code_that_is_made_has_six_letters_none_of_which_looks_like_another():
    codes = {gatherings.new_code() for _ in range(500)}
    assert len(codes) == 500
    assert all(len(code) == 6 and not set(code) & set("ilo01") for code in codes)
