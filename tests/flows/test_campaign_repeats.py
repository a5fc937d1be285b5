"""Campaigns that repeat: the newest words of a letter each day or week, at the same time on the clock; not without news."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.bootstrap import Deps
from engine.errors import Conflict
from engine.letters import notes
from engine.outreach import halting, launching
from tests.campaigns import NEWS, letter, people
from tests.flows.house import change, rows
from tests.launches import draft, entered, launch, leave, staff, standing, work

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
    launch(deps)
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
