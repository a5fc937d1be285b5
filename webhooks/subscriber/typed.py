"""What someone typed into a join form: what was meant, or a word for what is wrong with each field (see `webhooks.lines`).

Whoever shows the form again shows `kept`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo

from engine.people.join_forms import House
from engine.sources.words import clean, zero_put_back
from webhooks.forms import Posted
from webhooks.lines import Email, Line, Zip, faults, without_cards, wrong

LINES = ("email", "zip", "first_name", "last_name", "street", "city")
LISTS = ("interests", "ways_to_help")


def _offered(codes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    assert info.context is not None
    assert info.field_name is not None
    if not info.context[info.field_name].issuperset(codes):
        raise wrong("unoffered")
    return codes


_Codes = Annotated[tuple[str, ...], AfterValidator(_offered)]


class Typed(BaseModel):
    """What was meant: a normalised address, five digits, single lines, codes that are offered."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    email: Email
    zip: Zip
    first_name: Line
    last_name: Line
    street: Line
    city: Line
    interests: _Codes
    ways_to_help: _Codes


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it was filled in. `kept`, `ticked`: what to show again; `errors`: a key of `lines.WORDS` by field.

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
            errors = faults(error)
            return cls(without_cards(kept, errors), ticked, errors)
        return cls(kept, ticked, {}, typed, kept["zip"] if zero_put_back(kept["zip"], typed.zip) else "")
