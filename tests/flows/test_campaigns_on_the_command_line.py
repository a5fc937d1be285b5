"""`groundswell campaigns`: from a file to the last letter, watched, by people who may."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

import pytest

from engine.bootstrap import Deps
from engine.outreach import campaign_files
from tests.campaigns import letter, people
from tests.commands import Done, groundswell
from tests.flows.house import change, rows
from tests.launches import leave, staff, work
from tests.staff import hire

VOTE = """\
slug: vote
name: Before the rent vote
chapter: worcester
letter: rent
rule:
  op: chapter
  chapter: worcester
deadline: 2040-02-02
"""


FOUND = """\
  4 people: 4 read en
  of Worcester: 4 people
  begins when it is launched
  nothing comes between 21:00 and 8:00 where she lives
  1. letter: the letter rent
  nothing stands against it
"""


@pytest.fixture
def folder(tmp_path: Path, deps: Deps) -> Path:
    """A folder with the campaign in it. Commands go by the real clock; in the house it is the next noon in Worcester."""
    (tmp_path / "vote.yaml").write_text(VOTE)
    now = datetime.now(UTC)
    deps.clock.now = now.replace(hour=17, minute=0) + timedelta(days=1 if now.hour >= 17 else 0)
    return tmp_path


def says(deps: Deps, folder: Path, *arguments: str, code: int = 0) -> str:
    """What the command says in this folder."""
    done: Done = groundswell(deps, "campaigns", *arguments, cwd=folder)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def test_a_campaign_goes_from_a_file_to_its_last_letter(deps: Deps, folder: Path):
    people(deps, 4)
    letter(deps, "rent", quiet_hours=None)
    assert says(deps, folder, "list") == "no campaign yet: groundswell campaigns create FILE.yaml\n"
    assert says(deps, folder, "check", "vote.yaml") == "vote: Before the rent vote\n" + FOUND
    assert rows(deps, "SELECT 1 FROM campaign") == []
    assert says(deps, folder, "create", "vote.yaml") == "vote is a draft\n" + FOUND
    assert says(deps, folder, "preflight", "vote") == FOUND
    assert says(deps, folder, "watch", "vote") == "vote: draft\n"
    assert says(deps, folder, "launch", "vote", "--key", "k") == "vote is launched for 4 people\n"
    assert says(deps, folder, "launch", "vote", "--key", "k") == "vote was launched: it is scheduled\n"
    assert says(deps, folder, "launch", "vote", code=1) == "groundswell: vote is already launched\n"
    assert says(deps, folder, "watch", "vote", "--once") == "vote: scheduled; of 4 people\n"
    with ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(says, deps, folder, "watch", "vote")
        sleep(0.5)
        leave(deps)
        told = watching.result(20).splitlines()
    assert told[0] == "vote: scheduled; of 4 people"
    assert told[-1] == "vote: finished; 4 people entered, 0 are on their way; 4 letters written, 4 sent, 0 wait"
    shown = says(deps, folder, "show", "vote")
    assert "sends the letter rent to a rule of its own, of worcester: to whoever may get news" in shown
    assert "campaign launched, by the command line" in shown
    assert says(deps, folder, "archive", "vote") == "vote is archived\n"
    assert says(deps, folder, "duplicate", "vote", "again") == "again is a draft\n" + FOUND
    assert says(deps, folder, "list") == "again  Before the rent vote (copy): draft\n"


def test_a_file_comes_back_as_it_was_written(deps: Deps, folder: Path):
    letter(deps, "rent")
    says(deps, folder, "create", "vote.yaml")
    shown = says(deps, folder, "show", "vote", "--file")
    assert shown == VOTE
    told = campaign_files.read_text(shown)
    assert told.draft is not None
    (folder / "vote.yaml").write_text(shown.replace("Before the rent vote", "Before the vote"))
    assert says(deps, folder, "change", "vote.yaml") == "vote is changed\n"
    assert "Before the vote: draft" in says(deps, folder, "list")


def test_what_is_wrong_in_a_file_is_told_with_line_and_field(deps: Deps, folder: Path):
    (folder / "bad.yaml").write_text(
        "slug: No Slug\nname: Vote\nletter: rent\nstarts_at: tomorrow\nrepeat: hourly\nrule:\n  op: gave\n  at_least: -1\n"
    )
    assert says(deps, folder, "create", "bad.yaml", code=1).splitlines() == [
        "bad.yaml, line 1: slug: is no short name: small letters, digits, hyphens and underscores",
        "bad.yaml, line 4: starts_at: is no moment: write it with its offset from UTC, like 2027-01-20T09:00-05:00",
        "bad.yaml, line 5: repeat: must be daily or weekly",
        "bad.yaml, line 8: rule, at_least: must be more than nothing",
    ]
    (folder / "bad.json").write_text(json.dumps({"slug": "vote", "name": "Vote", "letter": "a", "sequence": "b"}))
    assert says(deps, folder, "create", "bad.json", code=1) == (
        "bad.json, line 1: a campaign says one of these: sequence, letter\n"
    )
    (folder / "empty.yaml").write_text("")
    assert says(deps, folder, "create", "empty.yaml", code=1).startswith("empty.yaml, line 1: begins with")


def test_what_stands_against_it_ends_the_command_with_exit_1(deps: Deps, folder: Path):
    letter(deps, "rent")
    says(deps, folder, "create", "vote.yaml")
    for verb in ("preflight", "launch"):
        assert "  no: its audience is empty: it chooses nobody who may be written to\n" in says(
            deps, folder, verb, "vote", code=1
        )
    assert says(deps, folder, "show", "nothing", code=1) == "groundswell: there is no campaign nothing\n"


def test_it_is_drafted_by_options_held_undone_paused_and_cancelled(deps: Deps, folder: Path):
    people(deps, 3)
    letter(deps, "rent")
    change(deps, """INSERT INTO segment (slug, name, rule, changed_at)
        VALUES ('here', 'Here', '{"op": "chapter", "chapter": "worcester"}', now())""")  # fmt: skip
    assert says(deps, folder, "create", "quick", "--letter", "rent", code=1) == (
        "say to whom: --segment (a rule of its own is said in a file)\n"
    )
    assert says(deps, folder, "create", "quick", "--segment", "here", code=1) == (
        "say what it sends: --sequence, or --letter\n"
    )
    wrong = ("--starts", "tomorrow", "--deadline", "nonsense")
    told = says(deps, folder, "create", "quick", "--letter", "rent", "--segment", "here", *wrong, code=1).splitlines()
    assert told[0].startswith("--starts is no moment")
    assert told[1].startswith("--deadline is no day, like 2027-02-02, and no moment")
    made = says(
        deps, folder, "create", "quick", "--letter", "rent", "--segment", "here", "--starts", "2040-01-01T09:00-05:00"
    )
    assert made.startswith("quick is a draft\n  3 people")
    assert says(deps, folder, "launch", "quick") == (
        "quick is launched for 3 people; it begins at 2040-01-01 14:00 UTC;"
        " until it begins, `groundswell campaigns undo quick` makes it a draft again\n"
    )
    assert says(deps, folder, "undo", "quick") == "quick is a draft: nothing of it has left\n"
    says(deps, folder, "launch", "quick")
    assert says(deps, folder, "pause", "quick", "--because", "the hall is gone") == "quick is paused\n"
    assert says(deps, folder, "pause", "quick") == "quick is paused already\n"
    assert "it is paused: the hall is gone" in says(deps, folder, "list")
    assert says(deps, folder, "resume", "quick") == "quick goes on\n"
    assert says(deps, folder, "resume", "quick") == "quick was not paused\n"
    assert says(deps, folder, "cancel", "quick", "--because", "rained out") == "quick is cancelled\n"
    assert says(deps, folder, "watch", "quick", "--once") == (
        "quick: cancelled; 0 people entered, 0 are on their way; 0 letters written, 0 sent, 0 wait; rained out\n"
    )


def test_whoever_does_it_is_on_record_and_must_be_allowed_to(deps: Deps, folder: Path):
    people(deps, 2)
    letter(deps, "rent")
    staff(deps, "rosa@example.org")
    hire(deps, "ines@example.org", "organizer", "worcester")
    hire(deps, "juan@example.org", "organizer", "springfield")
    hire(deps, "vera@example.org", "viewer")
    for who in ("juan", "vera"):
        refused = says(deps, folder, "create", "vote.yaml", "--as", f"{who}@example.org", code=1)
        assert refused == f"groundswell: {who}@example.org may not launch campaigns of worcester\n"
    assert rows(deps, "SELECT 1 FROM campaign") == []
    with_urgency = VOTE.replace("deadline: 2040-02-02", "urgent: it was moved to Friday")
    (folder / "vote.yaml").write_text(with_urgency)
    assert "a second person must approve it" in says(deps, folder, "create", "vote.yaml", "--as", "ines@example.org")
    launched = says(deps, folder, "launch", "vote", "--as", "ines@example.org")
    assert "`groundswell campaigns approve vote --as ADDRESS`" in launched
    assert "`groundswell campaigns undo vote`" in launched
    assert "a second person" in says(deps, folder, "approve", "vote", "--as", "ines@example.org", code=1)
    assert "must be known" in says(deps, folder, "approve", "vote", code=1)
    assert "nobody of this address" in says(deps, folder, "approve", "vote", "--as", "x@example.org", code=1)
    work(deps)
    assert rows(deps, "SELECT 1 FROM enrollment") == []
    assert says(deps, folder, "approve", "vote", "--as", "rosa@example.org") == "vote is approved\n"
    work(deps)
    assert len(rows(deps, "SELECT 1 FROM enrollment")) == 2
    told = rows(
        deps,
        "SELECT action, s.email FROM audit a JOIN staff s ON s.id = a.staff_id WHERE subject = 'campaign' ORDER BY a.id",
    )
    assert [(row.action, row.email.partition("@")[0]) for row in told] == [
        ("campaign drafted", "ines"), ("campaign launched", "ines"), ("campaign approved", "rosa"),
    ]  # fmt: skip
