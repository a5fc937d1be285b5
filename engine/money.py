"""Money: integer cents and a currency, never a float.

ActBlue writes amounts as strings with one or two decimals ("5.0", "25.77"), a hand-made body as a JSON number.
"""

import re

from engine.errors import Invalid

_DECIMAL = re.compile(r"(\d{1,9})(?:\.(\d{1,2}))?", re.ASCII)


def cents(text: str) -> int:
    """The integer cents of a plain decimal amount: "10.0" -> 1000.

    Raises Invalid for anything else: signs, exponents, commas, three decimals, other scripts' digits, nothing.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise Invalid("an amount is not a plain decimal with at most two places")
    whole, fraction = match.groups()
    return int(whole) * 100 + int((fraction or "").ljust(2, "0"))


def dollars(amount_cents: int) -> str:
    """How a person writes it: 2700 -> "$27", 123456 -> "$1,234.56"; cents only when there are any."""
    whole, rest = divmod(amount_cents, 100)
    return f"${whole:,}.{rest:02}" if rest else f"${whole:,}"


def amount(minor_units: int, currency: str) -> str:
    """How a person writes an amount in any currency."""
    return dollars(minor_units) if currency == "usd" else f"{minor_units} {currency.upper()}"
