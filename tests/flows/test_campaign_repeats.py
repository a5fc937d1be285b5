"""Campaigns that repeat: the newest words of a letter each day or week, at the same time on the clock; not without news."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from engine.bootstrap import Deps
from engine.errors import Conflict
from engine.letters import notes
from engine.outreach import campaigns, halting, launching
from tests.campaigns import NEWS, letter, people, states
from tests.flows.house import change, rows
from tests.launches import draft, entered, launch, leave, staff, standing, verb, with_settings, work

MONDAY = "2027-03-08T09:00-05:00"  # clocks go forward on the Sunday after


def at(deps: Deps, moment: str) -> None:
    deps.clock.now = datetime.fromisoformat(moment).astimezone(UTC)


def runs(deps: Deps) -> list[tuple[int, int]]:
    """Each run that took place, and how many people were in it."""
    found = rows(deps, "SELECT rotation, count(*) AS people FROM enrollment GROUP BY rotation ORDER BY rotation")
    return [(row.rotation, row.people) for row in found]


def note(deps: Deps, chapter: str, words: str) -> None:
    chapter_id = rows(deps, f"SELECT id FROM chapter WHERE slug = '{chapter}'")[0].id
    with deps.work() as (session, now):
        notes.put(session, "news", chapter_id, words, now, language="en", staff_id=None, zone="UTC")


def weekly(deps: Deps, **terms: str) -> None:
    letter(deps, "news", note_until=datetime(2028, 1, 1, tzinfo=UTC))
    draft(deps, letter="news", repeat="weekly", starts_at=MONDAY, **terms)
    at(deps, "2027-03-01T12:00-05:00")


def test_each_week_the_newest_words_go_at_the_same_time_on_the_clock(deps: Deps):
    hers = people(deps, 3)
    weekly(deps)
    launch(deps)
    newest = letter(deps, "news", NEWS + "\nWritten on Sunday.\n", note_until=datetime(2028, 1, 1, tzinfo=UTC))
    work(deps)
    assert entered(deps) == []
    at(deps, MONDAY)
    leave(deps)
    assert runs(deps) == [(20270308, 3)]
    assert {row.mailing_id for row in rows(deps, "SELECT mailing_id FROM message")} == {newest}
    found = standing(deps)
    assert (found.state, found.starts_at) == ("scheduled", datetime.fromisoformat("2027-03-15T09:00-04:00"))
    second = letter(deps, "news", NEWS + "\nThe second week.\n", note_until=datetime(2028, 1, 1, tzinfo=UTC))
    people(deps, 1)
    at(deps, "2027-03-15T08:59-04:00")
    leave(deps)
    assert len(runs(deps)) == 1
    at(deps, "2027-03-15T09:00-04:00")
    leave(deps)
    assert runs(deps) == [(20270308, 3), (20270315, 4)]
    told = rows(deps, f"SELECT mailing_id, occasion FROM message WHERE contact_id = {hers[0]} ORDER BY id")
    assert [row.mailing_id for row in told] == [newest, second]
    assert [row.occasion.split(":")[2] for row in told] == ["20270308", "20270315"]


def test_a_week_without_news_is_skipped_and_says_so(deps: Deps):
    people(deps, 3)
    weekly(deps)
    launch(deps)
    at(deps, MONDAY)
    leave(deps)
    at(deps, "2027-03-15T09:00-04:00")
    leave(deps)
    assert runs(deps) == [(20270308, 3)]
    assert standing(deps).skipped == "20270315: nothing is new: neither its words nor a note of a chapter"
    (told,) = rows(deps, "SELECT detail FROM audit WHERE action = 'campaign run skipped'")
    assert (told.detail["run"], told.detail["campaign"]) == (20270315, "vote")
    note(deps, "worcester", "We meet on Thursday.")
    at(deps, "2027-03-22T09:00-04:00")
    leave(deps)
    assert runs(deps) == [(20270308, 3), (20270322, 3)]
    assert standing(deps).skipped == ""


def test_a_note_of_a_chapter_that_it_does_not_reach_is_no_news(deps: Deps):
    people(deps, 3)
    weekly(deps, chapter="worcester")
    launch(deps)
    at(deps, MONDAY)
    leave(deps)
    note(deps, "springfield", "We meet on Thursday.")
    at(deps, "2027-03-15T09:00-04:00")
    leave(deps)
    assert len(runs(deps)) == 1


def test_after_weeks_that_it_stood_still_it_goes_once_and_not_once_a_week(deps: Deps):
    people(deps, 2)
    weekly(deps)
    launch(deps)
    at(deps, MONDAY)
    leave(deps)
    letter(deps, "news", NEWS + "\nNews.\n", note_until=datetime(2028, 1, 1, tzinfo=UTC))
    with deps.work() as (session, now):
        halting.pause(session, "vote", now, who=None)
    at(deps, "2027-04-07T12:00-04:00")
    leave(deps)
    assert len(runs(deps)) == 1
    with deps.work() as (session, now):
        halting.resume(session, "vote", now, who=None)
    leave(deps)
    assert runs(deps) == [(20270308, 2), (20270315, 2)]
    assert standing(deps).starts_at == datetime.fromisoformat("2027-04-12T09:00-04:00")


def test_a_run_that_is_late_does_not_take_place_when_the_next_is_near(deps: Deps):
    people(deps, 2)
    weekly(deps)
    launch(deps)
    at(deps, MONDAY)
    leave(deps)
    letter(deps, "news", NEWS + "\nNews.\n", note_until=datetime(2028, 1, 1, tzinfo=UTC))
    verb(deps, halting.pause, who=None)
    at(deps, "2027-03-22T08:00-04:00")
    verb(deps, halting.resume, who=None)
    leave(deps)
    assert runs(deps) == [(20270308, 2)]
    assert standing(deps).skipped == "20270315: it was late, and the next one is near"
    at(deps, "2027-03-22T09:00-04:00")
    leave(deps)
    assert runs(deps) == [(20270308, 2), (20270322, 2)]


def test_a_run_that_has_grown_large_is_held_once_and_can_be_undone(deps: Deps):
    deps = with_settings(deps, hold_people=5, hold_minutes=10)
    people(deps, 2)
    weekly(deps)
    launch(deps)
    at(deps, MONDAY)
    leave(deps)
    people(deps, 5)
    letter(deps, "news", NEWS + "\nNews.\n", note_until=datetime(2028, 1, 1, tzinfo=UTC))
    at(deps, "2027-03-15T09:00-04:00")
    leave(deps)
    assert len(entered(deps)) == 2
    (notice,) = rows(deps, "SELECT kind, detail FROM notice WHERE resolved_at IS NULL")
    assert (notice.kind, notice.detail.split(":")[0]) == (launching.HELD, "7 people by now, and 2 before")
    verb(deps, halting.pause, who=None)
    undone = verb(deps, launching.undo, who=None).campaign
    assert (undone.state, undone.paused_at is None) == ("draft", False), "letters of the last run may wait"
    assert rows(deps, "SELECT 1 FROM notice WHERE resolved_at IS NULL") == []
    verb(deps, halting.resume, who=None)
    assert launch(deps, key="anew").campaign.held_until is not None
    at(deps, "2027-03-15T09:10-04:00")
    leave(deps)
    assert runs(deps) == [(20270308, 2), (20270315, 7)]
    letter(deps, "news", NEWS + "\nMore news.\n", note_until=datetime(2028, 1, 1, tzinfo=UTC))
    at(deps, "2027-03-22T09:10-04:00")
    leave(deps)
    assert runs(deps)[-1] == (20270322, 7), "it was as large before"


def test_cancelled_it_takes_letters_of_all_its_runs_back(deps: Deps):
    people(deps, 2)
    weekly(deps)
    launch(deps)
    at(deps, MONDAY)
    work(deps)
    change(deps, "UPDATE message SET due_at = due_at + interval '10 days', expires_at = NULL")
    letter(deps, "news", NEWS + "\nNews.\n", note_until=datetime(2028, 1, 1, tzinfo=UTC))
    at(deps, "2027-03-15T09:00-04:00")
    work(deps)
    assert states(deps) == {"ready": 4}
    verb(deps, halting.cancel, who=None)
    work(deps)
    assert (states(deps), standing(deps).ended_at is None) == ({"cancelled": 4}, False)


def test_a_letter_that_turns_into_another_kind_as_it_begins_stops_its_own_campaign_alone(deps: Deps):
    people(deps, 2)
    weekly(deps)
    launch(deps)
    letter(deps, "other")
    draft(deps, "innocent", letter="other")
    at(deps, MONDAY)
    launch(deps, "innocent")

    def turned(_, __, statement, *___):
        if statement.startswith("SELECT changed_at FROM campaign") and standing(deps).paused_at is None:
            change(deps, "UPDATE letter SET kind = 'asks' WHERE slug = 'news'")

    event.listen(deps.sessions.kw["bind"], "before_cursor_execute", turned)
    leave(deps)
    found = standing(deps)
    assert (found.state, found.paused_because[:22]) == ("scheduled", "news asks for no fund:")
    assert rows(deps, "SELECT subject FROM notice WHERE resolved_at IS NULL")[0].subject == "vote"
    assert standing(deps, "innocent").state == campaigns.FINISHED


def test_letters_of_a_run_do_not_outlive_it(deps: Deps):
    people(deps, 1)
    weekly(deps)
    launch(deps)
    at(deps, MONDAY)
    work(deps)
    (told,) = rows(deps, "SELECT expires_at FROM message")
    assert told.expires_at == datetime.fromisoformat(MONDAY) + timedelta(days=7)


def test_what_repeats_can_be_cancelled_between_its_runs_but_not_undone(deps: Deps):
    people(deps, 1)
    weekly(deps)
    launch(deps)
    at(deps, MONDAY)
    leave(deps)
    with deps.work() as (session, now):
        with pytest.raises(Conflict, match="has begun"):
            launching.undo(session, "vote", now, who=None)
        halting.cancel(session, "vote", now, who=None)
    letter(deps, "news", NEWS + "\nNews.\n")
    at(deps, "2027-03-15T09:00-04:00")
    leave(deps)
    assert len(runs(deps)) == 1


def test_each_run_needs_a_second_person_who_has_seen_its_words(deps: Deps):
    deps = replace(deps, settings=deps.settings.model_copy(update={"second_approver": True}))
    ines = staff(deps, "ines@example.org")
    people(deps, 2)
    weekly(deps)
    launch(deps, who=staff(deps, "rosa@example.org"))
    approve(deps, ines)
    at(deps, MONDAY)
    leave(deps)
    assert len(runs(deps)) == 1
    with pytest.raises(Conflict, match="nothing is new"):
        approve(deps, ines)
    second = letter(deps, "news", NEWS + "\nNews.\n", note_until=datetime(2028, 1, 1, tzinfo=UTC))
    at(deps, "2027-03-15T09:00-04:00")
    leave(deps)
    assert len(runs(deps)) == 1, "nobody agreed to these words"
    approve(deps, ines)
    letter(deps, "news", NEWS + "\nOther news, which nobody approved.\n")
    leave(deps)
    assert [row.mailing_id for row in rows(deps, "SELECT DISTINCT mailing_id FROM message ORDER BY 1")][-1] == second


def approve(deps: Deps, who: int) -> None:
    with deps.work() as (session, now):
        happened = launching.approve(session, "vote", now, deps.settings, who=who).happened
        deps.react(session, list(happened), now)


def test_a_run_whose_sender_is_gone_stands_still_until_a_person_has_seen_to_it(deps: Deps):
    people(deps, 2)
    weekly(deps)
    launch(deps)
    change(deps, "UPDATE chapter SET postal_address = ''")
    at(deps, MONDAY)
    leave(deps)
    assert entered(deps) == []
    assert standing(deps).paused_because.startswith("no postal address for Worcester")
    (notice,) = rows(deps, "SELECT kind, subject FROM notice WHERE resolved_at IS NULL")
    assert tuple(notice) == ("campaign paused", "vote")
    change(deps, "UPDATE chapter SET postal_address = '41 Elm Street, Boston'")
    with deps.work() as (session, now):
        deps.react(session, list(halting.resume(session, "vote", now, who=None).happened), now)
    leave(deps)
    assert len(entered(deps)) == 2
    assert rows(deps, "SELECT 1 FROM notice WHERE resolved_at IS NULL") == []


def test_a_day_that_has_no_such_time_has_it_as_much_later(deps: Deps):
    people(deps, 1)
    letter(deps, "news")
    draft(deps, letter="news", repeat="daily", starts_at="2027-03-13T02:30-05:00")
    at(deps, "2027-03-13T02:30-05:00")
    launch(deps)
    leave(deps)
    assert standing(deps).starts_at == datetime(2027, 3, 14, 7, 30, tzinfo=UTC)  # 03:30 there
