"""Amounts that fit: twenty invented donors in words, and what holds for everybody."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.giving import asks
from engine.giving.asks import SERIES, History, Terms
from engine.money import dollars

FORM = Terms((2700, 5000, 10000, 25000, 100000), 500)
NEW = History()


def gave(last: int, usual: int = 0, best: int = 0, *, ago: int = 3, gifts: int = 4, monthly: int = 0) -> History:
    """Somebody's gifts in dollars; `ago`: months since the last one."""
    highest = best or max(last, usual)
    return History(gifts, 100 * highest, 100 * last, 100 * (usual or last), ago, 100 * monthly)


# Who; what she gave; what is left of the fund's limit, in dollars; the ladder; and why, as staff read it.
ONCE: tuple[tuple[str, History, int | None, str, str], ...] = (
    ("Ana signed up last week", NEW, None, "27 50 100 250 1000",
     "She has not given yet: these are the form's own amounts."),
    ("Ben gave his first $27 a month ago", gave(27, gifts=1, ago=1), None, "27 35 50 75 100",
     "Her last gift was $27, a month ago; the ladder starts there."),
    ("Carla gives $25 now and then", gave(25), None, "25 35 50 75 100",
     "Her last gift was $25, 3 months ago; the ladder starts there."),
    ("Dot gave a dollar, once; the form takes five", gave(1, gifts=1), None, "5 10 15 20 25",
     "Her last gift was $1, 3 months ago; the form takes nothing below $5, so the ladder starts there."),
    ("Eve gave $10, three times", gave(10, gifts=3), None, "10 15 20 25 35",
     "Her last gift was $10, 3 months ago; the ladder starts there."),
    ("Fay climbed from $25 to $50", gave(50, 35), None, "50 75 100 125 150",
     "Her last gift was $50, 3 months ago; the ladder starts there."),
    ("Gus gave $50 last, and $250 before an election", gave(50, 50, 250), None, "50 75 100 150 250",
     "Her last gift was $50, 3 months ago; the ladder starts there, and rises higher: she once gave $250."),
    ("Hal did the same, two years ago", gave(50, 50, 250, ago=28), None, "40 50 75 100 150",
     "Her last gift was $50, 2 years ago; so long after, the ladder starts at $40, and rises higher: she once gave $250."),
    ("Ida gave $100 once, six years ago", gave(100, gifts=1, ago=75), None, "75 100 125 150 200",
     "Her last gift was $100, 6 years ago; so long after, the ladder starts at $75."),
    ("Jo gave $40, less than her usual $100", gave(40, 100), None, "40 50 75 100 125",
     "Her last gift was $40, 3 months ago; the ladder starts there."),
    ("Kim, of $25 each time, sold a house and gave $2,000", gave(2000, 25), None, "50 75 100 150 250",
     "Her last gift was $2,000, 3 months ago, far above her usual $25; the ladder starts at $50."),
    ("Lou gives $20 a month", gave(20, ago=0, gifts=30, monthly=20), None, "20 25 35 50 75",
     "Her last gift was $20, less than a month ago (she gives $20 a month); the ladder starts there."),
    ("Max gave $37, which nobody would print on a button", gave(37), None, "35 50 75 100 125",
     "Her last gift was $37, 3 months ago; the ladder starts at $35."),
    ("Ola gave $25,000", gave(25_000), None, "25000 30000 40000 50000 75000",
     "Her last gift was $25,000, 3 months ago; the ladder starts there."),
    ("Pat gave $480 this year to a $500 fund", gave(120), 20, "5 10 15 20",
     "Her last gift was $120, 3 months ago; $20 is all that is left of the fund's limit."),
    ("Pat again, asked for the other fund, which has no limit", gave(120), None, "100 150 200 250 400",
     "Her last gift was $120, 3 months ago; the ladder starts at $100."),
    ("Quin gave all of the $500", gave(500), 0, "",
     "Nothing is left of the fund's limit for her: there is nothing to ask her for."),
    ("Rae has less left than the form takes", gave(97), 3, "",
     "$3 is left of the fund's limit for her: less than the form takes, $5."),
    ("Sam gave $150 and has $330 left", gave(150), 330, "125 150 200 250 330",
     "Her last gift was $150, 3 months ago; $330 is all that is left of the fund's limit."),
    ("Tess never gave to a fund that takes $300 a year", NEW, 300, "27 50 100 250",
     "She has not given yet: these are the form's own amounts; $300 is all that is left of the fund's limit."),
)  # fmt: skip
MONTHLY: tuple[tuple[str, History, int | None, str, str], ...] = (
    ("Ben's first $27", gave(27, gifts=1, ago=1), None, "5 10 15 20 25",
     "Her last gift was $27, a month ago; the monthly ladder starts at $5, about a quarter of it."),
    ("Mia's $100", gave(100), None, "25 35 50 75 100",
     "Her last gift was $100, 3 months ago; the monthly ladder starts at $25, about a quarter of it."),
    ("Ned's $1,000", gave(1000), None, "125 150 200 250 300",
     "Her last gift was $1,000, 3 months ago; the monthly ladder starts at $125."),
    ("Ida's $100 of six years ago", gave(100, gifts=1, ago=75), None, "15 20 25 35 50",
     "Her last gift was $100, 6 years ago; so long after, the monthly ladder starts at $15."),
    ("Lou, who gives $20 a month", gave(20, ago=0, gifts=30, monthly=20), None, "20 25 35 50 75",
     "She gives $20 a month already; the monthly ladder starts there."),
    ("Nora, who gives $5 a month and gave $100 in spring", gave(100, monthly=5), None, "25 35 50 75 100",
     "Her last gift was $100, 3 months ago (she gives $5 a month); the monthly ladder starts at $25, about a quarter of it."),
    ("Mia, with $480 left this year", gave(100), 480, "10 15 20 27 40",
     "Her last gift was $100, 3 months ago; twelve months of $40 are all that is left of the fund's limit."),
    ("Pat, with $20 left", gave(120), 20, "",
     "$20 is left of the fund's limit for her, $1.66 a month: less than the form takes, $5."),
    ("Ana, who never gave", NEW, None, "27 50 100 250 1000",
     "She has not given yet: these are the form's own amounts."),
)  # fmt: skip
NAMED = pytest.mark.parametrize


@NAMED(("who", "history", "left", "ladder", "why"), ONCE, ids=[row[0] for row in ONCE])
def test_twenty_donors_are_asked_for_what_fits_and_it_can_be_said_why(
    who: str, history: History, left: int | None, ladder: str, why: str
):
    made = asks.ladder(history, FORM, None if left is None else left * 100)
    assert " ".join(str(cents // 100) for cents in made.cents) == ladder, who
    assert made.why == why


@NAMED(("who", "history", "left", "ladder", "why"), MONTHLY, ids=[row[0] for row in MONTHLY])
def test_who_gave_once_is_asked_for_a_share_of_it_each_month(
    who: str, history: History, left: int | None, ladder: str, why: str
):
    made = asks.ladder(history, FORM, None if left is None else left * 100, monthly=True)
    assert " ".join(str(cents // 100) for cents in made.cents) == ladder, who
    assert made.why == why


def test_an_exact_remaining_amount_is_the_top_rung_in_whole_dollars():
    assert asks.ladder(gave(480), FORM, 23_45).cents == (500, 1000, 1500, 2300)
    assert asks.ladder(gave(480), FORM, 5_00).cents == (500,)
    assert asks.ladder(gave(480), Terms((2750,), 550), 5_80).cents == (580,), "no whole dollar is between"


def test_a_form_that_takes_less_than_she_gave_says_so():
    made = asks.ladder(gave(1000), Terms((2700,), 500, 200_00))
    assert made.cents == (7500, 10000, 12500, 15000, 20000)
    assert made.why == "Her last gift was $1,000, 3 months ago; the form takes no more than $200."


def test_amounts_that_were_chosen_for_her_stand_as_far_as_they_may_be_given():
    assert asks.fitted((2500, 1500), FORM) == (1500, 2500)
    assert asks.fitted((1500, 2500, 300, 5000), FORM, 3000) == (1500, 2500)
    assert asks.fitted((1500, 2500), FORM, 2000) == (500, 1000, 1500, 2000), "one amount is no choice"
    assert asks.fitted((1500,), FORM, 2000) == (1500,), "unless one was meant"
    assert asks.fitted((1500, 2500), FORM, 499) == ()


def test_a_link_says_of_what_is_left_no_more_than_a_round_amount():
    assert asks.told(None, (500,)) is None
    assert asks.told(472_13, (2700, 5000)) == 400_00
    assert asks.told(23_45, (500, 2300)) == 2300, "never less than it offers"


# What holds for everybody.

dollars_given = st.integers(100, 3_000_000)


@st.composite
def histories(draw: st.DrawFn) -> History:
    last, typical, more = draw(dollars_given), draw(dollars_given), draw(st.integers(0, 5_000_000))
    monthly = draw(st.sampled_from((0, 0, 500, 2000, 30_000)))
    return History(
        draw(st.integers(1, 40)), max(last, typical) + more, last, typical, draw(st.integers(0, 90)), monthly
    )


@st.composite
def forms(draw: st.DrawFn) -> Terms:
    floor = draw(st.integers(1, 50).map(lambda each: each * 100) | st.integers(100, 5000))
    cap = draw(st.none() | st.integers(floor, 1_000_000))
    most = cap or 200_000
    presets = draw(st.lists(st.integers(floor, max(most, floor)), min_size=1, max_size=6, unique=True))
    return Terms(tuple(presets), floor, cap)


lefts = st.none() | st.integers(0, 60_000) | st.integers(0, 2_000_000)


@given(histories() | st.just(NEW), forms(), lefts, st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_ladder_is_ascending_within_floor_cap_and_what_is_left_and_the_same_each_time(
    history: History, terms: Terms, left: int | None, monthly: bool
):
    made = asks.ladder(history, terms, left, monthly=monthly)
    assert list(made.cents) == sorted(set(made.cents))
    assert len(made.cents) <= 6
    assert all(terms.floor_cents <= cents <= (terms.cap_cents or asks.MOST_CENTS) for cents in made.cents)
    if left is not None:
        assert all(cents * (12 if monthly else 1) <= left for cents in made.cents)
    if left is None:
        assert made.cents
    assert made.why.endswith(".")
    assert ";" in made.why or not made.cents or history == NEW
    asks.ladder.cache_clear()
    assert asks.ladder(history, terms, left, monthly=monthly) == made


@given(histories(), forms(), lefts, st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_lowest_rung_is_never_above_her_last_gift_the_floor_aside_and_rungs_keep_a_distance(
    history: History, terms: Terms, left: int | None, monthly: bool
):
    made = asks.ladder(history, terms, left, monthly=monthly).cents
    if made:
        assert made[0] <= max(history.last_cents, terms.floor_cents)
        assert set(made[1:-1]) <= set(SERIES), "amounts people like, but for the floor and the most"
        assert all(one * 6 <= other * 5 for one, other in pairwise(made))


@given(histories(), forms(), lefts, st.booleans(), st.integers(1, 1_000_000), st.integers(0, 15))
@settings(max_examples=400, deadline=None)
def test_a_larger_history_never_makes_a_smaller_rung_and_an_older_one_never_a_larger(
    history: History, terms: Terms, left: int | None, monthly: bool, more: int, which: int
):
    grown = replace(
        history,
        last_cents=history.last_cents + more * (which & 1),
        typical_cents=history.typical_cents + more * (which >> 1 & 1),
        monthly_cents=history.monthly_cents + more * (which >> 2 & 1),
        highest_cents=history.highest_cents + more,
        gifts=history.gifts + 1,
    )
    aged = replace(history, months=history.months + which)
    more_given, same, old = (asks.ladder(each, terms, left, monthly=monthly).cents for each in (grown, history, aged))
    assert len(more_given) == len(same) == len(old)
    assert all(one >= other for one, other in zip(more_given, same, strict=True))
    assert all(one >= other for one, other in zip(same, old, strict=True))


@given(histories(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_little_more_moves_no_rung_further_than_two_steps(history: History, monthly: bool):
    little = replace(
        history, last_cents=history.last_cents + 1, months=history.months + 1, highest_cents=history.highest_cents + 1
    )
    terms = Terms((2700,), 100)
    one, other = (asks.ladder(each, terms, monthly=monthly).cents for each in (history, little))
    for before, after in zip(one, other, strict=True):
        assert abs(SERIES.index(before) - SERIES.index(after)) <= 2, (dollars(before), dollars(after))


@given(histories(), st.integers(0, 200_000), st.integers(0, 200_000))
@settings(max_examples=200, deadline=None)
def test_the_more_is_left_the_higher_it_may_rise(history: History, one: int, other: int):
    less, more = (asks.ladder(history, FORM, left).cents for left in sorted((one, other)))
    assert len(less) <= len(more)
    assert not less or less[-1] <= more[-1]
