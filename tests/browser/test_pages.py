"""The pages in a real browser, at phone and desktop width, light and dark."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.make import actblue_body, raw
from tests.system import System

pytestmark = pytest.mark.browser
WIDTHS = {"phone": (390, 844), "desktop": (1280, 800)}


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, height = WIDTHS[request.param]
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    context.close()
    assert problems == []


@pytest.fixture(scope="module")
def thanked(system: System) -> System:
    """A system with one letter in its mailbox, from a donor with a hostile name."""
    body = actblue_body(donor={"firstname": "<b>Rosa</b>", "lastname": "O'Brien & Daughters"})
    assert system.post(raw(body)) == 200
    system.wait_for(lambda: len(system.mailbox()) >= 1, 15, "the letter")
    return system


def fits(page: Page) -> bool:
    """Nothing makes the page scroll sideways."""
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_home_leads_to_each_amount_and_shows_the_doors_and_the_banner(page: Page, thanked: System):
    page.goto(thanked.url)
    assert page.get_by_role("heading", level=1).inner_text() == "Common Ground Massachusetts"
    assert "No mail can leave this machine" in page.get_by_role("note").inner_text()
    amounts = page.get_by_role("list", name="Chip in for your neighbors").get_by_role("link")
    assert amounts.all_inner_texts() == ["$27", "$50", "$100", "$250", "$1,000", "Other"]
    assert fits(page)
    amounts.nth(2).click()
    page.get_by_role("button", name="Give $100").first.wait_for()
    page.go_back()
    page.get_by_role("link", name="The mailbox Every letter").click()
    assert page.get_by_role("heading", level=1).inner_text() == "The mailbox"


def test_a_letter_is_shown_with_its_html_in_a_sandbox_its_text_and_its_headers(page: Page, thanked: System):
    page.goto(thanked.url + "/dev/mailbox")
    assert fits(page)
    page.locator(".letters a").last.click()
    assert "Thank you for your $27 gift" in page.get_by_role("heading", level=1).inner_text()
    frame = page.frame_locator("iframe")
    said = frame.locator("body").inner_text()
    assert "Dear friend," in said  # that is no name
    assert "Rosa" not in said
    assert page.locator("iframe").get_attribute("sandbox") == ""
    needs = frame.locator("body").evaluate("body => body.getBoundingClientRect().height")
    assert page.locator("iframe").bounding_box()["height"] < needs + 120  # nobody can look into it: it is reckoned
    assert "ActBlue sends you the official receipt" in page.locator("pre").inner_text()
    assert "rosa." in page.locator("dl.headers").inner_text()
    assert fits(page)


def test_the_clock_skips_ahead_for_all_processes(page: Page, thanked: System):
    page.goto(thanked.url + "/dev/clock")
    before = page.get_by_role("heading", level=1).inner_text()
    page.get_by_role("button", name="Three days").click()
    page.wait_for_load_state()
    assert page.get_by_role("heading", level=1).inner_text() != before
    skipped = thanked.query("SELECT skipped >= interval '3 days' FROM dev_clock")
    assert skipped == [(True,)]
    assert thanked.post(raw(actblue_body())) == 200
    thanked.wait_for(
        lambda: thanked.query("SELECT count(*) FROM message WHERE due_at > now() + interval '2 days'")[0][0] > 0,
        10,
        "a letter whose time follows the skipped clock",
    )
    assert fits(page)


def test_the_page_of_the_api_is_read_at_every_width_in_light_and_dark_and_asks_nobody_else(page: Page, thanked: System):
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    page.goto(thanked.url + "/api/docs")
    assert page.get_by_role("heading", level=1).inner_text() == "The API of Groundswell"
    page.get_by_role("link", name="Launch a campaign").click()
    assert page.url.endswith("#campaigns_launch")
    page.locator("article", has=page.locator("#campaigns_launch")).get_by_text("Refusals").click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert fits(page)
        found = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in found] == []
    assert all(url.startswith(thanked.url) for url in asked)


def test_a_letter_that_is_not_there_is_said_so(thanked: System):
    assert thanked.get("/dev/mailbox/99999")[0] == 404
    assert thanked.get("/nowhere")[0] == 404
