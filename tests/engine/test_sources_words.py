"""Reading strangers' JSON: what is ambiguous is refused, what is merely untidy is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from engine.errors import Invalid
from engine.sources.words import (
    DEEPEST,
    Lenient,
    Text,
    clean,
    email_address,
    model,
    number,
    read_json,
    zero_put_back,
    zip_code,
)


@pytest.mark.parametrize(
    ("body", "document"),
    [(b"{}", {}), (b' \r\n[1, "a"]\t', [1, "a"]), (b'\xef\xbb\xbf{"a": 1}', {"a": 1}), (b'{"a": 10.50}', {"a": "10.50"}),
     (b'{"a": 1e3}', {"a": "1e3"}), ('{"a": "é"}'.encode(), {"a": "é"}), (b'{"a": "\\u0000"}', {"a": "\0"}), (b"null", None)],
)  # fmt: skip
def test_a_document_is_read_and_a_number_with_a_point_stays_as_it_was_written(body: bytes, document: object):
    assert read_json(body) == document


REFUSED = [
    (b"", "not valid JSON"), (b"{", "not valid JSON"), (b"{} {}", "not valid JSON"), (b"{'a': 1}", "not valid JSON"),
    (b'{"a": 01}', "not valid JSON"), (b'{"a": "\x01"}', "not valid JSON"), (b"[" + b"9" * 5000 + b"]", "not valid JSON"),
    (b'{"a": NaN}', "NaN is not a number"), (b"[Infinity]", "Infinity is not a number"),
    (b'{"a": 1, "a": 1}', "ambiguous: a key stands twice"), (b'[{"b": {"a": 1, "a": 2}}]', "ambiguous: a key stands twice"),
    (b'{"a": 1, "\\u0061": 2}', "ambiguous: a key stands twice"), (b"\xff\xfe", "not UTF-8"),
    (b'"\xed\xa0\x80"', "not UTF-8"),
    (b"[" * 60_000 + b"]" * 60_000, "nested too deeply"), (b'{"a":' * 40_000, "nested too deeply"),
    (b"[" * (DEEPEST + 1) + b"[]" + b"]" * (DEEPEST + 1), "nested too deeply"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), REFUSED, ids=lambda value: repr(value)[:30])
def test_what_is_no_document_or_could_be_two_is_refused_with_its_reason(body: bytes, reason: str):
    with pytest.raises(Invalid) as raised:
        read_json(body)
    assert str(raised.value) == reason


def test_nesting_within_reason_is_read():
    assert read_json(b"[" * DEEPEST + b"]" * DEEPEST) == json.loads(b"[" * DEEPEST + b"]" * DEEPEST)


REASONS = {reason for _, reason in REFUSED} | {"-Infinity is not a number"}


def reason(body: bytes) -> str | None:
    try:
        read_json(body)
    except Invalid as error:
        return str(error)
    return None


@given(st.binary() | st.text(alphabet='[]{}":,0123456789.eE-NaInfty \\u').map(str.encode))
def test_no_bytes_do_anything_but_be_read_or_be_refused_for_one_of_a_few_reasons(body: bytes):
    assert reason(body) in {None} | REASONS


class Someone(Lenient):
    """A stranger's object."""

    name: Text = ""
    age: int


def test_an_error_names_the_fields_and_never_what_stood_in_them():
    with pytest.raises(Invalid) as raised:
        model(Someone, {"name": "Rosa Delgado", "age": "secret"})
    assert str(raised.value) == "not understood: age"
    with pytest.raises(Invalid) as raised:
        model(Someone, ["secret"])
    assert str(raised.value) == "not understood: body"


def test_unknown_keys_pass_by():
    assert model(Someone, {"age": 41, "unknown": {"deep": [1]}}) == Someone(age=41)


@pytest.mark.parametrize(
    ("value", "text"),
    [(" Rosa ", "Rosa"), ("a\x00b\x1fc\x7f", "abc"), ("a\ud800b", "ab"), ("two\nlines", "two\nlines"),
     (17, "17"), (0, "0"), (None, ""), (True, ""), (False, ""), ([], ""), (["x"], ""), ({}, ""), (1.5, ""),
     ("", ""), ("\u00e9\u82b1", "\u00e9\u82b1")],
)  # fmt: skip
def test_text_loses_its_controls_and_what_is_no_text_says_nothing(value: object, text: str):
    assert clean(value) == text


@given(st.text(st.characters(exclude_categories=())))
def test_clean_text_always_fits_a_column_of_postgres(value: str):
    assert "\0" not in clean(value)
    assert clean(value).encode("utf-8") == clean(clean(value)).encode("utf-8")


@pytest.mark.parametrize(
    ("value", "count"),
    [(5, 5), ("5", 5), (" 5 ", 5), ("05", 5), (None, 0), ("", 0), ("-5", 0), (-5, 0), ("5.0", 0), (True, 0), ("\u0665", 0),
     ("\u00b2", 0), ({}, 0), (10**18 - 1, 10**18 - 1), (10**18, 0), ("9" * 4000, 0)],
)  # fmt: skip
def test_a_number_may_come_as_text_and_is_nought_when_no_column_could_hold_it(value: object, count: int):
    assert number(value) == count


@pytest.mark.parametrize(
    ("raw", "address"),
    [("rosa@example.org", "rosa@example.org"), ("Rosa.Delgado+Gifts@Example.ORG", "rosa.delgado+gifts@example.org"),
     ("ROSA@CHAPTER.EXAMPLE", "rosa@chapter.example"), ("rosa@b\u00fccher.example.org", "rosa@b\u00fccher.example.org"),
     ("rosa@xn--bcher-kva.example.org", "rosa@b\u00fccher.example.org")],
)  # fmt: skip
def test_an_address_has_one_spelling_and_keeps_its_plus_tag(raw: str, address: str):
    assert email_address(raw) == address
    assert email_address(address) == address


@pytest.mark.parametrize(
    "raw",
    ["", "rosa", "rosa@", "@example.org", "rosa@example", "rosa@example.org, sam@example.org", "Rosa <rosa@example.org>",
     "rosa@example.org\r\nBcc: sam@example.org",
     "rosa@exa mple.org", "ro\u202esa@example.org", "rosa@-example.org", "rosa@[10.0.0.1]",
     '"rosa delgado"@example.org', "rosa@" + "a" * 250 + ".org", "rosa@@example.org",
     "rosa@example..org", "x" * 100_000, "@" * 10_000],
)  # fmt: skip
def test_an_unusable_address_is_none(raw: str):
    assert email_address(raw) is None


@given(st.one_of(st.text(), st.emails()))
def test_no_text_does_anything_but_be_an_address_or_none(raw: str):
    address = email_address(clean(raw))
    assert address is None or (address == email_address(address) and "\n" not in address and len(address) <= 254)


@pytest.mark.parametrize(
    ("raw", "country", "found"),
    [("01605", "United States", "01605"), ("01605-2417", "United States", "01605"), ("016052417", "", "01605"),
     ("1605", "USA", "01605"), ("1605-2417", "us", "01605"), (" 0 1605", "UNITED STATES OF AMERICA", "01605"),
     ("94801", "", "94801"), ("00501", "US", "00501"), ("", "United States", None), ("016051", "United States", None),
     ("501", "United States", None), ("O1605", "United States", None), ("01605-24", "United States", None),
     ("01605", "Germany", None), ("1605", "Switzerland", None), ("\u0660\u0661\u0666\u0660\u0665", "", None),
     ("SW1A 1AA", "United Kingdom", None), ("01605\n", "United States", None),
     ("1605.0", "", "01605"), ("1605.00", "US", "01605"), ("94801.0", "", "94801"), ("1605.5", "", None),
     ("605.0", "", None), ("16052.417", "", None),
     *((" 1605", country, "01605") for country in ("U.S.", "U.S.A.", "u. s. a.", "U.S", "United States of America (USA)",
       "The United States", "Estados Unidos", "EE. UU.", "EEUU", "  usa ", "United-States", "US of A")),
     ("01605", "U.K.", None), ("01605", "Uruguay", None)],
)  # fmt: skip
def test_a_zip_is_five_digits_of_the_united_states_with_its_lost_zero_put_back(
    raw: str, country: str, found: str | None
):
    assert zip_code(raw, country) == found


@pytest.mark.parametrize(
    ("raw", "repaired"),
    [("1605", True), ("1605.0", True), (" 1605 ", True), ("1605-2417", True), ("01605", False), (" 0 1605", False),
     ("01605-2417", False), ("94801.0", False)],
)  # fmt: skip
def test_a_zero_that_was_put_back_is_told_from_a_zip_that_was_whole(raw: str, repaired: bool):
    found = zip_code(raw, "")
    assert found is not None
    assert zero_put_back(raw, found) is repaired


def test_a_name_that_a_sender_chose_is_not_repeated_in_the_reason():
    """It stands in logs, in notices and in a column: it may be somebody's address, or hold a zero byte."""

    class Told(BaseModel):
        amounts: dict[str, int]

    with pytest.raises(Invalid) as raised:
        model(Told, {"amounts": {"ana@example.org": "x", "a\x00": "x", "first_name": "x"}})
    assert str(raised.value) == "not understood: amounts.?, amounts.first_name"
