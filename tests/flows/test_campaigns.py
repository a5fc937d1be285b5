"""Campaigns: launched once, held, undone, approved, paused, cancelled; whom they reach."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event

from engine.bootstrap import Deps
from engine.errors import Conflict, Forbidden, Invalid
from engine.outreach import campaigns, halting, launching
from tests.campaigns import NEWS, letter, people
from tests.flows.house import change, one, rows
from tests.launches import (
    NOON,
    approve,
    draft,
    entered,
    launch,
    leave,
    pressed,
    received,
    sequence,
    staff,
    standing,
    turn,
    verb,
    with_settings,
    work,
)
from workers import pulse


@pytest.fixture(autouse=True)
def _at_noon(deps: Deps) -> None:
    deps.clock.now = NOON


def test_everybody_of_the_chapter_gets_the_letter_once_and_nobody_else(deps: Deps):
    hers = people(deps, 30)
    people(deps, 5, chapter="springfield")
    letter(deps, "rent")
    draft(deps, letter="rent")
    done = launch(deps)
    assert (done.campaign.state, done.campaign.expected, done.campaign.held_until) == ("scheduled", 30, None)
    assert "outreach" in deps.bells.rung
    work(deps)
    assert entered(deps) == hers
    assert standing(deps).state == "running", "letters wait: it can still be cancelled"
    leave(deps)
    assert received(deps) == hers
    assert (standing(deps).state, standing(deps).enrolled, standing(deps).finished) == ("finished", 30, 30)


def test_the_same_launch_again_is_none_and_another_one_is_refused(deps: Deps):
    hers = people(deps, 10)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launched = launch(deps, key="k1")
    again = launch(deps, key="k1")
    assert (again.changed, again.campaign) == (False, launched.campaign)
    leave(deps)
    for key in ("k1", "k2"):
        if key == "k2":
            with pytest.raises(Conflict, match="already launched"):
                launch(deps, key=key)
        else:
            assert launch(deps, key=key).changed is False
    leave(deps)
    assert received(deps) == hers
    for key in ("", "x" * 256):
        with pytest.raises(Invalid, match="1 to 255"):
            launch(deps, key=key)


def test_launched_twice_at_once_it_is_launched_once(deps: Deps):
    hers = people(deps, 20)
    letter(deps, "rent")
    for number in range(5):
        slug = f"vote{number}"
        draft(deps, slug, letter="rent")
        with ThreadPoolExecutor(4) as hands:
            same = list(hands.map(partial(pressed, deps, slug), ["k"] * 4))
        assert sorted(map(str, same)) == ["False", "False", "False", "True"]
        draft(deps, f"other{number}", letter="rent")
        with ThreadPoolExecutor(2) as hands:
            found = list(hands.map(partial(pressed, deps, f"other{number}"), ["a", "b"]))
        assert sorted(map(str, found)) == ["True", f"other{number} is already launched"]
    work(deps)
    assert entered(deps) == sorted(hers * 10)


def test_a_large_one_is_held_and_can_be_undone_until_it_begins(deps: Deps):
    deps = with_settings(deps, hold_people=5, hold_minutes=10)
    people(deps, 6)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps, key="first")
    work(deps)
    assert entered(deps) == []
    deps.clock.skip(timedelta(minutes=9))
    work(deps)
    assert entered(deps) == []
    assert verb(deps, launching.undo, who=None).campaign.state == "draft"
    assert verb(deps, launching.undo, who=None).changed is False
    deps.clock.skip(timedelta(minutes=5))
    work(deps)
    assert entered(deps) == []
    with pytest.raises(Conflict, match="undone"):
        launch(deps, key="first")  # the same request, told again late
    launch(deps, key="second")
    verb(deps, launching.undo, who=None)
    for key in ("first", "second"):
        with pytest.raises(Conflict, match="undone"):
            launch(deps, key=key)
    launch(deps, key="third")
    deps.clock.skip(timedelta(minutes=10))
    work(deps)
    assert len(entered(deps)) == 6
    with pytest.raises(Conflict, match="has begun"):
        verb(deps, launching.undo, who=None)


def test_nothing_leaves_before_a_second_person_agrees(deps: Deps):
    rosa, ines = staff(deps, "rosa@example.org"), staff(deps, "ines@example.org")
    people(deps, 3)
    letter(deps, "rent")
    draft(deps, letter="rent")
    careful = with_settings(deps, second_approver=True)
    launch(careful, who=rosa)
    assert one(deps, "SELECT kind, subject FROM notice").subject == "vote"
    work(deps)
    assert entered(deps) == []
    for who, says in ((rosa, "a second person"), (None, "must be known")):
        with pytest.raises(Forbidden, match=says):
            approve(deps, who)
    assert approve(deps, ines).changed
    assert not approve(deps, ines).changed
    work(deps)
    assert len(entered(deps)) == 3
    with pytest.raises(Conflict, match="is running"):
        approve(deps, ines)


def test_an_urgent_one_needs_a_second_person_whatever_the_setting(deps: Deps):
    people(deps, 2)
    letter(deps, "rent")
    draft(deps, letter="rent", urgent="the vote was moved to Friday")
    with pytest.raises(Forbidden, match="say who launches it"):
        launch(deps)  # who agrees might be the same person
    assert launch(deps, who=staff(deps, "rosa@example.org")).campaign.waits_for_approval
    work(deps)
    assert entered(deps) == []
    verb(deps, launching.undo, who=None)
    assert one(deps, "SELECT resolved_at IS NOT NULL AS seen_to FROM notice").seen_to


def test_it_begins_at_its_time(deps: Deps):
    people(deps, 2)
    letter(deps, "rent")
    draft(deps, letter="rent", starts_at=(deps.clock.now + timedelta(days=2)).isoformat())
    launch(deps)
    deps.clock.skip(timedelta(days=2, seconds=-1))
    work(deps)
    assert entered(deps) == []
    deps.clock.skip(timedelta(seconds=1))
    work(deps)
    assert len(entered(deps)) == 2


def test_one_that_has_grown_large_by_its_time_is_held_then(deps: Deps):
    deps = with_settings(deps, hold_people=5, hold_minutes=10)
    people(deps, 2)
    letter(deps, "rent")
    draft(deps, letter="rent", starts_at=(deps.clock.now + timedelta(hours=1)).isoformat())
    launch(deps)
    people(deps, 4)
    deps.clock.skip(timedelta(hours=1))
    work(deps)
    assert (entered(deps), standing(deps).held_until) == ([], deps.clock.now + timedelta(minutes=10))
    deps.clock.skip(timedelta(minutes=10))
    leave(deps)
    assert len(received(deps)) == 6
    assert rows(deps, "SELECT 1 FROM notice WHERE resolved_at IS NULL") == []


def test_it_goes_to_whom_was_counted_whatever_becomes_of_its_segment_meanwhile(deps: Deps):
    hers = people(deps, 2)
    people(deps, 3, chapter="springfield")
    letter(deps, "rent")
    change(
        deps,
        """INSERT INTO segment (slug, name, rule, changed_at)
        VALUES ('s', 's', '{"op": "chapter", "chapter": "worcester"}', now())""",
    )
    draft(deps, letter="rent", segment="s")

    def widened(_, __, statement, *___):
        if statement.startswith("SELECT id FROM campaign WHERE slug"):
            change(deps, """UPDATE segment SET rule = '{"op": "chapter", "chapter": "springfield"}'""")

    event.listen(deps.sessions.kw["bind"], "before_cursor_execute", widened)
    assert launch(deps).campaign.expected == 2
    work(deps)
    assert entered(deps) == hers


def test_what_was_launched_is_not_changed_and_keeps_its_words(deps: Deps):
    people(deps, 2)
    first = letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    second = letter(deps, "rent", NEWS + "\nIt was moved.\n")
    assert second != first
    with deps.work() as (session, now), pytest.raises(Conflict, match="only a draft is changed"):
        campaigns.update(session, "vote", standing(deps).draft, now, deps.settings, who=None)
    leave(deps)
    assert {row.mailing_id for row in rows(deps, "SELECT mailing_id FROM message")} == {first}


def test_a_draft_is_changed_and_says_what_was(deps: Deps):
    people(deps, 2)
    letter(deps, "rent")
    made = draft(deps, letter="rent")
    changed = made.draft.model_copy(update={"name": "Another name", "slug": "ballot"})
    deps.clock.skip(timedelta(minutes=1))
    with deps.work() as (session, now):
        found = campaigns.update(session, "vote", changed, now, deps.settings, who=None)
    assert (found.id, found.slug, found.name) == (made.id, "ballot", "Another name")
    assert found.changed_at > made.changed_at
    told = one(deps, "SELECT detail FROM audit WHERE action = 'campaign changed'").detail
    assert told == {"campaign": "vote", "fields": ["name", "slug"]}
    draft(deps, letter="rent")
    with deps.work() as (session, now), pytest.raises(Conflict, match="already"):
        campaigns.update(session, "ballot", made.draft, now, deps.settings, who=None)
    with deps.work() as (session, now):
        campaigns.archive(session, "ballot", now, who=None)
    with deps.work() as (session, now), pytest.raises(Conflict, match="is archived"):
        campaigns.update(session, "ballot", changed, now, deps.settings, who=None)


def test_a_finished_one_is_archived_and_duplicated_without_its_times(deps: Deps):
    people(deps, 2)
    letter(deps, "rent")
    ahead = (deps.clock.now + timedelta(hours=1)).isoformat()
    draft(deps, letter="rent", starts_at=ahead, deadline=(deps.clock.now + timedelta(days=1)).isoformat())
    launch(deps)
    with deps.work() as (session, now), pytest.raises(Conflict, match="is scheduled"):
        campaigns.archive(session, "vote", now, who=None)
    deps.clock.skip(timedelta(hours=1))
    leave(deps)
    deps.clock.skip(timedelta(days=2))
    with deps.work() as (session, now):
        campaigns.archive(session, "vote", now, who=None)
        made = campaigns.duplicate(session, "vote", "vote-again", now, deps.settings, who=None)
        assert [each.slug for each in campaigns.every(session)] == ["vote-again"]
        assert [each.slug for each in campaigns.every(session, archived=True)] == ["vote-again", "vote"]
    assert (made.state, made.letter, made.rule, made.starts_at, made.deadline) == (
        "draft", "rent", standing(deps).rule, None, None,
    )  # fmt: skip


def test_a_chapters_campaign_never_reaches_beyond_its_people_whatever_its_rule_says(deps: Deps):
    hers = people(deps, 4)
    people(deps, 4, chapter="springfield")
    letter(deps, "rent")
    sequence(deps, "of-springfield", [{"key": "one", "email": "rent"}], chapter="springfield")
    everybody = {"op": "any", "of": [{"op": "chapter", "chapter": slug} for slug in ("worcester", "springfield")]}
    draft(deps, letter="rent", chapter="worcester", rule=everybody)
    launch(deps)
    work(deps)
    assert entered(deps) == hers
    draft(deps, "both", sequence="of-springfield", chapter="worcester", rule=everybody)
    with pytest.raises(Conflict, match="audience is empty"):
        launch(deps, "both")


def test_who_wants_no_letters_of_chapters_is_not_counted_on(deps: Deps):
    hers = people(deps, 4)
    letter(deps, "rent")
    change(deps, """INSERT INTO consent (contact_id, channel, kind, given, at, source)
        VALUES (:id, 'mail', 'chapter', false, now(), 'preferences')""", id=hers[0])  # fmt: skip
    draft(deps, letter="rent")
    assert launch(deps).campaign.expected == 3
    leave(deps)
    assert (entered(deps), received(deps)) == (hers[1:], hers[1:])


def test_the_pulse_rings_for_campaigns_that_have_something_to_do_and_for_no_others(deps: Deps):
    people(deps, 3)
    letter(deps, "rent")

    def rings() -> bool:
        return "outreach" in pulse.beat(deps)

    draft(deps, letter="rent", urgent="moved to Friday", starts_at=(deps.clock.now + timedelta(hours=1)).isoformat())
    assert not rings()
    launch(deps, who=staff(deps, "rosa@example.org"))
    assert not rings()
    deps.clock.skip(timedelta(hours=1))
    assert not rings(), "nobody approved it"
    approve(deps, staff(deps, "ines@example.org"))
    assert rings()
    verb(deps, halting.pause, who=None)
    assert not rings()
    verb(deps, halting.resume, who=None)
    work(deps)
    assert not rings(), "its letters wait, and that is delivery's"
    change(deps, "UPDATE campaign SET state = 'cancelled', paused_at = now()")
    assert rings()
    work(deps)
    assert not rings()
    draft(deps, "second", letter="rent")
    launch(deps, "second")
    turn(deps, 10)
    turn(deps, 10)
    assert rings()
    leave(deps)
    assert not rings()
