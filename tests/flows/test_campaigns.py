"""Campaigns: launched once, held, undone, approved, paused, cancelled; whom they reach."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event

from engine.bootstrap import Deps
from engine.errors import Conflict, Forbidden, Invalid
from engine.outreach import campaigns, expanding, halting, launching
from tests.campaigns import NEWS, go, letter, people, states
from tests.flows.house import change, one, rows
from tests.launches import NOON, draft, entered, launch, leave, sequence, staff, standing, work
from workers import outreach


@pytest.fixture(autouse=True)
def _at_noon(deps: Deps) -> None:
    deps.clock.now = NOON


def with_settings(deps: Deps, **terms: object) -> Deps:
    return replace(deps, settings=deps.settings.model_copy(update=terms))


def received(deps: Deps) -> list[int]:
    """Whom the provider has a letter for, as often as it has one."""
    ids = [letter.message_id for _, letter in deps.mailer.accepted]
    owners = {row.id: row.contact_id for row in rows(deps, "SELECT id, contact_id FROM message")}
    return sorted(owners[each] for each in ids)


def verb(deps: Deps, do, slug: str = "vote", **terms: object):
    with deps.work() as (session, now):
        done = do(session, slug, now, **terms)
        deps.react(session, list(done.happened), now)
        return done


def approve(deps: Deps, who: int | None, slug: str = "vote"):
    with deps.work() as (session, now):
        return launching.approve(session, slug, now, deps.settings, who=who)


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


def pressed(deps: Deps, slug: str, key: str) -> bool | str:
    try:
        return launch(deps, slug, key=key).changed
    except Conflict as error:
        return str(error)


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
    assert launch(deps).campaign.waits_for_approval
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


def test_paused_in_the_middle_it_stands_still_and_goes_on_where_it_was(deps: Deps):
    hers = people(deps, 30)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    turn(deps, 10)  # it begins
    turn(deps, 10)
    some = entered(deps)
    assert 0 < len(some) < 30
    verb(deps, halting.pause, who=None, because="the place was changed")
    assert verb(deps, halting.pause, who=None).changed is False
    leave(deps)
    assert entered(deps) == some
    assert (received(deps), states(deps)) == ([], {})
    verb(deps, halting.resume, who=None)
    assert verb(deps, halting.resume, who=None).changed is False
    leave(deps)
    assert (entered(deps), received(deps)) == (hers, hers)


def test_while_its_sequence_is_paused_nobody_enters(deps: Deps):
    hers = people(deps, 3)
    letter(deps, "rent")
    sequence(deps, "calls", [{"key": "one", "email": "rent"}])
    draft(deps, sequence="calls")
    launch(deps)
    change(deps, "UPDATE sequence SET paused_at = now() WHERE slug = 'calls'")
    work(deps)
    assert (entered(deps), standing(deps).state) == ([], "scheduled")
    change(deps, "UPDATE sequence SET paused_at = NULL WHERE slug = 'calls'")
    leave(deps)
    assert received(deps) == hers


def turn(deps: Deps, stretch: int) -> bool:
    """One turn of expansion, by so many contacts."""
    with deps.work() as (session, now):
        return expanding.expand(session, now, deps.settings, stretch)[1]


def test_cancelled_in_the_middle_nobody_enters_and_queued_letters_are_taken_back(deps: Deps):
    people(deps, 30)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    for _ in range(3):
        turn(deps, 10)
    outreach.step(deps)
    assert 0 < states(deps)["ready"] < 30
    turn(deps, 5)
    done = verb(deps, halting.cancel, who=None, because="wrong place")
    assert done.campaign.state == "cancelled"
    work(deps)
    assert set(states(deps)) == {"cancelled"}
    assert {row.reason for row in rows(deps, "SELECT reason FROM message")} == {"campaign cancelled"}
    left = rows(
        deps, "SELECT DISTINCT state, reason FROM enrollment WHERE ended_at IS NOT NULL AND state <> 'finished'"
    )
    assert {tuple(row) for row in left} == {("left", "campaign cancelled")}
    found = standing(deps)
    assert found.enrolled == found.finished + found.left_early < 30
    assert found.ended_at is not None
    tally = one(deps, "SELECT sum(composed) AS composed, sum(cancelled) AS cancelled FROM step_tally")
    assert tally.composed == tally.cancelled == states(deps)["cancelled"]
    assert verb(deps, halting.cancel, who=None).changed is False
    go(deps)
    assert received(deps) == []
    with pytest.raises(Conflict, match="was cancelled"):
        launch(deps, key="again")


def test_a_large_one_that_is_cancelled_is_emptied_by_and_by_and_nothing_leaves_meanwhile(deps: Deps):
    people(deps, 40)
    letter(deps, "rent")
    sequence(
        deps,
        "twice",
        [{"key": "one", "email": "rent"}, {"key": "pause", "wait": "3 days"}, {"key": "two", "email": "rent"}],
    )
    draft(deps, sequence="twice")
    launch(deps)
    work(deps)
    assert states(deps) == {"ready": 40}
    change(
        deps, "UPDATE campaign SET state = 'cancelled', paused_at = :now", now=deps.clock.now
    )  # and nothing else yet
    turns = 0
    while clear(deps, 15):
        turns += 1
    assert turns == 2  # and a last one
    assert states(deps) == {"cancelled": 40}
    assert {row.reason for row in rows(deps, "SELECT reason FROM enrollment")} == {"campaign cancelled"}
    assert standing(deps).ended_at is not None


def clear(deps: Deps, most: int) -> bool:
    with deps.work() as (session, now):
        happened, more = halting.clear(session, now, most)
        deps.react(session, happened, now)
    return more


def test_a_chunk_that_was_in_the_making_when_it_was_cancelled_is_undone(deps: Deps):
    people(deps, 20)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    turn(deps, 10)
    pool = deps.sessions.kw["bind"]

    done: list[bool] = []

    def cancelled(_, __, statement, *___):
        if statement.lstrip().startswith("UPDATE campaign SET cursor") and not done:
            done.append(True)
            assert verb(deps, halting.cancel, who=None).changed  # it need not wait for the chunk

    event.listen(pool, "before_cursor_execute", cancelled)
    with pytest.raises(Conflict, match="cancelled meanwhile"):
        turn(deps, 10)
    work(deps)
    assert entered(deps) == []


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


def test_a_correction_goes_to_exactly_those_who_got_the_wrong_letter(deps: Deps):
    hers = people(deps, 12)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    work(deps)
    change(deps, "UPDATE message SET due_at = due_at + interval '3 days' WHERE contact_id = ANY(:ids)", ids=hers[:5])
    go(deps)
    verb(deps, halting.cancel, who=None, because="the wrong day")
    letter(deps, "sorry")
    draft(deps, "sorry", letter="sorry", rule={"op": "received", "mailing": "rent"})
    assert launch(deps, "sorry").campaign.expected == 7
    deps.mailer.accepted.clear()
    deps.clock.skip(timedelta(days=2))
    leave(deps)
    assert received(deps) == hers[5:]
