"""Giving: what is begun, where it leads, and that a second press changes nothing."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, text

from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions, transaction
from engine.errors import Forbidden, Invalid, Unavailable
from engine.giving import previews
from engine.giving.ask_links import Offered, token
from engine.giving.forms import Picture
from tests.asgi import Client
from tests.webhooks.giving import LAW, SLUG, Donor, FakePayments, begun, hidden_in, opened, publish, with_payments
from tests.webhooks.joining import PAGES, TYPE, execute, post, said
from webhooks.app import build

PRESS_AGAIN = "Please press once more"
CLEAN = """
TRUNCATE checkout RESTART IDENTITY;
DELETE FROM notice;
DELETE FROM donation_form_version v USING donation_form d WHERE d.id = v.donation_form_id AND d.slug = 'winter';
UPDATE donation_form SET closed_at = NULL, version = 0 WHERE slug = 'winter';
UPDATE fund SET employer_cents = NULL WHERE slug = 'action';
"""
FIRST_PAGE = "https://checkout.stripe.com/c/pay/cs_test_1"


@pytest.fixture
def deps(house: Deps) -> Deps:
    """The module's house, with nothing begun in it and the form as it was at first."""
    execute(house, CLEAN)
    publish(house)
    return with_payments(house)


@pytest.fixture
def door(deps: Deps):
    with opened(deps) as client:
        yield client


def arrived(door: Client, deps: Deps, query: str = "", slug: str = SLUG) -> Donor:
    """Somebody who has the form before her for half a minute."""
    donor = Donor(door, f"/give/{slug}{query}")
    assert donor.open((deps.clock, 30)).status == 200
    return donor


def chosen(page) -> list[str]:
    return re.findall(r'name="(?:amount|period)"[^>]* value="([^"]+)"[^>]* checked', page.body.decode())


def amounts(page) -> list[str]:
    return re.findall(r'name="amount"[^>]* value="([^"]+)"', page.body.decode())


def payments(deps: Deps) -> FakePayments:
    assert isinstance(deps.payments, FakePayments)
    return deps.payments


def test_a_gift_is_begun_and_leads_to_the_payment_page_with_all_that_was_said(door, deps):
    donor = arrived(door, deps, "?amount=50&refcode=em-7g&refcode2=b")
    answer = donor.press(amount="50", first_name="  Rosa ", email="Rosa@Example.org", state="massachusetts", zip="1604")
    assert (answer.status, answer.headers["location"]) == (303, FIRST_PAGE)
    (row,) = begun(deps)
    assert (row["state"], row["amount_cents"], row["period"], row["session_key"], row["url"], row["form_version"]) == (
        "open", 5000, "once", "cs_test_1", FIRST_PAGE, 1,
    )  # fmt: skip
    assert {name: said for name, said in row["donor"].items() if said} == {
        "email": "rosa@example.org", "first_name": "Rosa", "last_name": "Marsh", "street": "12 Canal Street",
        "city": "Worcester", "state": "MA", "zip": "01604", "country": "US",
    }  # fmt: skip
    (basket,) = payments(deps).baskets
    assert payments(deps).asked == [f"checkout-{row['id']}"]
    assert (basket.amount_cents, basket.monthly, basket.title, basket.email) == (
        5000, False, "Keep the heat on", "rosa@example.org",
    )  # fmt: skip
    assert basket.metadata == {
        "form": SLUG, "form_version": "1", "checkout": str(row["id"]), "refcode": "em-7g", "refcode2": "b",
    }  # fmt: skip
    base = f"{deps.settings.base_url}/give/{SLUG}"
    assert basket.success_url == base + "/thanks"
    assert basket.cancel_url == base + "?amount=50&refcode=em-7g&refcode2=b"
    assert timedelta(minutes=30) < basket.expires_at - deps.clock.now <= timedelta(hours=1)


def test_a_monthly_gift_of_another_amount_in_spanish(door, deps):
    publish(deps, others={"es": {"title": "Que no falte calor"}})
    donor = arrived(door, deps, "?lang=es")
    donor.press(amount="other", other=" 35.50 ", period="monthly")
    (basket,) = payments(deps).baskets
    assert (basket.amount_cents, basket.monthly, basket.language, basket.title) == (
        3550,
        True,
        "es",
        "Que no falte calor",
    )
    assert basket.success_url.endswith("/thanks?lang=es")
    assert basket.cancel_url.endswith(f"/give/{SLUG}?lang=es&amount=35.50&recurring=1")


def test_the_employer_is_asked_by_the_law_of_the_fund_and_goes_with_the_payment(door, deps):
    execute(deps, "UPDATE fund SET employer_cents = 20000, employer_from = false WHERE slug = 'action'")
    donor = arrived(door, deps)
    assert "The law asks this for gifts over $200." in said(door.last)
    assert donor.press(amount="250").status == 422
    assert donor.press(amount="250", **LAW).status == 303
    assert payments(deps).baskets[0].metadata.items() >= LAW.items()


# D11: one session


def test_the_button_pressed_twice_leads_to_one_page(door, deps):
    donor = arrived(door, deps)
    assert [donor.press().headers["location"] for _ in range(3)] == [FIRST_PAGE] * 3
    assert (len(begun(deps)), payments(deps).asked) == (1, ["checkout-1"])


def test_the_button_pressed_twice_at_once_leads_to_one_page(door, deps):
    donor = arrived(door, deps)
    one = f"stamp={donor.hidden['stamp']}&amount=27&first_name=Rosa&last_name=Marsh&email=rosa@example.org"
    body = f"{one}&street=12+Canal+Street&city=Worcester&state=MA&zip=01604".encode()
    answers = door.together(*[("POST", f"/give/{SLUG}", [TYPE, PAGES], body)] * 3)
    assert [answer.headers.get("location") for answer in answers] == [FIRST_PAGE] * 3
    assert (len(begun(deps)), len(payments(deps).pages)) == (1, 1)


def test_the_same_words_from_two_tabs_lead_to_one_page_until_it_is_over(door, deps):
    donor = arrived(door, deps)
    other = Donor(door, source=donor.source)
    other.open((deps.clock, 5))
    pages = [tab.press().headers["location"] for tab in (donor, other)]
    assert (pages, len(begun(deps))) == ([FIRST_PAGE] * 2, 1)
    deps.clock.skip(timedelta(minutes=59))
    donor.open((deps.clock, 60))
    assert donor.press().headers["location"].endswith("cs_test_2")


@pytest.mark.parametrize("changed", [{"amount": "50"}, {"period": "monthly"}, {"email": "ines@example.org"}])
def test_other_words_from_another_tab_are_another_gift(door, deps, changed):
    donor = arrived(door, deps)
    donor.press()
    donor.open((deps.clock, 5))
    assert donor.press(**changed).headers["location"].endswith("cs_test_2")


def test_nobody_is_led_to_the_page_that_somebody_else_began(door, deps):
    for number in (1, 2):
        assert arrived(door, deps).press().headers["location"].endswith(f"cs_test_{number}")


def test_other_words_under_a_used_stamp_are_asked_for_once_more(door, deps):
    donor = arrived(door, deps)
    donor.press()
    asked = donor.press(amount="100")
    assert (asked.status, len(begun(deps))) == (403, 1)
    assert PRESS_AGAIN in said(asked)
    assert chosen(asked) == ["100", "once"]
    assert donor.press(amount="100").headers["location"].endswith("cs_test_2")


def test_a_press_after_the_gift_was_paid_leads_to_the_thanks_and_begins_nothing(door, deps):
    donor = arrived(door, deps)
    donor.press()
    execute(deps, "UPDATE checkout SET state = 'paid', donor = '{}'")
    assert donor.press().headers["location"] == f"/give/{SLUG}/thanks"
    assert donor.press(amount="50").status == 403
    assert (len(begun(deps)), len(payments(deps).asked)) == (1, 1)


# D12: the processor does not answer


def test_while_the_processor_does_not_answer_the_row_is_kept_and_the_same_key_is_asked_again(door, deps):
    payments(deps).mishaps += [Unavailable("HTTP 500"), Unavailable("timeout")]
    donor = arrived(door, deps)
    for _ in range(2):
        answer = donor.press()
        assert (answer.status, "retry-after" in answer.headers) == (503, True)
        assert "We could not open the payment page just now" in said(answer)
        assert 'value="rosa@example.org"' in answer.body.decode()
    assert [row["state"] for row in begun(deps)] == ["opening"]
    assert donor.press().headers["location"] == FIRST_PAGE
    assert (set(payments(deps).asked), [row["state"] for row in begun(deps)]) == ({"checkout-1"}, ["open"])


def test_an_answer_that_was_lost_is_found_again_by_the_same_press(door, deps):
    payments(deps).lost.append(Unavailable("timeout"))
    donor = arrived(door, deps)
    assert donor.press().status == 503
    deps.clock.skip(timedelta(minutes=20))
    assert donor.press().headers["location"] == FIRST_PAGE
    assert (len(payments(deps).pages), len(begun(deps))) == (1, 1)


def test_a_crash_before_the_answer_was_written_down_heals_by_pressing_again(door, deps):
    donor = arrived(door, deps)
    donor.press()
    execute(deps, "UPDATE checkout SET state = 'opening', session_key = '', url = ''")
    assert donor.press().headers["location"] == FIRST_PAGE
    assert len(payments(deps).pages) == 1


@pytest.mark.parametrize("why", [Invalid("no such account"), Forbidden("the key may not")])
def test_what_the_processor_refuses_is_over_and_people_are_told(door, deps, why):
    payments(deps).mishaps.append(why)
    donor = arrived(door, deps)
    assert donor.press().status == 503
    (row,) = begun(deps)
    assert (row["state"], row["donor"]) == ("refused", {})
    with transaction(deps.sessions) as session:
        assert session.scalars(text("SELECT kind FROM notice")).all() == ["payment page refused"]
    assert donor.press().headers["location"] == FIRST_PAGE
    assert payments(deps).asked == ["checkout-1", "checkout-2"]


def test_a_gift_that_was_told_paid_before_its_page_was_written_down_stays_paid(deps):
    class Quick(FakePayments):
        def check_out(self, basket, idempotency_key):
            execute(deps, "UPDATE checkout SET state = 'paid'")
            return super().check_out(basket, idempotency_key)

    with opened(replace(deps, payments=Quick())) as quick:
        assert arrived(quick, deps).press().status == 303
    assert [row["state"] for row in begun(deps)] == ["paid"]


def test_no_transaction_is_open_while_the_processor_is_asked(deps):
    class Looking(FakePayments):
        def check_out(self, basket, idempotency_key):
            assert [row["state"] for row in begun(deps)] == ["opening"]
            assert deps.sessions.kw["bind"].pool.checkedout() == 0
            return super().check_out(basket, idempotency_key)

    with opened(replace(deps, payments=Looking())) as looking:
        assert arrived(looking, deps).press().status == 303


# ActBlue


def test_a_form_of_actblue_hands_over_with_amount_rhythm_and_codes(door, deps):
    publish(deps, slug="blue", processor="actblue", phone=True, agreed=("I am.",))
    donor = arrived(door, deps, "?refcode=em-7g&refcode2=b+c", "blue")
    shown = said(door.last)
    assert "If you\u2019ve saved your payment information with ActBlue Express, your donation will go through" in shown
    assert "First name" not in shown
    answer = donor.press(amount="other", other="1234.50", period="monthly")
    assert answer.status == 303
    assert answer.headers["location"] == (
        "https://secure.actblue.com/donate/blue?amount=1234.50&recurring=1&refcode=em-7g&refcode2=b+c"
    )
    assert begun(deps) == []
    assert donor.press(amount="1").status == 422


# What a link fills in


@pytest.mark.parametrize(
    ("query", "ticked", "other"),
    [("", ["once"], ""), ("?amount=50", ["50", "once"], ""), ("?amount=50.00", ["50", "once"], ""),
     ("?amount=35.5", ["other", "once"], "35.50"), ("?amount=1", ["once"], ""), ("?amount=1e3", ["once"], ""),
     ("?amount=-50", ["once"], ""), ("?amount=NaN&recurring=0", ["once"], ""), ("?recurring=1", ["monthly"], ""),
     ("?recurring=true&amount=27", ["27", "monthly"], ""), ("?recurring=monthly", ["monthly"], ""),
     ("?recurring=no", ["once"], ""), ("?amount=%00&refcode=%00&k=%00&lang=%00", ["once"], "")],
)  # fmt: skip
def test_a_link_chooses_what_it_names_and_nonsense_chooses_nothing(door, query, ticked, other):
    shown = door.send("GET", f"/give/{SLUG}{query}", [PAGES])
    assert chosen(shown) == ticked
    assert f'name="other" value="{other}"' in shown.body.decode()


def test_without_monthly_gifts_no_link_makes_one(door, deps):
    publish(deps, monthly=False, default_cents=5000)
    shown = door.send("GET", f"/give/{SLUG}?recurring=1", [PAGES])
    assert (chosen(shown), "Monthly" in said(shown)) == (["50"], False)
    assert arrived(door, deps).press(period="monthly").status == 422


def test_codes_are_cleaned_and_cut_and_kept_in_the_form(door, deps):
    donor = arrived(door, deps, "?refcode=%20a%00b%0A&refcode2=" + "x" * 300)
    assert (donor.hidden["refcode"], len(donor.hidden["refcode2"])) == ("ab", 200)
    donor.press(refcode="'; DROP TABLE checkout")
    assert [(row["refcode"], len(row["refcode2"])) for row in begun(deps)] == [("'; DROP TABLE checkout", 200)]


def test_a_letters_link_shows_its_amounts_and_none_above_what_is_left(door, deps):
    link = token(deps.signer, SLUG, Offered((1000, 2000, 3500), 2000))
    donor = arrived(door, deps, f"?k={link}&amount=20")
    assert amounts(door.last) == ["10", "20", "other"]
    assert chosen(door.last) == ["20", "once"]
    assert "limit" not in said(door.last)
    assert donor.press(amount="20").status == 303
    assert [row["amount_cents"] for row in begun(deps)] == [2000]


def test_a_gift_above_what_is_left_is_taken_and_nothing_is_hinted_at(door, deps):
    link = token(deps.signer, SLUG, Offered((1000, 2000), 2000))
    assert arrived(door, deps, f"?k={link}").press(amount="other", other="500").status == 303


@pytest.mark.parametrize("link", ["made-up", "x" * 5000, "other form"])
def test_a_link_that_is_none_of_the_forms_shows_its_presets(door, deps, link):
    if link == "other form":
        link = token(deps.signer, "another", Offered((1000,), None))
    assert amounts(door.send("GET", f"/give/{SLUG}?k={link}", [PAGES])) == ["27", "50", "100", "250", "1000", "other"]


def test_an_amount_of_a_letter_can_be_given_where_no_other_can_be_typed(door, deps):
    publish(deps, other=False)
    link = token(deps.signer, SLUG, Offered((3500,), None))
    assert arrived(door, deps, f"?k={link}").press(amount="35").status == 303
    assert arrived(door, deps).press(amount="35").status == 422


# Forms that are closed, drafts, out of order


def test_a_form_that_is_closed_says_so_kindly_and_its_thanks_stay(door, deps):
    donor = arrived(door, deps)
    execute(deps, "UPDATE donation_form SET closed_at = now(), closed_because = 'cards are being tested'")
    for answer in (door.send("GET", f"/give/{SLUG}", [PAGES]), donor.press()):
        assert answer.status == 404
        assert "This form is closed" in said(answer)
        assert "tested" not in answer.body.decode()
    assert (begun(deps), payments(deps).asked) == ([], [])
    assert door.send("GET", f"/give/{SLUG}/thanks", [PAGES]).status == 200


def test_a_preview_shows_the_draft_and_nothing_can_be_given_by_it(door, deps):
    with transaction(deps.sessions) as session:
        execute(deps, """INSERT INTO donation_form_version (donation_form_id, version, definition)
            SELECT donation_form_id, 2, definition || '{"title": "A draft"}' FROM donation_form_version v
            JOIN donation_form d ON d.id = v.donation_form_id WHERE d.slug = 'winter'""")  # fmt: skip
        draft = session.scalars(text("SELECT max(id) FROM donation_form_version")).one()
    link = previews.make(deps.signer, draft, deps.clock.now)
    donor = Donor(door, f"/give/{SLUG}?preview={link}")
    for page in (donor.open((deps.clock, 30)), donor.press()):
        assert page.status == 200
        assert "A draft" in said(page)
        assert "Preview: nothing can be given here." in page.body.decode()
    assert (begun(deps), payments(deps).asked) == ([], [])
    assert "A draft" not in said(door.send("GET", f"/give/{SLUG}", [PAGES]))
    for wrong in (f"/give/common-ground?preview={link}", f"/give/{SLUG}?preview=made-up"):
        assert door.send("GET", wrong, [PAGES]).status == 404


def test_without_a_processor_the_form_is_out_of_order_and_people_are_told_once(deps):
    with opened(replace(deps, payments=None)) as door:
        for answer in (door.send("GET", f"/give/{SLUG}", [PAGES]), post(door, f"/give/{SLUG}", {})):
            assert answer.status == 503
            assert "We cannot take gifts just now" in said(answer)
    with transaction(deps.sessions) as session:
        assert session.scalars(text("SELECT kind FROM notice")).all() == ["no payment processor"]


# The page itself


def test_the_page_shows_who_receives_and_what_was_raised(door, deps):
    publish(deps, goal_cents=2_000_000, phone=True, agreed=("I am 18.",), words="**All** by volunteers.")
    shown = said(door.send("GET", f"/give/{SLUG}", [PAGES]))
    for words in ("Common Ground Massachusetts", "So that nobody is cold in January.", "$0 raised of $20,000", "I am 18.",
                  "Your gift goes to Common Ground Massachusetts Action, Inc. Stripe takes the payment", "not tax-deductible",
                  "Paid for by Common Ground Massachusetts Action, Inc.", "Phone", "All by volunteers."):  # fmt: skip
        assert words in shown
    assert "Inc.." not in shown
    assert "<strong>All</strong>" in door.last.body.decode()


def test_showing_the_page_costs_no_query_while_what_it_shows_is_kept(deps):
    publish(deps, goal_cents=100_000)
    pool = make_pool(deps.settings.database_url.get_secret_value())
    statements = []
    event.listen(pool, "before_cursor_execute", lambda *told: statements.append(told[2]))
    with Client(build(replace(deps, sessions=make_sessions(pool)))) as door:
        door.send("GET", f"/give/{SLUG}", [PAGES])
        first = len(statements)
        for _ in range(5):
            assert door.send("GET", f"/give/{SLUG}?amount=50", [PAGES]).status == 200
        assert (len(statements), first > 0) == (first, True)
    pool.dispose()


def test_of_a_page_that_is_kept_everybody_gets_her_own_terms_and_a_stamp_of_her_own(deps):
    publish(deps, others={"es": {"title": "Que no falte calor"}})
    link = token(deps.signer, SLUG, Offered((1000, 2000), None))
    queries = (
        "",
        "?amount=50",
        "?amount=35",
        "?recurring=1",
        "?lang=es",
        "?embed=1",
        "?refcode=a",
        "?refcode2=a",
        f"?k={link}",
    )
    with Client(build(deps)) as door:
        pages = [[door.send("GET", f"/give/{SLUG}{query}", [PAGES]) for query in queries] for _ in range(2)]
    stamps = [hidden_in(page)["stamp"] for row in pages for page in row]
    assert len(set(stamps)) == len(stamps)
    told = [[re.sub(r'name="stamp" value="[^"]+"', "", page.body.decode()) for page in row] for row in pages]
    assert told[0] == told[1]
    assert len(set(told[0])) == len(queries)


def test_a_picture_is_kept_by_browsers_and_read_once(deps):
    publish(deps, picture=Picture(b"RIFFpicture", "image/webp"), picture_shows="Houses in a row")
    with opened(deps) as door:
        shown = door.send("GET", f"/give/{SLUG}", [PAGES]).body.decode()
        place = re.search(r'src="(/give/[^"]+)" alt="Houses in a row"', shown)
        answer = door.send("GET", place[1])
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"RIFFpicture", "image/webp")
        assert "immutable" in answer.headers["cache-control"]
        execute(deps, "UPDATE donation_form_version SET picture = NULL")
        assert door.send("GET", place[1]).status == 200
        for wrong in ("?v=1", "?v=99", "?v=-1", "?v=x", "?v=" + "9" * 50):
            assert door.send("GET", f"/give/{SLUG}/picture{wrong}").status == 404


def test_the_thanks_are_the_same_whatever_the_address_says(door, deps):
    plain = door.send("GET", f"/give/{SLUG}/thanks", [PAGES])
    made_up = door.send("GET", f"/give/{SLUG}/thanks?session_id=cs_live_made_up&amount=1000&name=Rosa", [PAGES])
    assert (plain.status, plain.body) == (200, made_up.body)
    assert "Every gift is confirmed by letter." in said(plain)
    assert begun(deps) == []
    with transaction(deps.sessions) as session:
        assert session.scalars(text("SELECT count(*) FROM contribution")).one() == 0


def test_only_named_sites_may_frame_the_form_and_what_is_posted_leaves_the_frame(deps):
    site = "https://neighbours.example.org"
    with opened(with_payments(deps, embed_origins=site)) as door:
        framed = door.send("GET", f"/give/{SLUG}?embed=1&refcode=x", [PAGES])
        alone = door.send("GET", f"/give/{SLUG}", [PAGES])
        answer = Donor(door, hidden=hidden_in(framed)).press(("sec-fetch-site", "same-origin"), email="a@b")
    policies = [each.headers["content-security-policy"] for each in (framed, alone, answer)]
    assert [f"frame-ancestors {site};" in policy for policy in policies] == [True, False, False]
    for policy in policies:
        assert "form-action 'self' https://checkout.stripe.com https://secure.actblue.com;" in policy
    assert f'action="/give/{SLUG}" id="give" target="_top"' in framed.body.decode()
    assert (answer.status, "_top" in answer.body.decode()) == (422, False)


def test_the_first_load_is_under_sixty_kilobytes_with_the_largest_picture(deps):
    words = "Every winter our chapters look after the people next door. " * 60
    publish(
        deps, picture=Picture(b"x" * 32 * 1024, "image/webp"), goal_cents=100, phone=True, fund="pac", words=words[:3000],
        agreed=("I am a citizen or lawful permanent resident of the United States.",) * 3,
    )  # fmt: skip
    with opened(deps) as door:
        page = door.send("GET", f"/give/{SLUG}?refcode=x", [PAGES])
        loads = re.findall(r'(?:href|src)="(/(?:static|give/winter/picture)[^"]*)"', page.body.decode())
        assert len(loads) == 5
        sizes = {place: len(door.send("GET", place).body) for place in loads}
    assert len(page.body) + sum(sizes.values()) < 60_000, (len(page.body), sizes)
    assert not re.search(r'(?:href|src|action)="(?:https?:)?//', page.body.decode())
