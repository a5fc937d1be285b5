"""A monthly donor's own pages in a browser, at phone and desktop width, light and dark. They hold no script."""

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from engine.bootstrap import Deps
from tests.browser.test_pages import fits
from tests.givers import Giver, giver, page_of
from tests.payments import FakePayments
from tests.system import free_port
from webhooks.app import build
from workers import delivery

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHOTS = os.environ.get("GROUNDSWELL_SHOTS")  # a folder, to look at what was seen
SCREENS = [(390, 844, "light"), (1280, 900, "dark")]


@pytest.fixture
def house(deps: Deps) -> Iterator[Deps]:
    """A house that serves its pages, with a processor that takes everything."""
    port = free_port()
    settings = deps.settings.model_copy(update={"base_url": f"http://127.0.0.1:{port}"})
    served = replace(deps, settings=settings, payments=FakePayments())
    server = uvicorn.Server(uvicorn.Config(build(served), port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    ends = monotonic() + 20
    while not server.started and monotonic() < ends:
        sleep(0.05)
    yield served
    server.should_exit = True
    thread.join()


def looked_at(page: Page, name: str) -> None:
    """Nothing that axe finds, nothing wider than the screen; a picture of it where somebody wants to look."""
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"own-gifts-{name}-{page.viewport_size}.png", full_page=True)
    assert Axe().run(page).response["violations"] == []
    assert fits(page)


def asks_for_the_link(page: Page, house: Deps, who: Giver) -> str:
    """From the address that she types to the link in her letter."""
    page.goto(f"{house.settings.base_url}/give/me")
    looked_at(page, "asking")
    page.get_by_label("The address that you give with").fill(who.email)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Look into your mail").wait_for()
    looked_at(page, "sent")
    delivery.hand_over(house, "receipts")
    letter = [letter for _, letter in house.mailer.accepted if letter.subject == "Your monthly gifts"][-1]
    (link,) = re.findall(r"http\S+/give/me/\S+", letter.text)
    return str(link)


def test_from_an_address_to_another_amount_and_to_the_end_of_a_gift(house: Deps, browser: Browser):
    who = giver(house)
    giver(house, "actblue", who.email, 500)
    giver(house, email=who.email, cents=2700, paused=True)
    for width, height, scheme in SCREENS:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        page.set_default_timeout(5000)
        walk(page, house, who)
        context.close()
    done = [what[0] for what in house.payments.asked]
    assert done == ["change", "cancel"] * len(SCREENS)


def walk(page: Page, house: Deps, who: Giver) -> None:
    page.goto(asks_for_the_link(page, house, who))
    assert "<script" not in page.content()
    looked_at(page, "plans")
    first = page.get_by_role("region", name="$10 a month")
    first.locator("summary", has_text="Change the amount").click()
    first.get_by_label("Other", exact=True).check()
    first.get_by_label("Another amount, in dollars").fill("ten")
    page.keyboard.press("Enter")
    page.get_by_text("One thing is not clear yet").wait_for()
    looked_at(page, "unclear")
    first.get_by_label("Another amount, in dollars").fill("12.50")
    page.keyboard.press("Enter")
    page.get_by_text("You asked for another amount").wait_for()
    looked_at(page, "asked")
    first.get_by_role("link", name="End this gift").click()
    looked_at(page, "end")
    page.get_by_role("button", name="End $10 a month").click()
    page.get_by_text("You asked to end it").wait_for()
    page.get_by_role("link", name="Español").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Tus donativos mensuales"
    assert page.url.startswith(f"{house.settings.base_url}{page_of(house, who)}")
