"""`groundswell segments`: from a file to a saved rule, whom it would choose, and back into the file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Invalid
from engine.segments import audience, files, rules, shelf
from tests import random_people
from tests.commands import Done, groundswell
from tests.fakes import FakeClock
from tests.flows.house import rows

GIVERS = """\
slug: central-givers
name: Gave within a year
chapter: central
rule:
  op: all
  of:
    - op: gave
      at_least: 25
      within: 2 years
    - op: chapter
      chapter: massachusetts
"""
MOVED = text(
    "UPDATE chapter SET parent_id = (SELECT id FROM chapter WHERE slug = 'central') WHERE slug = 'springfield'"
)
SLEEPS, HOW_LONG = text("SELECT pg_sleep(5)"), text("SELECT current_setting('statement_timeout')")
MEANS = "gave at least $25 in the last 2 years, lives in Common Ground Massachusetts or its towns"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the segment in it, as YAML and as JSON."""
    (tmp_path / "givers.yaml").write_text(GIVERS)
    rule = {"op": "gave", "at_least": 27.5, "form": "common-ground"}
    (tmp_path / "form.json").write_text(json.dumps({"slug": "form", "name": "By the form", "rule": rule}))
    return tmp_path


def says(deps: Deps, folder: Path, *arguments: str, code: int = 0) -> str:
    """What the command says in this folder."""
    done: Done = groundswell(deps, "segments", *arguments, cwd=folder)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def audited(deps: Deps) -> list[tuple[Any, ...]]:
    """What is on the audit."""
    return [tuple(row) for row in rows(deps, "SELECT action, detail FROM audit ORDER BY id")]


def test_a_segment_goes_from_a_file_to_people_and_back_into_the_file(deps: Deps, folder: Path):
    with transaction(deps.sessions) as session:
        random_people.make(session, 3, 150, datetime.now(UTC))
    assert "no segment yet" in says(deps, folder, "list")
    assert says(deps, folder, "check", "givers.yaml") == f"central-givers: {MEANS}\n"
    assert says(deps, folder, "save", "givers.yaml") == f"central-givers is new: {MEANS}\n"
    assert "says all of this already" in says(deps, folder, "save", "givers.yaml")
    assert says(deps, folder, "show", "central-givers") == GIVERS
    assert says(deps, folder, "list") == f"central-givers  Gave within a year (central): {MEANS}\n"
    (folder / "givers.yaml").write_text(GIVERS.replace("25", "1.50"))
    assert "is changed" in says(deps, folder, "save", "givers.yaml")
    assert "at_least: 1.5\n" in says(deps, folder, "show", "central-givers")
    preview = says(deps, folder, "preview", "central-givers", "--chapter", "massachusetts").splitlines()
    told = [line.split() for line in preview[1:4]]
    counts = [int(line[0]) for line in told]
    assert counts == sorted(counts, reverse=True)
    assert preview[0].startswith(f"Gave within a year: {counts[-1]} people at ")
    assert [" ".join(line[1:]) for line in told] == [
        *reversed(MEANS.replace("$25", "$1.50").split(", ")),
        "may be written to",
    ]
    assert len(preview) == 4 + counts[-1] > 4
    assert all("Worcester" in line or "Central" in line for line in preview[4:])
    assert "there is no chapter nowhere" in says(
        deps, folder, "preview", "central-givers", "--chapter", "nowhere", code=1
    )
    says(deps, folder, "archive", "central-givers")
    assert "no segment yet" in says(deps, folder, "list")
    assert "is archived already" in says(deps, folder, "archive", "central-givers")
    assert audited(deps) == [
        ("segment begun", {"segment": "central-givers", "fields": ["name", "chapter", "rule"]}),
        ("segment changed", {"segment": "central-givers", "fields": ["rule"]}),
        ("segment archived", {"segment": "central-givers"}),
    ]


def test_what_is_wrong_with_a_file_is_told_with_its_line_and_field_and_nothing_is_saved(deps: Deps, folder: Path):
    (folder / "wrong.yaml").write_text(
        "slug: Wrong\nrule:\n  op: all\n  of:\n    - {op: gave, at_least: lots, withn: 1 year}\n    - op: knows\n"
        "    - op: not\n      of: {op: lapsed, after: a year}\n"
    )
    assert says(deps, folder, "save", "wrong.yaml", code=1).splitlines() == [
        "wrong.yaml, line 1: slug: is no short name: small letters, digits, hyphens and underscores",
        "wrong.yaml, line 1: name: is missing",
        "wrong.yaml, line 5: rule, of 1, at_least: is no amount of dollars: write it like 27 or 27.50",
        "wrong.yaml, line 5: rule, of 1, withn: is not known here",
        f"wrong.yaml, line 6: rule, of 2, op: knows is no operator; there are {', '.join(rules.KINDS)}",
        "wrong.yaml, line 8: rule, of 3, of, after: is no span: write it like 12 months, 30 days or 1 year",
    ]
    (folder / "wrong.yaml").write_text(GIVERS.replace("massachusetts", "masachusetts").replace("central\n", "centre\n"))
    assert says(deps, folder, "check", "wrong.yaml", code=1).splitlines() == [
        "wrong.yaml, line 3: chapter: there is no chapter centre",
        "wrong.yaml, line 11: rule, of 2, chapter: there is no chapter masachusetts; massachusetts?",
    ]
    assert "there is no segment central-givers" in says(deps, folder, "preview", "central-givers", code=1)
    assert says(deps, folder, "save", "form.json").startswith("form is new: gave at least $27.50 by the form ")
    assert len(audited(deps)) == 1


def test_a_saved_segment_is_a_question_a_new_town_is_in_it_at_once(deps: Deps):
    with transaction(deps.sessions) as session:
        random_people.make(session, 3, 40, FakeClock.now)
        draft = files.read_text("slug: c\nname: C\nrule: {op: chapter, chapter: central}").draft
        assert draft is not None
        shelf.save(session, draft, FakeClock.now)
        rule = shelf.one(session, "c").rule
        before = audience.count(session, rule, FakeClock.now, kind="news")
        session.execute(MOVED)
        after = audience.count(session, rule, FakeClock.now, kind="news")
        elsewhere = audience.count(session, rule, FakeClock.now, kind="news", scopes=["springfield"])
    assert after == before + elsewhere > before


def test_a_question_that_takes_too_long_is_ended_and_the_transaction_goes_on(
    deps: Deps, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(audience, "SECONDS", 0.05)
    with transaction(deps.sessions) as session:
        with pytest.raises(Invalid, match="narrow it down"), audience.bounded(session):
            session.execute(SLEEPS)
        assert session.scalar(HOW_LONG) == "30s"
        with audience.bounded(session):
            assert session.scalar(HOW_LONG) == "50ms"
        assert session.scalar(HOW_LONG) == "30s"
