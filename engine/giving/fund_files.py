"""Files of funds, as YAML: who receives gifts, and what the law wants of each. Pure but for opening the file.

Amounts are in dollars (27, 27.50) and become cents here. A key that is not there leaves the fund as it is; one that is there
and empty empties it. This is a whole one:

    funds:
      - slug: pac
        name: Common Ground Massachusetts PAC
        disclaimer: Paid for by Common Ground Massachusetts PAC.
        deductibility: Gifts to a political action committee are not tax-deductible.
        limit: 500
        clock: year                  # or cycle: two years; or election: until the next of election_days
        election_days: []
        employer: 200 or more        # or over 200
        employer_days: 30
        retention_years: 7
        actblue_entities: [123456]
        chapter_entities: {worcester: [67890]}
        stripe_account: acct_1Example
        others:                      # what the law has it say, in other languages; English where they do not say it
          es:
            disclaimer: Pagado por Common Ground Massachusetts PAC.
            deductibility: Los donativos a un comité de acción política no son deducibles de impuestos.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from engine import documents, languages
from engine.documents import Document, Exact, Fault
from engine.giving.forms import Slug

MOST_CENTS = 10**12
MOST_ENTITY = 2**63 - 1
NEEDED = ("name", "disclaimer", "deductibility")

_EMPLOYER = re.compile(r"(?:over (?P<over>\d{1,7}(?:\.\d\d)?)|(?P<at>\d{1,7}(?:\.\d\d)?) or more)")
_LIST_SAYS = documents.SAYS | {"dict_type": "must be written as `slug: …`, `name: …` and so on"}
_SAYS = documents.SAYS | dict.fromkeys(
    ("dict_type", "model_type", "mapping_type"), "must be written as `name: …`, with a name before each"
)
_PATTERNS = {
    "slug": "is no short name: small letters, digits, hyphens and underscores",
    "stripe_account": "is no account of Stripe's: it begins with acct_",
}


def cents(told: Any) -> Any:
    """An amount in dollars, as `documents.Exact` reads it, in cents: 27 -> 2700, 27.50 -> 2750."""
    if isinstance(told, bool) or not isinstance(told, int | Decimal):
        raise PydanticCustomError("amount", "is no amount of dollars: write it like 27 or 27.50")
    found = Decimal(told) * 100
    if found != int(found):
        raise PydanticCustomError("amount", "has parts of a cent")
    if not 100 <= found <= MOST_CENTS:
        raise PydanticCustomError("amount", "must be $1 or more" if found < 100 else "is more than anybody gives")
    return int(found)


def in_dollars(amount_cents: int) -> int | Decimal:
    """The same backwards, as a file has it."""
    return amount_cents // 100 if amount_cents % 100 == 0 else Decimal(amount_cents).scaleb(-2)


@dataclass(frozen=True, slots=True)
class Threshold:
    """From which sum of a year on the law wants to know where a donor works: above `cents`, or with `at` from them on."""

    cents: int
    at: bool

    def __str__(self) -> str:
        said = f"{in_dollars(self.cents)}"
        return f"{said} or more" if self.at else f"over {said}"


def _threshold(told: Any) -> Any:
    found = _EMPLOYER.fullmatch(told) if isinstance(told, str) else None
    if told is not None and found is None:
        raise PydanticCustomError("threshold", "is written as `over 200` or `200 or more`")
    if found is None:
        return None
    return Threshold(int(Decimal(found["over"] or found["at"]) * 100), at=found["over"] is None)


def _empty(instead: Any) -> BeforeValidator:
    return BeforeValidator(lambda told: instead if told is None else told)


_Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")
]
_Entity = Annotated[int, Field(ge=1, le=MOST_ENTITY)]
_Entities = Annotated[tuple[_Entity, ...], Field(strict=False, max_length=1000), _empty(())]


class WordsSaid(BaseModel):
    """What the law has a fund say, in another language; "": as in English."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    disclaimer: _Line = ""
    deductibility: _Line = ""


class FundSaid(BaseModel):
    """What a file says of one fund. Amounts in cents; `model_fields_set` holds what it speaks of."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    slug: Slug
    name: _Line = ""
    disclaimer: _Line = ""
    deductibility: _Line = ""
    limit: Annotated[int, BeforeValidator(cents)] | None = None
    clock: Literal["year", "cycle", "election"] = "year"
    election_days: Annotated[tuple[date, ...], Field(strict=False, max_length=100), _empty(())] = ()
    employer: Annotated[Threshold | None, BeforeValidator(_threshold)] = None
    employer_days: Annotated[int, Field(ge=1, le=365)] = 30
    retention_years: Annotated[int, Field(ge=1, le=100)] = 7
    actblue_entities: _Entities = ()
    chapter_entities: Annotated[Mapping[str, _Entities], _empty({})] = Field(default_factory=dict)
    stripe_account: Annotated[str, StringConstraints(pattern=r"^(acct_[A-Za-z0-9]{1,60})?$"), _empty("")] = ""
    others: Annotated[Mapping[str, WordsSaid], _empty({})] = Field(default_factory=dict)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    funds: list[dict[str, Any]]


@dataclass(slots=True)
class Told:
    """A file, read: its funds as far as they can be understood, and what is wrong with it. `document`: where everything
    stands; `unread`: the fields of a fund that cannot be understood, by its place among them."""

    document: Document
    funds: Sequence[FundSaid] = ()
    faults: list[Fault] = field(default_factory=list)
    unread: Mapping[int, frozenset[str]] = field(default_factory=dict)


def read(path: Path) -> Told:
    """Read a file. Raises Invalid when it is too large or no UTF-8, OSError."""
    return read_text(documents.written(path, "list of funds"))


def read_text(words: str) -> Told:
    """The same from what the file says."""
    document = documents.read(words, Exact)
    if document.node is None and document.faults:
        return Told(document, faults=document.faults)
    if not isinstance(document.said, dict) or not document.said:
        return Told(document, faults=[Fault(1, "begins with `funds:` and a list of them")])
    faults = list(document.faults)
    try:
        told = _File.model_validate(document.said).funds
    except ValidationError as error:
        faults += document.told(error, _PATTERNS, _LIST_SAYS)
        listed = document.said.get("funds")
        told = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        if told != listed:  # which is which is not to be told apart
            return Told(document, faults=documents.in_order(faults))
    found = [_fund(document, n, each) for n, each in enumerate(told)]
    funds = [fund for fund, _, _ in found]
    faults += [fault for _, _, wrong in found for fault in wrong]
    faults += [*_stand_twice(document, funds), *_unspoken(document, funds)]
    return Told(document, funds, documents.in_order(faults), {n: unread for n, (_, unread, _) in enumerate(found)})


def _fund(document: Document, n: int, told: Mapping[str, Any]) -> tuple[FundSaid, frozenset[str], list[Fault]]:
    """A fund, the fields of it that cannot be understood, and what is wrong with those."""
    try:
        return FundSaid.model_validate(told), frozenset(), []
    except ValidationError as error:
        faults = list(document.told(error, _PATTERNS, _SAYS, under=("funds", n)))
        unread = frozenset(str(problem["loc"][0]) for problem in error.errors())
    kept = {name: value for name, value in told.items() if name not in unread}
    found = FundSaid.model_validate({"slug": "unread"} | kept)
    return (found.model_copy(update={"slug": ""}) if "slug" in unread else found), unread, faults


def understood(listed: Sequence[Mapping[str, Any]]) -> list[FundSaid]:
    """Funds out of a document that is ours. Raises ValidationError."""
    return [FundSaid.model_validate(each) for each in listed]


def written(funds: Sequence[FundSaid]) -> str:
    """A file that says all of these funds; read again, it says the same."""
    return documents.write({"funds": [_layout(one) for one in funds]})


def _layout(fund: FundSaid) -> dict[str, Any]:
    said = fund.model_dump()
    said["limit"] = None if fund.limit is None else in_dollars(fund.limit)
    said["employer"] = None if fund.employer is None else str(fund.employer)
    said["others"] = {code: words.model_dump(exclude_defaults=True) for code, words in fund.others.items()}
    return said


def _unspoken(document: Document, funds: Sequence[FundSaid]) -> Iterator[Fault]:
    """Languages that no page is in."""
    spoken = sorted(set(languages.offered()) - {languages.ENGLISH})
    for n, fund in enumerate(funds):
        for code in sorted(set(fund.others).difference(spoken)):
            says = f"pages are not in this language, but in {', '.join(spoken)}"
            yield document.fault(("funds", n, "others", code), says)


def _stand_twice(document: Document, funds: Sequence[FundSaid]) -> Iterator[Fault]:
    """Funds and entities that do."""
    first: dict[str | int, int] = {}
    for n, fund in enumerate(funds):
        places: list[tuple[str | int, tuple[str | int, ...]]] = [(fund.slug, ("funds", n, "slug"))]
        places += [(one, ("funds", n, "actblue_entities", m)) for m, one in enumerate(fund.actblue_entities)]
        places += [
            (one, ("funds", n, "chapter_entities", chapter, m))
            for chapter, entities in fund.chapter_entities.items()
            for m, one in enumerate(entities)
        ]
        for name, path in places:
            if name in first:
                yield document.fault(path, f"{name} stands in line {first[name]} already")
            if name != "":  # of a fund whose name cannot be read
                first.setdefault(name, document.line(path))
