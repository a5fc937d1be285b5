"""What someone typed into a join form, read strictly: what was meant, or a word for what is wrong with each field.

Nothing is cut and nothing is guessed but a ZIP's lost zero. Whoever shows the form again shows `kept`.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from engine.people.join_forms import House
from engine.sources.words import clean, email_address, zero_put_back, zip_code
from webhooks.forms import Posted

LINES = ("email", "zip", "first_name", "last_name", "street", "city")
LISTS = ("interests", "ways_to_help")
LONGEST = 100
LONGEST_EMAIL = 254

# What a person is told beside the field. Translated where it is shown.
WORDS = {
    "email": "Please write one email address, like rosa@example.org.",
    "no_email": "Please tell us your email address.",
    "zip": "A ZIP has five digits, like 01604.",
    "no_zip": "Please tell us your ZIP code. It says which chapter is near you.",
    "long": "Please make this shorter: at most 100 characters.",
    "controls": "This holds signs that we cannot read. Please type it once more.",
    "link": "Please leave web and email addresses out of this field.",
    "card": "This looks like a card number. We never ask for one here, and have not kept it.",
    "unoffered": "Something that was ticked here is not offered any more. Please look once more.",
}

# Controls, line ends, and what turns the direction of writing round.
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_LINK = re.compile(
    r"://|www\.|@|\b[\w-]+\.(?:biz|club|com|info|io|link|me|net|online|org|ru|shop|site|top|xyz)\b", re.IGNORECASE
)
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)", re.ASCII)


def _wrong(code: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", "{code}", {"code": code})


def _is_card(said: str) -> bool:
    """Whether a number in there is as long as a card's and passes its check (Luhn's)."""
    for found in _CARD.finditer(said):
        digits = [int(sign) for sign in reversed(found[0]) if sign.isdigit()]
        doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
        if (sum(digits[::2]) + sum(doubled)) % 10 == 0:
            return True
    return False


def _readable(said: str) -> str:
    if _UNREADABLE.search(said):
        raise _wrong("controls")
    if _is_card(said):
        raise _wrong("card")
    return said.strip()


def _line(said: str) -> str:
    told = unicodedata.normalize("NFC", " ".join(_readable(said).split()))
    if len(told) > LONGEST:
        raise _wrong("long")
    if _LINK.search(told):
        raise _wrong("link")
    return told


def _email(said: str) -> str:
    told = _readable(said)
    if not told:
        raise _wrong("no_email")
    known = email_address(told) if len(told) <= LONGEST_EMAIL else None
    if known is None:
        raise _wrong("email")
    return known


def _zip(said: str) -> str:
    told = _readable(said)
    if not told:
        raise _wrong("no_zip")
    known = zip_code(told, "")
    if known is None:
        raise _wrong("zip")
    return known


def _offered(codes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    assert info.context is not None
    assert info.field_name is not None
    if not info.context[info.field_name].issuperset(codes):
        raise _wrong("unoffered")
    return codes


_Line = Annotated[str, AfterValidator(_line)]
_Codes = Annotated[tuple[str, ...], AfterValidator(_offered)]


class Typed(BaseModel):
    """What was meant: a normalised address, five digits, single lines, codes that are offered."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    email: Annotated[str, AfterValidator(_email)]
    zip: Annotated[str, AfterValidator(_zip)]
    first_name: _Line
    last_name: _Line
    street: _Line
    city: _Line
    interests: _Codes
    ways_to_help: _Codes


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it was filled in. `kept`, `ticked`: what to show again; `errors`: a key of WORDS by field.

    `typed`: when nothing is wrong. `zip_as_typed`: when a lost zero was put back.
    """

    kept: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(LINES, ""))
    ticked: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict.fromkeys(LISTS, ()))
    errors: Mapping[str, str] = field(default_factory=dict)
    typed: Typed | None = None
    zip_as_typed: str = ""

    @classmethod
    def read(cls, told: Posted, house: House) -> Self:
        """Read it. Raises HTTPException 422 for a line that stands twice, which no form of ours sends."""
        lines = {name: told.one(name) for name in LINES}
        codes = {name: told.several(name) for name in LISTS}
        known = {"interests": house.offered.interest_codes, "ways_to_help": house.offered.way_codes}
        kept = {name: clean(line) for name, line in lines.items()}
        ticked = {name: tuple(code for code in codes[name] if code in known[name]) for name in LISTS}
        try:
            typed = Typed.model_validate(lines | codes, context=known)
        except ValidationError as error:
            errors = {str(problem["loc"][0]): str(problem["ctx"]["code"]) for problem in error.errors()}
            kept |= dict.fromkeys((name for name, code in errors.items() if code == "card"), "")
            return cls(kept, ticked, errors)
        return cls(kept, ticked, {}, typed, kept["zip"] if zero_put_back(kept["zip"], typed.zip) else "")
