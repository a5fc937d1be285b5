"""The door itself: who may come in, how large, of what type, what is stored, what is said, when nothing can be stored."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.settings import DEVELOPMENT_CREDENTIALS, DEVELOPMENT_SECRET
from tests.asgi import Answer, Client
from tests.make import actblue_body, basic, raw
from webhooks.actblue import BODY_LIMIT
from webhooks.app import build
from webhooks.security import HEADERS
from workers import intake

URL = "/webhooks/actblue"
JSON = ("content-type", "application/json")


def post(door: Client, *chunks: bytes | None, credentials=DEVELOPMENT_CREDENTIALS, also=()) -> Answer:
    return door.send("POST", URL, (basic(credentials), JSON, *also), *chunks)


def stored(house: Deps, body: bytes) -> list[bytes]:
    """The bodies in the inbox under this body's key."""
    with transaction(house.sessions) as session:
        query = text("SELECT body FROM inbound_event WHERE source = 'actblue' AND key = :key")
        return list(session.scalars(query, {"key": hashlib.sha256(body).hexdigest()}))


def everything_stored(house: Deps) -> int:
    with transaction(house.sessions) as session:
        return session.execute(text("SELECT count(*) FROM inbound_event")).scalar_one()


def refused(answer: Answer, status: int) -> None:
    """The answer is this refusal, as a problem that says nothing but itself."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    told = json.loads(answer.body)
    assert set(told) == {"type", "title", "status"}
    assert (told["type"], told["status"]) == ("about:blank", status)


WRONG = {
    "nothing": (),
    "an empty header": (("authorization", ""),),
    "a scheme alone": (("authorization", "Basic"),),
    "another user": (basic(f"actblu:{DEVELOPMENT_SECRET}"),),
    "another password": (basic("actblue:wrong"),),
    "a password with more behind it": (basic(DEVELOPMENT_CREDENTIALS + "x"),),
    "another case": (basic(DEVELOPMENT_CREDENTIALS.upper()),),
    "no password": (basic("actblue:"),),
    "no colon": (basic("actblue"),),
    "a colon alone": (basic(":"),),
    "a bearer token": (("authorization", f"Bearer {DEVELOPMENT_SECRET}"),),
    "the right pair as a bearer token": (("authorization", basic()[1].replace("Basic", "Bearer")),),
    "no base64": (("authorization", f"Basic {DEVELOPMENT_CREDENTIALS}"),),
    "base64 with a stranger in it": (("authorization", basic()[1] + "!"),),
    "bytes that are no text": (basic(b"actblue:\xff\xfe\x00"),),
    "a header that is no ASCII": (("authorization", b"Basic \xe9\xff"),),
    "ten kilobytes": (("authorization", "Basic " + "QUFB" * 2560),),
    "the right pair behind ten kilobytes of spaces": (("authorization", "Basic" + " " * 10240 + basic()[1][6:]),),
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
def test_without_the_right_credentials_nothing_is_stored_and_the_sender_is_told_which_kind_is_asked_for(
    door: Client, house: Deps, headers
):
    body = raw(actblue_body())
    answer = door.send("POST", URL, (*headers, JSON), body)
    refused(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert stored(house, body) == []


def test_a_scheme_in_small_letters_is_the_same_scheme(door: Client, house: Deps):
    body = raw(actblue_body())
    assert door.send("POST", URL, (("authorization", basic()[1].replace("Basic", "basic")), JSON), body).status == 200
    assert stored(house, body) == [body]


@pytest.fixture
def two_pairs(house: Deps) -> Iterator[Client]:
    """A door for two credentials; the second password has colons and letters that are no ASCII."""
    both = {"actblue_webhook_credentials": SecretStr("old:first-password, new:pass:wörd:")}
    with Client(build(replace(house, settings=house.settings.model_copy(update=both)))) as client:
        yield client


@pytest.mark.parametrize(
    ("pair", "status"),
    [("old:first-password", 200), ("new:pass:wörd:", 200), ("old:pass:wörd:", 401), ("new:pass", 401),
     (DEVELOPMENT_CREDENTIALS, 401), ("old:first-password, new:pass:wörd:", 401)],
)  # fmt: skip
def test_two_credentials_are_valid_at_once_and_a_password_may_hold_colons(two_pairs: Client, house: Deps, pair, status):
    body = raw(actblue_body())
    assert post(two_pairs, body, credentials=pair).status == status
    assert stored(house, body) == ([body] if status == 200 else [])


@pytest.mark.parametrize(
    "kind",
    ["application/xml", "text/xml; charset=utf-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "text/plain", "text/json", "application/json-seq", "application/jsonx", "", "application/xml, application/json"],
)  # fmt: skip
def test_another_content_type_is_refused(door: Client, house: Deps, kind: str):
    body = raw(actblue_body())
    refused(door.send("POST", URL, (basic(), ("content-type", kind)), body), 415)
    assert stored(house, body) == []


@pytest.mark.parametrize("headers", [(), (("content-type", "Application/JSON; charset=utf-8"),), (JSON,)])
def test_json_is_taken_in_any_spelling_and_without_a_content_type(door: Client, house: Deps, headers):
    body = raw(actblue_body())
    assert door.send("POST", URL, (basic(), *headers, ("content-encoding", "identity")), body).status == 200
    assert stored(house, body) == [body]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "identity, gzip", "zstd"])
def test_no_body_is_ever_decompressed(door: Client, house: Deps, encoding: str):
    body = raw(actblue_body())
    refused(post(door, body, also=(("content-encoding", encoding),)), 415)
    assert stored(house, body) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "POSTX"])
def test_other_methods_are_refused_with_the_one_that_is_allowed(door: Client, house: Deps, method: str):
    body = raw(actblue_body())
    answer = door.send(method, URL, (basic(), JSON), body)
    refused(answer, 405)
    assert answer.headers["allow"] == "POST"
    assert stored(house, body) == []


def filled(size: int) -> bytes:
    body = raw(actblue_body())
    return body[:-1] + b" " * (size - len(body)) + b"}"


def test_a_body_as_long_as_the_limit_is_taken(door: Client, house: Deps):
    body = filled(BODY_LIMIT)
    assert BODY_LIMIT == 262_144
    assert post(door, body, also=(("content-length", str(len(body))),)).status == 200
    assert stored(house, body) == [body]


LENGTHS = {
    "told by the header alone": (((("content-length", "262145"),)), (b"{}",)),
    "told by the header and sent": (((("content-length", "262145"),)), (filled(BODY_LIMIT + 1),)),
    "sent in chunks without a length": ((), (b" " * 65536,) * 4 + (b"{",)),
    "sent in one chunk behind a shorter length": (((("content-length", "2"),)), (filled(BODY_LIMIT + 1),)),
    "told with leading zeros": (((("content-length", "000262145"),)), (b"{}",)),
}


@pytest.mark.parametrize(("length", "chunks"), LENGTHS.values(), ids=LENGTHS)
def test_one_byte_over_the_limit_is_refused_and_nothing_is_stored(door: Client, house: Deps, length, chunks):
    before = everything_stored(house)
    refused(post(door, *chunks, also=length), 413)
    assert everything_stored(house) == before


@pytest.mark.parametrize("length", [b"\xb2", b"-1", b"", b"9" * 5000], ids=["²", "-1", "nothing", "5,000 digits"])
def test_a_length_header_without_sense_breaks_nothing(door: Client, length: bytes):
    assert post(door, raw(actblue_body()), also=(("content-length", length),)).status < 500


def test_a_sender_who_hangs_up_halfway_leaves_nothing(door: Client, house: Deps):
    before = everything_stored(house)
    refused(post(door, b'{"donor": ', None), 400)
    assert everything_stored(house) == before


AS_IT_CAME = {
    "odd whitespace": b' \r\n\t{ "b" :\t1 ,\n\n "a":[ ] }\r\n ',
    "its own order of keys": b'{"z":1,"a":2,"m":{"y":1,"b":2}}',
    "bytes that are no text": b'{"name": "\xff\xfe\x80"}',
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "NUL": b'{"a": "\x00"}\x00',
    "numbers as written": b'{"amount": 10.50, "n": 1e2, "i": 007}',
    "escapes as written": b'{"a": "\\u00e9\\/\xc3\xa9"}',
    "nothing at all": b"",
}


@pytest.mark.parametrize("body", AS_IT_CAME.values(), ids=AS_IT_CAME)
def test_a_body_is_stored_byte_for_byte_however_it_was_cut(door: Client, house: Deps, body: bytes):
    assert post(door, *(body[at : at + 3] for at in range(0, len(body), 3))).status == 200
    assert stored(house, body) == [body]


def test_fifty_posts_of_one_body_at_once_are_all_answered_200_and_stored_once(deps: Deps):
    body = raw(actblue_body())
    with Client(build(deps)) as door:
        answers = door.together(*[("POST", URL, (basic(), JSON), body)] * 50)
    assert [(answer.status, answer.body) for answer in answers] == [(200, b'{"status":"stored"}')] * 50
    assert stored(deps, body) == [body]
    assert everything_stored(deps) == 1
    assert deps.bells.rung == [bell.INTAKE]


def test_fifty_bodies_at_once_are_fifty_rows(deps: Deps):
    bodies = [raw(actblue_body()) for _ in range(50)]
    with Client(build(deps)) as door:
        answers = door.together(*(("POST", URL, (basic(), JSON), body) for body in bodies))
    assert {answer.status for answer in answers} == {200}
    assert [stored(deps, body) for body in bodies] == [[body] for body in bodies]


def name_of(deps: Deps) -> str:
    assert deps.settings.database_url is not None
    return deps.settings.database_url.get_secret_value().rpartition("/")[2].partition("?")[0]


@contextmanager
def closed(servers, deps: Deps) -> Iterator[None]:
    """Its Postgres lets nobody in for a while, and everybody who is in is thrown out."""
    name = sql.Identifier(name_of(deps))
    with psycopg.connect(servers.database_url, dbname="postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        cut(admin, deps)
        yield
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def cut(admin: psycopg.Connection, deps: Deps) -> int:
    ended = admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name_of(deps)])
    return len(ended.fetchall())


def test_while_postgres_is_away_the_sender_is_asked_to_come_again_and_then_it_is_stored_once(servers, deps: Deps):
    before, during = raw(actblue_body()), raw(actblue_body())
    with Client(build(deps)) as door, capture_logs() as lines:
        assert post(door, before).status == 200
        with closed(servers, deps):
            for _ in range(2):
                answer = post(door, during)
                refused(answer, 503)
                assert answer.headers["retry-after"].isdigit()
        assert post(door, during).status == 200
        assert post(door, during).status == 200
    assert stored(deps, during) == [during]
    intake.drain(deps, bell.INTAKE)
    with transaction(deps.sessions) as session:
        assert session.execute(text("SELECT count(*) FROM contribution")).scalar_one() == 2
    assert [line["event"] for line in lines].count("the inbox cannot be written") == 2


def test_a_cut_connection_costs_the_sender_nothing(servers, deps: Deps):
    with Client(build(deps)) as door:
        assert post(door, raw(actblue_body())).status == 200
        with psycopg.connect(servers.database_url, dbname="postgres", autocommit=True) as admin:
            assert cut(admin, deps) >= 1
        body = raw(actblue_body())
        assert post(door, body).status == 200
    assert stored(deps, body) == [body]


@pytest.mark.parametrize(
    "host",
    ["evil.example.org", "127.0.0.1.evil.example.org", "127.0.0.1@evil.example.org", "evil.example.org:8000", "", "[",
     "localhost/evil", b"\xe9vil"],
)  # fmt: skip
def test_a_request_to_another_host_is_refused(door: Client, house: Deps, host):
    body = raw(actblue_body())
    assert post(door, body, also=(("host", host),)).status == 400
    assert stored(house, body) == []


ANSWERS = {
    200: ("POST", URL, (basic(), JSON), b"{}"),
    400: ("POST", URL, (basic(), JSON, ("host", "evil.example.org")), b"{}"),
    401: ("POST", URL, (JSON,), b"{}"),
    404: ("GET", "/nothing/here/rosa.delgado@example.org", ()),
    405: ("PUT", URL, (basic(), JSON), b"{}"),
    413: ("POST", URL, (basic(), JSON), filled(BODY_LIMIT + 1)),
    415: ("POST", URL, (basic(), ("content-type", "text/plain")), b"{}"),
}


@pytest.mark.parametrize(("status", "request_"), ANSWERS.items(), ids=map(str, ANSWERS))
def test_every_answer_carries_the_security_headers_and_stays_out_of_caches(door: Client, status: int, request_):
    answer = door.send(*request_)
    assert answer.status == status
    plain = answer.headers["content-type"] == "application/json"
    expected = {name: value for name, value in HEADERS.items() if not plain or name == "X-Content-Type-Options"}
    assert {name: value for name in HEADERS if (value := answer.headers.get(name.lower()))} == expected
    assert answer.headers["cache-control"] == "no-store"


# A wrong Host (400) is refused by Starlette itself, in plain text.
@pytest.mark.parametrize("status", [status for status in ANSWERS if status > 400])
def test_every_refusal_is_a_problem_document(door: Client, status: int):
    refused(door.send(*ANSWERS[status]), status)


class BrokenClock:
    """A mistake of ours, somewhere inside."""

    def read(self, session: Session) -> datetime:
        raise ZeroDivisionError("rosa.delgado@example.org divided by nought")


def test_what_nobody_foresaw_is_a_500_that_tells_nothing_and_carries_the_security_headers(house: Deps):
    with Client(build(replace(house, clock=BrokenClock()))) as door, capture_logs():
        with pytest.raises(ZeroDivisionError):
            door.send("GET", "/")
        answer = door.last
    refused(answer, 500)
    assert b"rosa" not in answer.body
    assert b"Traceback" not in answer.body
    assert {name: answer.headers.get(name.lower()) for name in HEADERS} == HEADERS
