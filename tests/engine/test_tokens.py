"""Tokens in links: those that itsdangerous makes for the same keys and purpose, and no other is ever believed."""

import hashlib

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from engine.tokens import LONGEST, Signer

KEYS = ("an old key of the tests", "the present key of the tests")
PURPOSES = ("unsubscribe", "preferences", "confirm", "form", "sign-in")
ids = st.integers(0, 2**63 - 1)
said = st.lists(ids | st.text("abcdefghijklmnopqrstuvwxyz0123456789:-_", max_size=40), max_size=4)
purposes = st.sampled_from(PURPOSES)
SIGNER = Signer(KEYS)  # one for all examples: what it derives once must serve for every purpose


def theirs(purpose: str, keys: tuple[str, ...] = KEYS) -> URLSafeSerializer:
    options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(list(keys), salt=purpose, signer_kwargs=options)


@given(purposes, said)
@example("unsubscribe", [71, 4_000_001])
@example("preferences", [1, 1_793_707_200])
@example("confirm", [1])
@example("form", ["staff:session", "0f" * 16])
def test_a_token_is_the_one_that_itsdangerous_makes(purpose, values):
    token = theirs(purpose).dumps(values)
    assume(not token.startswith("."))  # it packs long ones of which much repeats
    assert SIGNER.sign(purpose, *values) == token


@given(purposes, said)
@example("unsubscribe", [10**18, 10**18])
@example("form", ["a" * 40])
def test_each_reads_what_the_other_made(purpose, values):
    assert theirs(purpose).loads(SIGNER.sign(purpose, *values)) == values
    assert SIGNER.read(purpose, theirs(purpose).dumps(values)) == tuple(values)


def test_a_link_of_before_a_key_was_replaced_still_works_and_new_ones_are_signed_by_the_new_key():
    before, after = Signer(KEYS[:1]), Signer(KEYS)
    assert after.read("unsubscribe", before.sign("unsubscribe", 1, 2)) == (1, 2)
    assert before.read("unsubscribe", after.sign("unsubscribe", 1, 2)) is None
    assert after.sign("unsubscribe", 1, 2) == theirs("unsubscribe", KEYS[1:]).dumps([1, 2])


def test_a_token_is_good_for_its_purpose_alone():
    for purpose in PURPOSES:
        token = SIGNER.sign(purpose, 1, 2)
        assert [other for other in PURPOSES if SIGNER.read(other, token)] == [purpose]


@given(st.data(), st.characters(codec="utf-8"))
def test_a_token_with_one_character_changed_is_not_read(data, character):
    token = SIGNER.sign("unsubscribe", 71, 4_000_001)
    place = data.draw(st.integers(0, len(token) - 2))  # of the last one two bits mean nothing
    assume(token[place] != character)
    assert SIGNER.read("unsubscribe", token[:place] + character + token[place + 1 :]) is None


@pytest.mark.parametrize(
    "made_up", ["", ".", "..", "x", "\ud800", "é.é", "." * LONGEST, "WzEsMl0", "WzEsMl0.", "a" * (LONGEST + 1)]
)
def test_what_is_no_token_is_not_read(made_up: str):
    assert SIGNER.read("unsubscribe", made_up) is None


@pytest.mark.parametrize("value", [{"a": 1}, "text", 7, None, [[1]], [1.5], [None]], ids=repr)
def test_what_is_signed_but_no_list_of_ids_is_not_read(value: object):
    assert SIGNER.read("form", theirs("form").dumps(value)) is None


def test_a_token_longer_than_any_of_ours_is_not_even_looked_at():
    long = theirs("form").dumps([hashlib.sha256(str(number).encode()).hexdigest() for number in range(20)])
    assert len(long) > LONGEST
    assert theirs("form").loads(long)
    assert SIGNER.read("form", long) is None
