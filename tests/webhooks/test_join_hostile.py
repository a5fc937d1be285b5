"""Joining under bad input: nothing is stored, nothing breaks, and a person who was taken for a program loses nothing."""

from datetime import timedelta
from itertools import count
from urllib.parse import quote

import pytest

from engine.bootstrap import Deps
from engine.db import transaction
from engine.people import join_forms
from engine.tokens import Signer
from tests.asgi import Answer, Client
from tests.webhooks.joining import PAGES, ROSA, TYPE, Visitor, opened, post, said, stored
from webhooks.forms import LIMIT, Stamp

PRESS_AGAIN = "Please press once more"
numbers = count()


@pytest.fixture(scope="module")
def forms(house: Deps):
    """One door for all of these, whose forms show each change at once."""
    with opened(house) as client:
        yield client


@pytest.fixture
def visitor(forms: Client, house: Deps) -> Visitor:
    """Somebody who has had the form before her for half a minute, with an address of her own."""
    arrived = Visitor(forms)
    arrived.open((house.clock, 30))
    return arrived


def fresh() -> str:
    return f"rosa.{next(numbers)}@example.org"


def kept(house: Deps, email: str) -> bool:
    return any(sign_up["email"] == email for sign_up in stored(house))


def asked_again(answer: Answer, status: int, email: str) -> None:
    assert answer.status == status
    assert PRESS_AGAIN in said(answer)
    assert f'value="{email}"' in answer.body.decode()


# D1, D2: stamps, speed, the field that people cannot see

STAMPS = {
    "missing": lambda _: "",
    "made up": lambda _: "eyJ.no.stamp",
    "of ten kilobytes": lambda _: "x" * 10_240,
    "altered": lambda house: Stamp.fresh("join", house.clock.now, aged=True).token(house.signer)[:-1] + "?",
    "another form's": lambda house: Stamp.fresh("join/worcester", house.clock.now, aged=True).token(house.signer),
    "another purpose's": lambda house: house.signer.sign("confirm", "join", 0, "nonce"),
    "another key's": lambda house: Stamp.fresh("join", house.clock.now, aged=True).token(Signer(["another" * 8])),
    "of other words": lambda house: house.signer.sign("form", "join"),
    "older than two hours": lambda house: Stamp.fresh("join", house.clock.now - timedelta(hours=2, seconds=1)).token(
        house.signer
    ),
}


@pytest.mark.parametrize("made", STAMPS.values(), ids=STAMPS)
def test_without_a_good_stamp_she_is_asked_to_press_once_more_and_then_it_is_stored(visitor, house, made):
    email = fresh()
    visitor.stamp = made(house)
    asked_again(visitor.press(email=email), 403, email)
    assert not kept(house, email)
    house.clock.skip(timedelta(seconds=3))
    assert visitor.press(email=email).status == 200
    assert kept(house, email)


def test_a_form_that_lay_open_for_almost_two_hours_is_taken(forms, house):
    visitor, email = Visitor(forms), fresh()
    visitor.open((house.clock, 2 * 3600 - 1))
    visitor.press(email=email)
    assert kept(house, email)


@pytest.mark.parametrize("filled", [{"seconds": 0.2}, {"website": "https://example.org"}], ids=["fast", "trapped"])
def test_whoever_looks_like_a_program_is_asked_to_press_once_more(forms, house, filled):
    visitor, email = Visitor(forms), fresh()
    visitor.open((house.clock, filled.pop("seconds", 30)))
    asked_again(visitor.press(email=email, **filled), 200, email)
    assert not kept(house, email)
    house.clock.skip(timedelta(seconds=3))
    assert "Thank you, Rosa." in said(visitor.press(email=email))
    assert kept(house, email)


# D7, D8: addresses and names

ADDRESSES = {
    "no dot": "a@b",
    "255 signs": "a" * 243 + "@example.org",
    "another header": "rosa@example.org\r\nBcc: all@example.org",
    "NUL": "rosa@example.org\x00",
    "two": "rosa@example.org, ines@example.org",
    "two by semicolon": "rosa@example.org;ines@example.org",
    "writing turned round": "rosa\u202e@example.org",
    "a quoted local part": '"rosa marsh"@example.org',
    "a name beside it": "Rosa <rosa@example.org>",
    "nothing": "",
    "spaces": "   ",
    "a card number": "4111111111111111@example.org",
}


@pytest.mark.parametrize("email", ADDRESSES.values(), ids=ADDRESSES)
def test_an_address_that_is_none_is_told_beside_its_field_and_the_rest_stays(visitor, house, email):
    before = len(stored(house))
    answer = visitor.press(email=email, first_name="Rosa O'Brien & Söhne")
    assert answer.status == 422
    assert 'id="email-error"' in answer.body.decode()
    assert 'value="Rosa O&#39;Brien &amp; Söhne"' in answer.body.decode()
    assert len(stored(house)) == before


def test_an_address_of_another_alphabet_is_taken(visitor, house):
    assert visitor.press(email="rosa@exämple.org").status == 200
    assert kept(house, "rosa@exämple.org")


NAMES = {
    "ten kilobytes": "x" * 10_240,
    "101 signs": "x" * 101,
    "a web address": "Rosa https://example.org/win",
    "a web address without its beginning": "win at casino.xyz",
    "www": "www.example.org",
    "an email address": "rosa@example.org",
    "NUL": "Ro\x00sa",
    "line ends": "Rosa\r\nBcc: all@example.org",
    "writing turned round": "Rosa\u202easoR",
    "a card number": "4111 1111 1111 1111",
}


@pytest.mark.parametrize("field", ["first_name", "last_name", "street", "city"])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_line_that_is_none_is_told_beside_its_field(visitor, house, name, field):
    email = fresh()
    answer = visitor.press(email=email, **{field: name})
    assert (answer.status, kept(house, email)) == (422, False)
    assert f'id="{field}-error"' in answer.body.decode()
    assert f'value="{email}"' in answer.body.decode()
    assert "4111" not in answer.body.decode()
    assert visitor.press(email=email, **{field: "Good"}).status == 200


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "{{7*7}}", '=HYPERLINK("a")', "Rosa 🌻", "{% raise %}", '"><b>', "%(x)s"]
)
def test_a_name_is_shown_as_it_was_typed_and_does_nothing(visitor, house, name):
    email = fresh()
    answer = visitor.press(email=email, first_name=name)
    assert answer.status == 200
    assert f"Thank you, {name}." in said(answer)
    assert "<script>" not in answer.body.decode()
    assert [sign_up["first_name"] for sign_up in stored(house) if sign_up["email"] == email] == [name]


def test_a_name_of_spaces_is_no_name(visitor):
    assert "Thank you. Worcester" in said(visitor.press(email=fresh(), first_name="   "))


@pytest.mark.parametrize("code", ["", "160", "abcde", "016041", "0160\uff14", "01604\x00", "01604-12", "-1604"])
def test_a_zip_that_is_none_is_told_beside_its_field(visitor, code):
    answer = visitor.press(email=fresh(), zip=code)
    assert answer.status == 422
    assert 'id="zip-error"' in answer.body.decode()


# E4, D5, D6: what the form does not offer


def test_what_is_not_offered_is_refused_and_the_rest_stays(visitor):
    for field in ("interests", "ways_to_help"):
        answer = visitor.press(email=fresh(), **{field: ["made-up"]})
        assert answer.status == 422
        assert "not offered any more" in said(answer)
        assert "made-up" not in answer.body.decode()


def test_a_field_that_stands_twice_is_refused(forms, visitor, house):
    email = fresh()
    answer = post(forms, "/join", f"stamp={visitor.stamp}&zip=01604&email={email}&email=b@example.org".encode())
    assert (answer.status, kept(house, email)) == (422, False)


def test_fields_of_nobody_are_passed_by(visitor, house):
    email = fresh()
    visitor.press(
        email=email, chapter="lowell", form="join/lowell", confirm="true", gathering="K7", introduce="1", at="1999"
    )
    (sign_up,) = [one for one in stored(house) if one["email"] == email]
    assert (sign_up["form"], sign_up["gathering"], sign_up["introduce"], sign_up["confirm"]) == (
        "join",
        "",
        False,
        False,
    )
    assert sign_up["at"].startswith("20")


# D13, D14, G8: other bodies

BODIES = {
    "JSON": (415, "application/json", b'{"email": "a@example.org"}'),
    "multipart": (415, "multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
    "multipart of a charset that is none": (415, "multipart/form-data; boundary=x; charset=undefined", b"--x"),
    "a boundary of a megabyte": (415, "multipart/form-data; boundary=" + "x" * 1_000_000, b"--x"),
    "text": (415, "text/plain", b"email=a@example.org"),
    "no type": (415, "", b"email=a@example.org"),
    "51 fields": (400, TYPE[1], b"&".join(b"a%d=1" % n for n in range(51))),
    "16 KB and one": (413, TYPE[1], b"email=" + b"a" * (LIMIT - 5)),
    "no UTF-8": (400, TYPE[1], b"email=%ff%fe"),
    "no ASCII": (400, TYPE[1], "email=ä".encode("latin-1")),
    "half a surrogate": (400, TYPE[1], b"first_name=%ed%a0%80"),
}


@pytest.mark.parametrize(("status", "kind", "body"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_form_is_refused_with_a_page_for_people(forms, status, kind, body):
    headers = [("content-type", kind)] if kind else []
    answer = forms.send("POST", "/join", [PAGES, *headers], body)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "Nothing was stored." in said(answer)


def test_a_compressed_form_is_refused(forms, visitor):
    assert post(forms, "/join", {"stamp": visitor.stamp}, ("content-encoding", "gzip")).status == 415


def test_fifty_fields_and_sixteen_kilobytes_are_read(forms):
    assert post(forms, "/join", b"&".join(b"a%d=1" % n for n in range(50))).status == 422
    assert post(forms, "/join", b"email=" + b"a" * (LIMIT - 6)).status == 422


# D15, D16: other addresses, other sites


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "slug", ["nowhere", "..", "%00", "\x00", "a" * 5_120, "Worcester", "worcester ", "<b>", "1", "'"]
)
def test_a_chapter_that_there_is_not_is_said_to_people(forms, method, slug):
    answer = forms.send(method, f"/join/{slug}", [PAGES, TYPE], b"")
    assert answer.status == 404
    assert "There is no page here" in said(answer)
    assert slug[:40] not in answer.body.decode() or slug in {"1", "..", "'"}


def test_a_program_is_told_as_programs_are(forms):
    answer = forms.send("GET", "/join/nowhere", [("accept", "application/json")])
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    "headers",
    [
        [("origin", "https://evil.example.org")],
        [("origin", "https://evil.example.org"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "cross-site"), ("origin", "null")],
        [("sec-fetch-site", ""), ("origin", "null")],
        [("origin", "")],
    ],
)
def test_a_form_that_another_site_sends_is_refused_and_what_was_typed_is_kept(forms, visitor, house, headers):
    email = fresh()
    asked_again(post(forms, "/join", {"stamp": visitor.stamp, **ROSA, "email": email}, *headers), 403, email)
    assert not kept(house, email)
    answer = post(forms, "/introductions", {"stamp": visitor.stamp}, *headers)
    assert answer.status == 403
    assert "This form has grown old" in said(answer)


def test_a_browser_that_names_no_origin_because_our_pages_ask_it_not_to_can_join(forms, visitor, house):
    email = fresh()
    fields = {"stamp": visitor.stamp, **ROSA, "email": email}
    assert post(forms, "/join", fields, ("origin", "null")).status == 200
    assert kept(house, email)


@pytest.mark.parametrize(
    "query", ["lang=xx", "lang=%00", "g=" + "x" * 5_000, "g=%00", "embed=2", "lang=../es", "g=%ff"]
)
def test_terms_that_mean_nothing_change_nothing(forms, query):
    answer = forms.send("GET", f"/join?{query}", [PAGES])
    assert answer.status == 200
    assert 'action="/join"' in answer.body.decode()
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_a_zip_that_sql_would_stumble_over_never_reaches_it(house):
    with transaction(house.sessions) as session:
        assert join_forms.near(session, "99999") == join_forms.Near("")


def test_what_was_refused_is_not_logged(visitor, forms, capsys):
    visitor.press(email="canary@example.org", first_name="https://canary.example.org", zip="1")
    forms.send("GET", f"/join/{quote('canary')}?g=canary", [PAGES])
    assert "canary" not in capsys.readouterr().out
