"""What happens next to one person in a sequence: a table of cases. No database."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from engine.outreach import definitions, timing
from engine.outreach.plan import Done, Facts, Place, Planned, Terms, plan

ZONE = "America/New_York"
HOME = ZoneInfo(ZONE)
NOON = datetime(2027, 1, 11, 12, 0, tzinfo=HOME)  # a Monday
DAY = timedelta(days=1)


def sequence(*steps: dict, **more) -> definitions.Definition:
    numbered = [{"key": f"s{number}"} | step for number, step in enumerate(steps, 1)]
    return definitions.read({"slug": "one", "name": "One", "steps": numbered} | more)


def next_for_her(
    definition: definitions.Definition,
    step: str = "s1",
    *,
    now: datetime = NOON,
    due_at: datetime | None = None,
    entered_at: datetime | None = None,
    waits_for: str = "",
    heard: bool = False,
    contact_id: int = 7,
    terms: Terms = Terms(),  # noqa: B008 frozen
    **known,
) -> Planned:
    place = Place(contact_id, step, due_at or now, entered_at or now, waits_for, heard)
    return plan(definition, place, Facts(**{"zone": ZONE} | known), terms, now, "1")


def written(planned: Planned) -> list[str]:
    return [letter.step for letter in planned.letters]


def outcomes(planned: Planned) -> list[tuple[str, str]]:
    return [(done.step, done.outcome) for done in planned.done]


WRITE, ASK, WAIT, PAUSE = {"email": "call"}, {"ask": "ask"}, {"wait": "3 days"}, {"wait": "2 hours"}
RULE = {"op": "never_gave"}


def test_a_letter_is_written_and_the_wait_behind_it_names_what_is_next():
    planned = next_for_her(sequence(WRITE, WAIT, ASK))
    assert (planned.state, planned.step, planned.due_at) == ("active", "s3", NOON + 3 * DAY)
    assert [(letter.step, letter.due_at, letter.expires_at) for letter in planned.letters] == [("s1", NOON, None)]
    assert planned.done == (Done("s1", "written"), Done("s2", "waited", "until 2027-01-14 12:00"))


def test_the_last_letter_ends_it():
    planned = next_for_her(sequence(WRITE, WAIT, ASK), "s3")
    assert (planned.state, planned.reason, planned.step, written(planned)) == ("finished", "", "", ["s3"])


def test_nothing_happens_before_it_is_due():
    planned = next_for_her(sequence(WRITE), due_at=NOON + DAY)
    assert (planned.state, planned.step, planned.due_at, planned.letters) == ("active", "s1", NOON + DAY, ())


@pytest.mark.parametrize(
    ("of_the_sequence", "known", "reason"),
    [
        ({"goal": "gave"}, {"goal": True}, "gave"),
        ({"goal": RULE}, {"goal": True}, "goal reached"),
        ({"exit_when": RULE}, {"leaves": True}, "left by its rule"),
    ],
)
def test_whoever_reached_the_goal_or_must_leave_gets_nothing_more(of_the_sequence, known, reason):
    planned = next_for_her(sequence(ASK, **of_the_sequence), **known)
    assert (planned.state, planned.reason, planned.letters) == ("left", reason, ())


@pytest.mark.parametrize("expires", ["2 days", "2027-01-11", "deadline"])
def test_after_its_expiry_nothing_happens(expires):
    terms = Terms(deadline=NOON - timedelta(hours=1))
    planned = next_for_her(sequence(WRITE, expires=expires), entered_at=NOON - 2 * DAY, terms=terms)
    assert (planned.state, planned.reason, planned.letters) == ("left", "its time has passed", ())


def test_a_step_whose_rule_does_not_hold_is_passed_over():
    definition = sequence({"email": "call", "if": RULE}, WAIT, ASK)
    assert outcomes(next_for_her(definition))[0] == ("s1", "skipped")
    assert written(next_for_her(definition, passes={"s1"})) == ["s1"]


@pytest.mark.parametrize(
    ("wait", "local"),
    [
        ("3 hours", "2027-01-11 15:00"),
        ("1 day", "2027-01-12 12:00"),
        ("1 day at 10:00", "2027-01-12 10:00"),
        ("1 hour at 10:00", "2027-01-12 10:00"),  # the first one after it
        ("monday at 12:00", "2027-01-18 12:00"),  # never the same moment
        ("monday at 12:01", "2027-01-11 12:01"),
        ("tuesday", "2027-01-12 09:00"),
        ("2027-02-01 at 18:30", "2027-02-01 18:30"),
        ("2 days before deadline", "2027-01-31 00:00"),
        ("2 days before deadline at 18:00", "2027-01-31 18:00"),
        ("3 hours before gathering", "2027-01-20 16:00"),
    ],
)
def test_waits_end_on_the_clock_where_she_lives(wait, local):
    terms = Terms(timing.beginning(date(2027, 2, 2), ZONE), datetime(2027, 1, 20, 19, tzinfo=HOME))
    planned = next_for_her(sequence({"wait": wait}, WRITE), terms=terms)
    assert f"{planned.due_at.astimezone(HOME):%Y-%m-%d %H:%M}" == local
    assert planned.due_at.utcoffset() == timedelta()


def test_days_before_a_deadline_are_the_organisations_and_the_clock_is_hers():
    terms = Terms(timing.beginning(date(2027, 2, 2), ZONE))
    planned = next_for_her(
        sequence({"wait": "1 day before deadline at 09:00"}, WRITE), zone="Pacific/Honolulu", terms=terms
    )
    assert planned.due_at == datetime(2027, 2, 1, 9, tzinfo=ZoneInfo("Pacific/Honolulu"))


@pytest.mark.parametrize(
    ("wait", "now", "ends"),
    [
        ("1 day", "2027-03-13 02:30-05:00", "2027-03-14 03:30-04:00"),  # clocks go forward: there is no 02:30
        ("1 day at 02:30", "2027-03-13 12:00-05:00", "2027-03-14 03:30-04:00"),
        ("24 hours", "2027-03-13 12:00-05:00", "2027-03-14 13:00-04:00"),
        ("1 day", "2027-03-13 12:00-05:00", "2027-03-14 12:00-04:00"),
        ("1 day at 01:30", "2027-11-06 12:00-04:00", "2027-11-07 01:30-04:00"),  # back: the first of two
        ("1 day", "2028-02-28 12:00-05:00", "2028-02-29 12:00-05:00"),
        ("2 days at 09:00", "2028-02-28 12:00-05:00", "2028-03-01 09:00-05:00"),
        ("2028-02-29", "2028-02-28 12:00-05:00", "2028-02-29 09:00-05:00"),
        ("wednesday at 01:00", "2027-11-07 01:30-05:00", "2027-11-10 01:00-05:00"),
    ],
)
def test_waits_are_right_when_clocks_are_changed_and_in_leap_years(wait, now, ends):
    planned = next_for_her(sequence({"wait": wait}, WRITE), now=datetime.fromisoformat(now))
    assert planned.due_at == datetime.fromisoformat(ends)


def test_a_letter_comes_when_her_quiet_hours_end():
    terms = Terms(quiet=(21, 8))
    for now, comes in [("2027-01-11 20:59", "2027-01-11 20:59"), ("2027-01-11 21:00", "2027-01-12 08:00"),
                       ("2027-01-12 07:59", "2027-01-12 08:00"), ("2027-01-12 08:00", "2027-01-12 08:00")]:  # fmt: skip
        planned = next_for_her(sequence(WRITE), now=datetime.fromisoformat(now).replace(tzinfo=HOME), terms=terms)
        assert planned.letters[0].due_at == datetime.fromisoformat(comes).replace(tzinfo=HOME)
    by_day = next_for_her(sequence(WRITE), terms=Terms(quiet=(11, 14)))
    assert by_day.letters[0].due_at == NOON + timedelta(hours=2)


def test_a_letter_that_could_not_leave_before_it_expires_is_not_written():
    night = NOON.replace(hour=22)
    step = {"email": "call", "expires": "6 hours"}
    planned = next_for_her(sequence(step), now=night, terms=Terms(quiet=(21, 8)))
    assert planned.done == (Done("s1", "skipped", "its time would have passed"),)
    assert next_for_her(sequence(step), now=night).letters[0].expires_at == night + timedelta(hours=6)
    late = next_for_her(sequence(step), due_at=NOON - DAY)
    assert (late.letters, late.state) == ((), "finished")


def test_a_letter_expires_with_the_whole_sequence_when_that_is_sooner():
    planned = next_for_her(sequence({"email": "call", "expires": "6 hours"}, expires="3 hours"))
    assert planned.letters[0].expires_at == NOON + timedelta(hours=3)


def test_a_late_letter_goes_by_the_rule_of_its_step():
    late_by = {"after": "12 hours", "then": "skip"}
    for hours, goes in [(12, ["s1"]), (13, [])]:
        due_at = NOON - timedelta(hours=hours)
        assert written(next_for_her(sequence({"email": "call", "late": late_by}), due_at=due_at)) == goes
    assert written(next_for_her(sequence(WRITE), due_at=NOON - 300 * DAY)) == ["s1"]


def test_waits_count_from_now_so_that_nothing_is_caught_up_in_a_flood():
    planned = next_for_her(sequence(WRITE, WAIT, ASK), due_at=NOON - 30 * DAY)
    assert (written(planned), planned.step, planned.due_at) == (["s1"], "s3", NOON + 3 * DAY)


def test_of_several_letters_that_are_overdue_only_the_last_is_written():
    dated = [{"wait": "2027-01-05"}, WRITE, {"wait": "2027-01-07"}, WRITE, {"wait": "2027-01-20"}, ASK]
    planned = next_for_her(sequence(*dated))
    assert (written(planned), planned.step) == (["s4"], "s6")
    assert planned.done[1] == Done("s2", "skipped", "a later letter of the same sequence is due already")
    dated[1] = WRITE | {"late": {"after": "1 day", "then": "send"}}
    assert written(next_for_her(sequence(*dated))) == ["s2", "s4"]
    dated[3] = WRITE | {"late": {"after": "1 day", "then": "skip"}}
    assert written(next_for_her(sequence(*dated))) == ["s2"]


def test_a_wait_at_the_end_ends_it_at_once():
    planned = next_for_her(sequence(WRITE, WAIT))
    assert (planned.state, outcomes(planned)) == ("finished", [("s1", "written"), ("s2", "skipped")])


def test_it_waits_for_an_event_until_that_is_heard_or_the_time_is_over():
    definition = sequence(ASK, {"wait_for": {"event": "clicked", "within": "2 days"}}, WRITE)
    waiting = next_for_her(definition)
    assert (waiting.step, waiting.due_at, waiting.waits_for) == ("s3", NOON + 2 * DAY, "clicked")
    still = next_for_her(definition, "s3", due_at=NOON + DAY, waits_for="clicked")
    assert (still.state, still.step, still.waits_for, still.letters) == ("active", "s3", "clicked", ())
    heard = next_for_her(definition, "s3", waits_for="clicked", heard=True)
    assert (heard.done[0], written(heard)) == (Done("s2", "heard", "clicked"), ["s3"])
    over = next_for_her(definition, "s3", waits_for="clicked")
    assert (over.done[0], written(over)) == (Done("s2", "timed out", "clicked"), ["s3"])


def test_tags_notices_and_stops_are_told():
    planned = next_for_her(sequence({"tag": "called"}, {"notify": "leads"}, {"stop": {"rest": True}}, WRITE))
    assert (planned.tags, planned.notifies, planned.rests) == (("called",), ("s2",), True)
    assert (planned.state, planned.reason, planned.letters) == ("finished", "stopped", ())
    assert outcomes(planned) == [("s1", "tagged"), ("s2", "told"), ("s3", "stopped")]


def test_variants_fall_as_they_are_weighted_and_to_each_person_always_the_same():
    definition = sequence({"email": True, "holdout": 20, "variants": [
        {"key": "a", "letter": "call", "weight": 3}, {"key": "b", "letter": "call_short"}]})  # fmt: skip
    all_of_them = [next_for_her(definition, contact_id=number) for number in range(4000)]
    drawn = [planned.letters[0].variant if planned.letters else "" for planned in all_of_them]
    assert drawn == [
        planned.letters[0].variant if planned.letters else ""
        for planned in (next_for_her(definition, contact_id=number, now=NOON + DAY) for number in range(4000))
    ]
    assert 720 < drawn.count("") < 880
    assert 2280 < drawn.count("a") < 2520
    assert all_of_them[drawn.index("")].done[0].outcome == "held out"


@pytest.mark.parametrize("step", ["gone", ""])
def test_a_place_that_is_no_more_is_left(step):
    planned = next_for_her(sequence(WRITE), step)
    assert (planned.state, planned.reason) == ("left", "its step is no more")


def test_without_the_moment_that_a_wait_counts_from_nothing_is_sent():
    planned = next_for_her(sequence({"wait": "1 day before gathering"}, WRITE))
    assert (planned.state, planned.reason) == ("left", "there is no gathering to count from")


def test_moments_are_the_same_whatever_zone_they_come_in():
    definition = sequence(WRITE, {"wait": "1 day at 10:00"}, ASK)
    assert next_for_her(definition, now=NOON.astimezone(UTC)) == next_for_her(definition)
