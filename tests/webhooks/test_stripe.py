"""Stripe's receiver: who is let in, what is stored under which key and kind (cases A1 to A24, as far as the door goes)."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from itertools import count
from time import time
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text
from structlog.testing import capture_logs

from engine import bell
from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Answer, Client
from tests.make import raw, stripe_digest, stripe_signature
from webhooks.app import build
from webhooks.stripe import BODY_LIMIT, OTHER_MODE
from webhooks.writer import MOST_WAITING, Arrival, Writer

URL = "/webhooks/stripe"
JSON = ("content-type", "application/json; charset=utf-8")
OLD, NEW = "whsec_old_" + "a1b2c3d4" * 4, "whsec_new_" + "e5f6a7b8" * 4
_numbers = count(1)


def event(**changed: Any) -> dict[str, Any]:
    return {
        "id": f"evt_test{next(_numbers):06}", "object": "event", "type": "charge.succeeded", "livemode": False,
        "data": {"object": {"id": "ch_1", "amount": 2700, "billing_details": {"email": "rosa.delgado@example.org"}}},
    } | changed  # fmt: skip


def post(door: Client, body: bytes, *headers: tuple[str, Any]) -> Answer:
    """Post it with these headers, signed unless they are signature enough."""
    signed = headers if any(name == "stripe-signature" for name, _ in headers) else (*headers, stripe_signature(body))
    return door.send("POST", URL, (JSON, *signed), body)


def everything(house: Deps) -> list[Any]:
    with transaction(house.sessions) as session:
        return list(session.execute(text("SELECT * FROM inbound_event WHERE source = 'stripe' ORDER BY id")))


def under(house: Deps, key: str) -> list[tuple[str, str, bytes]]:
    """Key, kind and body of what is kept under this key and beside it."""
    return [(row.key, row.kind, row.body) for row in everything(house) if row.key.partition("#")[0] == key]


def refused(answer: Answer, status: int = 400) -> None:
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert set(json.loads(answer.body)) == {"type", "title", "status"}


BODY = raw(event())


def unsigned() -> dict[str, tuple[tuple[str, Any], ...]]:
    """What Stripe did not sign just now. Made anew for each test: a moment ahead does not stay ahead."""
    now = int(time())
    right = stripe_digest(BODY, now)
    return {
        "A1 no header": (),
        "A2 another secret's": (stripe_signature(BODY, secret=OLD),),
        "A2 another body's": (stripe_signature(BODY + b" "),),
        "A2 cut": (("stripe-signature", f"t={now},v1={right[:-1]}"),),
        "A2 another moment's": (("stripe-signature", f"t={now - 1},v1={right}"),),
        "A3 an old scheme alone": (stripe_signature(BODY, scheme="v0"),),
        "A5 301 seconds old": (stripe_signature(BODY, ago=302),),
        "A6 a year ahead": (stripe_signature(BODY, ago=-365 * 86400),),
        "A6 two minutes ahead": (stripe_signature(BODY, ago=-120),),
        "A7 a byte that is no ASCII": (("stripe-signature", b"t=%d,v1=\xe9%s" % (now, right.encode())),),
        "A8 5,000 digits": (("stripe-signature", f"t={'9' * 5000},v1={right}"),),
        "A8 4,000 digits": (("stripe-signature", f"t={'9' * 4000},v1={right}"),),
        "A8 no moment": (("stripe-signature", f"v1={right}"),),
        "A8 no number": (("stripe-signature", f"t=abc,v1={right}"),),
        "A8 empty": (("stripe-signature", ""),),
        "A8 equal signs": (("stripe-signature", "t,v1,==,="),),
        "A8 100 KB": (("stripe-signature", f"t={now}," + "v1=00," * 17_000 + f"v1={right}"),),
        "A8 a negative moment": (("stripe-signature", f"t=-1,v1={stripe_digest(BODY, -1)}"),),
    }


@pytest.mark.parametrize("case", unsigned())
def test_what_stripe_did_not_sign_just_now_is_refused_and_leaves_nothing(door: Client, house: Deps, case: str):
    before = everything(house)
    with capture_logs() as lines:
        refused(door.send("POST", URL, (JSON, *unsigned()[case]), BODY))
    assert everything(house) == before
    assert [line["event"] for line in lines] == ["request"]
    assert "rosa" not in repr(lines)


@pytest.mark.parametrize("ago", [0, 290, -50])
def test_a_signature_of_the_last_minutes_is_taken_and_so_is_one_of_a_clock_a_little_ahead(door, house, ago):
    body = event()
    answer = post(door, raw(body), stripe_signature(raw(body), ago=ago))
    assert (answer.status, answer.body) == (200, b'{"status":"stored"}')
    assert under(house, body["id"]) == [(body["id"], "", raw(body))]


@pytest.fixture
def two_secrets(house: Deps):
    with Client(build(replace(house, verifier=Signatures((OLD, NEW))))) as client:
        yield client


@pytest.mark.parametrize(("secret", "status"), [(OLD, 200), (NEW, 200), (OLD + NEW, 400), (f"{OLD},{NEW}", 400)])
def test_two_secrets_are_valid_at_once(two_secrets: Client, house: Deps, secret: str, status: int):
    body = event()
    assert post(two_secrets, raw(body), stripe_signature(raw(body), secret=secret)).status == status
    assert len(under(house, body["id"])) == (status == 200)


def test_of_two_signatures_in_one_header_either_is_enough(door: Client, house: Deps):
    body = event()
    now = int(time())
    header = f"t={now},v1={'0' * 64},v1={stripe_digest(raw(body), now)},v0=1"
    assert [post(door, raw(body), ("stripe-signature", header)).status for _ in range(2)] == [200, 200]
    assert len(under(house, body["id"])) == 1


def test_without_a_secret_every_request_is_refused(house: Deps):
    body = event()
    with Client(build(replace(house, verifier=Signatures(())))) as door:
        refused(post(door, raw(body)))
        refused(post(door, raw(body), stripe_signature(raw(body), secret="")))
    assert under(house, body["id"]) == []


def test_a_body_that_is_no_text_is_refused_however_it_is_signed(door: Client, house: Deps):
    before = everything(house)
    refused(post(door, b'{"id": "evt_\xff\xfe"}'))
    assert everything(house) == before


NAMELESS = {
    "A10 a list": b"[]", "A10 null": b"null", "A10 words": b'"x"', "nothing": b"", "no JSON": b"{", "no id": b"{}",
    "an id that is a number": b'{"id": 1}', "an empty id": b'{"id": ""}', "an id with NUL": b'{"id": "evt_\\u0000"}',
    "an id of our own making": b'{"id": "evt_1#00"}', "half a character": b'{"id": "evt_\\ud800"}',
    "an id longer than an index entry": raw({"id": "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(99))}),
    "an id that is no ASCII": raw({"id": "evt_ü"}), "60,000 brackets": b"[" * 60_000, "NaN": b'{"id": NaN}',
}  # fmt: skip


@pytest.mark.parametrize("body", NAMELESS.values(), ids=NAMELESS)
def test_a_signed_body_without_a_usable_id_is_kept_under_its_hash(door: Client, house: Deps, body: bytes):
    assert [post(door, body).status for _ in range(2)] == [200, 200]
    key = hashlib.sha256(body).hexdigest()
    assert under(house, key) == [(key, "", body)]


def test_fifty_posts_of_one_event_at_once_are_all_answered_200_and_stored_once(deps: Deps):
    body = raw(event())
    with Client(build(deps)) as door:
        answers = door.together(*[("POST", URL, (JSON, stripe_signature(body)), body)] * 50)
    assert Counter(answer.status for answer in answers) == {200: 50}
    assert [row.body for row in everything(deps)] == [body]
    assert deps.bells.rung == [bell.INTAKE]


def beside(key: str, body: bytes) -> str:
    return f"{key}#{hashlib.sha256(body).hexdigest()}"


def test_another_body_under_the_same_id_is_kept_beside_the_first_once_and_the_bell_rings(deps: Deps):
    first, other = event(), event(type="charge.refunded")
    key = other["id"] = first["id"]
    with Client(build(deps)) as door:
        assert {post(door, raw(body)).status for body in (first, other, first, other, other)} == {200}
    assert under(deps, key) == [(key, "", raw(first)), (beside(key, raw(other)), "again", raw(other))]
    assert deps.bells.rung == [bell.INTAKE] * 2


def test_different_bodies_of_one_id_in_one_batch_are_each_kept(deps: Deps):
    bodies = [raw(event(id="evt_many", type=f"charge.{n % 4}")) for n in range(20)]
    with Client(build(deps)) as door:
        answers = door.together(*(("POST", URL, (JSON, stripe_signature(body)), body) for body in bodies))
    assert Counter(answer.status for answer in answers) == {200: 20}
    kept = under(deps, "evt_many")
    assert sorted(body for _, _, body in kept) == sorted(set(bodies))
    assert [kind for _, kind, _ in kept] == ["", "again", "again", "again"]


def test_a_body_that_was_emptied_since_is_not_taken_for_another_one(deps: Deps):
    body = event()
    with Client(build(deps)) as door:
        post(door, raw(body))
        with transaction(deps.sessions) as session:
            session.execute(text("UPDATE inbound_event SET body = ''"))
        assert post(door, raw(body)).status == 200
    assert under(deps, body["id"]) == [(body["id"], "", b"")]


MODES = [(False, ""), (True, OTHER_MODE), (None, ""), ("left out", ""), ("true", OTHER_MODE), (0, OTHER_MODE)]


@pytest.mark.parametrize(("live", "kind"), MODES, ids=repr)
def test_an_event_of_the_other_mode_is_stored_and_marked(door: Client, house: Deps, live: object, kind: str):
    body = {name: value for name, value in event(livemode=live).items() if (name, value) != ("livemode", "left out")}
    assert post(door, raw(body)).status == 200
    assert under(house, body["id"]) == [(body["id"], kind, raw(body))]


@pytest.mark.parametrize(("live", "kind"), [(True, ""), (False, OTHER_MODE), (None, "")])
def test_production_expects_live_events(house: Deps, live: object, kind: str):
    body = event(livemode=live)
    production = house.settings.model_copy(update={"env": "production"})
    with Client(build(replace(house, settings=production), ["hooks"])) as door:
        assert post(door, raw(body)).status == 200
    assert under(house, body["id"]) == [(body["id"], kind, raw(body))]


KEPT = {
    "A13 an unknown type": event(type="moon.rose"),
    "A22 a thin event": {"id": "evt_thin", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found"},
    "A23 NUL": event(metadata={"refcode": "a\0b"}),
    "A23 500 keys": event(metadata={f"key {n}": "x" * 500 for n in range(500)}),
    "A23 HTML": event(metadata={"name": "<script>alert(1)</script>"}),
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_a_signed_event_is_stored_byte_for_byte_whatever_it_says(door: Client, house: Deps, body: dict[str, Any]):
    spaced = json.dumps(body, indent=2, ensure_ascii=False).encode()
    assert post(door, spaced).status == 200
    assert under(house, body["id"]) == [(body["id"], "", spaced)]


def filled(size: int) -> bytes:
    return raw(event(padding="")).replace(b'"padding": ""', b'"padding": "%s"')[:-1].ljust(size - 1) + b"}"


@pytest.mark.parametrize(
    ("length", "chunks"),
    [((("content-length", "262145"),), (b"{}",)), ((), (b" " * 65536,) * 4 + (b"{",)), ((), (filled(BODY_LIMIT + 1),))],
    ids=["told", "in chunks", "at once"],
)
def test_one_byte_over_the_limit_is_refused(door: Client, house: Deps, length, chunks):
    before = everything(house)
    refused(door.send("POST", URL, (JSON, stripe_signature(b"".join(chunks)), *length), *chunks), 413)
    assert everything(house) == before


def test_a_body_as_long_as_the_limit_is_taken_in_pieces(door: Client, house: Deps):
    body = filled(BODY_LIMIT)
    pieces = [body[at : at + 65_000] for at in range(0, len(body), 65_000)]
    assert door.send("POST", URL, (JSON, stripe_signature(body)), *pieces).status == 200
    assert body in [row.body for row in everything(house)]


@pytest.mark.parametrize("header", [("content-encoding", "gzip"), ("content-type", "text/plain")], ids=repr)
def test_a_packed_body_and_another_type_are_refused(door: Client, house: Deps, header: tuple[str, str]):
    body = event()
    refused(door.send("POST", URL, (stripe_signature(raw(body)), header), raw(body)), 415)
    assert under(house, body["id"]) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "DELETE", "PATCH"])
def test_other_methods_are_refused(door: Client, method: str):
    answer = door.send(method, URL, (JSON, stripe_signature(BODY)), BODY)
    refused(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_while_postgres_is_away_stripe_is_asked_to_come_again_and_then_it_is_stored_once(servers, deps: Deps):
    assert deps.settings.database_url is not None
    name = sql.Identifier(deps.settings.database_url.get_secret_value().rpartition("/")[2].partition("?")[0])
    body = event()
    with (
        Client(build(deps)) as door,
        psycopg.connect(servers.database_url, dbname="postgres", autocommit=True) as admin,
    ):
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        answer = post(door, raw(body))
        refused(answer, 503)
        assert answer.headers["retry-after"].isdigit()
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
        assert [post(door, raw(body)).status for _ in range(2)] == [200, 200]
    assert under(deps, body["id"]) == [(body["id"], "", raw(body))]


class Stuck(Writer):
    """A writer that never gets to write."""

    async def _run(self) -> None:
        pass


def test_when_the_queue_is_full_the_next_sender_is_asked_to_come_again_at_once(house: Deps):
    stuck = Stuck(house)
    body = event()

    async def fill() -> None:
        for number in range(MOST_WAITING):
            stuck.accept(Arrival("stripe", f"evt_full{number}", "", bell.INTAKE, b"{}"))

    with Client(build(house, writer=stuck)) as door:
        door.run(fill)
        answer = post(door, raw(body))
    refused(answer, 503)
    assert answer.headers["retry-after"].isdigit()
    assert under(house, body["id"]) == []
