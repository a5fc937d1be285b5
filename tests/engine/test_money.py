"""Money: text to integer cents and back, and everything that is not money."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.money import CURRENCIES, amount, cents, dollars, minor_units, typed_cents

MOST = 99_999_999_999  # nine digits of dollars


@pytest.mark.parametrize(
    ("text", "amount"),
    [("5.0", 500), ("25.77", 2577), ("1000.0", 100_000), ("10", 1000), ("0.01", 1), ("0", 0), ("007.5", 750),
     ("999999999.99", MOST)],
)  # fmt: skip
def test_a_plain_decimal_is_read_to_the_cent(text: str, amount: int):
    assert cents(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", " ", "10.005", "1e3", "10,00", "1,000", "-5.00", "+5", "NaN", "Infinity", "$5", "5.", ".5", "1 0", " 10", "10\n",
     "1_0",     "0x10", "\u0661\u0660", "\uff11\uff10", "1000000000", "5.0.0", "--5", "10.0\x00"],
)  # fmt: skip
def test_anything_else_is_no_amount_and_the_error_does_not_repeat_it(text: str):
    with pytest.raises(Invalid) as raised:
        cents(text)
    assert str(raised.value) == "an amount is not a plain decimal with at most two places"


@pytest.mark.parametrize(
    ("text", "currency", "amount"), [("5000", "jpy", 5000), ("12.5", "kwd", 12_500), ("12.5", "usd", 1250)]
)
def test_an_amount_is_read_by_the_minor_units_of_its_currency(text: str, currency: str, amount: int):
    assert minor_units(text, currency) == amount


@pytest.mark.parametrize(("text", "currency"), [("12.50", "jpy"), ("1.2345", "kwd"), ("1.234", "eur"), ("1", "xyz")])
def test_places_that_a_currency_does_not_have_are_no_amount(text: str, currency: str):
    with pytest.raises(Invalid):
        minor_units(text, currency)


@pytest.mark.parametrize(
    ("typed", "amount"),
    [
        ("$40", 4000),
        ("$ 40.5", 4050),
        (" 1,000 ", 100_000),
        ("$1,234.50", 123_450),
        ("999,999,999.99", MOST),
        ("35", 3500),
    ],
)
def test_what_a_person_types_may_have_a_dollar_sign_and_commas_between_thousands(typed: str, amount: int):
    assert typed_cents(typed) == amount


@pytest.mark.parametrize(
    "typed",
    ["10,00", "1,00", "1,0000", "0,100", ",100", "1,,000", "1234,567", "1,000,000,000", "$", "$$4", "40$", "-$4", "$-4",
     "1e3", "NaN", "\uff11\uff10", "\u20ac40", "1.000,50", "1,000.505", str(10**12), "9" * 400, ""],
)  # fmt: skip
def test_what_is_typed_otherwise_is_no_amount(typed: str):
    with pytest.raises(Invalid):
        typed_cents(typed)


@given(st.integers(0, MOST))
def test_every_amount_comes_back_from_each_way_of_writing_it(amount: int):
    whole, rest = divmod(amount, 100)
    assert cents(f"{whole}.{rest:02}") == amount
    assert typed_cents(dollars(amount)) == amount
    assert cents(dollars(amount).removeprefix("$").replace(",", "")) == amount
    if rest % 10 == 0:
        assert cents(f"{whole}.{rest // 10}") == amount
    if rest == 0:
        assert cents(str(whole)) == amount


@given(st.text())
def test_no_text_does_anything_but_mean_an_amount_or_be_invalid(text: str):
    try:
        amount = cents(text)
    except Invalid:
        return
    assert 0 <= amount <= MOST


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(2700, "$27"), (123_456, "$1,234.56"), (100_000, "$1,000"), (5, "$0.05"), (0, "$0"), (2710, "$27.10"),
     (100_000_000, "$1,000,000")],
)  # fmt: skip
def test_an_amount_is_shown_as_a_person_writes_it(amount: int, shown: str):
    assert dollars(amount) == shown


@pytest.mark.parametrize(
    ("minor_units", "currency", "shown"),
    [(2700, "usd", "$27"), (2750, "eur", "27.50 EUR"), (2700, "eur", "27 EUR"), (5000, "jpy", "5,000 JPY"),
     (1, "jpy", "1 JPY"), (1250, "kwd", "1.250 KWD"), (5, "bhd", "0.005 BHD"), (500_000, "ugx", "5,000 UGX"),
     (100, "isk", "1 ISK"), (123_456_789, "gbp", "1,234,567.89 GBP")],
)  # fmt: skip
def test_an_amount_of_any_currency_is_shown_in_its_own_units(minor_units: int, currency: str, shown: str):
    assert amount(minor_units, currency) == shown


def test_a_currency_that_nobody_knows_is_refused():
    with pytest.raises(Invalid, match="an unknown currency"):
        amount(100, "xyz")


def test_every_currency_has_three_letters_and_stands_once():
    assert all(len(code) == 3 and code.isascii() and code.islower() for code in CURRENCIES)
    assert {code: CURRENCIES[code] for code in ("usd", "jpy", "krw", "kwd", "eur")} == {
        "usd": 2, "jpy": 0, "krw": 0, "kwd": 3, "eur": 2,
    }  # fmt: skip


@given(st.sampled_from(sorted(CURRENCIES)), st.integers(1, 2**53))
def test_no_two_amounts_of_a_currency_look_the_same(currency: str, minor_units: int):
    digits = amount(minor_units, currency).removeprefix("$").removesuffix(f" {currency.upper()}").replace(",", "")
    whole, _, fraction = digits.partition(".")
    assert int(whole + fraction.ljust(CURRENCIES[currency], "0")) == minor_units
