"""Joining in a real browser: by phone and desktop, light and dark, in two languages, at a gathering, in a frame."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.browser.test_pages import WIDTHS, fits
from tests.system import System

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
SCREENS = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]
all_screens = pytest.mark.parametrize("page", SCREENS, ids="-".join, indirect=True)
OFFERED = """
INSERT INTO agenda (code, name) VALUES ('homes', 'Homes and bills');
INSERT INTO coalition (code, name, purpose, link)
    VALUES ('homes-for-all', 'Homes for All', 'Rent that people can pay', 'https://homes.example.org/');
INSERT INTO interest (code, agenda_id, coalition_id, name)
    SELECT 'test-rent', a.id, c.id, 'Fair rents' FROM agenda a, coalition c
    WHERE a.code = 'homes' AND c.code = 'homes-for-all';
INSERT INTO way_to_help (code, name) VALUES ('test-doors', 'Ring doorbells'), ('test-calls', 'Call neighbours');
INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
    SELECT 'K7QX2P', 'the rally on the Common', id, now() - interval '1 hour', now() + interval '5 hours', 400
    FROM chapter WHERE slug = 'worcester';
"""
people = count()


@pytest.fixture(scope="module")
def house(site: tuple[str, Path]) -> Iterator[System]:
    """A system with something to tick and a gathering; the other site may frame its forms."""
    with System.started(EMBED_ORIGINS=site[0], JOIN_NETWORK_HOURLY="1000") as running:
        with psycopg.connect(running.places.database_url, autocommit=True) as connection:
            connection.execute(OFFERED)
        yield running


@pytest.fixture(params=[SCREENS[0], SCREENS[-1]], ids="-".join)
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page at one of the widths, light or dark, that must fit and satisfy axe each time the test says `sound`."""
    name, scheme = request.param
    width, height = WIDTHS[name]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-US")
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
    yield opened
    context.close()
    assert problems == []


def sound(page: Page) -> None:
    """It fits its width, and nobody is shut out."""
    assert fits(page)
    found = Axe().run(page, options=WCAG).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def fill(page: Page, **typed: str) -> str:
    """Type into the form, an address of this test's own among it."""
    email = f"rosa.{next(people)}@example.org"
    for label, value in {"First name": "Rosa", "Email": email, "ZIP code": "01604", **typed}.items():
        page.get_by_label(label).fill(value)
    return email


def waited(page: Page) -> None:
    """As long as nobody could be faster."""
    page.wait_for_timeout(2_100)


def press(page: Page) -> None:
    page.get_by_role("button", name="Join").first.click()


@all_screens
def test_joining_tells_the_chapter_and_reaches_the_list(page: Page, house: System):
    page.goto(house.url + "/join")
    sound(page)
    for fold in page.locator("summary").all():
        fold.click()
    page.get_by_label("Fair rents").check()
    page.get_by_label("Ring doorbells").check()
    page.get_by_label("Last name").fill("Marsh")
    email = fill(page)
    sound(page)
    waited(page)
    press(page)
    assert page.get_by_role("heading", level=1).inner_text() == "Thank you, Rosa."
    assert "Worcester\u2019s chapter meets near you." in page.locator("main").inner_text()
    sound(page)
    house.wait_for(
        lambda: (
            house.query("SELECT slug FROM contact c JOIN chapter h ON h.id = c.chapter_id WHERE email = %s", email)
            == [("worcester",)]
        ),
        15,
        "the contact",
    )


def test_the_whole_form_and_its_button_are_on_the_first_screen_of_a_phone(browser: Browser, house: System):
    width, height = WIDTHS["phone"]
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    opened.goto(house.url + "/join")
    bar = opened.locator(".bar").bounding_box()
    button = opened.get_by_role("button", name="Join").bounding_box()
    assert bar is not None
    assert button is not None
    assert button["y"] + button["height"] - bar["height"] <= height  # the bar is development's alone
    context.close()


@all_screens
def test_what_is_wrong_is_told_beside_the_field_and_nothing_is_lost(page: Page, house: System):
    page.goto(house.url + "/join/worcester")
    page.locator("summary", has_text="What matters").click()
    page.get_by_label("Fair rents").check()
    email = fill(page, **{"ZIP code": "12", "First name": "www.example.org"})
    press(page)
    sound(page)
    for label, value in {"Email": email, "ZIP code": "12", "First name": "www.example.org"}.items():
        assert page.get_by_label(label).input_value() == value
    assert page.get_by_label("Fair rents").is_checked()
    for label in ("ZIP code", "First name"):
        field = page.get_by_label(label)
        assert field.get_attribute("aria-invalid") == "true"
        (error, *_) = (field.get_attribute("aria-describedby") or "").split()
        assert page.locator(f"#{error}").is_visible()
    page.get_by_role("alert").get_by_role("link", name="ZIP code").click()
    assert page.evaluate("document.activeElement.id") == "zip"


def test_who_is_taken_for_a_program_presses_once_more(page: Page, house: System):
    page.goto(house.url + "/join")
    email = fill(page, **{"ZIP code": "01301"})
    page.evaluate("document.getElementById('website').value = 'https://example.org'")
    press(page)
    assert "Please press once more" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Email").input_value() == email
    sound(page)
    waited(page)
    press(page)
    assert "No chapter meets near Greenfield yet." in page.locator("main").inner_text()
    sound(page)
    page.get_by_role("button", name="Introduce me to others nearby").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Good. That is how chapters begin."
    sound(page)


def test_the_other_language_is_one_press_away_and_stays(page: Page, house: System):
    page.goto(house.url + "/join/worcester")
    page.get_by_role("link", name="Español").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Únete al capítulo de Worcester"
    sound(page)
    fill_in = {"Nombre": "Rosa", "Correo electrónico": f"rosa.{next(people)}@example.org", "Código postal": "1604"}
    for label, value in fill_in.items():
        page.get_by_label(label).fill(value)
    waited(page)
    page.get_by_role("button", name="Unirme").click()
    said = page.locator("main").inner_text()
    assert "Gracias, Rosa." in said
    assert "Leímos 1604 como 01604." in said
    sound(page)


def test_at_a_gathering_the_form_is_empty_for_the_next_person(page: Page, house: System):
    page.goto(house.url + "/join?g=K7QX2P")
    assert page.get_by_role("heading", level=1).inner_text() == "Welcome to the rally on the Common"
    sound(page)
    for name in ("Ines", "Amara", "Rosa"):
        fill(page, **{"First name": name})
        press(page)
        said = page.locator("main").inner_text()
        assert f"Thank you, {name}." in said
        assert "Worcester\u2019s chapter" in said
        assert page.get_by_role("heading", level=1).inner_text() == "Next person, please"
        assert [page.get_by_label(label).input_value() for label in ("First name", "Email", "ZIP code")] == [""] * 3
    sound(page)


def test_pages_that_are_not_there_are_said_so_handsomely(page: Page, house: System):
    answer = page.goto(house.url + "/join/nowhere")
    assert answer is not None
    assert answer.status == 404
    sound(page)
    page.get_by_role("link", name="To the form for joining").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Join your neighbors"


def framed(page: Page, house: System, site: tuple[str, Path], path: str) -> None:
    origin, folder = site
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><title>Neighbours</title><h1>Neighbours</h1>'
        f'<iframe src="{house.url}{path}" title="Join" width="100%" height="760"></iframe></html>'
    )
    page.goto(origin)


def test_the_form_works_in_a_frame_of_another_site(page: Page, house: System, site: tuple[str, Path]):
    framed(page, house, site, "/join/worcester?embed=1")
    frame = page.frame_locator("iframe")
    email = f"rosa.{next(people)}@example.org"
    for label, value in {"First name": "Rosa", "Email": email, "ZIP code": "01604"}.items():
        frame.get_by_label(label).fill(value)
    waited(page)
    frame.get_by_role("button", name="Join").click()
    frame.get_by_text("Thank you, Rosa.").wait_for()
    kept = house.query(
        "SELECT count(*) FROM inbound_event WHERE source = 'join' AND position(%s in body) > 0", email.encode()
    )
    assert kept == [(1,)]


def test_without_being_asked_for_it_no_page_shows_itself_in_a_frame(browser: Browser, house: System, site):
    context = browser.new_context()
    page = context.new_page()
    framed(page, house, site, "/join/worcester")
    page.wait_for_timeout(500)
    assert page.frame_locator("iframe").get_by_label("Email").count() == 0
    context.close()


def test_joining_needs_no_javascript(browser: Browser, house: System):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(house.url + "/join")
    page.locator("summary", has_text="How you could help").click()
    page.get_by_label("Call neighbours").check()
    fill(page)
    waited(page)
    press(page)
    assert "Thank you, Rosa." in page.locator("main").inner_text()
    context.close()
