"""Whatever the sequence, the person and the clock: she never goes back, and no letter comes when it must not. Pure."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.outreach import definitions, timing
from engine.outreach.definitions import WEEKDAYS, Definition
from engine.outreach.plan import Facts, Place, Planned, Terms, plan

# With and without summer time; Chile changes its clocks at midnight, Lord Howe by half an hour.
ZONES = ["America/New_York", "America/Los_Angeles", "America/Anchorage", "Pacific/Honolulu", "America/Phoenix",
         "America/Puerto_Rico", "America/Santiago", "Australia/Lord_Howe", "Europe/London"]  # fmt: skip
SPANS = ["1 minute", "90 minutes", "6 hours", "24 hours", "1 day", "3 days", "2 weeks"]
CLOCKS = ["00:00", "00:30", "01:30", "02:30", "09:00", "23:30"]
# Around the nights in which clocks change somewhere, the ends of Februaries, and anywhere.
NEAR = [datetime(2027, 3, 14, 7, tzinfo=UTC), datetime(2027, 11, 7, 6, tzinfo=UTC), datetime(2027, 4, 4, 3, tzinfo=UTC),
        datetime(2027, 9, 5, 4, tzinfo=UTC), datetime(2027, 10, 31, 1, tzinfo=UTC), datetime(2028, 2, 28, 12, tzinfo=UTC),
        datetime(2027, 2, 28, 12, tzinfo=UTC), datetime(2027, 7, 1, tzinfo=UTC)]  # fmt: skip

chances = st.randoms(use_true_random=True)  # evenly: hypothesis' own draws make short sequences that end at once


def moment(chance: Random) -> datetime:
    return chance.choice(NEAR) + timedelta(minutes=chance.randint(-3000, 3000))


def wait(chance: Random, start: datetime) -> str:
    near = (start + timedelta(days=chance.randint(-5, 20))).date().isoformat()
    span = chance.choice(SPANS)
    said = [span, span, chance.choice(WEEKDAYS), near, f"{span} before deadline", f"{span} before gathering"]
    return chance.choice(said) + (f" at {chance.choice(CLOCKS)}" if chance.random() < 0.4 else "")


def letter(chance: Random) -> dict[str, Any]:
    variants = [{"key": "a", "letter": "call"}, {"key": "b", "letter": "call2", "weight": 2}]
    step = chance.choice([{"email": "call"}, {"ask": "ask"}, {"email": True, "variants": variants}])
    step = step | chance.choice([{}, {}, {"holdout": 30}, {"expires": "2 hours"}, {"expires": "1 day"}])
    late = [{"late": {"after": "6 hours", "then": then}} for then in ("send", "skip")]
    return step | chance.choice([{}, {}, *late])


def sequence(chance: Random, start: datetime) -> Definition:
    steps = []
    for number in range(chance.randint(1, 10)):
        other = {"wait_for": {"event": "clicked", "within": chance.choice(SPANS)}}
        waiting = {"wait": wait(chance, start)}
        tell = chance.choice([{"tag": "called"}, {"notify": "leads"}, {"stop": True}, {"stop": {"rest": True}}])
        step = chance.choices([letter(chance), waiting, other, tell], [9, 6, 2, 2])[0]
        guard = {"if": {"op": "never_gave"}} if chance.random() < 0.25 else {}
        steps.append({"key": f"s{number}"} | step | guard)
    expires = chance.choice([None, None, None, "deadline", "3 days", "40 days", "2027-03-15"])
    return definitions.read({"slug": "one", "name": "One", "expires": expires, "steps": steps})


@dataclass(frozen=True)
class Turn:
    """One turn of hers: what the planner was told and what it said."""

    place: Place
    facts: Facts
    terms: Terms
    now: datetime
    planned: Planned


def way(chance: Random) -> tuple[Definition, list[Turn]]:
    """Somebody's way through a sequence, whenever its turns come: too early, in time, or very late."""
    start, zone = moment(chance), chance.choice(ZONES)
    definition = sequence(chance, start)
    terms = Terms(
        timing.beginning((start + timedelta(days=chance.randint(-3, 30))).date(), "America/New_York"),
        start + timedelta(hours=chance.randint(-50, 700)),
        None if chance.random() < 0.2 else (chance.randrange(12), chance.randrange(12, 24))[:: chance.choice([1, -1])],
    )
    place, turns = Place(chance.randint(1, 1000), "s0", start, start), []
    for _ in range(12):
        now = max(place.due_at, turns[-1].now if turns else start)
        now += timedelta(minutes=chance.choice([0, 0, 0, 1, 300, 2000, 60000]))
        if place.waits_for and chance.random() < 0.5:
            place = replace(place, due_at=now, heard=True)
        elif chance.random() < 0.2:
            now = place.due_at - timedelta(minutes=1)
        passes = {step.key for step in definition.steps if chance.random() < 0.6}
        facts = Facts(zone, goal=chance.random() < 0.04, leaves=chance.random() < 0.04, passes=passes)
        planned = plan(definition, place, facts, terms, now, "1")
        turns.append(Turn(place, facts, terms, now, planned))
        if planned.state != "active":
            break
        place = Place(place.contact_id, planned.step, planned.due_at, start, planned.waits_for)
    return definition, turns


@settings(max_examples=200, deadline=None)
@given(chances)
def test_she_never_goes_back_and_gets_each_letter_once(chance):
    definition, turns = way(chance)
    order = {step.key: number for number, step in enumerate(definition.steps)}
    written = [letter.step for turn in turns for letter in turn.planned.letters]
    assert len(written) == len(set(written))
    for turn in turns:
        planned, at = turn.planned, order[turn.place.step]
        if planned.state == "active":
            waits = turn.now < turn.place.due_at
            assert planned.step == turn.place.step if waits else order[planned.step] > at
            assert planned.due_at > turn.now
        for step in (*(each.step for each in planned.letters), *planned.notifies):
            assert at <= order[step] < order.get(planned.step, len(order))
            assert definition.steps[order[step]].when is None or step in turn.facts.passes


@settings(max_examples=200, deadline=None)
@given(chances)
def test_no_letter_before_it_is_due_after_the_end_or_at_night(chance):
    definition, turns = way(chance)
    for turn in turns:
        expires_at = timing.expiry(definition, turn.place.entered_at, turn.terms.deadline, turn.facts.zone)
        over = expires_at is not None and turn.now >= expires_at
        if turn.facts.goal or turn.facts.leaves or over or turn.now < turn.place.due_at:
            assert (turn.planned.letters, turn.planned.tags, turn.planned.notifies) == ((), (), ())
        for letter in turn.planned.letters:
            assert letter.due_at >= turn.now >= turn.place.due_at
            assert letter.expires_at is None or letter.due_at < letter.expires_at
            assert expires_at is None or (letter.expires_at or expires_at) <= expires_at
            assert expires_at is None or letter.expires_at is not None
            assert not _night(letter.due_at, turn)
            if letter.due_at > turn.now:  # it waits for the end of her night, and for nothing else
                assert _night(turn.now, turn)
                assert _night(letter.due_at - timedelta(microseconds=1), turn)


@settings(max_examples=200, deadline=None)
@given(chances)
def test_after_a_long_silence_there_is_no_flood(chance):
    definition, turns = way(chance)
    for turn in turns:
        steps = [definition.step(letter.step) for letter in turn.planned.letters]
        assert sum(step is not None and step.late is None for step in steps) <= 1


@settings(max_examples=200, deadline=None)
@given(chances)
def test_no_turn_goes_on_behind_a_wait_that_is_not_over(chance):
    definition, turns = way(chance)
    for turn in turns:
        here = f"until {turn.now.astimezone(ZoneInfo(turn.facts.zone)):%Y-%m-%d %H:%M}"
        for done in turn.planned.done[:-1]:
            told = (definition.step(done.step) or definition.steps[0]).wait
            assert done.outcome != "waited" or (told and (told.anchor or told.day) and done.reason <= here)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(NEAR),
    st.integers(-2, 2),
    st.integers(0, 23),
    st.sampled_from([0, 15, 30, 59]),
    st.sampled_from(ZONES),
)
def test_a_clock_time_is_the_first_moment_at_which_clocks_show_it(near, days, hour, minute, zone):
    day, clock = near.date() + timedelta(days=days), time(hour, minute)
    found, wanted = timing.on_clock(day, clock, zone), datetime.combine(day, clock)
    around = (found + timedelta(minutes=each) for each in range(-180, 181))
    showing = [at for at in around if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wanted]
    if showing:
        assert found == showing[0]
    else:  # clocks go forward over it
        shown = found.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        before = (found - (shown - wanted)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert before < wanted < shown


@settings(max_examples=300, deadline=None)
@given(chances)
def test_a_wait_that_counts_from_now_ends_after_now_and_not_much_later(chance):
    now, zone = moment(chance), chance.choice(ZONES)
    waits = [{"key": f"s{number}", "wait": wait(chance, now)} for number in range(5)]
    for step in definitions.read({"slug": "one", "name": "One", "steps": waits}).steps:
        told = step.wait
        if told is None or told.anchor or told.day:
            continue
        ends = timing.end_of_wait(told, now, zone, None)
        assert ends is not None
        assert now < ends < now + told.length + timedelta(days=7 if told.weekday is not None else 1, hours=2)
        if told.weekday is not None:
            assert ends.astimezone(ZoneInfo(zone)).weekday() == told.weekday
        elif told.at is None and not told.by_the_day:
            assert ends == now + told.length


def _night(at: datetime, turn: Turn) -> bool:
    if turn.terms.quiet is None:
        return False
    since, until = turn.terms.quiet
    hour = at.astimezone(ZoneInfo(turn.facts.zone)).hour
    return hour >= since or hour < until if since > until else since <= hour < until
