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
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    StringConstraints,
    Tag,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from engine.outreach import waits
from engine.outreach.waits import LONGEST_WAIT, WEEKDAYS, Wait, Waits, span
from engine.segments import rules
from engine.segments.rules import Name, Rule, Words

MOST_STEPS, MOST_VARIANTS = 50, 6

# What lets people enter by themselves, and what it is in words that stand alone, wherever they are said. `daily`: nobody's
# event; once a day, everybody whom the `if` of the sequence chooses.
TRIGGERS: Mapping[str, str] = {
    "joined": "she joins (her yes to letters begins to hold), and a chapter is near her",
    "joined_far": "she joins (her yes to letters begins to hold), and no chapter is near her",
    "first_gift": "she gives to one of our funds for the first time",
    "gave": "she gives once, or begins a plan",
    "monthly_started": "she begins a monthly plan",
    "instalment_failed": "a payment of her monthly plan, by card with us, fails",
    "monthly_cancelled": "she ends her monthly plan",
    "employer_wanted": "the law wants to know where she works, for what she gave, and she has not said",
    "offered_help": "she offers to help",
    "daily": "once a day, whoever is chosen then",
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
ACTIONS = ("email", "ask", "wait", "wait_for", "tag", "notify", "stop")
RULES = ("if", "goal", "exit_when")  # where rules stand
OF_LETTERS = ("variants", "holdout", "late", "expires", "at_cap")  # what only steps say that write a letter

_LETTER = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")
_HOURS = re.compile(r"([01]?[0-9]|2[0-3])-([01]?[0-9]|2[0-3])")


def _spelt(told: Any) -> Any:
    """A span, as it is written."""
    waits.span(told)
    return told


def _hours(told: Any) -> Any:
    found = _HOURS.fullmatch(told) if isinstance(told, str) else None
    if not found or int(found[1]) == int(found[2]):
        raise PydanticCustomError("hours", "is written like 21-8: full hours of the reader's day")
    return int(found[1]), int(found[2])


def _expiry(told: Any) -> Any:
    if told == "deadline":
        return told
    found = waits.day(told)
    return _spelt(told) if found is None else found.isoformat()


def _day(told: Any) -> Any:
    found = waits.day(told)
    return told if found is None else found


def _again(told: Any) -> Any:
    return told if told in ("never", "always") else _spelt(told)


def _named(told: Any) -> Any:
    """A letter's name, or true."""
    if told is not True and not (isinstance(told, str) and _LETTER.fullmatch(told)):
        raise PydanticCustomError("letter", "is no letter's name: small letters, digits, hyphens and underscores")
    return told


def _trigger(told: str) -> str:
    if told != LAUNCH and told not in TRIGGERS:
        raise PydanticCustomError("trigger", "must be launch, or {triggers}", {"triggers": ", ".join(TRIGGERS)})
    return told


def _aim(told: Any) -> str:
    return "gave" if told == "gave" else "rule"


def _refuse(of: BaseModel, found: Sequence[tuple[Sequence[str | int], str]]) -> None:
    """Raises ValidationError when something was found: where in the model, and what to say of it."""
    if found:
        told = [
            InitErrorDetails(
                type=PydanticCustomError("contradiction", "{says}", {"says": says}), loc=tuple(at), input=None
            )
            for at, says in found
        ]
        raise ValidationError.from_exception_data(type(of).__name__, told)


Span = Annotated[str, BeforeValidator(_spelt)]
Hours = Annotated[
    tuple[int, int],
    BeforeValidator(_hours),
    PlainSerializer(lambda hours: f"{hours[0]}-{hours[1]}"),
    WithJsonSchema({"type": "string", "format": "hours"}),
]
Day = Annotated[date, BeforeValidator(_day)]
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]
Letter = Annotated[str, BeforeValidator(_named)]
Named = Annotated[str | Literal[True], BeforeValidator(_named)]
Aim = Annotated[Annotated[Literal["gave"], Tag("gave")] | Annotated[Rule, Tag("rule")], Discriminator(_aim)]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, arbitrary_types_allowed=True,
        populate_by_name=True, defer_build=True,
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
    email: Named | None = None
    ask: Named | None = None
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
            _refuse(self, [(said[1:2], "does one thing: " + ", ".join(ACTIONS))])
        of_letters = [name for name in OF_LETTERS if name in self.model_fields_set and not self.mails]
        _refuse(self, [([name], "belongs to email and ask") for name in of_letters])
        if self.mails and (self.variants is None) == (True in (self.email, self.ask)):
            _refuse(self, [(said, "names its letter; of several it says true, and they are its variants")])
        twice = _twice([each.key for each in self.variants or ()])
        _refuse(self, [(["variants", at, "key"], says) for at, says in twice])
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

    model_config = ConfigDict(title="Sequence")

    slug: Name
    name: Words
    chapter: Name | None = None
    on: Annotated[str, AfterValidator(_trigger)] = LAUNCH
    when: Annotated[Rule | None, Field(alias="if")] = None
    again: Annotated[str, BeforeValidator(_again)] = "never"
    goal: Aim | None = None
    exit_when: Rule | None = None
    expires: Annotated[str, BeforeValidator(_expiry)] | None = None
    deadline: Day | None = None
    quiet_hours: Annotated[Hours | None, Field(json_schema_extra={"default": "21-8"})] = (21, 8)
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST_STEPS, strict=False)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        found: list[tuple[Sequence[str | int], str]] = []
        found += [(["steps", at, "key"], says) for at, says in _twice([step.key for step in self.steps])]
        if self.on == "daily" and self.when is None:
            found.append((["if"], "is missing: daily would take everybody"))
        if self.goal == "gave" and not any(step.ask for step in self.steps):
            found.append((["goal"], "gave is about the fund of its asks, and it asks for nothing"))
        _refuse(self, found)
        return self

    @property
    def anchors(self) -> frozenset[str]:
        """What it counts from: deadline, gathering. Whoever launches it says when that is; a deadline it may say itself."""
        found = {step.wait.anchor for step in self.steps if step.wait is not None and step.wait.anchor}
        return frozenset(found | ({"deadline"} if self.expires == "deadline" else set()))

    @property
    def letters(self) -> frozenset[str]:
        """All that it writes to her."""
        return frozenset(slug for step in self.steps for slug in step.letters.values())

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


def _twice(keys: Sequence[str]) -> list[tuple[int, str]]:
    return [(at, f"is already that of {keys.index(key) + 1}") for at, key in enumerate(keys) if key in keys[:at]]


def rules_told(told: Any) -> Iterator[tuple[Sequence[str | int], Any]]:
    """What stands where rules do in a sequence that nobody has read yet, each with its place."""
    steps = told.get("steps") if isinstance(told, dict) else None
    placed: list[tuple[list[str | int], Any]] = [([], told)]
    placed += [(["steps", at], step) for at, step in enumerate(steps if isinstance(steps, list | tuple) else ())]
    for path, each in placed:
        for name in RULES if isinstance(each, dict) else ():
            if isinstance(each.get(name), dict):
                yield [*path, name], each[name]


def read(told: Any) -> Definition:
    """A sequence, out of what was read from YAML or JSON. Raises ValidationError, and Invalid for a rule that is too deep or
    too large."""
    for _, rule in rules_told(told):
        rules.measure(rule)
    return Definition.model_validate(told)


def said(definition: Definition) -> dict[str, Any]:
    """The sequence as JSON says it; `read` finds the same in it."""
    told = definition.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for step in told["steps"]:
        if step.get("stop") == {}:
            step["stop"] = True
    for path, rule in definition.rules():
        place: Any = told
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = rules.said(rule)
    return told


__all__ = [
    "LONGEST_WAIT",
    "WEEKDAYS",
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
