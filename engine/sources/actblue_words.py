"""What ActBlue's webhook bodies and CSV reports have in common: ids, amounts, moments, and how they are judged."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from engine.errors import Invalid
from engine.money import cents
from engine.sources.words import clean, number

SOURCE = "actblue"
RHYTHMS = ("weekly", "monthly")
EARLIEST, LATEST = 2004, 2099  # ActBlue's first year; beyond the other lies a typing error
FARTHEST = timedelta(hours=16)  # Postgres knows no offset as large
LONGEST_ID = 64  # theirs have nine digits; far more would not fit the index on it

_BELOW_ZERO = re.compile(r"\A-(?=\d)", re.ASCII)

EndedBy = Literal["donor", "lapsed", "other"]
ENDED_BY: Mapping[str, EndedBy] = MappingProxyType({"active": "donor", "donor request": "donor", "lapsed": "lapsed"})


def moment_of(raw: object) -> datetime:
    """A date with an offset, of a year in which it can have been. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(clean(raw))
    except ValueError:
        raise ValueError("not a date") from None
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("no offset")
    if abs(offset) >= FARTHEST or offset % timedelta(minutes=1):
        raise ValueError("no offset on earth")
    if not EARLIEST <= moment.year <= LATEST:
        raise ValueError("no year of ours")
    return moment


def cents_of(raw: object) -> int:
    """An amount above zero in cents. Raises ValueError."""
    try:
        amount = cents(str(raw).strip() if isinstance(raw, str | int) and not isinstance(raw, bool) else "")
    except Invalid as error:
        raise ValueError(str(error)) from None
    if amount == 0:
        raise ValueError("no money")
    return amount


def refunded_cents_of(raw: object) -> int:
    """The amount of a refund: nobody has published whether it is told below zero, so both mean the same."""
    return cents_of(_BELOW_ZERO.sub("", str(raw).strip()) if isinstance(raw, str | int) else raw)


def payment_key(order_number: str, line_item: str) -> str:
    """What a refund points at: a line item of an order."""
    return f"{order_number}/{line_item}"


def sequence_of(raw: object) -> int:
    """Which instalment; 0 for a number that no column of ours holds."""
    count = number(raw)
    return count if count < 2**31 else 0


def answer_of(raw: object) -> bool | None:
    """Yes, no, or nothing said; some write it as a word, the reports as a letter."""
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}.get(str(raw).strip().lower())
