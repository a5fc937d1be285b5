"""The join form in a frame of another site: which sites may show it, and what they get. And: every word has its Spanish."""

from dataclasses import replace

import pytest
from jinja2.ext import babel_extract
from pydantic import ValidationError

from engine import languages
from engine.settings import ROOT, Settings
from tests.webhooks.joining import PAGES, Visitor, opened, said
from webhooks.lines import WORDS
from webhooks.problems import PEOPLE
from webhooks.security import HEADERS
from webhooks.subscriber.showing import WORDING

SITE = "https://neighbours.example.org"
POLICY = "content-security-policy"
OURS = ("error", "introduced", "join", "join_form", "join_head", "joined", "joined_next", "joined_words", "fields")


def embedding(deps, origins: str):
    settings = deps.settings.model_copy(update={"embed_origins": origins})
    return opened(replace(deps, settings=settings))


def test_only_the_sites_of_the_settings_may_frame_the_form_and_its_answers(deps):
    with embedding(deps, f"{SITE}, https://www.example.org:8443") as door:
        visitor = Visitor(door, "/join/worcester?embed=1")
        pages = [visitor.open((deps.clock, 1)), visitor.press(zip="")]
        pages.append(visitor.press())
        deps.clock.now = deps.clock.now.replace(minute=1)
        pages.append(visitor.press())
    assert [page.status for page in pages] == [200, 422, 200, 200]
    assert "Thank you, Rosa." in said(pages[-1])
    allowed = f"frame-ancestors {SITE} https://www.example.org:8443;"
    for page in pages:
        assert page.headers[POLICY] == HEADERS["Content-Security-Policy"].replace("frame-ancestors 'none';", allowed)
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
    assert 'action="/join/worcester?embed=1"' in pages[0].body.decode()


@pytest.mark.parametrize(
    ("origins", "path"), [("", "/join?embed=1"), (SITE, "/join"), (SITE, "/join/worcester?embed=0"), (SITE, "/")]
)
def test_every_other_page_may_be_framed_by_nobody(deps, origins, path):
    with embedding(deps, origins) as door:
        answer = door.send("GET", path, [PAGES])
    assert answer.status == 200
    assert {name.lower(): value for name, value in HEADERS.items()}.items() <= answer.headers.items()


@pytest.mark.parametrize(
    "origins",
    ["*", "neighbours.example.org", f"{SITE}/", f"{SITE}/join", "http://neighbours.example.org",
     f"{SITE} {SITE}", f"{SITE};script-src *",
     "https://*.example.org", "http://localhost.evil.example.org"],
)  # fmt: skip
def test_what_is_no_origin_stops_the_start(origins):
    with pytest.raises(ValidationError, match="EMBED_ORIGINS"):
        Settings(embed_origins=origins)


def test_this_machines_own_origins_are_let_through_for_trying_out():
    assert Settings(embed_origins="http://localhost:8080").embedders == ("http://localhost:8080",)


def test_every_word_of_joining_has_its_spanish():
    words = {*WORDS.values(), WORDING, *(word for pair in PEOPLE.values() for word in pair)}
    for name in OURS:
        with (ROOT / "templates" / "pages" / f"{name}.html").open("rb") as file:
            found = babel_extract(file, ("_",), (), {"extensions": "jinja2.ext.i18n", "silent": "false"})
            words |= {word for _, _, word, _ in found if isinstance(word, str)}
    spanish = languages.catalogue("es")
    assert len(words) > 60
    assert sorted(word for word in words if spanish.gettext(word) == word) == []
