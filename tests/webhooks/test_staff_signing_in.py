"""Signing in: by link, once, in time, in the browser that asked; and what a session is worth."""

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.staff import accounts, sessions, sign_ins
from tests.asgi import Client
from tests.fakes import FakeClock, FakeLimiter
from tests.staff import FORM, SAME_ORIGIN, Desk, hire, newest_link
from tests.webhooks.test_parts import in_production
from webhooks.app import build
from webhooks.staff import cookies
from workers import delivery

_numbers = count(1)


@pytest.fixture
def ana(house: Deps) -> str:
    return hire(house, f"ana.{next(_numbers)}@example.org", "admin")


@pytest.fixture(autouse=True)
def nobody_asked_yet(house: Deps) -> None:
    house.limiter.counts.clear()


def scalar(house: Deps, statement: str, **values):
    with transaction(house.sessions) as session:
        return session.scalar(text(statement), values)


def test_a_link_from_the_letter_signs_in_and_the_pages_open(door: Client, house: Deps, ana: str):
    desk = Desk(door)
    assert desk.get("/staff").headers["location"] == "/staff/sign-in"
    answer = desk.sign_in(house, ana)
    assert (answer.status, answer.headers["location"]) == (303, "/staff")
    assert desk.get("/staff").status == 200
    assert ana in desk.page.replace("<wbr>", "")


def test_the_letter_says_the_address_of_the_link_and_its_row_holds_no_token(door: Client, house: Deps, ana: str):
    desk = Desk(door)
    desk.get("/staff/sign-in")
    desk.post("/staff/sign-in", email=ana)
    delivery.hand_over(house, "receipts")
    letter = next(letter for _, letter in house.mailer.accepted if letter.to_email == ana)
    assert f"{house.settings.base_url}{newest_link(house)}" in letter.text
    assert f"{house.settings.base_url}{newest_link(house)}" in letter.html
    assert "List-Unsubscribe" not in letter.headers
    facts = scalar(house, "SELECT facts FROM message ORDER BY id DESC LIMIT 1")
    assert set(facts) == {"sign_in_id"}
    assert scalar(house, "SELECT routed_by FROM contact WHERE email = :email", email=ana) == "operator"
    assert (
        scalar(house, "SELECT count(*) FROM consent JOIN contact c ON c.id = contact_id WHERE email = :e", e=ana) == 0
    )


def test_the_answer_is_the_same_whatever_we_know_of_the_address(door: Client, house: Deps, ana: str):
    gone = hire(house, "gone@example.org", "viewer")
    with house.work() as (session, now):
        accounts.end(session, gone, now)
    asked = []
    for email in (ana, "stranger@example.org", gone):
        desk = Desk(door)
        desk.get("/staff/sign-in")
        answer = desk.post("/staff/sign-in", email=email)
        asked.append((answer.status, answer.body, sorted(answer.headers)))
    assert asked[0] == asked[1] == asked[2]
    assert b"example.org" not in asked[0][1]
    assert scalar(house, "SELECT count(*) FROM contact WHERE email = 'stranger@example.org'") == 0


def test_what_is_no_address_is_said_so_and_kept(door: Client):
    desk = Desk(door)
    desk.get("/staff/sign-in")
    answer = desk.post("/staff/sign-in", email="ana<b>@")
    assert answer.status == 422
    assert "ana&lt;b&gt;@" in desk.page


def test_get_on_a_link_changes_nothing_however_often_a_scanner_follows_it(door: Client, house: Deps, ana: str):
    desk = Desk(door)
    desk.get("/staff/sign-in")
    desk.post("/staff/sign-in", email=ana)
    path = newest_link(house)
    before = scalar(house, "SELECT count(*) FROM staff_session")
    for browser in (Desk(door), Desk(door), desk):
        browser.get(path)
    assert scalar(house, "SELECT count(*) FROM staff_session") == before
    assert desk.post(path).status == 303


def test_a_link_works_once(door: Client, house: Deps, ana: str):
    desk = Desk(door)
    desk.get("/staff/sign-in")
    desk.post("/staff/sign-in", email=ana)
    path, asked = newest_link(house), dict(desk.cookies)
    assert desk.post(path).status == 303
    again = Desk(door, cookies=asked)
    assert again.post(path).status == 410
    assert "used already" in again.page
    assert again.get(path).status == 410


def test_of_two_at_once_one_signs_in(door: Client, house: Deps, ana: str):
    desk = Desk(door)
    desk.get("/staff/sign-in")
    desk.post("/staff/sign-in", email=ana)
    path = newest_link(house)
    sent = ("POST", path, [*desk._headers(), FORM, SAME_ORIGIN], b"")
    assert sorted(answer.status for answer in door.together(sent, sent, sent)) == [303, 410, 410]


def test_using_one_link_ends_the_others_that_were_asked_for(door: Client, house: Deps, ana: str):
    desk = Desk(door)
    desk.get("/staff/sign-in")
    desk.post("/staff/sign-in", email=ana)
    first = newest_link(house)
    desk.get("/staff/sign-in")
    desk.post("/staff/sign-in", email=ana)
    asked = dict(desk.cookies)
    assert desk.post(newest_link(house)).status == 303
    assert Desk(door, cookies=asked).post(first).status == 410


def test_a_link_works_only_in_the_browser_that_asked_and_is_not_used_up_elsewhere(door: Client, house: Deps, ana: str):
    desk, other, without = Desk(door), Desk(door), Desk(door)
    desk.get("/staff/sign-in")
    desk.post("/staff/sign-in", email=ana)
    path = newest_link(house)
    other.get("/staff/sign-in")
    for stranger in (other, without):
        assert stranger.get(path).status == 403
        assert stranger.post(path).status == 403
        assert stranger.get("/staff").status == 303
    assert desk.post(path).status == 303


def test_a_link_ends_after_fifteen_minutes(deps: Deps):
    ana = hire(deps, "ana@example.org", "admin")
    with Client(build(deps)) as door:
        desk = Desk(door)
        desk.get("/staff/sign-in")
        desk.post("/staff/sign-in", email=ana)
        path = newest_link(deps)
        assert isinstance(deps.clock, FakeClock)
        deps.clock.skip(sign_ins.LIFE)
        assert desk.get(path).status == 410
        assert desk.post(path).status == 410


@pytest.mark.parametrize("token", ["x", "%00", "a" * 600, "WzFd.", "9" * 30])
def test_a_token_that_is_none_opens_nothing(door: Client, token: str):
    desk = Desk(door)
    assert desk.get(f"/staff/sign-in/{token}").status in (404, 410)
    assert desk.post(f"/staff/sign-in/{token}").status in (404, 410)


@pytest.mark.parametrize("purpose", ["unsubscribe", "preferences", "confirm", "form"])
def test_a_token_of_another_purpose_opens_nothing(door: Client, house: Deps, ana: str, purpose):
    desk = Desk(door)
    desk.get("/staff/sign-in")
    desk.post("/staff/sign-in", email=ana)
    number = scalar(house, "SELECT max(id) FROM sign_in")
    assert desk.post(f"/staff/sign-in/{house.signer.sign(purpose, number)}").status == 410


def test_a_session_begins_new_and_the_one_the_browser_had_ends(door: Client, house: Deps, ana: str):
    victim = Desk(door, cookies={cookies.SESSION: "fixed-by-somebody-else"})
    victim.sign_in(house, ana)
    first = victim.cookies[cookies.SESSION]
    assert first != "fixed-by-somebody-else"
    victim.sign_in(house, ana)
    assert victim.cookies[cookies.SESSION] != first
    assert Desk(door, cookies={cookies.SESSION: first}).get("/staff").status == 303
    assert Desk(door, cookies={cookies.SESSION: "fixed-by-somebody-else"}).get("/staff").status == 303


def test_only_the_hash_of_a_cookie_is_kept(door: Client, house: Deps, ana: str):
    desk = Desk(door)
    desk.get("/staff/sign-in")
    asked = desk.cookies[cookies.ASKED]
    desk.sign_in(house, ana)
    kept = scalar(house, "SELECT string_agg(t::text, ' ') FROM staff_session t")
    kept += scalar(house, "SELECT string_agg(t::text, ' ') FROM sign_in t")
    assert desk.cookies[cookies.SESSION] not in kept
    assert asked not in kept


def test_signing_out_ends_the_session_on_the_server(door: Client, house: Deps, ana: str):
    desk = Desk(door)
    desk.sign_in(house, ana)
    kept = dict(desk.cookies)
    assert desk.post("/staff/sign-out").headers["location"] == "/staff/sign-in"
    assert cookies.SESSION not in desk.cookies
    assert Desk(door, cookies=kept).get("/staff").status == 303


def test_a_session_outlives_a_restart_and_ends_after_its_time(deps: Deps):
    ana = hire(deps, "ana@example.org", "admin")
    with Client(build(deps)) as door:
        desk = Desk(door)
        desk.sign_in(deps, ana)
    with Client(build(deps)) as door:
        desk.door = door
        deps.clock.skip(sessions.LIFE - timedelta(seconds=1))
        assert desk.get("/staff").status == 200
        deps.clock.skip(timedelta(seconds=1))
        assert desk.get("/staff").status == 303
        late = desk.post("/staff/sheet", where="c:worcester")
        assert late.status == 403
        assert "Nothing was changed" in desk.page


def test_who_ends_is_out_at_once_and_so_are_the_links_on_their_way(door: Client, house: Deps, ana: str):
    inside, waiting = Desk(door), Desk(door)
    inside.sign_in(house, ana)
    waiting.get("/staff/sign-in")
    waiting.post("/staff/sign-in", email=ana)
    path = newest_link(house)
    with house.work() as (session, now):
        accounts.end(session, ana, now)
    assert inside.get("/staff").status == 303
    assert waiting.post(path).status == 410


def test_a_form_from_elsewhere_or_without_its_token_asks_for_no_link(door: Client, house: Deps, ana: str):
    before = scalar(house, "SELECT count(*) FROM sign_in")
    desk = Desk(door)
    desk.get("/staff/sign-in")
    assert desk.post("/staff/sign-in", ("sec-fetch-site", "cross-site"), email=ana).status == 403
    assert desk.post("/staff/sign-in", ("origin", "https://evil.example.org"), email=ana).status == 403
    desk.get("/staff/sign-in")
    assert desk.post("/staff/sign-in", email=ana, form="x").status == 403
    assert ana in desk.page.replace("<wbr>", "")
    other = Desk(door)
    other.get("/staff/sign-in")
    other.cookies.clear()
    assert other.post("/staff/sign-in", email=ana).status == 403
    assert scalar(house, "SELECT count(*) FROM sign_in") == before


def test_an_address_gets_few_letters_an_hour_and_the_answer_stays_the_same(door: Client, house: Deps, ana: str):
    answers = set()
    for _ in range(8):
        desk = Desk(door)
        desk.get("/staff/sign-in")
        answers.add(desk.post("/staff/sign-in", email=ana).body)
    assert len(answers) == 1
    assert scalar(house, "SELECT count(*) FROM sign_in i JOIN staff s ON s.id = staff_id WHERE email = :e", e=ana) == 5


def test_a_network_that_asks_for_many_addresses_is_told_to_wait(door: Client, house: Deps):
    house.limiter.counts.update({"sign-in network 127.0.0.0/24": 30})
    desk = Desk(door)
    desk.get("/staff/sign-in")
    answer = desk.post("/staff/sign-in", email="somebody@example.org")
    assert (answer.status, answer.headers["retry-after"]) == (429, "900")


def test_when_nothing_can_be_counted_nobody_gets_a_link(house: Deps, ana: str):
    away = replace(house, limiter=FakeLimiter(away=True))
    before = scalar(house, "SELECT count(*) FROM sign_in")
    with Client(build(away)) as door:
        desk = Desk(door)
        desk.get("/staff/sign-in")
        assert desk.post("/staff/sign-in", email=ana).status == 503
    assert scalar(house, "SELECT count(*) FROM sign_in") == before


def test_over_https_cookies_belong_to_this_host_alone(deps: Deps):
    house = replace(in_production(deps), limiter=FakeLimiter())
    ana = hire(deps, "ana@example.org", "admin")
    with Client(build(house)) as door:
        desk = Desk(door, host=house.settings.hosts[0])
        assert desk.sign_in(house, ana).status == 303
    assert len(desk.given) > 2
    for cookie in desk.given:
        assert cookie.startswith("__Host-groundswell-")
        assert "Domain" not in cookie
        for flag in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
            assert flag in cookie


def test_signing_in_and_out_is_on_the_audit_and_the_audit_only_grows(door: Client, house: Deps, ana: str):
    desk = Desk(door)
    desk.sign_in(house, ana)
    desk.post("/staff/sign-out")
    with transaction(house.sessions) as session:
        told = session.scalars(
            text("SELECT action FROM audit a JOIN staff s ON s.id = a.subject_id AND subject = 'staff'"
                 " WHERE s.email = :email ORDER BY a.id"), {"email": ana},
        ).all()  # fmt: skip
    assert told == ["staff added", "signed in", "signed out"]


def test_one_command_signs_everybody_out_and_takes_back_links_that_are_on_their_way(
    door: Client, house: Deps, ana: str
):
    bea = hire(house, f"bea.{next(_numbers)}@example.org", "viewer")
    hers, other, asking = Desk(door), Desk(door), Desk(door)
    hers.sign_in(house, ana)
    other.sign_in(house, bea)
    asking.get("/staff/sign-in")
    asking.post("/staff/sign-in", email=ana)
    link = newest_link(house)
    with house.work() as (session, now):
        assert sessions.end_all(session, now, accounts.of_address(session, bea).id) == 1
    assert (hers.get("/staff").status, other.get("/staff").headers["location"]) == (200, "/staff/sign-in")
    links = scalar(
        house, "SELECT count(*) FROM sign_in WHERE used_at IS NULL"
    )  # others of this house asked for some, too
    with house.work() as (session, now):
        assert sessions.end_all(session, now) >= 1
    assert hers.get("/staff").headers["location"] == "/staff/sign-in"
    asking.get(link)
    asking.post(link)
    assert asking.get("/staff").headers["location"] == "/staff/sign-in"
    told = "SELECT detail ->> 'links' FROM audit WHERE action = 'signed out by command' ORDER BY id DESC LIMIT 1"
    assert scalar(house, told) == str(links)
    assert links >= 1
    assert scalar(house, "SELECT count(*) FROM staff WHERE email = :email AND ended_at IS NULL", email=ana) == 1
