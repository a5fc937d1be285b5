"""Sequences as staff write them: a list of steps that can be read aloud. Pure; read strictly.

    slug: rent-vote
    name: Before the rent vote
    on: launch                       # or what lets people enter by themselves: one of TRIGGERS
    again: never                     # or always, or so long after she entered: 90 days
    goal: gave                       # to the fund of its asks, since she entered; or a rule
    exit_when: {op: not, of: {op: chapter, chapter: worcester}}
    expires: deadline                # or 30 days (since she entered), or a day: 2027-02-02
    quiet_hours: 21-8
    steps:
      - {key: write, email: rent_vote_call}
      - {key: pause, wait: 2 days before deadline at 09:00}
      - key: ask
        if: {op: not, of: {op: gave, within: 30 days}}
        ask: rent_vote_ask
        late: {after: 12 hours, then: skip}
      - {key: end, stop: true}

Rules are those of segments. What a version says of letters is pinned when it is published (`sequences`); what happens next
to one person is decided in `plan`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from engine.segments import rules
from engine.segments.rules import Name, Rule, Words

MOST_STEPS, MOST_VARIANTS = 50, 6
LONGEST_WAIT = timedelta(days=400)

# What lets people enter by themselves, and what it is in words. `daily`: nobody's event; once a day, everybody whom `if`
# chooses.
TRIGGERS: Mapping[str, str] = {
    "joined": "somebody's yes to letters begins to hold",
    "joined_far": "the same of somebody who has no chapter near her",
    "first_gift": "the first gift of somebody's life to a fund of ours",
    "gave": "a one-off gift, or the first of a plan",
    "monthly_started": "a monthly plan begins",
    "instalment_failed": "an instalment by card at our own processor failed",
    "monthly_cancelled": "a donor ended her monthly plan",
    "employer_wanted": "the law wants to know where a donor works, and she has not said",
    "offered_help": "somebody offered to help",
    "daily": "once a day, everybody whom `if` chooses",
}
LAUNCH = "launch"
# What a step can wait for, in the words of files.
EVENTS: Mapping[str, str] = {
    "gave": "she gave once, or began a plan",
    "clicked": "she followed a link in a letter",
    "joined": "her yes to letters began to hold",
    "offered_help": "she offered to help",
    "monthly_started": "her monthly plan began",
    "instalment_paid": "an instalment of her plan was paid",
}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ACTIONS = ("email", "ask", "wait", "wait_for", "tag", "notify", "stop")
MORNING = time(9, 0)  # of days that a wait names without a time

_SPAN = re.compile(r"([1-9][0-9]{0,3}) (minute|hour|day|week|month)s?")
_CLOCK = re.compile(r"(.+?) at ([01]?[0-9]|2[0-3]):([0-5][0-9])")
_BEFORE = re.compile(r"(.+) before (deadline|gathering)")
_HOURS = re.compile(r"([01]?[0-9]|2[0-3])-([01]?[0-9]|2[0-3])")
_SPANS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1),
          "week": timedelta(weeks=1), "month": timedelta(days=30)}  # fmt: skip


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
    try:
        return Wait(said, day=date.fromisoformat(rest), at=at or MORNING)
    except ValueError:
        raise PydanticCustomError("wait", _NO_WAIT) from None


_NO_WAIT = (
    "is no wait: write it like 3 days, 1 day at 10:00, tuesday at 10:00, 2027-02-01 at 09:00, or 2 days before deadline"
)


def span(said: str) -> timedelta:
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


def _spelt(told: Any) -> Any:
    """A span, as it is written."""
    _span(told, "span")
    return told


def _hours(told: Any) -> Any:
    found = _HOURS.fullmatch(told) if isinstance(told, str) else None
    if not found or found[1] == found[2]:
        raise PydanticCustomError("hours", "is written like 21-8: full hours of the reader's day")
    return int(found[1]), int(found[2])


def _expiry(told: Any) -> Any:
    if told == "deadline":
        return told
    if isinstance(told, date):
        return told.isoformat()
    try:
        date.fromisoformat(told if isinstance(told, str) else "")
    except ValueError:
        _span(told, "span")
    return told


def _day(told: Any) -> Any:
    try:
        return date.fromisoformat(told) if isinstance(told, str) else told
    except ValueError:
        return told


def _again(told: Any) -> Any:
    if told not in ("never", "always"):
        _span(told, "span")
    return told


Waits = Annotated[Wait, BeforeValidator(_wait), PlainSerializer(lambda wait: wait.said)]
Span = Annotated[str, BeforeValidator(_spelt)]
Hours = Annotated[tuple[int, int], BeforeValidator(_hours), PlainSerializer(lambda hours: f"{hours[0]}-{hours[1]}")]
Day = Annotated[date, BeforeValidator(_day)]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]
Letter = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=61)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, arbitrary_types_allowed=True,
        populate_by_name=True,
    )  # fmt: skip


class Variant(_Strict):
    """One of several letters of a step; of all who get one, `weight` parts get this."""

    key: Key
    letter: Letter
    weight: Annotated[int, Field(ge=1, le=1000)] = 1


class Late(_Strict):
    """What is done with a letter whose step is so late (the house was down, the campaign stood still): it goes all the same
    (send), or does not come (skip)."""

    after: Span
    then: Literal["send", "skip"] = "skip"


class WaitFor(_Strict):
    """Until this happens to her, at most so long."""

    event: Literal["gave", "clicked", "joined", "offered_help", "monthly_started", "instalment_paid"]
    within: Span


class Stop(_Strict):
    """The end; `rest`: and she gets no letters any more until she does something herself."""

    rest: bool = False


class Step(_Strict):
    """One step, of exactly one of ACTIONS. `if`: a rule; whom it does not choose goes on with the next one.

    Of `email` and `ask` (an ask goes by the fund's rules: rests, limits, ladders): the letter by its name, or true, and
    `variants`; `holdout`: so many of a hundred get none, to compare with; `expires`: how long after it was due it may still
    leave; `at_cap`: as of a letter. `notify`: the leads of her chapter get this letter, which names nobody.
    """

    key: Key
    when: Annotated[Rule | None, Field(alias="if")] = None
    email: Letter | Literal[True] | None = None
    ask: Letter | Literal[True] | None = None
    variants: Annotated[tuple[Variant, ...], Field(min_length=2, max_length=MOST_VARIANTS, strict=False)] | None = None
    holdout: Annotated[int, Field(ge=1, le=50)] | None = None
    late: Late | None = None
    expires: Span | None = None
    at_cap: Literal["defer", "drop", "exempt"] = "defer"
    wait: Waits | None = None
    wait_for: WaitFor | None = None
    tag: Words | None = None
    notify: Letter | None = None
    stop: Stop | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _plain_stop(cls, told: Any) -> Any:
        return {} if told is True else told

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        said = [name for name in ACTIONS if getattr(self, name) is not None]
        if len(said) != 1:
            raise PydanticCustomError("step", "does one thing: " + ", ".join(ACTIONS))
        of_letters = {"variants", "holdout", "late", "expires", "at_cap"} & self.model_fields_set
        if of_letters and not self.mails:
            raise PydanticCustomError("step", f"{min(of_letters)} belongs to email and ask")
        if self.mails and (self.variants is None) == (True in (self.email, self.ask)):
            raise PydanticCustomError("step", "names its letter; of several it says true, and they are its variants")
        keys = [each.key for each in self.variants or ()]
        if len(set(keys)) != len(keys):
            raise PydanticCustomError("step", "two variants have the same key")
        return self

    @property
    def kind(self) -> str:
        """Which of ACTIONS it is."""
        return next(name for name in ACTIONS if getattr(self, name) is not None)

    @property
    def mails(self) -> bool:
        """Whether it writes a letter to her."""
        return self.email is not None or self.ask is not None

    @property
    def letters(self) -> Mapping[str, str]:
        """Its letters by variant; '': there are none."""
        if not self.mails:
            return {}
        if self.variants:
            return {each.key: each.letter for each in self.variants}
        return {"": str(self.email or self.ask)}


class Definition(_Strict):
    """A sequence. `chapter`: whose it is, and whose people alone it takes; none: the root's. `on`: LAUNCH, or one of
    TRIGGERS; `when` (if): of whom that lets in, whom it takes. `deadline`: the day before which all is over (that day's
    beginning, where the organisation is), from which waits and `expires` count; a campaign's own goes before."""

    slug: Name
    name: Words
    chapter: Name | None = None
    on: str = LAUNCH
    when: Annotated[Rule | None, Field(alias="if")] = None
    again: Annotated[str, BeforeValidator(_again)] = "never"
    goal: Literal["gave"] | Rule | None = None
    exit_when: Rule | None = None
    expires: Annotated[str, BeforeValidator(_expiry)] | None = None
    deadline: Day | None = None
    quiet_hours: Hours | None = (21, 8)
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST_STEPS, strict=False)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        keys = [step.key for step in self.steps]
        if len(set(keys)) != len(keys):
            raise PydanticCustomError("keys", "two steps have the same key")
        if self.on != LAUNCH and self.on not in TRIGGERS:
            raise PydanticCustomError("trigger", "on must be launch, or " + ", ".join(TRIGGERS))
        if self.on == "daily" and self.when is None:
            raise PydanticCustomError("trigger", "daily needs an `if`: it would take everybody")
        if self.goal == "gave" and not any(step.ask for step in self.steps):
            raise PydanticCustomError("goal", "the goal gave is about the fund of its asks, and it asks for nothing")
        return self

    def step(self, key: str) -> Step | None:
        """The step of this key, if there is one."""
        return next((step for step in self.steps if step.key == key), None)

    def rules(self) -> Iterator[tuple[tuple[str | int, ...], "Rule"]]:
        """All rules in it, each with where it stands."""
        for name, rule in (("if", self.when), ("goal", self.goal), ("exit_when", self.exit_when)):
            if rule is not None and rule != "gave":
                yield (name,), rule
        for place, step in enumerate(self.steps):
            if step.when is not None:
                yield ("steps", place, "if"), step.when


def read(told: Any) -> Definition:
    """A sequence, out of what was read from YAML or JSON. Raises ValidationError, and Invalid for a rule that is too deep or
    too large."""
    if isinstance(told, dict):
        steps = told.get("steps")
        for each in (told, *(steps if isinstance(steps, list) else ())):
            for name in ("if", "goal", "exit_when"):
                if isinstance(each, dict) and isinstance(each.get(name), dict):
                    rules.measure(each[name])
    return Definition.model_validate(told)


def said(definition: Definition) -> dict[str, Any]:
    """The sequence as JSON says it; `read` finds the same in it."""
    told = definition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for path, rule in definition.rules():
        place: Any = told
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = rules.said(rule)
    return told


__all__ = [
    "Definition",
    "Late",
    "Step",
    "Stop",
    "ValidationError",
    "Variant",
    "Wait",
    "WaitFor",
    "read",
    "said",
    "span",
]
