"""Links from letters to a page with the same amounts: what they say, that it is of nobody, and that nobody makes one up."""

import base64
import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.giving import ask_links, form_links
from engine.giving.ask_links import Offered
from engine.giving.form_links import Form
from engine.tokens import Signer

SIGNER = Signer(["a key of the tests"])
OFFERED = Offered((500, 1000, 1500, 2000), 2000)
OWN = Form("rent-relief", "stripe", "https://www.example.org")
ACTBLUE = Form("common-ground", "actblue", "https://www.example.org")


def payload(token: str) -> object:
    """What anybody who holds a token can read in it."""
    said = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))


def test_a_token_says_the_form_the_amounts_and_what_is_left_and_nothing_else():
    assert payload(ask_links.token(SIGNER, "rent-relief", OFFERED)) == ["rent-relief", 2000, 500, 1000, 1500, 2000]
    assert payload(ask_links.token(SIGNER, "rent-relief", Offered((2700,)))) == ["rent-relief", -1, 2700]


def test_two_readers_with_the_same_amounts_hold_the_same_token_from_whichever_process():
    others = Signer(["a key of the tests"])
    assert ask_links.token(SIGNER, "rent-relief", OFFERED) == ask_links.token(others, "rent-relief", OFFERED)


@given(
    st.lists(st.integers(1, 99_999_900), min_size=1, max_size=6, unique=True).map(sorted).map(tuple),
    st.none() | st.integers(0, 10**12),
)
@settings(max_examples=100, deadline=None)
def test_what_was_offered_is_read_back(cents: tuple[int, ...], left: int | None):
    offered = Offered(cents, left)
    token = ask_links.token(SIGNER, "rent-relief", offered)
    assert ask_links.read(SIGNER, "rent-relief", token) == offered
    assert len(token) < 256


def test_another_forms_token_an_altered_or_a_foreign_one_says_nothing():
    token = ask_links.token(SIGNER, "rent-relief", OFFERED)
    assert ask_links.read(SIGNER, "other-form", token) is None
    assert ask_links.read(SIGNER, "", token) is None
    assert ask_links.read(Signer(["another key"]), "rent-relief", token) is None
    raised = base64.urlsafe_b64encode(b'["rent-relief",-1,5000000]').rstrip(b"=").decode()
    for made_up in (
        raised,
        f"{raised}.{token.partition('.')[2]}",
        token[:-2],
        token + "x",
        "",
        ".",
        "é",
        "x" * 9000,
        "\x00",
    ):
        assert ask_links.read(SIGNER, "rent-relief", made_up) is None
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        assert ask_links.read(SIGNER, "rent-relief", token[:place] + other + token[place + 1 :]) is None


def test_a_key_that_was_replaced_still_reads_the_links_of_letters_that_have_left():
    token = ask_links.token(Signer(["old"]), "rent-relief", OFFERED)
    assert ask_links.read(Signer(["old", "new"]), "rent-relief", token) == OFFERED
    assert ask_links.read(Signer(["new"]), "rent-relief", token) is None


@pytest.mark.parametrize(
    "values",
    [(), ("rent-relief",), ("rent-relief", -1), ("rent-relief", -1, "500"), ("rent-relief", -2, 500), (7, -1, 500),
     ("rent-relief", -1, 0), ("rent-relief", -1, -500), ("rent-relief", -1, 500, 500), ("rent-relief", -1, 1000, 500),
     ("rent-relief", True, 500), ("rent-relief", "x", 500)],
)  # fmt: skip
def test_even_what_is_signed_is_believed_only_if_it_makes_sense(values: tuple[int | str, ...]):
    assert ask_links.read(SIGNER, "rent-relief", SIGNER.sign("ask", *values)) is None


def test_a_token_of_another_purpose_is_none():
    for purpose in ("form", "preview", "giving"):
        token = SIGNER.sign(purpose, "rent-relief", -1, 500)  # type: ignore[arg-type]
        assert ask_links.read(SIGNER, "rent-relief", token) is None


@given(st.text(alphabet=string.printable + "é\x00\ud800", max_size=80))
@settings(max_examples=100, deadline=None)
def test_nothing_that_is_typed_breaks_the_reading(typed: str):
    assert ask_links.read(SIGNER, "rent-relief", typed) is None


# Links.


def test_a_link_to_a_page_of_ours_says_amount_rhythm_code_language_and_what_was_offered():
    assert form_links.link(OWN, cents=1500, refcode="x7", language="es", monthly=True, token="T.s") == (
        "https://www.example.org/give/rent-relief?amount=15&recurring=1&refcode=x7&lang=es&k=T.s"
    )
    rungs = form_links.rungs(OWN, (1500, 2750), "x7", "en", express=True, token="T.s")
    assert [rung["url"].partition("?")[2] for rung in rungs] == [
        "amount=15&refcode=x7&k=T.s", "amount=27.50&refcode=x7&k=T.s"
    ]  # fmt: skip


def test_a_link_to_actblue_needs_no_token_and_no_plan_begins_without_being_seen():
    assert form_links.link(ACTBLUE, cents=1500, express=True, token="T.s") == (
        "https://secure.actblue.com/donate/common-ground?amount=15&express_lane=true"
    )
    assert form_links.link(ACTBLUE, cents=1500, express=True, monthly=True) == (
        "https://secure.actblue.com/donate/common-ground?amount=15&recurring=1"
    )
