"""`groundswell results`, `explain`, `simulate`: what was, why, and what would be."""

from pathlib import Path

from engine import bell
from engine.bootstrap import Deps
from tests.campaigns import letter, people
from tests.commands import groundswell
from tests.flows.house import change, put, rows, run_everything
from tests.launches import draft, launch
from tests.make import actblue_body, raw
from tests.sequences import publish
from workers import delivery, outreach

STEPS = (
    {"key": "write", "email": "call"}, {"key": "pause", "wait": "2 days"},
    {"key": "ask", "ask": True, "variants": [{"key": "warm", "letter": "warm"}, {"key": "plain", "letter": "plain"}]},
)  # fmt: skip


def says(deps: Deps, *arguments: str | Path, code: int = 0) -> str:
    done = groundswell(deps, *arguments)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def at_work(deps: Deps) -> None:
    outreach.work(deps)
    delivery.hand_over(deps, bell.DELIVERY)


def test_before_the_launch_it_is_tried_and_drawn_and_nothing_is_changed(deps: Deps, tmp_path: Path):
    people(deps, 5)
    publish(deps, *STEPS, slug="rent", name="Before the rent vote", quiet_hours=None)
    draft(deps, sequence="rent")
    said = says(deps, "simulate", "vote", "--picture", tmp_path / "vote.svg")
    assert "vote: 10 letters to 5 people\nas if nobody gave" in said
    for line in ("Worcester", "write", "ask plain", "came to the end"):
        assert line in said
    assert (tmp_path / "vote.svg").read_text("utf-8").startswith("<svg")
    assert "is there already" in says(deps, "simulate", "vote", "--picture", tmp_path / "vote.svg", code=1)
    assert rows(deps, "SELECT FROM enrollment") == []
    assert "1 to 20,000 people" in says(deps, "simulate", "vote", "--people", "0", code=1)


def test_a_file_is_tried_with_a_segment_and_a_person_alone(deps: Deps, tmp_path: Path):
    her, _ = people(deps, 2)
    letter(deps, "call")
    written = tmp_path / "one.yaml"
    written.write_text("slug: one\nname: One letter\non: launch\nsteps:\n  - {key: write, email: call}\n")
    (tmp_path / "here.yaml").write_text("slug: here\nname: Here\nrule: {op: chapter, chapter: worcester}\n")
    says(deps, "segments", "save", tmp_path / "here.yaml")
    assert "One letter: 2 letters to 2 people" in says(deps, "simulate", written, "--segment", "here")
    says(deps, "sequences", "publish", written)
    said = says(deps, "simulate", "one", "--person", str(her))
    assert "letter call: was handed to the mail provider" in said
    assert said.index("entered the campaign") < said.index("step write: its letter was written")
    assert "sequence one: she entered it" in said
    says(deps, "sequences", "pause", "one", "--because", "later")
    for which in ("one", written):
        tried = says(deps, "simulate", which)
        assert "One letter: 2 letters to 2 people\nit is paused, and this is as if it went on\n" in tried
    assert "; it is paused, and this is as if it went on\n" in says(deps, "simulate", "one", "--person", str(her))
    written.write_text("slug: one\nname: One letter\non: launch\nsteps:\n  - {key: write}\n")
    assert "line 5" in says(deps, "simulate", written, code=1)


def test_what_came_of_it_and_why_is_told(deps: Deps):
    her, silent = people(deps, 2)
    change(deps, "UPDATE contact SET email = 'rosa@example.org', first_name = 'Rosa' WHERE id = :id", id=her)
    change(deps, "UPDATE consent SET given = false WHERE contact_id = :id", id=silent)
    publish(deps, *STEPS, slug="rent", name="Before the rent vote", goal="gave", quiet_hours=None)
    draft(deps, sequence="rent")
    launch(deps)
    at_work(deps)
    change(
        deps,
        """INSERT INTO refcode (code, mailing_id, chapter_id, version_id, campaign_id)
        SELECT 'nov-letter', mailing_id, chapter_id, version_id, campaign_id FROM message WHERE campaign_id <> 0""",
    )
    put(deps, raw(actblue_body(donor={"email": "rosa@example.org"})))
    run_everything(deps)
    said = says(deps, "results", "vote")
    assert "vote (finished): 1 person entered, 0 came to the end, 1 left early, 0 still in it" in said
    assert {"unsubscribed", "clicked"} <= set(said.split())
    assert "left: gave" in said
    (line,) = [line for line in said.splitlines() if line.startswith("write")]
    assert line.split()[-3:] == ["1", "$27", "$27"]
    assert "Worcester" in says(deps, "results", "vote", "--by", "chapter,step")
    assert "no lines by day" in says(deps, "results", "vote", "--by", "day", code=1)
    assert "launched by the campaign vote: groundswell results vote" in says(deps, "results", "rent", "--sequence")
    change(deps, "UPDATE contact SET time_zone = 'Pacific/Honolulu' WHERE id = :id", id=her)
    assert "times are hers, of Pacific/Honolulu" in says(deps, "explain", "rosa@example.org", "vote").splitlines()[0]
    said = says(deps, "explain", "rosa@example.org", "vote")
    assert "campaign vote: it chose her\n  yes  lives in Worcester" in said
    assert "vote: left: gave (on " in said
    assert "no   may be written to (wants no letters)" in says(deps, "explain", str(silent), "vote")
    assert "no campaign, sequence or letter nothing" in says(deps, "explain", str(silent), "nothing", code=1)
