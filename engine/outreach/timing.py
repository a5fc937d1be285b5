"""When things are: the ends of waits, quiet hours, expiry, each on the clock where she lives. Pure.

A clock time that there is not, for clocks go forward, is as much later (02:30 is 03:30); of one that there is twice the
first is meant. Moments come and go in any zone; what is returned is in UTC.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from engine.outreach import waits
from engine.outreach.definitions import Definition
from engine.outreach.waits import Wait

_DAY = timedelta(days=1)
_spanned = lru_cache(waits.span)


def on_clock(day: date, clock: time, zone: str) -> datetime:
    """The moment at which clocks of this zone show that on that day."""
    return datetime.combine(day, clock, ZoneInfo(zone)).astimezone(UTC)


def beginning(day: date, zone: str) -> datetime:
    """The day's first moment there, in that zone: a deadline, from which days are counted where the organisation is."""
    return datetime.combine(day, time(), ZoneInfo(zone))


def end_of_wait(wait: Wait, now: datetime, zone: str, anchor: datetime | None) -> datetime | None:
    """When a wait is over that begins now. `anchor`: the deadline or gathering that it counts back from, its days as the
    zone has them that it carries; None: it needs one, and there is none."""
    if wait.anchor:
        return None if anchor is None else _before(wait, anchor, zone)
    if wait.day is not None:
        return on_clock(wait.day, wait.at or time(), zone)
    here = now.astimezone(ZoneInfo(zone))
    if wait.weekday is not None:
        return _next(here.date() + _DAY * ((wait.weekday - here.weekday()) % 7), wait, now, zone, 7)
    if wait.at is not None:
        return _next((here + wait.length).date(), wait, now, zone, 1)
    if wait.by_the_day:  # the same clock time, however long the days between are
        return on_clock(here.date() + wait.length, here.time(), zone)
    return now.astimezone(UTC) + wait.length


def awake(at: datetime, quiet: tuple[int, int] | None, zone: str) -> datetime:
    """That moment, or when the quiet hours end in which it is there."""
    at = at.astimezone(UTC)
    if quiet is None:
        return at
    since, until = quiet
    here = at.astimezone(ZoneInfo(zone))
    overnight = since > until
    if overnight and here.hour >= since:
        return on_clock(here.date() + _DAY, time(until), zone)
    if here.hour < until and (overnight or here.hour >= since):
        return on_clock(here.date(), time(until), zone)
    return at


def expiry(definition: Definition, entered_at: datetime, deadline: datetime | None, zone: str) -> datetime | None:
    """When all of it is over for her; None: never. A day that it names is over when it begins where she lives."""
    said = definition.expires
    if said is None:
        return None
    if said == "deadline":
        return deadline
    over_on = waits.day(said)
    return later(entered_at, said) if over_on is None else on_clock(over_on, time(), zone)


def later(at: datetime, said: str) -> datetime:
    """So long after that: "12 hours"."""
    return at.astimezone(UTC) + _spanned(said)


def _before(wait: Wait, anchor: datetime, zone: str) -> datetime:
    if wait.at is not None:
        return on_clock((anchor - wait.length).date(), wait.at, zone)
    return (anchor - wait.length if wait.by_the_day else anchor.astimezone(UTC) - wait.length).astimezone(UTC)


def _next(day: date, wait: Wait, now: datetime, zone: str, every: int) -> datetime:
    """The wait's clock time on that day, or on the first after it (every so many days) that has not come yet."""
    clock = wait.at or time()
    found = on_clock(day, clock, zone)
    return found if found > now else on_clock(day + _DAY * every, clock, zone)
