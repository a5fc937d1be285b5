"""Giving in a real browser: every amount and rhythm, by Checkout and by ActBlue, by keyboard alone, without JavaScript, in a
frame, by phone and desktop, light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.cli.giving import HEIGHTS
from engine.db import make_pool, make_sessions
from engine.money import plain_dollars
from engine.settings import Settings
from engine.tokens import Signer
from tests import signing
from tests.browser.chromium import CHROMIUM, QUIET
from tests.browser.giving import GivingHouse, Processors, processors, serving
from tests.browser.test_join import SCREENS, sound
from tests.browser.test_pages import WIDTHS
from tests.fakes import FakeBells, FakeClock, FakeLimiter, FakeMailer
from tests.webhooks.giving import ROSA, SLUG, FakePayments, publish
from tests.webhooks.joining import execute

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROSA_SAYS = {"First name": "Rosa", "Last name": "Marsh", "Email": "rosa@example.org", "Street and number": "12 Canal Street",
             "Town or city": "Worcester", "State": "MA", "ZIP code": "01604"}  # fmt: skip
PRESETS = {"$27": 2700, "$50": 5000, "$100": 10_000, "$250": 25_000, "$1,000": 100_000}
AMOUNTS = PRESETS | {"Other": 3550}
TYPED = {"40": "Give $40", "$40.5": "Give $40.50", "1,000": "Give $1,000", "$1,234.50": "Give $1,234.50",
         "1000.00": "Give $1,000", "10,00": "Give", "1e3": "Give", "-5": "Give", "0": "Give", "": "Give"}  # fmt: skip
PHONE, DESKTOP = SCREENS[0], SCREENS[-1]
PAID = "https://checkout.stripe.com/c/pay/cs_test_"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processors]:
    with processors(tmp_path_factory.mktemp("processors")) as running:
        yield running


@pytest.fixture(scope="module")
def browser(elsewhere: Processors) -> Iterator[Browser]:
    """A Chromium that finds the processors on this machine."""
    with sync_playwright() as playwright:
        told = [*QUIET, f"--host-resolver-rules={elsewhere.rules}", "--ignore-certificate-errors"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=told)
        yield running
        running.close()


@pytest.fixture(scope="module")
def house(
    servers,
    module_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    elsewhere: Processors,
    site: tuple[str, Path],
) -> Iterator[GivingHouse]:
    settings = Settings(
        database_url=module_database, redis_url=servers.redis_url, data_dir=tmp_path_factory.mktemp("house"),
        embed_origins=site[0], give_network_minute=10_000, give_form_minute=10_000,
    )  # fmt: skip
    pool = make_pool(module_database)
    deps = Deps(
        settings, make_sessions(pool), clock=FakeClock(), mailer=FakeMailer(), bells=FakeBells(),
        verifier=Signatures(settings.stripe_secrets, [signing.public()]), signer=Signer(settings.signing_keys),
        limiter=FakeLimiter(), payments=FakePayments(),
    )  # fmt: skip
    publish(deps, goal_cents=2_000_000, words="All of it is done by **volunteers**.")
    publish(deps, slug="law", fund="pac", phone=True, agreed=("I am a citizen.", "It is my own money."))
    publish(deps, slug="blue", processor="actblue")
    publish(deps, slug="closed")
    execute(deps, "UPDATE donation_form SET closed_at = now() WHERE slug = 'closed'")
    execute(deps, "UPDATE fund SET employer_cents = 20000, employer_from = true WHERE slug = 'pac'")
    with serving(deps, elsewhere) as running:
        yield running
    pool.dispose()


def on(*screens: tuple[str, str]) -> pytest.MarkDecorator:
    """On these screens."""
    return pytest.mark.parametrize("page", screens, ids="-".join, indirect=True)


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, house: GivingHouse) -> Iterator[Page]:
    """A page at one of the widths, light or dark; nothing of it is refused by its own policy. Nothing was begun before."""
    name, scheme = request.param
    width, height = WIDTHS[name]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-US")
    opened = context.new_page()
    opened.set_default_timeout(10_000)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if "Content Security" in said.text else None)
    house.deps.payments.pages.clear()
    house.elsewhere.visits.clear()
    execute(house.deps, "TRUNCATE checkout, decline")
    yield opened
    context.close()
    assert problems == []


def fill(page: Page, **other: str) -> None:
    for label, value in (ROSA_SAYS | other).items():
        page.get_by_label(label, exact=True).fill(value)


def press(page: Page, house: GivingHouse, name: str) -> None:
    """As somebody who took half a minute."""
    house.skip(seconds=30)
    page.get_by_role("button", name=name, exact=True).last.click()


def paying(page: Page) -> bool:
    return page.get_by_role("heading", level=1).inner_text() == "Pay here"


def choose(page: Page, amount: str, *, monthly: bool) -> str:
    """Choose this amount; what the button says then."""
    page.get_by_label(amount, exact=True).check()
    if amount == "Other":
        page.keyboard.type("35.50")  # its field is ready
        amount = "$35.50"
    if monthly:
        page.get_by_label("Monthly").check()
    return f"Give {amount} a month" if monthly else f"Give {amount}"


def rhythms(page: Page) -> list[tuple[str, int, bool]]:
    """Each amount, its cents, and whether it is given monthly: every second one on a phone, the others on a desktop."""
    large = (page.viewport_size or {})["width"] > 500
    return [(name, cents, number % 2 == large) for number, (name, cents) in enumerate(AMOUNTS.items())]


@on(PHONE, DESKTOP)
def test_each_amount_reaches_the_payment_page(page: Page, house: GivingHouse):
    for amount, _, monthly in rhythms(page):
        page.goto(f"{house.url}/give/{SLUG}")
        button = choose(page, amount, monthly=monthly)
        fill(page)
        press(page, house, button)
        assert paying(page)
    wanted = [(cents, monthly) for _, cents, monthly in rhythms(page)]
    assert [(basket.amount_cents, basket.monthly) for basket in house.baskets] == wanted
    assert house.elsewhere.visits == [f"{PAID}{number}" for number in range(1, 7)]


@on(PHONE, DESKTOP)
def test_each_amount_reaches_actblue(page: Page, house: GivingHouse):
    wanted = []
    for amount, cents, monthly in rhythms(page):
        page.goto(f"{house.url}/give/blue?refcode=em-7g")
        page.get_by_role("button", name=choose(page, amount, monthly=monthly)).click()
        assert paying(page)
        recurring = "&recurring=1" if monthly else ""
        wanted.append(f"https://secure.actblue.com/donate/blue?amount={plain_dollars(cents)}{recurring}&refcode=em-7g")
    assert house.elsewhere.visits == wanted


@on(PHONE)
def test_by_keyboard_alone(page: Page, house: GivingHouse):
    page.goto(f"{house.url}/give/law")
    focused = "document.activeElement.id"
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate(focused).startswith("amount-"):
            break
    page.keyboard.press("Space")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "amount-other"
    page.keyboard.press("Tab")
    page.keyboard.type("250")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert page.get_by_label("Monthly").is_checked()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Give $250 a month"
    page.keyboard.press("Tab")
    for value in (*ROSA_SAYS.values(), "Town Library", "Librarian", ""):
        page.keyboard.type(value)
        page.keyboard.press("Tab")
    for _ in range(2):
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
    house.skip(seconds=30)
    page.keyboard.press("Enter")
    page.wait_for_url(PAID + "1")
    (basket,) = house.baskets
    assert (basket.amount_cents, basket.monthly) == (25_000, True)
    assert basket.metadata["employer"] == "Town Library"


@on(PHONE)
def test_the_button_says_the_amount_that_is_typed_as_the_house_reads_it_and_nothing_for_nonsense(
    page: Page, house: GivingHouse
):
    page.goto(f"{house.url}/give/{SLUG}")
    page.get_by_label("Other", exact=True).check()
    for typed, says in TYPED.items():
        page.get_by_label("Other amount in dollars").fill(typed)
        assert page.locator("form button").first.inner_text().strip() == says, typed


@on(PHONE)
def test_a_frame_as_high_as_its_snippet_says_shows_all_of_a_form_on_the_narrowest_phone(page: Page, house: GivingHouse):
    page.set_viewport_size({"width": 320, "height": 600})
    for slug, processor in ((SLUG, "stripe"), ("law", "stripe"), ("blue", "actblue")):
        for lang in ("en", "es"):
            page.goto(f"{house.url}/give/{slug}?embed=1&lang={lang}")
            assert page.evaluate("document.documentElement.scrollHeight") <= HEIGHTS[processor], (slug, lang)


def test_without_javascript(browser: Browser, house: GivingHouse):
    context = browser.new_context(java_script_enabled=False, ignore_https_errors=True)
    page = context.new_page()
    before = len(house.baskets)
    page.goto(f"{house.url}/give/{SLUG}")
    own = page.get_by_label("Other amount in dollars")
    assert not own.is_visible()
    page.get_by_label("Other", exact=True).check()
    own.fill("40")
    page.get_by_label("Monthly").check()
    fill(page, Email="ines@example.org")
    press(page, house, "Give each month")
    assert paying(page)
    assert [(basket.amount_cents, basket.monthly) for basket in house.baskets[before:]] == [(4000, True)]
    context.close()


@on(DESKTOP)
def test_a_double_click_and_the_way_back_lead_to_one_page(page: Page, house: GivingHouse):
    page.goto(f"{house.url}/give/{SLUG}?amount=50")
    fill(page)
    house.skip(seconds=30)
    page.get_by_role("button", name="Give $50").last.dblclick()
    page.wait_for_url(PAID + "1")
    page.go_back()
    page.reload()
    fill(page)
    press(page, house, "Give $50")
    page.wait_for_url(PAID + "1")
    assert len(house.baskets) == 1


@on(PHONE, DESKTOP)
def test_nobody_is_shut_out_and_everything_fits(page: Page, house: GivingHouse):
    for path in (
        f"{SLUG}?amount=35&recurring=1",
        "law?lang=es",
        "blue",
        f"{SLUG}/thanks",
        "closed",
        "neighbours?back=1",
    ):
        page.goto(f"{house.url}/give/{path}")
        sound(page)


@on(*SCREENS[1:-1])
def test_what_is_wrong_is_told_beside_the_field_and_nothing_is_lost(page: Page, house: GivingHouse):
    page.goto(f"{house.url}/give/law")
    page.get_by_label("$250").check()
    fill(page, Email="a@b", State="Ontario")
    page.get_by_label("I am a citizen.").check()
    page.evaluate("document.getElementById('give').noValidate = true")
    press(page, house, "Give $250")
    sound(page)
    assert page.get_by_label("$250").is_checked()
    assert page.get_by_label("I am a citizen.").is_checked()
    assert page.get_by_label("First name").input_value() == ROSA["first_name"]
    for label in ("Email", "State", "Employer", "Occupation", "It is my own money."):
        field = page.get_by_label(label)
        assert field.get_attribute("aria-invalid") == "true"
        (error, *_) = (field.get_attribute("aria-describedby") or "").split()
        assert page.locator(f"#{error}").is_visible()
    page.get_by_role("alert").get_by_role("link", name="Employer").click()
    assert page.evaluate("document.activeElement.id") == "employer"


@on(PHONE)
def test_on_the_first_screen_of_a_phone_are_the_amounts_and_the_button(page: Page, house: GivingHouse):
    for path in (SLUG, "law", "blue"):
        page.goto(f"{house.url}/give/{path}")
        bar = page.locator(".bar").bounding_box()
        button = page.get_by_role("button").first.bounding_box()
        assert bar is not None
        assert button is not None
        assert button["y"] + button["height"] - bar["height"] <= WIDTHS["phone"][1]  # the bar is development's alone
        for tile in page.locator(".amounts .tile").all():
            box = tile.bounding_box()
            assert box is not None
            assert box["height"] >= 56


@on(PHONE)
def test_the_button_at_the_top_leads_to_the_first_field_that_is_empty(page: Page, house: GivingHouse):
    page.goto(f"{house.url}/give/{SLUG}?amount=27")
    page.get_by_role("button", name="Give $27").first.click()
    assert page.evaluate("document.activeElement.id") == "first_name"
    assert house.baskets == []


@on(DESKTOP)
def test_from_a_frame_of_another_site_the_payment_page_opens_at_the_top(
    page: Page, house: GivingHouse, site: tuple[str, Path]
):
    origin, folder = site
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><title>Neighbours</title><h1>Neighbours</h1>'
        f'<iframe src="{house.url}/give/{SLUG}?embed=1&amp;amount=50" title="Give" width="100%" height="900"></iframe></html>'
    )
    page.goto(origin)
    frame = page.frame_locator("iframe")
    for label, value in ROSA_SAYS.items():
        frame.get_by_label(label, exact=True).fill(value)
    house.skip(seconds=30)
    frame.get_by_role("button", name="Give $50").last.click()
    page.wait_for_url(PAID + "1")
    assert paying(page)


def test_in_a_frame_nobody_is_shown_a_form_that_was_not_made_for_it(browser: Browser, house: GivingHouse, site):
    context = browser.new_context()
    page = context.new_page()
    (site[1] / "index.html").write_text(f'<iframe src="{house.url}/give/{SLUG}" title="Give"></iframe>')
    page.goto(site[0])
    page.wait_for_load_state("networkidle")
    assert page.frame_locator("iframe").get_by_label("Email").count() == 0
    context.close()
