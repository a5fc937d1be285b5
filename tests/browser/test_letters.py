"""Every letter in a real browser: phone and desktop, light and dark, without pictures; nothing comes from elsewhere."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route

from engine.giving.form_links import Form, rungs
from engine.letters import drafts, finishing, layouts, sheets
from engine.letters.sheets import Rendered, Words
from engine.letters.shipped import shipped
from engine.letters.vocabulary import MADE, READER, SENDER, samples, vocabulary
from engine.settings import ROOT
from tests.browser.test_pages import fits

pytestmark = pytest.mark.browser
# Each width and each scheme once: the one moves what the other colours.
SCREENS = {"390-light": (390, "light"), "700-dark": (700, "dark")}
SHOTS = os.environ.get("GROUNDSWELL_SHOTS")  # a folder, to look at what was seen
DEMO = sorted((ROOT / "templates" / "demo" / "letters").glob("*.md"))
FORM = Form("common-ground", "actblue", "https://give.example.org")


def rendered(words: Words, facts: dict[str, object], kind: str, spoken: str) -> Rendered:
    """A letter as an invented reader gets it."""
    sender = {name: sample for name, (_, sample) in SENDER.items()} | {"stoppable": kind != ""}
    links = {name: sample for name, (_, sample) in MADE.items()}
    ladder = rungs(FORM, (2700, 5000, 10000, 25000, 100000), "x7k2m9p4q", spoken, express=False)
    monthly = rungs(FORM, (500, 1000, 1500, 2000, 2700), "x7k2m9p4q", spoken, express=False, monthly=True)
    reader = {name: field.sample for name, field in READER.items()}
    values = {**links, **reader, "ladder": ladder, "monthly_ladder": monthly, **samples(facts, spoken)}
    return sheets.fold(words, sender).letter(values)


def all_letters() -> dict[str, tuple[str, Rendered]]:
    found = {}
    for letter in shipped():
        for spoken, words in letter.words.items():
            found[f"{letter.slug}.{spoken}"] = (spoken, rendered(words, dict(letter.facts), letter.kind, spoken))
    draft = drafts.read(DEMO)
    for spoken, body in draft.bodies.items():
        words = finishing.finish(body, draft.layout, spoken, vocabulary({})).words
        found[f"{draft.slug}.{spoken}"] = (spoken, rendered(words, {}, draft.kind, spoken))
    return found


LETTERS = all_letters()


@pytest.fixture(params=SCREENS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A reader's screen that fetches nothing: pictures are off, and whoever asks for anything is remembered."""
    width, scheme = SCREENS[request.param]
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=True
    )
    opened = context.new_page()
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    opened.route("**/*", refuse)
    yield opened
    context.close()
    assert asked == []


@pytest.mark.parametrize("name", LETTERS)
def test_a_letter_reads_well_on_every_screen(page: Page, name: str, request: pytest.FixtureRequest):
    spoken, letter = LETTERS[name]
    page.set_content(letter.html)
    assert fits(page)
    assert page.locator("html").get_attribute("lang") == spoken
    size = (
        page.locator("p, div").filter(has_text=".").last.evaluate("each => parseFloat(getComputedStyle(each).fontSize)")
    )
    assert size >= 13
    found = Axe().run(page, options={"runOnly": ["color-contrast", "link-name", "image-alt", "link-in-text-block"]})
    problems = found.response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in problems] == []
    for button in page.locator("a.rung, td[role=presentation] > a").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44  # a finger's breadth
    if SHOTS:
        screen = request.node.callspec.params["page"]
        page.screenshot(path=Path(SHOTS) / f"letter-{name}-{screen}.png", full_page=True)


def test_every_layout_is_seen_here():
    assert {"letter"} == set(layouts.names())
