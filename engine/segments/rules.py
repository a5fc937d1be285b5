"""The rules that choose people: a tree of operators, each a small model, discriminated by its `op`. Pure.

    {"op": "all", "of": [{"op": "chapter", "chapter": "worcester"}, {"op": "gave", "at_least": 25, "within": "12 months"}]}

One rule serves as a segment, as a guard of a step and as a goal. Amounts are in dollars where a rule is written (25, 27.50)
and in cents in these models; `said` writes them back. A span ("12 months") counts back from the moment of asking. Each
operator has its `example`; its SQL stands in `sql`, its English in `words`, and a slow judge of it in the tests.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from engine.errors import Invalid
from engine.people.lands import County, State, ZipCode

DEEPEST, MOST, MOST_OF_A_KIND = 8, 100, 50  # levels and operators of one rule; members of a list
MOST_CENTS = 10**12


def _cents(told: Any) -> int:
    if isinstance(told, bool) or not isinstance(told, int | float | Decimal):
        raise PydanticCustomError("amount", "is no amount of dollars: write it like 27 or 27.50")
    found = Decimal(str(told)) * 100
    if not found.is_finite() or found != int(found):
        raise PydanticCustomError("amount", "has parts of a cent")
    if not 1 <= found <= MOST_CENTS:
        raise PydanticCustomError("amount", "must be more than nothing" if found < 1 else "is more than anybody gives")
    return int(found)


def _dollars(cents: int) -> int | float:
    return cents // 100 if cents % 100 == 0 else cents / 100


def _number(told: Any) -> float:
    """Decimals as files have them; JSON has the same as floats."""
    if isinstance(told, bool) or not isinstance(told, int | float | Decimal):
        raise PydanticCustomError("number", "is no number")
    return float(told)


def _short(number: float) -> int | float:
    return int(number) if number.is_integer() else number


_ON_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
Dollars = Annotated[
    int,
    BeforeValidator(_cents),
    PlainSerializer(_dollars, when_used="unless-none"),
    WithJsonSchema({"type": "number", "format": "dollars"}),
]
_Number = Annotated[
    float, BeforeValidator(_number), Field(allow_inf_nan=False), PlainSerializer(_short, when_used="unless-none")
]
Number = Annotated[_Number, Field(ge=-1e12, le=1e12)]
Span = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3} (hour|day|week|month|year)s?$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
Mailing = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*(\.[a-z]{2,8})?(~[0-9]{1,6})?$", max_length=80)
]
Words = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_ON_ONE_LINE)]


class _Rule(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, defer_build=True)

    example: ClassVar[Mapping[str, Any]]


class AllOf(_Rule):
    """Every one of these holds."""

    example = {"op": "all", "of": [{"op": "language", "language": "es"}, {"op": "never_gave"}]}
    op: Literal["all"]
    of: Annotated[tuple["Rule", ...], Field(min_length=1, max_length=MOST_OF_A_KIND, strict=False)]


class AnyOf(_Rule):
    """At least one of these holds."""

    example = {"op": "any", "of": [{"op": "language", "language": "es"}, {"op": "lapsed", "after": "12 months"}]}
    op: Literal["any"]
    of: Annotated[tuple["Rule", ...], Field(min_length=1, max_length=MOST_OF_A_KIND, strict=False)]


class Not(_Rule):
    """This does not hold."""

    example = {"op": "not", "of": {"op": "gave", "within": "30 days"}}
    op: Literal["not"]
    of: "Rule"


class Chapter(_Rule):
    """It is her home chapter, or one below it; or one that she follows, or either."""

    example = {"op": "chapter", "chapter": "central", "children": True, "relation": "home"}
    op: Literal["chapter"]
    chapter: Name
    children: bool = True
    relation: Literal["home", "followed", "either"] = "home"


class Territory(_Rule):
    """She lives there, whatever her home chapter is: in one of these ZIPs, counties or states, or on these chapters' land."""

    example = {"op": "territory", "zips": ["01604"], "counties": ["MA:Franklin County"]}
    op: Literal["territory"]
    zips: Annotated[tuple[ZipCode, ...], Field(max_length=1000, strict=False)] = ()
    counties: Annotated[tuple[County, ...], Field(max_length=MOST_OF_A_KIND, strict=False)] = ()
    states: Annotated[tuple[State, ...], Field(max_length=MOST_OF_A_KIND, strict=False)] = ()
    chapters: Annotated[tuple[Name, ...], Field(max_length=MOST_OF_A_KIND, strict=False)] = ()

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if not (self.zips or self.counties or self.states or self.chapters):
            raise PydanticCustomError("nowhere", "names no place: zips, counties, states or chapters")
        return self


class Gave(_Rule):
    """She gave to a fund of ours: `count` gifts or more, each like this. What was taken back whole is no gift, of one that
    was taken back in part what is left counts."""

    example = {"op": "gave", "at_least": 25, "within": "12 months"}
    op: Literal["gave"]
    at_least: Dollars | None = None
    at_most: Dollars | None = None
    within: Span | None = None
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    form: Name | None = None
    fund: Name | None = None
    refcode: Words | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.at_least and self.at_most and self.at_least > self.at_most:
            raise PydanticCustomError("amount", "at_least is more than at_most: nobody gave that")
        return self


class Lapsed(_Rule):
    """She gave, but nothing for so long."""

    example = {"op": "lapsed", "after": "12 months"}
    op: Literal["lapsed"]
    after: Span


class Recurring(_Rule):
    """She has a plan to give again and again, in this state; `at_least`: active ones that come to so much a month."""

    example = {"op": "recurring", "at_least": 10}
    op: Literal["recurring"]
    state: Literal["active", "paused", "failing", "cancelled", "lapsed"] = "active"
    fund: Name | None = None
    at_least: Dollars | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.at_least is not None and (self.state != "active" or self.fund is not None):
            raise PydanticCustomError("amount", "at_least is about all active plans together: without state and fund")
        return self


class NeverGave(_Rule):
    """Nothing that she gave to our funds is left with us."""

    example = {"op": "never_gave"}
    op: Literal["never_gave"]


class Interest(_Rule):
    """She cares about this (the code of an interest)."""

    example = {"op": "interest", "code": "i3f7"}
    op: Literal["interest"]
    code: Name


class Volunteer(_Rule):
    """She offered to help, in one way or in any (its code), and has not withdrawn that; or an offer is in this state."""

    example = {"op": "volunteer", "way": "w3h8", "state": "new"}
    op: Literal["volunteer"]
    way: Name | None = None
    state: Literal["new", "contacted", "placed"] | None = None


class SignedUp(_Rule):
    """She signed up: lately, through one of our doors, at one place (the name of a form)."""

    example = {"op": "signed_up", "within": "2 weeks", "via": "join"}
    op: Literal["signed_up"]
    within: Span | None = None
    via: Literal["join", "signup", "actionnetwork"] | None = None
    place: Words | None = None


class _AboutLetters(_Rule):
    within: Span | None = None
    letter: Name | None = None
    mailing: Mailing | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.letter and self.mailing:
            raise PydanticCustomError("both", "names a letter and a mailing: one of them is enough")
        return self


class Received(_AboutLetters):
    """A letter was handed over for her and did not come back: any; one, in all versions (in a sequence, of those
    that it writes: since she entered); or exactly these words (a mailing: "rent.es~2")."""

    example = {"op": "received", "letter": "supper", "within": "7 days"}
    op: Literal["received"]


class Clicked(_AboutLetters):
    """She followed a link in a letter: as with `received`. Machines never count, nor do links for looking after letters."""

    example = {"op": "clicked", "within": "90 days"}
    op: Literal["clicked"]


class InSequence(_Rule):
    """She is in this sequence (active); came to its end; left it before; or was in it ever (any). By an event or by a
    campaign. `within`: she entered, finished or left that lately."""

    example = {"op": "in_sequence", "sequence": "welcome", "state": "finished", "within": "30 days"}
    op: Literal["in_sequence"]
    sequence: Name
    state: Literal["active", "finished", "left", "any"] = "active"
    within: Span | None = None


class LastEngaged(_Rule):
    """She gave, signed up, clicked or told us something lately."""

    example = {"op": "last_engaged", "within": "6 months"}
    op: Literal["last_engaged"]
    within: Span


class Silent(_Rule):
    """She did nothing for so long, though she got so many letters or more meanwhile; who never did anything is silent since
    she is known."""

    example = {"op": "silent", "after": "12 months", "letters": 3}
    op: Literal["silent"]
    after: Span
    letters: Annotated[int, Field(ge=0, le=100)] = 3


class EmployerKnown(_Rule):
    """With a gift she said where she works and what she does."""

    example = {"op": "employer_known", "within": "30 days"}
    op: Literal["employer_known"]
    within: Span | None = None


class Language(_Rule):
    """She reads letters in this language."""

    example = {"op": "language", "language": "es"}
    op: Literal["language"]
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


class Custom(_Rule):
    """What other systems told of her: that a field is known at all; is these words; has them among its list (tags); is a
    number of at least or at most so much."""

    example = {"op": "custom", "field": "tags", "has": "precinct captain"}
    op: Literal["custom"]
    field: Words
    known: Literal[True] | None = None
    equals: Words | None = None
    has: Words | None = None
    at_least: Number | None = None
    at_most: Number | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        tests = [self.known, self.equals, self.has, self.at_least if self.at_least is not None else self.at_most]
        if sum(test is not None for test in tests) != 1:
            raise PydanticCustomError("test", "needs one test: known, equals, has, or at_least and at_most")
        return self


class Random(_Rule):
    """So many of a hundred, always the same people for one salt, whatever else a rule says."""

    example = {"op": "random", "percent": 10, "salt": "autumn"}
    op: Literal["random"]
    percent: Annotated[_Number, Field(ge=0.01, le=100)]
    salt: Name


Rule = Annotated[
    AllOf | AnyOf | Not | Chapter | Territory | Gave | Lapsed | Recurring | NeverGave | Interest | Volunteer | SignedUp
    | Received | Clicked | InSequence | LastEngaged | Silent | EmployerKnown | Language | Custom | Random,
    Field(discriminator="op"),
]  # fmt: skip
AnyRule = _Rule
KINDS: Mapping[str, type[_Rule]] = {
    get_args(kind.model_fields["op"].annotation)[0]: kind for kind in get_args(get_args(Rule)[0])
}
_READER: TypeAdapter[Any] = TypeAdapter(Rule, config=ConfigDict(defer_build=True))


class _AsWritten:
    """Anything; what describes it says that it is a rule."""

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_READER.core_schema)


Written = Annotated[
    Any, _AsWritten()
]  # a rule as JSON says it, in a model that does not read it: `read` does, and `said`


def read(told: Any) -> "Rule":
    """A rule, out of what was read from JSON or YAML. Raises ValidationError (`place` says where), and Invalid when it is too
    deep or too large to be looked at."""
    measure(told)
    found: Rule = _READER.validate_python(told)
    return found


def measure(told: Any) -> None:
    """Raises Invalid when there are more levels or operators than a rule may have, whatever else is wrong with it."""
    level, seen = [told], 0
    for _ in range(DEEPEST):
        seen += len(level)
        if seen > MOST:
            raise Invalid(f"the rule has more than {MOST} operators")
        level = [each for one in level for each in _below(one)]
        if not level:
            return
    raise Invalid(f"the rule is more than {DEEPEST} levels deep")


def said(rule: "Rule") -> dict[str, Any]:
    """The rule as JSON says it, without what is not said; `read` finds the same in it."""
    return rule.model_dump(mode="json", exclude_defaults=True) | _inner(rule)


def every(rule: "Rule") -> Iterator["Rule"]:
    """It, and all rules in it."""
    yield rule
    inside = rule.of if isinstance(rule, AllOf | AnyOf) else (rule.of,) if isinstance(rule, Not) else ()
    for each in inside:
        yield from every(each)


def place(rule_path: tuple[str | int, ...]) -> list[str | int]:
    """Where something is wrong, as the writer sees it: pydantic's path without the operators that it names on its way."""
    steps: list[str | int] = []
    entering = True
    for step in rule_path:
        if entering and step in KINDS:
            entering = False
            continue
        entering = step == "of" or (isinstance(step, int) and steps[-1:] == ["of"])
        steps.append(step)
    return steps


def _inner(rule: "Rule") -> dict[str, Any]:
    if isinstance(rule, AllOf | AnyOf):
        return {"of": [said(each) for each in rule.of]}
    return {"of": said(rule.of)} if isinstance(rule, Not) else {}


def _below(told: Any) -> list[Any]:
    inside = told.get("of") if isinstance(told, dict) else None
    return list(inside) if isinstance(inside, list | tuple) else [] if inside is None else [inside]
