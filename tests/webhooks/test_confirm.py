"""`/confirm/{token}`: her yes by letter. Matrix E5-E7."""

from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import unsubscribing
from tests.asgi import Answer, Client
from tests.fakes import FakeLimiter
from tests.flows.house import rows
from tests.readers import Reader, reader
from webhooks.app import build

FORM = ("content-type", "application/x-www-form-urlencoded")
AGAIN = b"again=yes"
_ASK = text("""
INSERT INTO confirmation (contact_id, place, wording, asked_at, expires_at)
VALUES (:id, 'join', 'Send me letters.', :now, :now + interval '7 days') RETURNING id
""")


def asked(house: Deps, words: Any = (), language: str = "en") -> tuple[Reader, str]:
    """Somebody who was asked by letter just now, and the link in it."""
    who = reader(house, words, language=language)
    with house.work() as (session, now):
        number = session.execute(_ASK, {"id": who.contact_id, "now": now}).scalar_one()
    return who, f"/confirm/{house.signer.sign('confirm', number)}"


def said(house: Deps, who: Reader) -> list[tuple[Any, ...]]:
    found = rows(
        house, f"SELECT kind, given, source, wording FROM consent WHERE contact_id = {who.contact_id} ORDER BY id"
    )
    return [tuple(row) for row in found]


def text_of(answer: Answer) -> str:
    return unescape(answer.body.decode())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_confirms_nothing(door: Client, house: Deps, method):
    who, path = asked(house)
    answer = door.send(method, path)
    assert answer.status == 200
    assert said(house, who) == []
    assert who.email not in text_of(answer)


def test_pressing_confirms_and_pressing_again_changes_nothing(door: Client, house: Deps):
    who, path = asked(house)
    assert "Was it you who signed up?" in text_of(door.send("GET", path))
    for _ in range(3):
        answer = door.send("POST", path, [FORM], b"")
        assert answer.status == 200
        assert "Thank you, you are in" in text_of(answer)
        house.clock.skip(timedelta(minutes=1))
    assert said(house, who) == [("", True, "confirm", "Send me letters.")]
    assert "Thank you, you are in" in text_of(door.send("GET", path))


def test_the_way_to_her_preferences_is_shown_to_who_confirms_and_not_to_who_finds_the_link_later(
    door: Client, house: Deps
):
    _, path = asked(house)
    assert "/me/" in text_of(door.send("POST", path))
    assert "/me/" not in text_of(door.send("POST", path)) + text_of(door.send("GET", path))


def test_after_its_time_the_link_says_so(door: Client, house: Deps):
    who, path = asked(house)
    house.clock.skip(timedelta(days=7, seconds=1))
    for method in ("GET", "POST"):
        assert door.send(method, path, [FORM], AGAIN).status == 410
    assert said(house, who) == []


def test_a_link_that_is_none_or_for_something_else_is_no_page(house: Deps):
    who, path = asked(house)
    token = path.removeprefix("/confirm/")
    sign = house.signer.sign
    with Client(build(replace(house, limiter=FakeLimiter()))) as door:
        for strange in (token[:5] + "_" + token[6:], token[:-4], "A" * 10_240, "x", sign("unsubscribe", who.contact_id, 1),
                        sign("preferences", 1, 1), sign("confirm", 10**9), sign("confirm", "1")):  # fmt: skip
            for method in ("GET", "POST"):
                assert (strange, door.send(method, f"/confirm/{strange}").status) == (strange, 404)
    assert said(house, who) == []


@pytest.mark.parametrize("before", [True, False])
def test_who_stopped_all_letters_since_is_asked_expressly(door: Client, house: Deps, before):
    who, path = asked(house)
    if before:
        door.send("POST", path)
    house.clock.skip(timedelta(hours=1))
    with house.work() as (session, now):
        unsubscribing.unsubscribe(session, who.contact_id, who.message_id, "everything", now, source="one-click")
    house.clock.skip(timedelta(hours=1))
    for method, body in (("GET", b""), ("POST", b""), ("POST", b"again=")):
        assert "Do you want our letters again?" in text_of(door.send(method, path, [FORM], body))
        assert said(house, who)[-1][:2] == ("", False)
    assert "Thank you, you are in" in text_of(door.send("POST", path, [FORM], AGAIN))
    assert said(house, who)[-1][:3] == ("", True, "confirm")
    with transaction(house.sessions) as session:
        assert unsubscribing.addressed(session, who.contact_id, who.message_id).stopped is False


def test_the_page_speaks_her_language(door: Client, house: Deps):
    _, path = asked(house, language="es")
    assert "¿Fuiste tú quien se inscribió?" in text_of(door.send("GET", path))
