"""Whole ways of a person through a real browser: from the form to the letter, on to her choices, and to no more letters."""

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.request import Request, urlopen

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.test_pages import WIDTHS, fits
from tests.system import System

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SCREENS = {"phone-dark": ("phone", "dark"), "desktop-light": ("desktop", "light")}
CODE = "K7QX2P"
AT_THE_RALLY, RALLY = 230, timedelta(minutes=20)
GATHERING = """
INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
SELECT %s, 'the rally on the Common', id, now() - interval '1 hour', now() + interval '3 hours', 400
FROM chapter WHERE slug = 'worcester'
"""
LATER = """
INSERT INTO dev_clock (id, skipped) VALUES (1, %s)
ON CONFLICT (id) DO UPDATE SET skipped = dev_clock.skipped + excluded.skipped
"""
_numbers = count(1)


@pytest.fixture(params=SCREENS)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A screen of each size and scheme."""
    size, scheme = SCREENS[request.param]
    width, height = WIDTHS[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-US")
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    yield opened
    context.close()


def execute(system: System, statement: str, *values: Any) -> None:
    with psycopg.connect(system.places.database_url, autocommit=True) as connection:
        connection.execute(statement, values)


def sound(page: Page) -> None:
    """It fits its width, and nobody is shut out."""
    assert fits(page)
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def follow(page: Page, role: Any, name: str) -> None:
    """Press a button or follow a link, and wait for the page that comes."""
    with page.expect_navigation():
        page.get_by_role(role, name=name).click()


def join(page: Page, system: System, path: str) -> str:
    """Somebody of Worcester fills in the form; her address."""
    email = f"rosa.walks.{next(_numbers)}@example.org"
    page.goto(system.url + path)
    for label, value in {"First name": "Rosa", "Email": email, "ZIP code": "01604"}.items():
        page.get_by_label(label).fill(value)
    page.wait_for_timeout(2_100)  # nobody could be faster
    follow(page, "button", "Join")
    return email


def letter(page: Page, system: System, email: str, place: int = 0) -> dict[str, Any]:
    """Open the letter in the mailbox that came to this address as the first, the second …"""

    def hers() -> list[tuple[int, dict[str, Any]]]:
        return [each for each in enumerate(system.mailbox(), 1) if each[1]["to_email"] == email]

    system.wait_for(lambda: len(hers()) > place, 20, "the letter")
    number, kept = hers()[place]
    page.goto(f"{system.url}/dev/mailbox/{number}/html")
    return kept


def link(page: Page, name: str) -> None:
    """Go where a link of the letter that is open leads, as a mail program does."""
    page.goto(page.get_by_role("link", name=name).last.get_attribute("href") or "")


def consent(system: System, email: str) -> list[tuple[Any, ...]]:
    """What she said about mail: kind, yes or no, through what; in the order in which she said it."""
    statement = "SELECT kind, given, source FROM consent x JOIN contact c ON c.id = x.contact_id WHERE c.email = %s"
    return system.query(statement + " ORDER BY x.at, x.id", email)


def test_from_joining_to_her_letter_to_her_choices_to_no_more_letters(page: Page, system: System):
    email = join(page, system, "/join")
    assert "Worcester\u2019s chapter meets near you." in page.locator("main").inner_text()
    welcome = letter(page, system, email)
    assert welcome["from_name"].endswith("Worcester")
    assert "You are near Worcester, so that is your chapter." in welcome["text"]
    belongs = (
        "SELECT h.slug, c.routed_by, c.routed_on FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE email = %s"
    )
    assert system.query(belongs, email) == [("worcester", "zip", "01604")]
    link(page, "Choose what you get")
    sound(page)
    page.get_by_label("Requests for gifts").uncheck()
    follow(page, "button", "Save my choices")
    assert page.get_by_role("status").inner_text().startswith("Saved")
    letter(page, system, email)
    link(page, "Stop these letters")
    sound(page)
    assert consent(system, email)[-1] == ("asks", False, "preferences")  # to look changes nothing
    follow(page, "button", "Stop all letters")
    assert page.get_by_role("heading", level=1).inner_text() == "No more letters"
    sound(page)
    assert consent(system, email)[-1][:2] == ("", False)
    assert system.query("SELECT reason FROM suppression WHERE email = %s", email) == [("unsubscribe",)]


def test_where_a_chapter_asks_by_letter_nothing_counts_until_she_presses(page: Page, system: System):
    execute(system, "UPDATE chapter SET opt_in = 'double' WHERE slug = 'lowell'")
    email = join(page, system, "/join/lowell")
    sound(page)
    asked = letter(page, system, email)
    assert "List-Unsubscribe" not in asked["headers"]
    assert "Rosa" not in asked["text"] + asked["html"] + asked["subject"]  # nothing that a stranger could have typed
    (address,) = set(re.findall(r"http://\S+/confirm/\S+", asked["text"]))
    page.goto(address)
    sound(page)
    assert consent(system, email) == []
    follow(page, "button", "Yes, it was me")
    assert page.get_by_role("heading", level=1).inner_text() == "Thank you, you are in"
    sound(page)
    assert consent(system, email) == [("", True, "confirm")]
    assert letter(page, system, email, 1)["from_name"].endswith("Greater Lowell")


def test_her_mail_program_stops_letters_with_one_post(browser: Browser, system: System):
    context = browser.new_context()
    page = context.new_page()
    email = join(page, system, "/join")
    headers = letter(page, system, email)["headers"]
    context.close()
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address = headers["List-Unsubscribe"].strip("<>")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with urlopen(Request(address, b"List-Unsubscribe=One-Click", form), timeout=10) as answer:
        assert (answer.status, answer.url, answer.headers["Set-Cookie"]) == (200, address, None)
    assert consent(system, email)[-1][:2] == ("", False)


@pytest.mark.parametrize("rhythm", ["Once", "Monthly"])
def test_from_the_button_to_the_receipt_and_the_totals(page: Page, system: System, rhythm: str):
    email, before = f"rosa.gives.{next(_numbers)}@example.org", raised(system)
    page.goto(f"{system.url}/give/neighbours?refcode=walk")
    page.get_by_role("radio", name="$50").check()
    page.get_by_role("radio", name=rhythm).check()
    said = {"First name": "Rosa", "Last name": "Delgado", "Email": email, "Street and number": "14 Lincoln Street",
            "Town or city": "Worcester", "State": "MA", "ZIP code": "01605"}  # fmt: skip
    for label, value in said.items():
        page.get_by_label(label).fill(value)
    page.wait_for_timeout(2_100)  # nobody could be faster
    with page.expect_navigation():
        page.get_by_role("button", name="Give $50 a month" if rhythm == "Monthly" else "Give $50").last.click()
    assert "/dev/checkout/" in page.url
    sound(page)
    follow(page, "button", "Pay $50")
    assert page.get_by_role("heading", level=1).inner_text() == "Thank you."
    sound(page)
    receipt = letter(page, system, email)
    assert receipt["subject"].startswith("Your receipt: $50 on ")
    assert ("$50 a month" in receipt["text"], "/give/me" in receipt["text"]) == (rhythm == "Monthly",) * 2
    kept = "SELECT gave_count, gave_cents, gives_monthly_cents, zip FROM contact WHERE email = %s"
    assert system.query(kept, email) == [(1, 5000, 5000 if rhythm == "Monthly" else 0, "01605")]
    assert raised(system) - before == 5000
    with urlopen(f"{system.url}/", timeout=10) as home:
        assert f"${raised(system) // 100:,}" in home.read().decode()


def raised(system: System) -> int:
    """Cents on the ledger."""
    ((cents,),) = system.query("SELECT coalesce(sum(amount_cents), 0)::bigint FROM ledger_entry")
    return int(cents)


def test_two_hundred_and_thirty_join_at_a_rally_on_one_tablet_in_twenty_minutes(browser: Browser, system: System):
    execute(system, GATHERING, CODE)
    width, height = WIDTHS["phone"]
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US")
    page = context.new_page()
    page.wait_for_timeout(1_100)  # what a form says is remembered for a second
    page.goto(f"{system.url}/join?g={CODE}")
    assert page.get_by_role("heading", level=1).inner_text() == "Welcome to the rally on the Common"
    sound(page)
    for number in range(AT_THE_RALLY):
        page.get_by_label("First name").fill("Ines")
        page.get_by_label("Email").fill(f"ines.{number}@rally.example.org")
        page.get_by_label("ZIP code").fill("01301")
        follow(page, "button", "Join")
        assert page.get_by_role("heading", level=1).inner_text() == "Next person, please"
        execute(system, LATER, RALLY / AT_THE_RALLY)
    sound(page)
    context.close()
    there = """
        SELECT count(*) FROM contact c JOIN chapter h ON h.id = c.chapter_id
        WHERE c.email LIKE 'ines.%@rally.example.org' AND h.slug = 'worcester'
    """

    def welcomed() -> set[str]:
        return {kept["to_email"] for kept in system.mailbox() if kept["to_email"].endswith("@rally.example.org")}

    system.wait_for(lambda: len(welcomed()) == AT_THE_RALLY, 30, "their letters")
    assert system.query(there) == [(AT_THE_RALLY,)]
