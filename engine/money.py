"""Money: integer minor units and a currency, never a float.

ActBlue writes amounts as strings with one or two decimals ("5.0", "25.77"), a hand-made body as a JSON number. Stripe
writes minor units, and says of each currency how many make one whole.
"""

import re
from collections.abc import Mapping

from engine.errors import Invalid

_NO_DECIMALS = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
_TWO_DECIMALS = """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd btn bwp byn bzd cad cdf chf cny cop crc
    cup cve czk dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd gtq gyd hkd hnl htg huf idr ils inr irr isk jmd
    kes kgs khr kpw kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mru mur mvr mwk mxn myr mzn nad ngn nio nok npr
    nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp szl thb tjs tmt
    top try ttd twd tzs uah ugx usd uyu uzs ves wst xcd xcg yer zar zmw zwg
"""
_THREE_DECIMALS = "bhd iqd jod kwd lyd omr tnd"

# Every currency by its ISO code in lower case, and how many decimals its minor units stand for where we are told them.
# Two differ from ISO 4217 because Stripe keeps counting them in hundredths (ISK, UGX), one because it counts it whole (MGA).
CURRENCIES: Mapping[str, int] = {
    code: decimals
    for decimals, codes in ((0, _NO_DECIMALS), (2, _TWO_DECIMALS), (3, _THREE_DECIMALS))
    for code in codes.split()
}

_DECIMAL = re.compile(r"(\d{1,9})(?:\.(\d{1,3}))?", re.ASCII)
_TYPED = re.compile(r"(?:\$ ?)?(\d{1,9}|[1-9]\d{0,2}(?:,\d{3}){1,2})(\.\d{1,2})?", re.ASCII)
_PLACES = ("no places", "one place", "two places", "three places")


def cents(text: str) -> int:
    """The integer cents of a plain decimal amount: "10.0" -> 1000.

    Raises Invalid for anything else: signs, exponents, commas, three decimals, other scripts' digits, nothing.
    """
    return minor_units(text, "usd")


def minor_units(text: str, currency: str) -> int:
    """The same for every currency: "5000" of JPY -> 5000. Raises Invalid, also for one that is not in CURRENCIES."""
    if currency not in CURRENCIES:
        raise Invalid("an unknown currency")
    decimals = CURRENCIES[currency]
    match = _DECIMAL.fullmatch(text)
    if match is None or len(match[2] or "") > decimals:
        raise Invalid(f"an amount is not a plain decimal with at most {_PLACES[decimals]}")
    whole, fraction = match.groups("")
    return int(str(whole) + str(fraction).ljust(decimals, "0"))


def typed_cents(text: str) -> int:
    """The same of what a person typed: with blanks around it, a dollar sign before it, commas between the thousands.

    "$1,234.50" -> 123450. Raises Invalid for anything else, and for commas elsewhere: "10,00", "1,00".
    """
    match = _TYPED.fullmatch(text.strip())
    if match is None:
        raise Invalid("an amount is not written as people write dollars")
    whole, fraction = match.groups()
    return cents(whole.replace(",", "") + (fraction or ""))


def dollars(amount_cents: int) -> str:
    """How a person writes it: 2700 -> "$27", 123456 -> "$1,234.56"; cents only when there are any."""
    whole, rest = divmod(amount_cents, 100)
    return f"${whole:,}.{rest:02}" if rest else f"${whole:,}"


def plain_dollars(amount_cents: int) -> str:
    """How a link or a form says it: 2700 -> "27", 123456 -> "1234.56"; `cents` reads it back."""
    return dollars(amount_cents).removeprefix("$").replace(",", "")


def amount(minor_units: int, currency: str) -> str:
    """The same for every currency: "$27", "27.50 EUR", "5,000 JPY". Raises Invalid for one that is not in CURRENCIES."""
    if currency == "usd":
        return dollars(minor_units)
    if currency not in CURRENCIES:
        raise Invalid("an unknown currency")
    decimals = CURRENCIES[currency]
    whole, rest = divmod(minor_units, 10**decimals)
    return f"{whole:,}.{rest:0{decimals}} {currency.upper()}" if rest else f"{whole:,} {currency.upper()}"
