"""The pages of staff in a real browser, on a phone and on a desktop: signing in by letter, and a day's work."""

import re
from collections.abc import Iterator
from itertools import count

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.test_pages import WIDTHS, fits
from tests.make import actblue_body, raw
from tests.system import System

pytestmark = [pytest.mark.browser, pytest.mark.slow]
_numbers = count(1)
# Each may ask for few links an hour.
ANA, BO, CY, DI = "ada.lind@example.org", "bo.lund@example.org", "cy.lowe@example.org", "di.lark@example.org"


@pytest.fixture(params=WIDTHS)
def context(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    width, height = WIDTHS[request.param]
    context = browser.new_context(viewport={"width": width, "height": height}, java_script_enabled=True)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    opened = context.new_page()
    problems: list[str] = []
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    # A page that is not there is asked for on purpose, once, and the browser says so.
    assert [problem for problem in problems if "status of 404" not in problem] == []


@pytest.fixture(scope="module")
def staffed(system: System) -> System:
    """The invented organisation with one of its staff, and somebody to look at."""
    for email, role in ((ANA, "admin"), (BO, "admin"), (CY, "organizer"), (DI, "treasurer")):
        done = system.run("staff", "add", email, "--role", role, "--name", "Ana Costa", "--may-export")
        assert done.returncode == 0, done.stderr
    body = actblue_body(donor={"firstname": "Rosa", "lastname": "Delgado", "email": "rosa.delgado@example.org"})
    assert system.post(raw(body)) == 200
    system.wait_for(lambda: rosas(system) != [], 15, "the donor")
    system.query("INSERT INTO volunteer_offer (contact_id, way_to_help_id, at) SELECT %s, id, now() FROM way_to_help"
                 " RETURNING 1", rosas(system)[0][0])  # fmt: skip
    system.query("INSERT INTO notice (kind, subject, detail) VALUES ('event quarantined', 'inbound event 7',"
                 " 'from actblue: not understood: amount') RETURNING 1")  # fmt: skip
    return system


def rosas(system: System) -> list[tuple[int]]:
    return system.query("SELECT id FROM contact WHERE email = 'rosa.delgado@example.org'")


def links(system: System) -> list[str]:
    texts = [letter["text"] for letter in system.mailbox()]
    return [found[0] for words in texts if (found := re.search(r"/staff/sign-in/[\w.-]+", words))]


def accessible(page: Page) -> None:
    """axe finds nothing, and nothing scrolls sideways."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert fits(page)


def signed_in(page: Page, system: System, email: str) -> None:
    before = len(links(system))
    page.goto(system.url + "/staff")
    accessible(page)
    page.get_by_label("Your address").fill(email)
    page.get_by_role("button", name="Send me a link").click()
    accessible(page)
    system.wait_for(lambda: len(links(system)) > before, 15, "the link")
    page.goto(system.url + links(system)[-1])
    accessible(page)
    page.get_by_role("button", name="Sign in").click()
    assert page.url == system.url + "/staff"


def test_a_day_of_staff(page: Page, staffed: System):
    signed_in(page, staffed, ANA)
    accessible(page)
    assert page.get_by_role("heading", level=1).inner_text() == "What waits for you"
    rail = page.get_by_role("navigation", name="Staff")
    for name, title in (("Approvals", "Approvals"), ("Offers", "Offers to help"), ("People", "People"),
                        ("Paper sheet", "Type in a paper sheet")):  # fmt: skip
        rail.get_by_role("link", name=name).click()
        assert page.get_by_role("heading", level=1).inner_text() == title
        assert rail.get_by_role("link", name=name).get_attribute("aria-current") == "page"
        accessible(page)

    rail.get_by_role("link", name="People").click()
    page.get_by_label("An address, or the beginning of a name").fill("delga")
    page.get_by_role("button", name="Find").click()
    accessible(page)
    page.get_by_role("link", name="Rosa Delgado").first.click()
    accessible(page)
    assert "$27" in page.locator("main").inner_text()
    page.get_by_label("Note").fill("Prefers to be called in the evening")
    page.get_by_role("button", name="Keep this note").click()
    assert page.get_by_role("status").inner_text() == "The note is kept."
    assert page.get_by_label("Note").input_value() == "Prefers to be called in the evening"
    page.get_by_role("button", name="Erase Rosa Delgado").click()
    accessible(page)
    assert page.get_by_role("button", name="Erase Rosa Delgado for good").is_visible()

    page.goto(staffed.url + "/staff/people/999999")
    accessible(page)
    page.get_by_role("button", name="Sign out").click()
    page.goto(staffed.url + "/staff")
    assert page.url == staffed.url + "/staff/sign-in"


def test_offers_are_worked_through_on_their_list(page: Page, staffed: System):
    signed_in(page, staffed, CY)
    page.get_by_role("link", name="Answer them").click()
    waiting = page.get_by_role("row").filter(has=page.get_by_role("button", name="We have talked"))
    before = waiting.count()
    assert waiting.first.get_by_role("button").count() == 3
    accessible(page)
    waiting.first.get_by_role("button", name="We have talked").click()
    assert page.get_by_role("status").inner_text() == "The offer has moved on."
    assert waiting.count() == before - 1
    talked = page.get_by_role("row").filter(has_text="by Ana Costa").first
    accessible(page)
    with page.expect_navigation():  # else the next click may come before it is sent
        talked.get_by_role("button", name="Has a place now").click()
    page.get_by_role("navigation", name="Lists").get_by_role("link", name="Placed").click()
    assert page.get_by_role("row").filter(has_text="Rosa Delgado").count() >= 1
    accessible(page)
    page.get_by_role("navigation", name="Lists").get_by_role("link", name="Withdrawn").click()
    assert "None yet." in page.locator("main").inner_text()
    accessible(page)


def test_the_treasurer_finds_an_erased_donors_gift(page: Page, staffed: System):
    number = next(_numbers)
    body = actblue_body(donor={"firstname": "Gerda", "lastname": "Vanish", "email": f"gerda.{number}@example.org"},
                        contribution={"orderNumber": f"ABGERDA{number}"})  # fmt: skip
    assert staffed.post(raw(body)) == 200
    staffed.wait_for(
        lambda: staffed.query("SELECT 1 FROM contribution WHERE order_number = %s", f"ABGERDA{number}") != [],
        15,
        "the gift",
    )
    assert staffed.run("people", "erase", f"gerda.{number}@example.org", "--yes").returncode == 0
    signed_in(page, staffed, DI)
    page.get_by_role("navigation", name="Staff").get_by_role("link", name="People").click()
    page.get_by_role("link", name="Erased donors whose record you keep").click()
    assert page.get_by_role("link", name="Gerda Vanish").count() >= 1
    accessible(page)
    page.goto(staffed.url + f"/staff/people?q=ABGERDA{number}")
    accessible(page)
    page.get_by_role("link", name="An erased person").click()
    assert "Gerda Vanish" in page.locator("main").inner_text()
    accessible(page)


def test_a_sheet_is_typed_in_by_keyboard_alone(page: Page, staffed: System):
    signed_in(page, staffed, BO)
    email = f"joan.{next(_numbers)}@example.org"
    page.goto(staffed.url + "/staff/sheet")
    page.get_by_label("Where it was signed").focus()
    page.keyboard.type("Worcester")
    page.get_by_label("First name, row 1", exact=True).focus()
    for words in ("Joan", "Pratt", email, "01604", "508 555 0199", "Sam", "Okafor", "sam@", "0160x", ""):
        page.keyboard.type(words)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("1 person was taken; 1 row needs another look.").wait_for()
    accessible(page)
    assert page.get_by_label("Address (email), row 1", exact=True).input_value() == "sam@"
    assert page.get_by_label("ZIP, row 1", exact=True).get_attribute("aria-invalid") == "true"
    staffed.wait_for(
        lambda: staffed.query("SELECT h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE c.email = %s", email)
        == [("worcester",)], 15, "the person on the list of her chapter",
    )  # fmt: skip


def test_everything_works_without_a_script(browser: Browser, staffed: System):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    before = len(links(staffed))
    page.goto(staffed.url + "/staff/sign-in")
    page.get_by_label("Your address").fill(BO)
    page.get_by_role("button", name="Send me a link").click()
    staffed.wait_for(lambda: len(links(staffed)) > before, 15, "the link")
    page.goto(staffed.url + links(staffed)[-1])
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("heading", level=1).inner_text() == "What waits for you"
    context.close()
