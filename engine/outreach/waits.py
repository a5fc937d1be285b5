"""How long a wait is, as it is written: a span, a weekday, a day, so long before something. Pure."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

LONGEST_WAIT = timedelta(days=400)
FIRST_YEAR, LAST_YEAR = 2000, 2199  # of days that are written
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MORNING = time(9, 0)  # of days that a wait names without a time

_SPAN = re.compile(r"([1-9][0-9]{0,3}) (minute|hour|day|week|month)s?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = re.compile(r"(.+?) at ([01]?[0-9]|2[0-3]):([0-5][0-9])")
_BEFORE = re.compile(r"(.+) before (deadline|gathering)")
_SPANS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1),
          "week": timedelta(weeks=1), "month": timedelta(days=30)}  # fmt: skip
_NO_WAIT = (
    "is no wait: write it like 3 days, 1 day at 10:00, tuesday at 10:00, 2027-02-01 at 09:00, or 2 days before deadline"
)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a wait is. One of: `span` since the step before; `weekday` (0: Monday) next; `day`; `span` before an `anchor`
    (deadline, gathering). `at`: the clock where she lives, on that day; a span without it ends at the same clock time so many
    days later when it is said in days, weeks or months (`by_the_day`), and to the minute when in hours."""

    said: str
    span: timedelta | None = None
    weekday: int | None = None
    day: date | None = None
    anchor: str = ""
    at: time | None = None

    @property
    def length(self) -> timedelta:
        """Its span; nothing, of a weekday or a day."""
        return self.span or timedelta()

    @property
    def by_the_day(self) -> bool:
        """Whether its span is of days."""
        return self.span is not None and not ("hour" in self.said or "minute" in self.said)


def _wait(told: Any) -> Any:
    """Raises for what is none; see Wait."""
    said = told.isoformat() if isinstance(told, date) and not isinstance(told, datetime) else told
    if not isinstance(said, str):
        raise PydanticCustomError("wait", _NO_WAIT)
    clock = _CLOCK.fullmatch(said)
    rest, at = (clock[1], time(int(clock[2]), int(clock[3]))) if clock else (said, None)
    if rest in WEEKDAYS:
        return Wait(said, weekday=WEEKDAYS.index(rest), at=at or MORNING)
    if before := _BEFORE.fullmatch(rest):
        return Wait(said, span=_span(before[1], "wait"), anchor=before[2], at=at)
    if _SPAN.fullmatch(rest):
        return Wait(said, span=_span(rest, "wait"), at=at)
    found = day(rest)
    if found is None:
        raise PydanticCustomError("wait", _NO_WAIT)
    return Wait(said, day=found, at=at or MORNING)


def day(told: Any) -> date | None:
    """A day, as a file or JSON has it; None for what is none. Raises PydanticCustomError for one that nothing is about."""
    if isinstance(told, str):
        try:
            told = date.fromisoformat(told) if _DAY.fullmatch(told) else None
        except ValueError:
            return None
    if not isinstance(told, date) or isinstance(told, datetime):
        return None
    if not FIRST_YEAR <= told.year <= LAST_YEAR:
        raise PydanticCustomError("day", f"is of no year between {FIRST_YEAR} and {LAST_YEAR}")
    return told


def span(said: Any) -> timedelta:
    """How long that is: "3 days". Raises PydanticCustomError for what is none or too long."""
    return _span(said, "span")


def _span(said: Any, kind: str) -> timedelta:
    found = _SPAN.fullmatch(said) if isinstance(said, str) else None
    if not found:
        raise PydanticCustomError(kind, _NO_WAIT if kind == "wait" else "is no span: write it like 12 hours or 30 days")
    length = int(found[1]) * _SPANS[found[2]]
    if length > LONGEST_WAIT:
        raise PydanticCustomError(kind, f"is longer than {LONGEST_WAIT.days} days")
    return length


Waits = Annotated[
    Wait,
    BeforeValidator(_wait),
    PlainSerializer(lambda wait: wait.said),
    WithJsonSchema({"type": "string", "format": "wait"}),
]
