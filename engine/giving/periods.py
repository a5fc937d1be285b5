"""The three clocks by which a fund's limit is counted, in the organisation's time zone. Pure.

A gift made at 23:30 on 31 December where the organisation is counts for that year, whatever UTC says. year: the calendar
year. cycle: two of them, the second an even one. election: from the day after one election day up to and including the
next; before the first it begins with time, after the last it has no end.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

Clock = Literal["year", "cycle", "election"]
CLOCKS: tuple[Clock, ...] = get_args(Clock)

# The name of the period in which the wall clock `{day}` (a date) falls by fund `f`: the same that `Period.name` has.
NAME = """CASE f.limit_clock
    WHEN 'year' THEN concat(extract(year FROM {day}))
    WHEN 'cycle' THEN (SELECT concat(even - 1, '-', even) FROM (SELECT (extract(year FROM {day})::int + 1) / 2 * 2) y(even))
    ELSE coalesce((SELECT 'until ' || min(d) FROM unnest(f.election_days) d WHERE d >= {day}),
        (SELECT 'after ' || max(d) FROM unnest(f.election_days) d), 'all time') END"""
# The date of an instant `{at}` on the organisation's wall.
DAY = "CAST({at} AT TIME ZONE :zone AS date)"


@dataclass(frozen=True, slots=True)
class Period:
    """Aware instants [begin, end); None: open on that side."""

    name: str
    begin: datetime | None
    end: datetime | None

    def __contains__(self, at: datetime) -> bool:
        """Whether it holds this instant (aware)."""
        return (self.begin is None or self.begin <= at) and (self.end is None or at < self.end)


def holding(clock: str, election_days: Sequence[date], at: datetime, zone: str) -> Period:
    """The period of a fund's clock that this instant (aware) falls in. `election_days` in any order, unused by the other
    clocks. Raises KeyError for a clock that is none of CLOCKS."""
    day = at.astimezone(ZoneInfo(zone)).date()
    name, first, last = _PERIODS[clock](day, sorted(election_days))
    return Period(name, _midnight(first, zone), _midnight(last and last + timedelta(days=1), zone))


def _year(day: date, _: Sequence[date]) -> tuple[str, date | None, date | None]:
    return f"{day.year}", date(day.year, 1, 1), date(day.year, 12, 31)


def _cycle(day: date, _: Sequence[date]) -> tuple[str, date | None, date | None]:
    even = day.year + day.year % 2
    return f"{even - 1}-{even}", date(even - 1, 1, 1), date(even, 12, 31)


def _election(day: date, days: Sequence[date]) -> tuple[str, date | None, date | None]:
    place = bisect_left(days, day)
    before = days[place - 1] if place else None
    first = before and before + timedelta(days=1)
    if place < len(days):
        return f"until {days[place]}", first, days[place]
    return f"after {before}" if before else "all time", first, None


_PERIODS = {"year": _year, "cycle": _cycle, "election": _election}


def _midnight(day: date | None, zone: str) -> datetime | None:
    return datetime.combine(day, time(), ZoneInfo(zone)) if day else None
