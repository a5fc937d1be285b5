"""`/u/{token}`: links in letters that stop them. Matrix E8-E13, E15, E16."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions, transaction
from engine.people import consent
from engine.tokens import Signer
from tests.asgi import Answer, Client
from tests.fakes import FakeLimiter
from tests.flows.house import one, rows
from tests.readers import Reader, reader
from webhooks.app import build
from webhooks.subscriber.door import STRANGERS

FORM = ("content-type", "application/x-www-form-urlencoded")
MULTIPART = ("content-type", "multipart/form-data; boundary=b")
ONE_CLICK = b"List-Unsubscribe=One-Click"
TYPED = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
BODIES = {
    "as the standard says": ([FORM], ONE_CLICK),
    "in parts": ([MULTIPART], TYPED),
    "in parts that end nowhere": ([MULTIPART], b"--b\r\nContent"),
    "nothing": ([], b""),
    "a form of nothing": ([FORM], b""),
    "something else": ([FORM], b"hello=world"),
    "no text": ([FORM], b"\xff\xfe\x00"),
    "JSON": ([("content-type", "application/json")], b"{"),
    "packed": ([FORM, ("content-encoding", "gzip")], b"\x1f\x8b"),
    "more fields than anybody has": ([FORM], b"&".join(b"a=%d" % n for n in range(1000))),
    "from another site": ([FORM, ("origin", "https://evil.example.org"), ("sec-fetch-site", "cross-site")], ONE_CLICK),
    "with our button beside it": ([FORM], ONE_CLICK + b"&scope=pause"),
}


def link(deps: Deps, who: Reader) -> str:
    return f"/u/{deps.signer.sign('unsubscribe', who.contact_id, who.message_id)}"


def words(deps: Deps, contact_id: int) -> list[tuple[Any, ...]]:
    found = rows(
        deps, f"SELECT kind, given, source, place, wording FROM consent WHERE contact_id = {contact_id} ORDER BY id"
    )
    return [tuple(row) for row in found if row.source != "signup"]


def suppressed(deps: Deps, email: str) -> bool:
    with transaction(deps.sessions) as session:
        return "unsubscribe" in consent.standing(session, [email]).get(email, set())


def form_of(answer: Answer) -> str:
    found = re.search(rb'name="form" value="([^"]+)"', answer.body)
    assert found
    return found[1].decode()


def press(door: Client, path: str, scope: str, form: str) -> Answer:
    return door.send("POST", path, [FORM], urlencode({"scope": scope, "form": form}).encode())


def said_on(answer: Answer) -> str:
    return unescape(answer.body.decode())


@pytest.mark.parametrize("name", BODIES)
def test_one_click_of_a_provider_stops_everything_whatever_it_posts(door: Client, house: Deps, name):
    headers, body = BODIES[name]
    who = reader(house)
    answer = door.send("POST", link(house, who), headers, body)
    assert (answer.status, answer.body) == (200, b"")
    assert suppressed(house, who.email)
    assert words(house, who.contact_id) == [("", False, "one-click", f"message {who.message_id}", "")]
    assert one(house, f"SELECT state FROM message WHERE id = {who.message_id}").state == "cancelled"


def test_one_click_twice_is_once(door: Client, house: Deps):
    who = reader(house)
    for _ in range(3):
        assert door.send("POST", link(house, who), [FORM], ONE_CLICK).status == 200
        house.clock.skip(timedelta(hours=1))
    assert len(words(house, who.contact_id)) == 1
    assert len(rows(house, f"SELECT FROM suppression WHERE email = '{who.email}'")) == 1


def test_many_at_once_are_once(door: Client, house: Deps):
    who = reader(house)
    answers = door.together(*[("POST", link(house, who), [FORM], ONE_CLICK)] * 6)
    assert [answer.status for answer in answers] == [200] * 6
    assert len(words(house, who.contact_id)) == 1


def test_one_click_holds_even_when_postgres_ends_it_to_break_a_circle_with_a_merge(door: Client, house: Deps):
    who = reader(house)
    with ThreadPoolExecutor(1) as hands:
        with transaction(house.sessions) as merge:
            merge.execute(text("SET LOCAL deadlock_timeout = '20s'"))  # it is the other that Postgres ends
            merge.execute(text("SELECT FROM message WHERE id = :id FOR UPDATE"), {"id": who.message_id})
            clicked = hands.submit(door.send, "POST", link(house, who), [FORM], ONE_CLICK)
            while not rows(house, "SELECT FROM pg_locks WHERE NOT granted"):
                assert not clicked.done()
            merge.execute(text("SELECT FROM contact WHERE id = :id FOR UPDATE"), {"id": who.contact_id})
        assert clicked.result().status == 200
    assert suppressed(house, who.email)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_changes_nothing(door: Client, house: Deps, method):
    who = reader(house)
    answer = door.send(method, link(house, who))
    assert answer.status == 200
    assert words(house, who.contact_id) == []
    assert not suppressed(house, who.email)
    assert one(house, f"SELECT state FROM message WHERE id = {who.message_id}").state == "ready"


def test_the_page_masks_the_address_is_kept_nowhere_and_runs_nothing(door: Client, house: Deps):
    who = reader(house)
    answer = door.send("GET", link(house, who))
    assert "r•••@example.org" in said_on(answer)
    assert who.email not in said_on(answer)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert b"<script" not in answer.body
    assert b"checked" not in answer.body


@pytest.mark.parametrize(("scope", "kind", "wording"), [
    ("everything", "", "Stop all letters"), ("asks", "asks", "Stop requests for gifts"),
    ("chapter", "chapter", "Stop chapter letters"), ("fewer", "many", "Send me fewer letters"),
    ("pause", "pause", "Pause for 30 days"),
])  # fmt: skip
def test_each_button_of_the_page_does_what_it_says_and_says_what_holds(door: Client, house: Deps, scope, kind, wording):
    who = reader(house, kind="asks", chapter="worcester")
    path = link(house, who)
    shown = door.send("GET", path)
    assert wording in said_on(shown)
    answer = press(door, path, scope, form_of(shown))
    assert answer.status == 200
    assert words(house, who.contact_id) == [(kind, False, "unsubscribe page", f"message {who.message_id}", wording)]
    assert suppressed(house, who.email) == (scope == "everything")
    assert "/me/" in said_on(answer)
    assert 'role="status"' in said_on(answer)


def test_only_what_fits_the_letter_is_offered(door: Client, house: Deps):
    of_root = said_on(door.send("GET", link(house, reader(house, kind="news"))))
    receipt = said_on(door.send("GET", link(house, reader(house, kind="", chapter="worcester"))))
    assert 'value="news"' in of_root
    assert 'value="chapter"' not in of_root
    assert 'value="chapter"' in receipt
    assert not re.search(r'value="(asks|news|gatherings|actions)"', receipt)


@pytest.mark.parametrize("spoiled", ["", "nonsense", "another link's", "an old one"])
def test_a_press_without_our_form_changes_nothing_and_is_asked_for_once_more(door: Client, house: Deps, spoiled):
    who, other = reader(house), reader(house)
    form = form_of(door.send("GET", link(house, other if spoiled == "another link's" else who)))
    if spoiled == "an old one":
        house.clock.skip(timedelta(hours=2, seconds=1))
    answer = press(door, link(house, who), "everything", form if " " in spoiled else spoiled)
    assert answer.status == 403
    assert words(house, who.contact_id) == []
    assert press(door, link(house, who), "everything", form_of(answer)).status == 200
    assert suppressed(house, who.email)


def test_an_unknown_button_changes_nothing(door: Client, house: Deps):
    who = reader(house)
    form = form_of(door.send("GET", link(house, who)))
    for scope in ("", "resume", "<script>", "x" * 5000):
        assert press(door, link(house, who), scope, form).status == 403
    assert words(house, who.contact_id) == []


def test_who_stopped_everything_is_told_so(door: Client, house: Deps):
    who = reader(house)
    door.send("POST", link(house, who), [FORM], ONE_CLICK)
    answer = door.send("GET", link(house, who))
    assert answer.status == 200
    assert "You get no letters from us" in said_on(answer)


def test_an_old_letter_can_still_stop_letters_and_nothing_else(door: Client, house: Deps):
    who = reader(house)
    form = form_of(door.send("GET", link(house, who)))
    with transaction(house.sessions) as session:
        session.execute(text("UPDATE message SET created_at = created_at - interval '3 years'"))
    assert "/me/" not in said_on(door.send("GET", link(house, who)))
    assert "/me/" not in said_on(press(door, link(house, who), "everything", form))
    assert suppressed(house, who.email)


def test_a_link_signed_by_a_retired_key_works(house: Deps):
    who = reader(house)
    old = Signer(["the key of last year"])
    house = replace(house, signer=Signer(["the key of last year", "the key of today"]))
    with Client(build(house)) as rotated:
        path = f"/u/{old.sign('unsubscribe', who.contact_id, who.message_id)}"
        assert rotated.send("POST", path, [FORM], ONE_CLICK).status == 200
    assert suppressed(house, who.email)


def test_who_was_merged_is_stopped_with_her_old_address_and_her_new_one(door: Client, house: Deps):
    old, new = reader(house), reader(house)
    with transaction(house.sessions) as session:
        session.execute(text("UPDATE contact SET merged_into_id = :new WHERE id = :old"),
                        {"new": new.contact_id, "old": old.contact_id})  # fmt: skip
    assert door.send("POST", link(house, old), [FORM], ONE_CLICK).status == 200
    assert suppressed(house, old.email)
    assert suppressed(house, new.email)
    assert [word[:2] for word in words(house, new.contact_id)] == [("", False)]
    assert one(house, f"SELECT state FROM message WHERE id = {new.message_id}").state == "cancelled"


def test_of_somebody_who_was_erased_nothing_is_told_and_her_hash_stays(door: Client, house: Deps):
    who = reader(house)
    with transaction(house.sessions) as session:
        session.execute(
            text("UPDATE contact SET email = NULL, erased_at = now() WHERE id = :id"), {"id": who.contact_id}
        )
        session.execute(text("INSERT INTO erased_address (hash, reason, at) VALUES (:hash, 'erased', now())"),
                        {"hash": house.signer.hashes(who.email)[-1]})  # fmt: skip
    shown = door.send("GET", link(house, who))
    assert shown.status == 200
    assert "•" not in said_on(shown)
    assert door.send("POST", link(house, who), [FORM], ONE_CLICK).status == 200
    assert press(door, link(house, who), "everything", form_of(shown)).status == 200
    assert words(house, who.contact_id) == []
    kept = rows(house, f"SELECT FROM erased_address WHERE hash = '{house.signer.hashes(who.email)[-1]}'")
    assert len(kept) == 1


def strange(deps: Deps, who: Reader) -> dict[str, str]:
    token = link(deps, who).removeprefix("/u/")
    flipped = token[:3] + ("A" if token[3] != "A" else "B") + token[4:]
    return {
        "a flipped bit": flipped, "the end flipped": token[:-2] + ("AA" if token[-2:] != "AA" else "BB"),
        "cut": token[:-5], "longer": token + "A", "ten kilobytes": "A" * 10_240, "nothing like one": "%F0%9F%8C%BB!!",
        "a dot": ".", "made for preferences": deps.signer.sign("preferences", who.contact_id, who.message_id),
        "another house's": Signer(["another house"]).sign("unsubscribe", who.contact_id, who.message_id),
        "no ids in it": deps.signer.sign("unsubscribe", "1", "2"), "too many ids": deps.signer.sign("unsubscribe", 1, 2, 3),
        "unsigned": base64.urlsafe_b64encode(b"[1,2]").decode(), "of nobody": deps.signer.sign("unsubscribe", 10**9, 1),
    }  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_link_that_is_none_gets_a_page_that_says_so_and_changes_nothing(house: Deps, method):
    who = reader(house)
    fresh = replace(house, limiter=FakeLimiter())
    with Client(build(fresh)) as door:
        for name, token in strange(house, who).items():
            answer = door.send(method, f"/u/{token}", [FORM] if method == "POST" else [], ONE_CLICK)
            if method == "POST" and name == "of nobody":
                continue  # signed by us: nobody's letters are stopped
            assert (name, answer.status) == (name, 404)
            assert "This link does not work" in said_on(answer)
    assert words(house, who.contact_id) == []


def test_who_tries_many_links_is_told_to_wait_while_a_real_one_works(house: Deps):
    who = reader(house)
    with Client(build(replace(house, limiter=FakeLimiter()))) as door:
        statuses = [door.send("GET", f"/u/guess{n}").status for n in range(1000)]
        assert statuses == [404] * STRANGERS + [429] * (1000 - STRANGERS)
        assert int(door.last.headers["retry-after"]) > 0
        assert door.send("POST", link(house, who), [FORM], ONE_CLICK).status == 200
    assert suppressed(house, who.email)


def test_while_nobody_can_count_a_stranger_still_gets_404_and_a_real_link_works(house: Deps):
    who = reader(house)
    with Client(build(replace(house, limiter=FakeLimiter(away=True)))) as door:
        assert door.send("GET", "/u/guess").status == 404
        assert door.send("POST", link(house, who), [FORM], ONE_CLICK).status == 200
    assert suppressed(house, who.email)


def test_while_the_database_is_away_nothing_is_called_done(house: Deps):
    who = reader(house)
    away = make_pool("postgresql://127.0.0.1:9/nowhere?connect_timeout=1", size=1)
    with Client(build(replace(house, sessions=make_sessions(away)))) as door:
        for method, headers in (("POST", [FORM]), ("GET", [("accept", "text/html")])):
            answer = door.send(method, link(house, who), headers, ONE_CLICK)
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) > 0
    away.dispose()
    assert "Please try again in a minute" in said_on(answer)
    assert words(house, who.contact_id) == []


def test_a_body_that_is_too_long_is_refused(door: Client, house: Deps):
    who = reader(house)
    assert door.send("POST", link(house, who), [FORM], b"x" * 16 * 1024).status == 200
    assert door.send("POST", link(house, who), [FORM], b"x" * (16 * 1024 + 1)).status == 413


def test_the_page_speaks_her_language_and_her_browsers_where_nobody_knows_her(door: Client, house: Deps):
    who = reader(house, language="es")
    assert 'lang="es"' in said_on(door.send("GET", link(house, who), [("accept-language", "en")]))
    shown = door.send("GET", link(house, who))
    press(door, link(house, who), "everything", form_of(shown))
    assert words(house, who.contact_id)[0][4] == "No recibir más cartas"
    assert 'lang="es"' in said_on(door.send("GET", "/u/guess", [("accept-language", "es-MX,en;q=0.5")]))
