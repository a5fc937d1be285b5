"""The giving page: what a link fills in, whom it shows what, closed forms, drafts, pictures, frames, its weight."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, text

from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions, transaction
from engine.giving import forms as form_versions
from engine.giving import previews
from engine.giving.ask_links import Offered, token
from engine.giving.forms import Picture
from tests.asgi import Client
from tests.webhooks.giving import (
    SLUG,
    Donor,
    arrived,
    begun,
    chosen,
    cleaned,
    hidden_in,
    opened,
    payments,
    publish,
    with_payments,
)
from tests.webhooks.joining import PAGES, execute, post, said
from webhooks.app import build


@pytest.fixture
def deps(house: Deps) -> Deps:
    return cleaned(house)


@pytest.fixture
def door(deps: Deps):
    with opened(deps) as client:
        yield client


def amounts(page) -> list[str]:
    return re.findall(r'name="amount"[^>]* value="([^"]+)"', page.body.decode())


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


def test_an_old_letters_link_offers_nothing_that_floor_and_cap_do_not_allow_any_more(door, deps):
    publish(deps, floor_cents=1500, cap_cents=3000, preset_cents=(2700,))
    link = token(deps.signer, SLUG, Offered((1000, 2000, 3500), 2000))
    donor = arrived(door, deps, f"?k={link}&amount=10")
    assert (amounts(door.last), chosen(door.last)) == (["20", "other"], ["once"])
    assert donor.press(amount="35").status == 422


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
    deps.clock.skip(timedelta(days=8))
    for over in (
        f"/give/{SLUG}?preview={link}",
        f"/give/common-ground?preview={link}",
        f"/give/{SLUG}?preview=made-up",
    ):
        answer = door.send("GET", over, [PAGES])
        assert (answer.status, "This preview is over" in said(answer)) == (410, True)
    assert door.send("GET", "/give/nowhere?preview=made-up", [PAGES]).status == 404
    execute(deps, "UPDATE donation_form SET closed_at = now(), closed_because = 'x' WHERE slug = 'winter'")
    assert "This form is closed" in said(door.send("GET", f"/give/{SLUG}?preview=", [PAGES]))


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
                  "Paid for by Common Ground Massachusetts Action, Inc.", "Phone", "All by volunteers.",
                  "may write to you about what gifts like yours do"):  # fmt: skip
        assert words in shown
    assert "Inc.." not in shown
    assert "<strong>All</strong>" in door.last.body.decode()


def test_what_the_law_has_a_fund_say_is_in_the_readers_language_or_marked_as_english(door, deps):
    publish(deps, others={"es": {"title": "Que no falte calor"}})
    english = "Gifts to Common Ground Massachusetts Action, a 501(c)(4)"
    execute(deps, """UPDATE fund SET others = '{"es": {"disclaimer": "Pagado por la casa."}}' WHERE slug = 'action'""")
    spanish = door.send("GET", f"/give/{SLUG}?lang=es", [PAGES]).body.decode()
    assert '<p class="disclaimer">Pagado por la casa.</p>' in spanish
    assert f'<p class="deductibility" lang="en">{english}' in spanish
    plain = door.send("GET", f"/give/{SLUG}", [PAGES]).body.decode()
    assert f'<p class="deductibility">{english}' in plain
    assert "Pagado" not in plain


def test_a_form_that_cannot_be_read_is_404_as_a_page_and_as_a_preview_and_the_others_are_there(deps, capsys):
    execute(
        deps,
        """INSERT INTO donation_form_version (donation_form_id, version, definition)
        SELECT id, 99, '{"title": 7}' FROM donation_form WHERE slug = 'winter'""",
    )
    execute(deps, "UPDATE donation_form SET version = 99 WHERE slug = 'winter'")
    execute(deps, "UPDATE donation_form SET closed_at = NULL WHERE slug = 'common-ground'")
    with transaction(deps.sessions) as session:
        version_id = session.scalar(text("SELECT id FROM donation_form_version WHERE version = 99"))
    link = previews.make(deps.signer, version_id, deps.clock.now)
    with opened(deps) as door:
        for path, status in (
            (SLUG, 404), (SLUG, 404), (f"{SLUG}?preview={link}", 410), (f"{SLUG}/picture?v=99", 404), ("common-ground", 200),
        ):  # fmt: skip
            assert door.send("GET", f"/give/{path}", [PAGES]).status == status
    assert capsys.readouterr().out.count("donation forms that cannot be read are not shown") == 1


@pytest.fixture
def statements(deps: Deps):
    """A house that writes down each statement, and these."""
    pool = make_pool(deps.settings.database_url.get_secret_value())
    told: list[str] = []
    event.listen(pool, "before_cursor_execute", lambda *said: told.append(said[2]))
    yield replace(deps, sessions=make_sessions(pool)), told
    pool.dispose()


def test_showing_the_page_costs_no_query_while_what_it_shows_is_kept(deps, statements):
    publish(deps, goal_cents=100_000)
    watched, told = statements
    with Client(build(watched)) as door:
        door.send("GET", f"/give/{SLUG}", [PAGES])
        first = len(told)
        for _ in range(5):
            assert door.send("GET", f"/give/{SLUG}?amount=50", [PAGES]).status == 200
    assert (len(told), first > 0) == (first, True)


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


def test_a_picture_is_kept_by_browsers_and_read_once(deps, statements):
    publish(deps, picture=Picture(b"RIFFpicture", "image/webp"), picture_shows="Houses in a row")
    watched, told = statements
    with opened(watched) as door:
        shown = door.send("GET", f"/give/{SLUG}", [PAGES]).body.decode()
        place = re.search(r'src="(/give/[^"]+)" alt="Houses in a row"', shown)
        for _ in range(3):
            answer = door.send("GET", place[1])
            assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"RIFFpicture", "image/webp")
            assert "immutable" in answer.headers["cache-control"]
        assert len([statement for statement in told if "SELECT picture" in statement]) == 1
        for wrong in ("?v=0", "?v=99", "?v=-1", "?v=x", "?v=" + "9" * 50):
            assert door.send("GET", f"/give/{SLUG}/picture{wrong}").status == 404


def test_the_picture_of_a_draft_is_shown_by_its_preview_alone_whatever_was_published_since(door, deps):
    with transaction(deps.sessions) as session:
        secret = Picture(b"RIFFdraft", "image/webp")
        draft = form_versions.write(session, publish(deps), deps.clock.now, picture=secret, publish=False)
    publish(deps, title="Another")
    link = previews.make(deps.signer, draft.id, deps.clock.now)
    place = f"/give/{SLUG}/picture?v={draft.number}"
    assert door.send("GET", f"{place}&preview={link}").body == b"RIFFdraft"
    assert door.send("GET", place).status == 404
    with transaction(deps.sessions) as session:
        form_versions.publish(session, SLUG, draft.number, deps.clock.now)
    assert door.send("GET", place).body == b"RIFFdraft"


def test_the_thanks_are_the_same_whatever_the_address_says(door, deps):
    plain = door.send("GET", f"/give/{SLUG}/thanks", [PAGES])
    made_up = door.send("GET", f"/give/{SLUG}/thanks?session_id=cs_live_made_up&amount=1000&name=Rosa", [PAGES])
    assert (plain.status, plain.body) == (200, made_up.body)
    assert "Every gift is confirmed by letter." in said(plain)
    assert begun(deps) == []
    with transaction(deps.sessions) as session:
        assert session.scalars(text("SELECT count(*) FROM contribution")).one() == 0


def test_the_thanks_lead_to_monthly_gifts_in_the_language_of_the_page(door):
    assert 'Giving each month? <a href="/give/me">' in door.send("GET", f"/give/{SLUG}/thanks").body.decode()
    shown = door.send("GET", f"/give/{SLUG}/thanks?lang=es").body.decode()
    assert '¿Donas cada mes? <a href="/give/me?lang=es">' in shown


def test_every_form_that_is_open_stands_on_one_page_with_the_way_to_monthly_gifts(deps, statements):
    publish(deps, others={"es": {"title": "Que no falte calor"}})
    publish(deps, slug="closed")
    execute(deps, "UPDATE donation_form SET closed_at = now() WHERE slug = 'closed'")
    watched, told = statements
    with Client(build(watched)) as door:
        shown = door.send("GET", "/give", [PAGES])
        first = len(told)
        spanish = door.send("GET", "/give?lang=es", [PAGES])
        assert (len(told), first > 0) == (first, True)
    assert "Keep the heat on So that nobody is cold in January. Common Ground Massachusetts Action, Inc." in said(shown)
    places = re.findall(r'class="door" href="([^"]+)"', shown.body.decode())
    assert f"/give/{SLUG}" in places
    assert places[-2:] == ["/give/me", "/join"]
    assert "/give/closed" not in places
    assert "Que no falte calor" in said(spanish)
    assert f'href="/give/{SLUG}?lang=es"' in spanish.body.decode()


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
