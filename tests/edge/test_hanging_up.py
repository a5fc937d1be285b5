"""Senders who hang up: before, while and after their event is committed. It is there once, whole, or not at all."""

import hashlib
import json
import socket
import struct
from time import monotonic, sleep

import psycopg
import pytest

from engine.bootstrap import Deps
from tests.edge.wire import Door, exchange, request
from tests.flows.house import one, rows, run_everything
from tests.make import actblue_body, basic, raw

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close at once, with a reset
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'groundswell inbox' AND wait_event_type = 'Lock'
"""


@pytest.fixture(params=["a goodbye", "a reset"])
def abrupt(request: pytest.FixtureRequest) -> bool:
    return request.param == "a reset"


def hang_up(sock: socket.socket, abrupt: bool) -> None:
    if abrupt:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


def until(so, what: str) -> None:
    deadline = monotonic() + 10
    while not so():
        assert monotonic() < deadline, f"never: {what}"
        sleep(0.01)


def bodies(house: Deps, body: bytes) -> list[bytes]:
    """The inbox under this body's key."""
    key = hashlib.sha256(body).hexdigest()
    return [bytes(row.body) for row in rows(house, f"SELECT body FROM inbound_event WHERE key = '{key}'")]


def whole(door: Door, body: bytes) -> bytes:
    return request("POST", "/webhooks/actblue", door.host, body, basic(), ("Content-Type", "application/json"))


def comes_again(door: Door, house: Deps, body: bytes) -> None:
    """The sender's retry is taken; after it, everything is there once: the event, the gift, its place in the books."""
    assert [exchange(door, whole(door, body)).status for _ in range(2)] == [200, 200]
    assert bodies(house, body) == [body]
    run_everything(house)
    number = json.loads(body)["lineitems"][0]["lineitemId"]
    assert one(house, f"SELECT count(*) FROM contribution WHERE source_key = '{number}'").count == 1
    assert rows(house, "SELECT 1 FROM inbound_event WHERE state <> 'applied'") == []


def test_one_who_hangs_up_in_the_middle_of_the_body_leaves_nothing(door: Door, house: Deps, abrupt):
    before = one(house, "SELECT count(*) FROM inbound_event").count
    body = raw(actblue_body())
    with door.opened() as sock:
        sock.sendall(whole(door, body)[:-100])
        sleep(0.2)  # on its way through, and being waited for
        hang_up(sock, abrupt)
    assert exchange(door, request("GET", "/healthz", door.host)).status == 200
    assert one(house, "SELECT count(*) FROM inbound_event").count == before
    comes_again(door, house, body)


def test_one_who_hangs_up_during_the_commit_is_stored_once(door: Door, house: Deps, abrupt):
    assert house.settings.database_url is not None
    body = raw(actblue_body())
    with (
        psycopg.connect(house.settings.database_url.get_secret_value().replace("+psycopg", "")) as holding,
        door.opened() as sock,
    ):
        holding.execute("LOCK TABLE inbound_event IN SHARE MODE")
        sock.sendall(whole(door, body))
        until(lambda: one(house, WAITING).count == 1, "the writer waits for the lock")
        hang_up(sock, abrupt)
    until(lambda: bodies(house, body) == [body], "stored")
    comes_again(door, house, body)


def test_one_who_hangs_up_after_the_commit_without_listening_is_stored_once(door: Door, house: Deps, abrupt):
    body = raw(actblue_body())
    with door.opened() as sock:
        sock.sendall(whole(door, body))
        until(lambda: bodies(house, body) == [body], "stored")
        hang_up(sock, abrupt)
    comes_again(door, house, body)
