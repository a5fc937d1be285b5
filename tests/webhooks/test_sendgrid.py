"""SendGrid's door: only what it signed, not long ago, is taken; and taken means stored, understood or not (C1-C3, C11)."""

import hashlib
from dataclasses import replace
from time import time
from typing import Any

import pytest
from sqlalchemy import text

from engine import bell
from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.db import transaction
from engine.settings import Settings
from tests.asgi import Answer, Client
from tests.make import raw
from tests.signing import KEY, OTHER_KEY, public, sign, signed
from webhooks.app import build
from webhooks.sendgrid import BODY_LIMIT, SIGNATURE, TIMESTAMP

PATH = "/webhooks/sendgrid"
JSON = ("content-type", "application/json")
HOURS = 3600


def body(mark: Any) -> bytes:
    return raw([{"event": "delivered", "email": "rosa@example.org", "mark": str(mark)}])


def stored(house: Deps, sent: bytes) -> list[Any]:
    with transaction(house.sessions) as session:
        key = hashlib.sha256(sent).hexdigest()
        found = session.execute(
            text("SELECT source, lane, kind, body FROM inbound_event WHERE key = :key"), {"key": key}
        )
        return [tuple(row) for row in found]


def refused(house: Deps, answer: Answer, sent: bytes, status: int = 401) -> None:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert stored(house, sent) == []


def test_what_was_signed_is_stored_byte_for_byte_in_its_own_lane_once(house: Deps, door: Client):
    sent = b'[ {"event" :"open"},\r\n 17 ]\r\n'
    for _ in range(2):
        answer = door.send("POST", PATH, signed(sent), sent)
        assert (answer.status, answer.body) == (200, b'{"status":"stored"}')
    assert stored(house, sent) == [("sendgrid", bell.FEEDBACK, "", sent)]
    assert bell.FEEDBACK in house.bells.rung


@pytest.mark.parametrize("sent", [b"[]", b"[\xff]", b"[", b"[NaN]", b"[" * 50_000, b"[\x00]"])
def test_what_was_signed_is_stored_understood_or_not(house: Deps, door: Client, sent: bytes):
    assert door.send("POST", PATH, signed(sent), sent).status == 200
    assert len(stored(house, sent)) == 1


@pytest.mark.parametrize(
    "signature",
    [
        None, "", "x", "====", "MEUCIG", "not base64 at all", "é".encode(), b"\xff\x00\x01", "A" * 100_000,
        "MAYCAQECAQE=", "MA==", pytest.param(sign(b"[]", "1600000000", OTHER_KEY), id="of another key"),
    ],
)  # fmt: skip
def test_without_a_signature_of_sendgrids_nothing_is_stored(house: Deps, door: Client, signature: Any):
    sent = body(("c1", signature))
    headers = [JSON, (TIMESTAMP, str(int(time()))), *([(SIGNATURE, signature)] if signature is not None else [])]
    refused(house, door.send("POST", PATH, headers, sent), sent)


def test_a_strangers_key_opens_nothing(house: Deps, door: Client):
    sent = body("stranger")
    refused(house, door.send("POST", PATH, signed(sent, key=OTHER_KEY), sent), sent)


def test_a_signature_fits_one_body_only(house: Deps, door: Client):
    sent, other = body("one"), body("other")
    refused(house, door.send("POST", PATH, signed(sent), other), other)
    refused(house, door.send("POST", PATH, signed(sent), sent.replace(b" ", b"")), sent.replace(b" ", b""))


@pytest.mark.parametrize(
    "timestamp",
    ["", "timestamp", "1", "170000000", "17000000000", "-170000000", "1.70000000", "1700000000 ", "0x11111111", "1e9",
     "\u0661\u0667\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0660"],
)  # fmt: skip
def test_a_time_that_is_none_opens_nothing_however_well_it_is_signed(house: Deps, door: Client, timestamp: str):
    sent = body(("c2", timestamp))
    headers = [JSON, (SIGNATURE, sign(sent, timestamp)), (TIMESTAMP, timestamp.encode())]
    refused(house, door.send("POST", PATH, headers, sent), sent)
    refused(house, door.send("POST", PATH, [JSON, (SIGNATURE, sign(sent, ""))], sent), sent)


@pytest.mark.parametrize(
    ("age", "status"),
    [(26 * HOURS, 401), (26 * HOURS - 59, 401), (26 * HOURS - 70, 200), (24 * HOURS, 200), (0, 200), (-50, 200),
     (-70, 401), (-26 * HOURS, 401), (365 * 24 * HOURS, 401)],
)  # fmt: skip
def test_a_signature_is_good_for_a_day_of_tries_and_no_longer(house: Deps, door: Client, age: int, status: int):
    sent = body(("age", age))
    assert door.send("POST", PATH, signed(sent, str(int(time()) - age)), sent).status == status
    assert len(stored(house, sent)) == (status == 200)


def test_the_border_between_time_and_body_cannot_be_moved(house: Deps, door: Client):
    at, sent = str(int(time())), body("border")
    signature = sign(sent, at)
    for shifted, rest in ((at + "[", sent[1:]), (at[:-1], at[-1:].encode() + sent), (at + sent[:5].decode(), sent[5:])):
        refused(house, door.send("POST", PATH, [JSON, (SIGNATURE, signature), (TIMESTAMP, shifted)], rest), rest)
    # Digits that were part of the body: a time of ten digits, and a body that does not begin as one.
    long = b"1234" + sent
    refused(house, door.send("POST", PATH, [JSON, (SIGNATURE, sign(long, at)), (TIMESTAMP, at)], long), long)


def test_a_body_over_two_megabytes_is_refused_and_one_of_just_two_is_not(house: Deps, door: Client):
    fits = b"[" + b" " * (BODY_LIMIT - 2) + b"]"
    assert len(fits) == 2 * 1024 * 1024
    assert door.send("POST", PATH, signed(fits), fits).status == 200
    over = fits + b" "
    refused(house, door.send("POST", PATH, signed(over), over), over, 413)


def test_only_json_posts_are_taken(house: Deps, door: Client):
    sent = body("kinds")
    assert door.send("GET", PATH).status == 405
    headers = [(name, "text/plain" if name == "content-type" else value) for name, value in signed(sent)]
    refused(house, door.send("POST", PATH, headers, sent), sent, 415)


def with_keys(house: Deps, *keys: str) -> Deps:
    return replace(house, verifier=Signatures((), keys))


def test_several_keys_are_valid_at_once_while_one_is_being_replaced(house: Deps):
    both, one = with_keys(house, public(OTHER_KEY), public(KEY)), with_keys(house, public(OTHER_KEY))
    for number, (deps, key, status) in enumerate(((both, KEY, 200), (both, OTHER_KEY, 200), (one, KEY, 401))):
        sent = body(("keys", number))
        with Client(build(deps)) as door:
            assert door.send("POST", PATH, signed(sent, key=key), sent).status == status


def test_with_no_key_at_all_everything_is_refused(house: Deps):
    sent = body("no key")
    with Client(build(with_keys(house))) as door:
        refused(house, door.send("POST", PATH, signed(sent), sent), sent)


def test_a_key_that_is_no_point_of_its_curve_opens_nothing_and_hinders_no_other(house: Deps):
    nowhere = public()[:-8] + "AAAAAAA="
    sent = body("nowhere")
    with Client(build(with_keys(house, nowhere))) as door:
        refused(house, door.send("POST", PATH, signed(sent), sent), sent)
    with Client(build(with_keys(house, nowhere, public()))) as door:
        assert door.send("POST", PATH, signed(sent), sent).status == 200


def test_the_settings_take_keys_as_sendgrid_shows_them_and_refuse_anything_else():
    both = f" {public()} , {public(OTHER_KEY)},"
    assert Settings(sendgrid_webhook_public_keys=both).sendgrid_public_keys == (public(), public(OTHER_KEY))
    assert Settings(sendgrid_webhook_public_keys="").sendgrid_public_keys == ()
    for wrong in ("nonsense", "é", public()[:-4], public() + "AAAA", f"{public()},x", "A" * 124):
        with pytest.raises(ValueError, match="SENDGRID_WEBHOOK_PUBLIC_KEYS"):
            Settings(sendgrid_webhook_public_keys=wrong)
