"""What someone chose and typed on a giving page, read strictly: what was meant, or a word for what is wrong with each field.

The browser decides nothing but the amount, within the form's rules. Whoever shows the form again shows `kept`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from engine.errors import Invalid
from engine.events import Person
from engine.giving.forms import MOST_CENTS, Definition
from engine.money import dollars, plain_dollars, typed_cents
from engine.sources.addresses import CODES
from engine.sources.words import clean
from webhooks import lines
from webhooks.donor.asking import Asked
from webhooks.forms import Posted
from webhooks.lines import Email, Line, Plain, Zip, faults, is_card, readable, without_cards, wrong

CHOICES = ("amount", "other", "period")
LINES = ("first_name", "last_name", "email", "street", "city", "state", "zip", "employer", "occupation", "phone")
OTHER = "other"  # the radio button beside the field of this name
UNITED_STATES = "US"

# What a person is told beside the field, beside what `lines.WORDS` says. Translated where it is shown.
WORDS = lines.WORDS | {
    "no_amount": "Please choose an amount.",
    "amount": "Please write an amount in dollars, like 35 or 35.50.",
    "none_such": "Please choose one of these amounts.",
    "least": "The least that can be given here is %(least)s.",
    "most": "The most that can be given here at once is %(most)s.",
    "period": "Please choose once or monthly.",
    "no_first_name": "Please tell us your first name.",
    "no_last_name": "Please tell us your last name.",
    "no_street": "Please tell us your street and number.",
    "no_city": "Please tell us your town or city.",
    "no_state": "Please tell us your state.",
    "state": "Please write your state, like MA or Massachusetts.",
    "no_zip": "Please tell us your ZIP code.",
    "no_employer": "The law asks this for such a gift. If you do not work for pay, write \u201cnone\u201d.",
    "no_occupation": "The law asks this for such a gift. If you do not work for pay, write \u201cnone\u201d.",
    "phone": "Please write a phone number, like 508 555 0144, or leave it empty.",
    "agreed": "Please tick this if it is so. Without it we may not take your gift.",
}

_PHONE = re.compile(r"\+?[\d ().\u2010-\u2013/-]{7,25}", re.ASCII)


def _state(said: str) -> str:
    told = " ".join(readable(said).split()).lower()
    if not told:
        raise wrong("no_state")
    if told not in CODES:
        raise wrong("state")
    return CODES[told]


def _phone(said: str) -> str:
    told = readable(said)
    if told and not _PHONE.fullmatch(told):
        raise wrong("phone")
    return told


class Typed(BaseModel):
    """Who gives, as she meant it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    first_name: Line
    last_name: Line
    email: Email
    street: Line
    city: Line
    state: Annotated[str, AfterValidator(_state)]
    zip: Zip
    employer: Plain  # some are called like their site
    occupation: Plain
    phone: Annotated[str, AfterValidator(_phone)]


@dataclass(frozen=True, slots=True)
class Chosen:
    """How much, in cents, and how often."""

    cents: int
    period: Literal["once", "monthly"]


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it was filled in. `kept`, `ticked`: what to show again; `errors`: a key of WORDS by field.

    `chosen`, `donor`: what is not wrong. A form that hands over to ActBlue asks for no donor.
    """

    kept: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys((*CHOICES, *LINES), ""))
    ticked: tuple[str, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    chosen: Chosen | None = None
    donor: Person | None = None

    @classmethod
    def read(cls, told: Posted, asked: Asked) -> Self:
        """Read it. Raises HTTPException 422 for a field that stands twice, which no form of ours sends."""
        said = {name: told.one(name) for name in (*CHOICES, *LINES)}
        ticked = told.several("agreed")
        chosen, errors = _chosen(said, asked)
        donor = None
        if asked.definition.processor == "stripe":
            donor, more = _donor(said, asked, chosen.cents if chosen else 0)
            errors |= more | _agreed(ticked, asked.definition)
        kept = without_cards({name: clean(line) for name, line in said.items()}, errors)
        if is_card(kept["other"]):
            kept["other"] = ""
        return cls(kept, ticked, errors, chosen, donor)

    @classmethod
    def blank(cls, asked: Asked) -> Self:
        """A form that nobody has filled in yet: what its link chose, and once unless that says monthly."""
        filled = cls()
        preset = asked.chosen in asked.options
        written = plain_dollars(asked.chosen) if asked.chosen else ""
        choices = {
            "amount": written if preset else OTHER if written else "",
            "other": "" if preset else written,
            "period": "monthly" if asked.monthly else "once",
        }
        return cls({**filled.kept, **choices})


def _chosen(said: Mapping[str, str], asked: Asked) -> tuple[Chosen | None, dict[str, str]]:
    errors = {}
    period = said["period"] or "once"
    if period not in ("once", "monthly") or (period == "monthly" and not asked.definition.monthly):
        errors["period"] = "period"
    amount = None
    try:
        amount = _amount(said, asked)
    except Invalid as error:
        errors["amount"] = str(error)
    if errors or amount is None:
        return None, errors
    return Chosen(amount, "monthly" if period == "monthly" else "once"), {}


def _amount(said: Mapping[str, str], asked: Asked) -> int:
    """Cents. Raises Invalid with a key of WORDS."""
    written = (said["other"] if said["amount"] == OTHER else said["amount"]).strip()
    if not written:
        raise Invalid("amount" if said["amount"] == OTHER and asked.definition.other else "no_amount")
    if is_card(written):
        raise Invalid("card")
    try:
        amount = typed_cents(written)
    except Invalid:
        raise Invalid("amount" if asked.definition.other else "none_such") from None
    if asked.takes(amount):
        return amount
    if not asked.definition.other:
        raise Invalid("none_such")
    raise Invalid("least" if amount < asked.definition.floor_cents else "most")


def bounds(definition: Definition) -> dict[str, str]:
    """What the words about amounts name."""
    return {"least": dollars(definition.floor_cents), "most": dollars(definition.cap_cents or MOST_CENTS)}


def _donor(said: Mapping[str, str], asked: Asked, amount: int) -> tuple[Person | None, dict[str, str]]:
    wanted = {name: said[name] if asks(asked, name) else "" for name in LINES}
    try:
        typed = Typed.model_validate(wanted)
        errors = {}
    except ValidationError as error:
        typed, errors = None, faults(error)
    for name in (*_ALWAYS, *(("employer", "occupation") if employer_due(asked, amount) else ())):
        if not wanted[name].strip():
            errors[name] = f"no_{name}"
    if typed is None or errors:
        return None, errors
    return Person(**typed.model_dump(), country=UNITED_STATES), {}


_ALWAYS = ("first_name", "last_name", "street", "city")


def asks(asked: Asked, name: str) -> bool:
    """Whether the form asks for this."""
    definition, fund = asked.definition, asked.form.fund
    if name == "phone":
        return definition.phone
    if name in ("employer", "occupation"):
        by_law = definition.employer == "threshold" and fund.employer_cents is not None
        return definition.employer == "always" or by_law
    return True


def employer_due(asked: Asked, amount: int) -> bool:
    """Whether a gift of so much cannot be taken without her employer and occupation."""
    if asked.definition.employer == "always":
        return True
    return asked.definition.employer == "threshold" and asked.form.fund.asks_employer(amount)


def _agreed(ticked: tuple[str, ...], definition: Definition) -> dict[str, str]:
    missing = [number for number in range(len(definition.agreed)) if str(number) not in ticked]
    return {f"agreed-{number}": "agreed" for number in missing}
