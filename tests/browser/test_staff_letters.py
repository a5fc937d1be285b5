"""Writing a letter in a real browser: with a mistake, checked, kept, read in its frame, tested into the mailbox."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.test_pages import WIDTHS
from tests.browser.test_staff import accessible, signed_in
from tests.system import System

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHOTS = os.environ.get("GROUNDSWELL_SHOTS")  # a folder, to look at what was seen
LETTER = """Dear {{ first_nam | default("friend") }},

On **Saturday** we knock on doors in Worcester. Bring water and a friend.

::: button https://www.commonground.org/doors
I will come
:::

::: note
Your chapter tells you where to meet.
:::
"""


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, height = WIDTHS[request.param]
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    opened.screen = request.param
    yield opened
    context.close()


def seen(page: Page, name: str) -> None:
    """Accessible, and kept to be looked at."""
    accessible(page)
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"staff-letters-{name}-{page.screen}.png", full_page=True)


def test_a_letter_from_the_first_word_to_the_test_in_the_mailbox(page: Page, system: System):
    email = f"{page.screen}.writer@staff.example.org"
    assert system.run("staff", "add", email, "--role", "admin", "--name", "Ana Costa").returncode == 0
    signed_in(page, system, email)
    page.get_by_role("navigation", name="Staff").get_by_role("link", name="Letters").click()
    seen(page, "list")
    page.get_by_role("link", name="Write a letter").click()
    page.get_by_label("Its name").fill(f"doors-{page.screen}")
    page.get_by_label("Its kind").select_option("gatherings")
    page.get_by_label("Chapters may add a paragraph until").fill("2030-01-01T18:00")
    page.get_by_label("Subject").first.fill("Doors on Saturday, {{ first_name }}")
    page.get_by_label("The letter, in Markdown").first.fill(LETTER)
    page.get_by_role("button", name="Keep it").click()
    assert "Body, line 1, column 6:" in page.get_by_role("status").inner_text()
    seen(page, "fault")
    page.get_by_label("The letter, in Markdown").first.fill(LETTER.replace("first_nam ", "first_name "))
    page.get_by_role("button", name="Only check it").click()
    assert "It has no fault" in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Keep it").click()
    assert page.get_by_role("status").inner_text() == "Kept, as a new version."
    frame = page.frame_locator("iframe")
    assert frame.get_by_role("link", name="I will come").is_visible()
    assert "Dear Rosa" in frame.locator("body").inner_text()
    page.get_by_label("Which chapter writes").select_option(label="\N{EN DASH} \N{EN DASH} Worcester")
    page.get_by_label("Its paragraph").fill("We meet at the library at ten.")
    page.get_by_role("button", name="Keep the note").click()
    page.get_by_label("From", exact=True).select_option(label="\N{EN DASH} \N{EN DASH} Worcester")
    page.get_by_role("button", name="Show").click()
    assert "We meet at the library at ten." in page.frame_locator("iframe").locator("body").inner_text()
    seen(page, "one")
    page.get_by_role("button", name="Somebody at random").click()
    assert page.get_by_label("By whom").input_value().isdigit()
    before = len(system.mailbox())
    page.get_by_role("button", name=f"Send a test to {email}").click()
    system.wait_for(lambda: len(system.mailbox()) > before, 15, "the test")
    assert system.mailbox()[-1]["subject"].startswith("[Test] Doors on Saturday")
    page.goto(system.url + "/staff/letters/rent-vote")
    seen(page, "two-languages")
    page.goto(system.url + "/staff/letters/rent-vote/edit")
    seen(page, "edit")
    page.goto(system.url + "/staff/letters/thank_you")
    seen(page, "thanks")
