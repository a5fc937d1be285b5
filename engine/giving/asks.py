"""Amounts that fit: from what somebody gave, what she is asked for next, and one sentence why. Pure.

A ladder begins at her last gift (or a little below one that is long ago) and rises by an eighth, a quarter, half and all of
the way to its top: to 1.25, 1.5, 2 and 3 times as much, and further, up to 5 times, where she gave more before. What fits is
shown in amounts that people like, at least a fifth apart.

A larger history never makes a smaller rung, an older one never a larger. All rungs lie between the form's floor and what may
be given: its cap, and what is left for her of the fund's limit. The lowest is never above her last gift, the floor aside.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from engine.giving.forms import MOST_CENTS
from engine.money import dollars

RUNGS = 5
MONTHS_FRESH, MONTHS_STALE = 12, 48  # until then a last gift counts in full; from then on it says least
MONTHS_OF_A_PLAN = 12  # instalments that must fit into what is left

_DOLLARS = (1, 2, 3, 5, 10, 15, 20, 25, 27, 35, 40, 50, 75)
_STEPS = (100, 125, 150, 200, 250, 300, 400, 500, 750)
# Amounts people like, in cents. $27 is what this kind of organisation is known for; $25 and $27 never stand side by side.
SERIES: tuple[int, ...] = tuple(
    100 * each for each in (*_DOLLARS, *(step * power for power in (1, 10, 100, 1_000, 10_000) for step in _STEPS))
)

_EIGHTHS = (0, 1, 2, 4, 8)  # of the way from the first rung to the top
_LONGEST_REACH = 5  # times the first rung
_SHARE_UPTO, _SHARE, _SHARE_ABOVE = 10_000, 4, 10  # a month: a quarter of a gift, of what it has above $100 a tenth


@dataclass(frozen=True, slots=True)
class History:
    """What somebody gave, to whichever of our funds, in cents. `typical_cents`: her usual gift. `months`: since her last one.
    `monthly_cents`: what she gives each month already. Nothing in it: she never gave."""

    gifts: int = 0
    highest_cents: int = 0
    last_cents: int = 0
    typical_cents: int = 0
    months: int = 0
    monthly_cents: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """What a form says of amounts, in cents. `cap_cents` None: whatever one gift can be."""

    preset_cents: tuple[int, ...]
    floor_cents: int
    cap_cents: int | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """Amounts in cents, ascending, none twice; none at all when there is nothing that she could be asked for. `why`: one
    sentence for staff."""

    cents: tuple[int, ...]
    why: str


@lru_cache(maxsize=8192)
def ladder(history: History, terms: Terms, left_cents: int | None = None, *, monthly: bool = False) -> Ladder:
    """What fits her, once or each month; `left_cents`: of the fund's limit, None when it has none.

    Of a month's amounts twelve must fit into what is left. When that is less than the form's floor, there are none. Her last
    gift was below the floor: the floor is the lowest rung. Who never gave gets the form's own amounts.
    """
    most, bound = _most(terms, left_cents, monthly=monthly)
    if most < terms.floor_cents:
        return Ladder((), _nothing(left_cents, terms.floor_cents, monthly=monthly))
    if history.gifts < 1 or history.last_cents < 1:
        return _presets(terms, most, bound)
    first = _first(history, monthly=monthly)
    top = max(3 * first, min(_LONGEST_REACH * first, 0 if monthly else _reach(history)))
    wanted = _steps(first, top, history.last_cents)
    made = _within(wanted, terms.floor_cents, most)
    said = _beginning(history, max(wanted[0], terms.floor_cents), terms.floor_cents, monthly=monthly)
    if made[0] < wanted[0]:
        said = f"{said.partition(';')[0]}; {bound}"
    elif made[-1] < wanted[: len(made)][-1] or len(made) < RUNGS:
        said += f"; {bound}"
    elif top > 3 * first and history.highest_cents > history.last_cents:
        said += f", and rises higher: she once gave {dollars(history.highest_cents)}"
    return Ladder(made, said + ".")


@lru_cache(maxsize=8192)
def fitted(cents: tuple[int, ...], terms: Terms, left_cents: int | None = None) -> tuple[int, ...]:
    """Of amounts that were chosen for her, those that may be given; where not even two of them may: what may."""
    most, _ = _most(terms, left_cents, monthly=False)
    if most < terms.floor_cents:
        return ()
    fit = tuple(each for each in sorted(set(cents)) if terms.floor_cents <= each <= most)
    return fit if len(fit) > 1 or len(fit) == len(cents) > 0 else _within((), terms.floor_cents, most)


def told(left_cents: int | None, cents: Sequence[int]) -> int | None:
    """What is left as a link may say it to whoever holds it: a round amount that is not more, so that no ladder and what goes
    with it are one person's own."""
    if left_cents is None or not cents:
        return left_cents
    return max(cents[-1], _below(left_cents))


def _most(terms: Terms, left_cents: int | None, *, monthly: bool) -> tuple[int, str]:
    """The most that may be asked for, and why it is no more."""
    cap = terms.cap_cents or MOST_CENTS
    bounds = [(cap, f"the form takes no more than {dollars(cap)}")]
    if left_cents is not None:
        left = left_cents // MONTHS_OF_A_PLAN if monthly else left_cents
        if (whole := left // 100 * 100) >= terms.floor_cents:
            left = whole
        said = f"twelve months of {dollars(left)} are" if monthly else f"{dollars(left)} is"
        bounds.append((left, f"{said} all that is left of the fund's limit"))
    return min(bounds, key=lambda bound: bound[0])


def _presets(terms: Terms, most: int, bound: str) -> Ladder:
    fit = fitted(terms.preset_cents, Terms((), terms.floor_cents, most))
    own = ": these are the form's own amounts" if set(fit) <= set(terms.preset_cents) else ""
    less = f"; {bound}" if max(terms.preset_cents, default=0) > most else ""
    return Ladder(fit, f"She has not given yet{own}{less}.")


def _fresh(history: History) -> int:
    """How much her last gift still says: from all of it to nothing, in so many parts of MONTHS_STALE - MONTHS_FRESH."""
    return min(max(MONTHS_STALE - history.months, 0), MONTHS_STALE - MONTHS_FRESH)


def _first(history: History, *, monthly: bool) -> int:
    """Where the ladder begins, before it is rounded."""
    whole, fresh = MONTHS_STALE - MONTHS_FRESH, _fresh(history)
    usual = max(history.typical_cents, 1)
    # A gift far above habit counts as twice her usual one at most; long after, as the usual one.
    once = min(history.last_cents, usual * (whole + fresh) // whole) * (2 * whole + fresh) // (3 * whole)
    if not monthly:
        return max(once, 1)
    share = min(once, _SHARE_UPTO) // _SHARE + max(once - _SHARE_UPTO, 0) // _SHARE_ABOVE
    return max(share, history.monthly_cents, 1)


def _reach(history: History) -> int:
    """How far up what she gave at best draws the ladder: the longer ago, the nearer to what is usual."""
    whole, usual = MONTHS_STALE - MONTHS_FRESH, history.typical_cents
    return usual + max(history.highest_cents - usual, 0) * _fresh(history) // whole


def _steps(first: int, top: int, last: int) -> list[int]:
    """Rungs from first to top in amounts people like. The lowest is not above the last gift."""
    made = [min(_near(first), _below(last))]
    for eighths in _EIGHTHS[1:]:
        made.append(max(_near(first + (top - first) * eighths // 8), _after(made[-1])))
    return made


def _within(wanted: Sequence[int], floor: int, most: int) -> tuple[int, ...]:
    """These rungs, lifted to the floor and pressed below the most: each into a place of its own, fewer where there is less
    room. Without any, what there is room for."""
    places = list(_places(floor, most))[::-1]
    lowest = [floor]
    while len(lowest) < len(places):
        lowest.append(_after(lowest[-1]))
    rungs = wanted or places
    return tuple(min(max(rung, low), place) for rung, low, place in zip(rungs, lowest, places, strict=False))


def _places(floor: int, most: int) -> Iterator[int]:
    """From the most downwards: amounts people like, at least a fifth apart, so many as a ladder has."""
    place = most
    for _ in range(RUNGS):
        if place < floor:
            return
        yield place
        if place * 5 // 6 < SERIES[0]:
            return
        place = _below(place * 5 // 6)


def _below(cents: int) -> int:
    """The largest amount people like that is not more."""
    return SERIES[max(bisect_right(SERIES, cents) - 1, 0)]


def _after(cents: int) -> int:
    """The next amount people like that is a fifth more."""
    return SERIES[min(bisect_left(SERIES, -(-cents * 6 // 5)), len(SERIES) - 1)]


def _near(cents: int) -> int:
    """The nearest amount people like; of two as near, the lower one."""
    place = min(bisect_left(SERIES, cents), len(SERIES) - 1)
    below, above = SERIES[max(place - 1, 0)], SERIES[place]
    return below if cents - below <= above - cents else above


def _beginning(history: History, first: int, floor: int, *, monthly: bool) -> str:
    """What the ladder follows from, and where it begins."""
    plan = f"he gives {dollars(history.monthly_cents)} a month"
    last, which = history.last_cents, "the monthly ladder" if monthly else "the ladder"
    if monthly and history.monthly_cents >= _first(replace(history, monthly_cents=0), monthly=True):
        return f"S{plan} already; {which} starts " + (
            "there" if first == history.monthly_cents else f"at {dollars(first)}"
        )
    beside = f" (s{plan})" if history.monthly_cents else ""
    said = f"Her last gift was {dollars(last)}, {_ago(history.months)}{beside}"
    if first == floor and first > last:
        return f"{said}; the form takes nothing below {dollars(floor)}, so {which} starts there"
    if last > history.typical_cents * (1 + _fresh(history) / (MONTHS_STALE - MONTHS_FRESH)):
        return f"{said}, far above her usual {dollars(history.typical_cents)}; {which} starts at {dollars(first)}"
    if not monthly and first == last:
        return f"{said}; {which} starts there"
    late = "so long after, " if history.months > MONTHS_FRESH and (monthly or first < _below(last)) else ""
    share = ", about a quarter of it" if monthly and not late and last <= _SHARE_UPTO else ""
    return f"{said}; {late}{which} starts at {dollars(first)}{share}"


def _ago(months: int) -> str:
    if months < 1:
        return "less than a month ago"
    many, unit = (months, "month") if months < 2 * MONTHS_FRESH else (months // 12, "year")
    return f"a {unit} ago" if many == 1 else f"{many} {unit}s ago"


def _nothing(left_cents: int | None, floor: int, *, monthly: bool) -> str:
    if left_cents is None:
        return f"The form takes nothing between its floor, {dollars(floor)}, and its cap."
    if left_cents <= 0:
        return "Nothing is left of the fund's limit for her: there is nothing to ask her for."
    month = f", {dollars(left_cents // MONTHS_OF_A_PLAN)} a month" if monthly else ""
    return (
        f"{dollars(left_cents)} is left of the fund's limit for her{month}: less than the form takes, {dollars(floor)}."
    )
