"""Money: text to integer cents and back, and everything that is not money."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.money import cents, dollars

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


@given(st.integers(0, MOST))
def test_every_amount_comes_back_from_each_way_of_writing_it(amount: int):
    whole, rest = divmod(amount, 100)
    assert cents(f"{whole}.{rest:02}") == amount
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
