"""Giving under bad input (matrix D): nothing is begun, no processor is asked, and a person who was taken for a program loses
nothing."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.tokens import Signer
from tests.asgi import Answer, Client
from tests.webhooks.giving import ROSA, SLUG, Donor, FakePayments, begun, opened, publish, with_payments
from tests.webhooks.joining import PAGES, TYPE, execute, said
from webhooks.forms import LIMIT, Stamp

PRESS_AGAIN = "Please press once more"
PATH = f"/give/{SLUG}"


@pytest.fixture(scope="module")
def giving(house: Deps) -> Deps:
    publish(house, cap_cents=500_000, agreed=("I am a citizen.",))
    publish(house, slug="presets", other=False)
    return with_payments(house, give_form_minute=10_000)


@pytest.fixture(scope="module")
def forms(giving: Deps):
    with opened(giving) as client:
        yield client


@pytest.fixture
def donor(forms: Client, giving: Deps) -> Donor:
    """Somebody who has had the form before her for half a minute, who agrees."""
    execute(giving, "TRUNCATE checkout, decline")
    assert isinstance(giving.payments, FakePayments)
    giving.payments.asked.clear()
    giving.payments.pages.clear()
    arrived = Donor(forms, always={"agreed": "0"})
    arrived.open((giving.clock, 30))
    return arrived


def nothing_begun(deps: Deps) -> bool:
    assert isinstance(deps.payments, FakePayments)
    return begun(deps) == [] and deps.payments.asked == []


def refused(answer: Answer, deps: Deps, field: str) -> None:
    """Told beside the field and at the top, what else was typed kept, nothing begun."""
    assert answer.status == 422
    assert f'id="{field}-error"' in answer.body.decode()
    assert f'<a href="#{"amount-1" if field == "amount" else field}">' in answer.body.decode()
    assert nothing_begun(deps)


def asked_again(answer: Answer, status: int, deps: Deps) -> None:
    assert (answer.status, PRESS_AGAIN in said(answer)) == (status, True)
    assert 'value="rosa@example.org"' in answer.body.decode()
    assert nothing_begun(deps)


# D1, D2: stamps, speed, the field that people cannot see

STAMPS = {
    "missing": lambda _: "",
    "made up": lambda _: "eyJ.no.stamp",
    "altered": lambda deps: Stamp.fresh(f"give/{SLUG}", deps.clock.now, aged=True).token(deps.signer)[:-1] + "?",
    "another form's": lambda deps: Stamp.fresh("give/presets", deps.clock.now, aged=True).token(deps.signer),
    "the join form's": lambda deps: Stamp.fresh("join", deps.clock.now, aged=True).token(deps.signer),
    "another key's": lambda deps: Stamp.fresh(f"give/{SLUG}", deps.clock.now, aged=True).token(Signer(["another" * 8])),
    "older than two hours": lambda deps: Stamp.fresh(f"give/{SLUG}", deps.clock.now - timedelta(hours=2, seconds=1)).token(
        deps.signer
    ),
}  # fmt: skip


@pytest.mark.parametrize("made", STAMPS.values(), ids=STAMPS)
def test_without_a_good_stamp_she_is_asked_to_press_once_more_and_then_it_is_begun(donor, giving, made):
    donor.hidden["stamp"] = made(giving)
    asked_again(donor.press(), 403, giving)
    giving.clock.skip(timedelta(seconds=3))
    assert donor.press().status == 303


@pytest.mark.parametrize("filled", [{"seconds": 0.2}, {"website": "https://example.org"}], ids=["fast", "trapped"])
def test_whoever_looks_like_a_program_is_asked_to_press_once_more(donor, giving, filled):
    donor.open((giving.clock, filled.pop("seconds", 30)))
    asked_again(donor.press(**filled), 200, giving)
    giving.clock.skip(timedelta(seconds=3))
    assert donor.press().status == 303


# D3-D6: amounts, fields twice, fields of nobody

AMOUNTS = ["0", "-5", "4.999", "1e3", "NaN", "\uff11\uff10", "10,00", str(10**12), "9" * 400, "4.99", "5000.01",
           "", "  ", "1,00", "$-35", "35$", "0x23", "35.", ".5", "1 000", "1_000", "\u0663\u0665", "35\x00",
           "inf", "4111111111111111"]  # fmt: skip


@pytest.mark.parametrize("amount", AMOUNTS)
def test_an_amount_that_is_none_or_out_of_bounds_is_told_beside_it(donor, giving, amount):
    answer = donor.press(amount="other", other=amount)
    refused(answer, giving, "amount")
    assert "4111" not in answer.body.decode()


@pytest.mark.parametrize(("typed", "cents"), [(" 10 ", 1000), ("5", 500), ("5000", 500_000), ("12.5", 1250), ("$40", 4000),
                                            ("$1,234.50", 123_450)])  # fmt: skip
def test_an_amount_within_bounds_is_trimmed_and_taken(donor, giving, typed, cents):
    assert donor.press(amount="other", other=typed).status == 303
    assert [row["amount_cents"] for row in begun(giving)] == [cents]


@pytest.mark.parametrize("amount", ["35", "other", "", "-27", "27.001", "1e1"])
def test_where_no_other_can_be_typed_only_presets_are_taken(forms, giving, amount):
    execute(giving, "TRUNCATE checkout, decline")
    donor = Donor(forms, "/give/presets")
    donor.open((giving.clock, 30))
    answer = donor.press(amount=amount, other="35")
    assert answer.status == 422
    assert begun(giving) == []


def test_what_was_typed_into_other_counts_for_nothing_beside_a_preset(donor, giving):
    assert donor.press(amount="50", other="1000").status == 303
    assert [row["amount_cents"] for row in begun(giving)] == [5000]


@pytest.mark.parametrize("field", ["amount", "email", "stamp", "period", "refcode"])
def test_a_field_that_stands_twice_is_refused(donor, giving, field):
    twice = {field: [donor.hidden.get(field, "27"), "50"]}
    assert donor.press(**twice).status == 422
    assert nothing_begun(giving)


def test_fields_of_nobody_are_passed_by(donor, giving):
    hostile = {"currency": "eur", "price_id": "price_1", "success_url": "https://evil.example.org", "chapter": "lowell",
               "amount_cents": "1", "fund": "pac", "account": "acct_evil", "form": "presets"}  # fmt: skip
    assert donor.press(**hostile).status == 303
    (basket,) = giving.payments.baskets
    assert (basket.currency, basket.account, basket.amount_cents) == ("usd", "", 2700)
    assert basket.success_url == giving.settings.base_url + PATH + "/thanks"
    assert basket.metadata["form"] == SLUG


@pytest.mark.parametrize("period", ["yearly", "monthly ", "\x00", "1"])
def test_a_rhythm_that_is_not_offered_is_refused(donor, giving, period):
    answer = donor.press(period=period)
    assert answer.status == 422
    assert nothing_begun(giving)


# D7, D8: addresses and names

ADDRESSES = {
    "no dot": "a@b",
    "255 signs": "a" * 243 + "@example.org",
    "another header": "rosa@example.org\r\nBcc: all@example.org",
    "NUL": "rosa@example.org\x00",
    "two": "rosa@example.org, ines@example.org",
    "writing turned round": "rosa\u202e@example.org",
    "a quoted local part": '"rosa marsh"@example.org',
    "nothing": "",
}


@pytest.mark.parametrize("email", ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_that_is_none_is_told_beside_its_field_and_the_rest_stays(donor, giving, email):
    answer = donor.press(email=email, first_name="Rosa O'Brien & Söhne")
    refused(answer, giving, "email")
    assert 'value="Rosa O&#39;Brien &amp; Söhne"' in answer.body.decode()


def test_an_address_of_another_alphabet_is_taken(donor):
    assert donor.press(email="rosa@exämple.org").status == 303


LINES = {
    "ten kilobytes": "x" * 10_240,
    "101 signs": "x" * 101,
    "a web address": "Rosa https://example.org/win",
    "NUL": "Ro\x00sa",
    "line ends": "Rosa\r\nBcc: all@example.org",
    "only spaces": "   ",
    "a card number": "4111 1111 1111 1111",
    "a card number with dashes": "my card 4111-1111-1111-1111 thanks",
}


@pytest.mark.parametrize("field", ["first_name", "last_name", "street", "city"])
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_line_that_is_none_is_told_beside_its_field(donor, giving, line, field):
    answer = donor.press(**{field: line})
    refused(answer, giving, field)
    assert "4111" not in answer.body.decode()


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "{{7*7}}", '=HYPERLINK("a")', "Rosa 🌻", '"><b>', "%(x)s"]
)
def test_a_name_is_shown_as_it_was_typed_and_does_nothing(donor, giving, name):
    answer = donor.press(first_name=name, email="a@b")
    assert "<script>alert" not in answer.body.decode()
    assert '"><b>' not in answer.body.decode()
    assert donor.press(first_name=name).status == 303
    assert [row["donor"]["first_name"] for row in begun(giving)] == [name]


@pytest.mark.parametrize(
    ("field", "value"),
    [("state", "Ontario"), ("state", ""), ("zip", "160"), ("zip", ""), ("zip", "0160\uff14"), ("state", "MA\x00")],
)
def test_a_place_that_is_none_is_told_beside_its_field(donor, giving, field, value):
    refused(donor.press(**{field: value}), giving, field)


# D9: a card's number


@pytest.mark.parametrize("field", ["employer", "occupation", "phone", "first_name"])
def test_a_cards_number_is_refused_wherever_it_stands_and_written_down_nowhere(donor, giving, capsys, field):
    publish(giving, agreed=("I am a citizen.",), employer="always", phone=True)
    fields = {"employer": "Library", "occupation": "Librarian", "phone": ""} | {field: "5500 0055 5555 5559"}
    answer = donor.press(**fields)
    refused(answer, giving, field)
    assert "5500" not in answer.body.decode() + capsys.readouterr().out
    assert donor.press(**fields | {field: "508 555 0144"}).status == 303


def test_an_employer_may_be_called_like_its_site(donor, giving):
    publish(giving, agreed=("I am a citizen.",), employer="always")
    assert donor.press(employer="Books.com", occupation="Clerk").status == 303


# D10: how often


def test_the_fourth_press_of_a_network_within_a_minute_is_asked_to_wait(house):
    deps = with_payments(house)
    execute(house, "TRUNCATE checkout, decline")
    publish(house)
    with opened(deps) as door:
        donor = Donor(door)
        for n in range(3):
            donor.open((deps.clock, 3))
            assert donor.press(email=f"rosa{n}@example.org").status == 303
        donor.open((deps.clock, 3))
        answer = donor.press(email="rosa4@example.org")
        assert (answer.status, answer.headers["retry-after"]) == (429, "60")
        assert 'value="rosa4@example.org"' in answer.body.decode()
        assert (len(begun(deps)), len(deps.payments.asked)) == (3, 3)
        deps.limiter.counts.clear()
        assert donor.press(email="rosa4@example.org").status == 303


def test_the_thirty_first_press_on_a_form_within_a_minute_is_asked_to_wait_wherever_it_comes_from(house):
    deps = with_payments(house)
    execute(house, "TRUNCATE checkout, decline")
    publish(house)
    with opened(deps) as door:
        statuses = []
        execute(house, "DELETE FROM notice")
        for _ in range(32):
            donor = Donor(door)
            donor.open((deps.clock, 3))
            statuses.append(donor.press().status)
    assert statuses == [303] * 30 + [429] * 2
    assert len(deps.payments.asked) == 30
    with transaction(deps.sessions) as session:
        told = session.execute(text("SELECT kind, subject, seen, detail FROM notice")).one()
    assert tuple(told)[:3] == ("people wait to give", SLUG, 1)
    assert "GIVE_FORM_MINUTE" in told.detail


def test_an_ipv6_customer_has_ten_shares_however_many_networks_are_hers(house):
    deps = with_payments(house, give_form_minute=100)
    execute(house, "TRUNCATE checkout, decline")
    publish(house)
    with opened(deps) as door:
        statuses = []
        for n in range(31):
            donor = Donor(door, source=f"2001:db8:7:{n:x}::1")
            donor.open((deps.clock, 3))
            statuses.append(donor.press().status)
        neighbour = Donor(door, source="2001:db8:8::1")
        neighbour.open((deps.clock, 3))
        assert neighbour.press().status == 303
    assert statuses == [303] * 30 + [429]


def test_while_nothing_can_be_counted_nothing_is_begun(house):
    deps = with_payments(house)
    execute(house, "TRUNCATE checkout, decline")
    publish(house)
    deps.limiter.away = True
    with opened(deps) as door:
        donor = Donor(door)
        donor.open((deps.clock, 30))
        answer = donor.press()
        assert answer.status == 503
        assert 'value="rosa@example.org"' in answer.body.decode()
        assert nothing_begun(deps)
        deps.limiter.away = False
        assert donor.press().status == 303


# D13, D14: other bodies

BODIES = {
    "JSON": (415, "application/json", b'{"amount": "27"}'),
    "multipart": (415, "multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
    "no type": (415, "", b"amount=27"),
    "51 fields": (400, TYPE[1], b"&".join(b"a%d=1" % n for n in range(51))),
    "16 KB and one": (413, TYPE[1], b"email=" + b"a" * (LIMIT - 5)),
    "no UTF-8": (400, TYPE[1], b"email=%ff%fe"),
}


@pytest.mark.parametrize(("status", "kind", "body"), BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("slug", [SLUG, "common-ground"])
def test_a_body_that_is_no_form_is_refused_with_a_page_for_people(forms, slug, status, kind, body):
    answer = forms.send("POST", f"/give/{slug}", [PAGES, *([("content-type", kind)] if kind else [])], body)
    assert answer.status == status
    assert "Nothing was stored." in said(answer)


# D15, D16: other addresses, other sites


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("slug", ["nowhere", "..", "%00", "\x00", "a" * 5_120, "Winter", "winter ", "<b>", "'"])
@pytest.mark.parametrize("rest", ["", "/thanks", "/picture"])
def test_a_form_that_there_is_not_is_said_to_people(forms, method, slug, rest):
    answer = forms.send(method, f"/give/{slug}{rest}", [PAGES, TYPE], b"")
    assert answer.status == (404 if method == "GET" or not rest else 405)
    assert "There is no page here" in said(answer)


def test_a_form_that_is_not_published_is_none(forms, giving):
    execute(giving, "UPDATE donation_form SET version = 0 WHERE slug = 'presets'")
    assert forms.send("GET", "/give/presets", [PAGES]).status == 404
    execute(giving, "UPDATE donation_form SET version = 1 WHERE slug = 'presets'")


@pytest.mark.parametrize(
    "headers",
    [[("origin", "https://evil.example.org")], [("sec-fetch-site", "cross-site")], [("sec-fetch-site", "same-site")],
     [("sec-fetch-site", "cross-site"), ("origin", "null")], [("origin", "")]],
)  # fmt: skip
def test_a_form_that_another_site_sends_is_refused_and_what_was_typed_is_kept(donor, giving, headers):
    asked_again(donor.press(*headers), 403, giving)


# D18, and sentences to agree to


@pytest.mark.parametrize(
    ("law", "amount", "due"),
    [((20000, False), "200", False), ((20000, False), "200.01", True), ((20000, True), "200", True),
     ((20000, True), "199.99", False), ((None, False), "5000", False)],
)  # fmt: skip
def test_the_employer_is_due_where_the_law_of_the_fund_says_so(donor, giving, law, amount, due):
    publish(giving, agreed=("I am a citizen.",))
    fund = "UPDATE fund SET employer_cents = :cents, employer_from = :at WHERE slug = 'action'"
    execute(giving, fund, cents=law[0], at=law[1])
    answer = donor.press(amount="other", other=amount)
    if due:
        refused(answer, giving, "employer")
        refused(answer, giving, "occupation")
        answer = donor.press(amount="other", other=amount, employer="none", occupation="retired")
    assert answer.status == 303
    execute(giving, fund, cents=None, at=False)


@pytest.mark.parametrize("agreed", ["", "1", ["1", "7"]])
def test_what_must_be_ticked_is_told_beside_it(donor, giving, agreed):
    refused(donor.press(agreed=agreed), giving, "agreed-0")


def test_what_was_typed_is_not_logged(donor, forms, capsys):
    donor.press(email="canary@example.org", first_name="https://canary.example.org")
    donor.press(email="canary@example.org", last_name="Canary")
    forms.send("GET", f"{PATH}?refcode=canary&k=canary", [PAGES])
    assert "anary" not in capsys.readouterr().out
    assert ROSA["email"] not in capsys.readouterr().out
