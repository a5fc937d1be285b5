"""The letters that come with the code: each says what it is told, in every language, and no name can do harm in it."""

import re
from dataclasses import replace
from typing import Any

import pytest
from markupsafe import escape

from engine.languages import offered
from engine.letters import sheets
from engine.letters.shipped import Shipped, shipped
from engine.letters.vocabulary import MADE, READER, SENDER, samples, vocabulary

FRAME = {name: sample for name, (_, sample) in SENDER.items()}
LINKS = {name: sample for name, (_, sample) in MADE.items()}
TO_STAFF = {"operator_notice", "sign_in"}
SHIPPED = {letter.slug: letter for letter in shipped()}
ALL = [(letter.slug, spoken) for letter in SHIPPED.values() for spoken in letter.words]
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='x", "{{ 7 * 7 }}", "{% raw %}", "a & b",
    "</td></tr></table>", "<!-- x", "\u202eevil", "=HYPERLINK(1)",
]  # fmt: skip


def the(slug: str) -> Shipped:
    return SHIPPED[slug]


def rendered(slug: str, spoken: str = "en", **facts: Any) -> sheets.Rendered:
    letter = the(slug)
    sender = FRAME | {"stoppable": letter.kind != ""}
    return sheets.fold(letter.words[spoken], sender).letter({**LINKS, **samples({**letter.facts, **facts}, spoken)})


def asked(slug: str, spoken: str) -> frozenset[str]:
    """What the reader of a letter has to be known by, beyond its sender and her links."""
    return sheets.fold(the(slug).words[spoken], FRAME).names - LINKS.keys()


@pytest.mark.parametrize(("slug", "spoken"), ALL)
def test_every_letter_asks_for_the_facts_that_are_given_and_for_no_other(slug: str, spoken: str):
    facts = the(slug).facts.keys()
    assert facts <= asked(slug, spoken) <= facts | READER.keys()


@pytest.mark.parametrize(("slug", "spoken"), ALL)
def test_every_letter_says_each_fact_in_html_and_text(slug: str, spoken: str):
    letter = rendered(slug, spoken)
    for part in (letter.subject, letter.html, letter.text):
        assert "{{" not in part
        assert "{%" not in part
    told = samples(the(slug).facts, spoken)
    for fact in (told[name] for name in the(slug).facts):
        if fact is True:
            continue  # what stands under it says its own facts
        assert str(escape(fact)) in letter.html
        assert str(fact) in letter.text
    for name in ("sender_name", "fine_print"):
        assert FRAME[name] in letter.html
    assert letter.text.startswith(FRAME["sender_name"] + "\n\n")
    assert FRAME["fine_print_text"] in letter.text
    assert letter.text.endswith("\n")
    assert "\n\n\n" not in letter.text


ENGLISH_WORDS = re.compile(r"\b(the|of|and|your|month|June|July|March)\b")


def test_a_preview_in_spanish_has_its_samples_in_spanish():
    mixed = [
        (letter.slug, name) for letter in SHIPPED.values() if "es" in letter.words
        for name, said in samples(letter.facts, "es").items() if ENGLISH_WORDS.search(str(said))
    ]  # fmt: skip
    assert mixed == []


def test_every_letter_to_people_is_there_in_every_language_and_says_which_it_is_in():
    for letter in SHIPPED.values():
        assert set(letter.words) == ({"en"} if letter.slug in TO_STAFF else set(offered()))
        for spoken, words in letter.words.items():
            assert f'lang="{spoken}"' in words.html


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_only_ever_text(name: str):
    plain, hostile = rendered("thank_you"), rendered("thank_you", first_name=name, receiver=name, order_number=name)
    assert name in hostile.text
    assert name in hostile.subject
    assert str(escape(name)) in hostile.html
    for character in "<>\"'":
        assert hostile.html.count(character) == plain.html.count(character)


@pytest.mark.parametrize("spoken", offered())
def test_the_question_by_letter_has_one_link_and_no_word_of_whom_it_is_sent_to(spoken: str):
    letter = rendered("confirm", spoken)
    addresses = set(re.findall(r"https?://[^\s\"<]+", letter.html + letter.text)) - {"http://www.w3.org/1999/xhtml"}
    assert addresses == {the("confirm").facts["confirm_url"]}


def test_letters_that_may_be_refused_say_how_and_receipts_do_not():
    for letter in SHIPPED.values():
        said = rendered(letter.slug)
        assert (LINKS["unsubscribe_url"] in said.html) == (letter.kind != "")
        assert (FRAME["because_words"] in said.text) == (letter.kind != "")


def test_facts_are_named_apart_from_what_the_sender_and_the_links_say():
    for letter in SHIPPED.values():
        assert not letter.facts.keys() & (FRAME.keys() | LINKS.keys())
        assert letter.facts.keys() <= vocabulary(letter.facts).keys()
    assert replace(the("confirm"), facts={}).facts == {}
