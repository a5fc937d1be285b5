"""From a letter in the mailbox to her preferences and to no more letters, on phone and desktop, light and dark."""

import os
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.test_pages import fits
from tests.system import System

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCREENS = {
    "phone-light": (390, 844, "light"), "phone-dark": (390, 844, "dark"),
    "desktop-light": (1280, 900, "light"), "desktop-dark": (1280, 900, "dark"),
}  # fmt: skip
SHOTS = os.environ.get("GROUNDSWELL_SHOTS")  # a folder, to look at what was seen
_numbers = count(1)

_LETTER = """
WITH person AS (
    INSERT INTO contact (email, first_name, details_at, zip, chapter_id, routed_by, routed_on, language)
    SELECT %s, 'Rosa', 'epoch', '01604', id, 'zip', '01604', %s FROM chapter WHERE slug = 'worcester' RETURNING id, chapter_id
), yes AS (
    INSERT INTO consent (contact_id, channel, kind, given, at, source)
    SELECT id, 'mail', '', true, 'epoch', 'signup' FROM person
)
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, chapter_id, facts)
SELECT p.id, m.id, 'test', 'delivery', 'news', now(), p.chapter_id, '{"first_name": "Rosa", "amount": "$27",
    "given_on": "November 2, 2026", "receiver": "us", "order_number": "1", "rhythm": ""}'
FROM person p, mailing m WHERE m.slug = 'thank_you' RETURNING contact_id
"""


@pytest.fixture(scope="module")
def offering(system: System) -> System:
    """The invented organisation offers interests and ways to help."""
    return system


@pytest.fixture(params=SCREENS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A screen of each size and scheme."""
    width, height, scheme = SCREENS[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    opened = context.new_page()
    opened.set_default_timeout(5000)
    yield opened
    context.close()


def letter(system: System, language: str = "en") -> tuple[int, dict[str, str]]:
    """Somebody of Worcester with news in the mailbox: her id and the addresses in her letter."""
    email = f"rosa.{next(_numbers)}.{os.urandom(3).hex()}@example.org"
    ((contact_id,),) = system.query(_LETTER, email, language)

    def arrived() -> list[Any]:
        return [kept for kept in system.mailbox() if kept["to_email"] == email]

    system.wait_for(lambda: bool(arrived()), 20, "the letter")
    found = re.findall(r"(http://[^/]+/(u|me)/[^\s\"<]+)", arrived()[0]["text"])
    return contact_id, {name: address for address, name in found}


def follow(page: Page, role: Any, name: str) -> None:
    """Press a button or follow a link, and wait for the page that comes."""
    with page.expect_navigation():
        page.get_by_role(role, name=name).click()


def look(page: Page, request: pytest.FixtureRequest, name: str) -> None:
    """What has to be so of every page: it fits, axe finds nothing, and there is one heading of the first level."""
    assert fits(page)
    assert page.get_by_role("heading", level=1).count() == 1
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    if SHOTS:
        screen = request.node.callspec.params.get("page", "")
        page.screenshot(path=Path(SHOTS) / f"{name}-{screen}.png", full_page=True)


def test_she_chooses_and_then_stops_all_letters(page: Page, offering: System, request: pytest.FixtureRequest):
    contact_id, links = letter(offering)
    page.goto(links["me"])
    look(page, request, "preferences")
    page.get_by_label("Requests for gifts").uncheck()
    page.get_by_label("Fewer: only what matters most").check()
    page.get_by_label("Public transport").check()
    page.get_by_label("Translate").check()
    page.get_by_text("Follow other chapters").click()
    page.get_by_label("Greater Lowell").check()
    page.get_by_label("Your ZIP").fill("016")
    follow(page, "button", "Save my choices")
    assert "five digits" in page.locator("#zip-error").inner_text()
    assert not page.get_by_label("Requests for gifts").is_checked()
    look(page, request, "preferences-wrong")
    page.get_by_label("Your ZIP").fill("01105")
    follow(page, "button", "Save my choices")
    assert page.get_by_role("status").inner_text().startswith("Saved")
    assert page.get_by_text("You are near Springfield.").is_visible()
    assert page.get_by_label("Translate").is_checked()
    look(page, request, "preferences-saved")
    assert {row[0] for row in offering.query(
        "SELECT kind FROM consent WHERE contact_id = %s AND NOT given", contact_id)} == {"asks", "many"}  # fmt: skip
    page.goto(links["u"])
    look(page, request, "unsubscribe")
    follow(page, "button", "Stop all letters")
    assert page.get_by_role("heading", level=1).inner_text() == "No more letters"
    look(page, request, "unsubscribed")
    follow(page, "link", "Choose what you get")
    assert not page.get_by_label("Gatherings near me").is_checked()
    look(page, request, "preferences-stopped")
    page.get_by_label("Gatherings near me").check()
    follow(page, "button", "Save my choices")
    kinds = (
        "SELECT array_agg(kind ORDER BY kind) FROM consent WHERE contact_id = %s AND given AND source = 'preferences'"
    )
    assert offering.query(kinds, contact_id) == [(["", "gatherings"],)]


@pytest.mark.parametrize("page", ["phone-dark", "desktop-light"], indirect=True)
def test_she_pauses_and_ends_the_pause(page: Page, offering: System, request: pytest.FixtureRequest):
    _, links = letter(offering)
    page.goto(links["u"])
    follow(page, "button", "Pause for 30 days")
    look(page, request, "paused")
    follow(page, "link", "Choose what you get")
    follow(page, "button", "End the pause")
    assert page.get_by_role("status").inner_text() == "The pause has ended"


@pytest.mark.parametrize("page", ["phone-light", "desktop-dark"], indirect=True)
def test_the_pages_in_spanish_and_of_links_that_do_not_work(
    page: Page, offering: System, request: pytest.FixtureRequest
):
    _, links = letter(offering, "es")
    page.goto(links["u"])
    look(page, request, "unsubscribe-es")
    follow(page, "link", "English")
    assert page.get_by_role("button", name="Stop all letters").is_visible()
    page.goto(links["me"])
    look(page, request, "preferences-es")
    page.goto(offering.url + "/u/nothing")
    look(page, request, "no-link")


def test_everything_works_without_javascript(browser: Browser, offering: System):
    _, links = letter(offering)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(links["me"])
    follow(page, "button", "Stop all letters")
    assert page.get_by_role("status").inner_text().startswith("All letters are stopped")
    context.close()
