"""Catalogues: every word of the pages for the public is translated, with the same things to fill in."""

import re

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from engine import languages
from engine.people.preferences import LABELS
from engine.settings import ROOT
from webhooks import problems
from webhooks.donor import own, typed
from webhooks.lines import WORDS
from webhooks.subscriber import preferences, showing, unsubscribe

PAGES = ROOT / "templates" / "pages"
NAMES = (
    "subscriber", "unsubscribe", "unsubscribed", "preferences", "confirm", "no_link", "too_many", "fields", "error", "join",
    "join_form", "join_head", "joined", "joined_next", "joined_words", "introduced", "give", "give_away", "give_closed",
    "give_form", "give_head", "give_thanks", "giving_ask", "giving_sent", "giving_own", "giving_end",
    "give_all", "home", "doors",
)  # fmt: skip
CATALOGUES = [
    path
    for name in ("give", "home", "join", "monthly", "preferences")
    for path in sorted(languages.LOCALE.glob(f"*/{name}.po"))
]
FILLED_IN = re.compile(r"%\(\w+\)s")


def spoken() -> set[str]:
    """All that these pages and the letters' footers say in English."""
    words = {*LABELS.values(), *unsubscribe.BUTTONS.values(), *preferences.WORDINGS.values()}
    words |= {"Stop these letters", "Choose what you get", showing.WORDING, *WORDS.values(), *own.WORDS.values()}
    words |= set(typed.WORDS.values())
    words |= {word for said in problems.PEOPLE.values() for word in said}
    for name in NAMES:
        with (PAGES / f"{name}.html").open("rb") as page:
            words |= {str(found[1]) for found in extract(babel_extract, page)}
    return words


@pytest.mark.parametrize("language", [each for each in languages.offered() if each != languages.ENGLISH])
def test_every_word_of_these_pages_is_translated(language: str):
    catalogue = languages.catalogue(language)
    told = spoken()
    assert len(told) > 60
    assert [word for word in told if catalogue.gettext(word) == word] == []
    for word in told:
        assert sorted(FILLED_IN.findall(word)) == sorted(FILLED_IN.findall(catalogue.gettext(word)))


@pytest.mark.parametrize("path", CATALOGUES, ids=str)
def test_no_translation_is_left_over_from_words_that_nobody_says_any_more(path):
    with path.open("rb") as file:
        kept = {message.id for message in read_po(file) if message.id}
    assert kept - spoken() == set()
