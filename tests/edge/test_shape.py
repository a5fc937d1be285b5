"""What is no request, or could be read in two ways: refused on the socket, by our server alone and behind nginx."""

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from tests.edge.wire import Door, exchange, get, post, request
from tests.make import actblue_body, basic, raw
from webhooks.protocol import one_reading

HEAD = b"POST /webhooks/actblue HTTP/1.1\r\nHost: give.example.org\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: give.example.org\r\n"
BODY = raw(actblue_body())
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)
SIGNED = f"Authorization: {basic()[1]}\r\n".encode()

AMBIGUOUS = {
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\n\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + CHUNK + b"0\r\n\r\n",
    "two lengths": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "the same length twice": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": b"Content-Length: 2, 2\r\n\r\n{}",
    "a negative length": b"Content-Length: -1\r\n\r\n{}",
    "a length with a plus": b"Content-Length: +2\r\n\r\n{}",
    "a length in hexadecimal": b"Content-Length: 0x2\r\n\r\n{}",
    "a length beyond all numbers": b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "an empty length": b"Content-Length: \r\n\r\n{}",
    "a chunk without a size": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk of negative size": b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk of endless size": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before a colon": b"X-A : b\r\nContent-Length: 2\r\n\r\n{}",
    "a NUL in a header": b"X-A: b\0c\r\nContent-Length: 2\r\n\r\n{}",
}
TARGETS = {
    "version 0.9": b"GET /healthz HTTP/0.9\r\nHost: give.example.org\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "an empty host": b"GET /healthz HTTP/1.1\r\nHost: \r\n\r\n",
    "another host": b"GET /healthz HTTP/1.1\r\nHost: evil.example.org\r\n\r\n",
    "our host and another": GET + b"Host: evil.example.org\r\n\r\n",
    "our host twice": GET + b"Host: give.example.org\r\n\r\n",
    "a host behind an @": b"GET /healthz HTTP/1.1\r\nHost: give.example.org@evil.example.org\r\n\r\n",
    "a host with a path": b"GET /healthz HTTP/1.1\r\nHost: give.example.org/evil\r\n\r\n",
    "an address of another host": b"GET http://evil.example.org/healthz HTTP/1.1\r\nHost: give.example.org\r\n\r\n",
    "an address for a path": b"GET @evil.example.org HTTP/1.1\r\nHost: give.example.org\r\n\r\n",
    "no slash": b"GET healthz HTTP/1.1\r\nHost: give.example.org\r\n\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\nHost: give.example.org\r\n\r\n",
    "a tunnel": b"CONNECT evil.example.org:443 HTTP/1.1\r\nHost: give.example.org\r\n\r\n",
}


def stored(house: Deps) -> int:
    with transaction(house.sessions) as session:
        return int(session.execute(text("SELECT count(*) FROM inbound_event")).scalar_one())


@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_body_that_could_be_measured_in_two_ways_is_refused_and_the_connection_closed(door: Door, house: Deps, rest):
    before = stored(house)
    said = exchange(door, HEAD + SIGNED + rest)
    assert (said.status, said.closed) == (400, True)
    assert said.raw.count(b"HTTP/1.1 ") == 1
    assert stored(house) == before


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"xchunked", b"chunked, identity"])
def test_a_coding_of_the_transfer_that_we_do_not_speak_is_refused(door: Door, coding: bytes):
    said = exchange(door, HEAD + SIGNED + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + CHUNK + b"0\r\n\r\n")
    assert (said.status, said.closed) in ((400, True), (501, True))


@pytest.mark.parametrize("whole", TARGETS.values(), ids=TARGETS)
def test_a_request_for_somebody_else_or_for_no_path_is_refused(door: Door, whole: bytes):
    said = exchange(door, whole.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (said.status, said.closed) == (400, True)
    assert b"evil" not in said.raw


def test_a_request_of_before_there_were_headers_is_not_answered_by_the_application(door: Door):
    said = exchange(door, b"GET /healthz\r\n\r\n")
    assert said.closed
    assert b"ok\n" not in said.raw


def test_an_address_that_looks_like_another_host_is_a_path_of_ours(door: Door):
    for path in ("/@evil.example.org", "//evil.example.org/healthz"):
        assert get(door, path).status == 404


def test_a_plain_request_has_one_reading():
    host = (b"host", b"give.example.org")
    assert one_reading("1.1", b"/a?b=c", [host, (b"transfer-encoding", b"Chunked")])
    assert one_reading("1.0", b"/", [host, (b"content-length", b"2")])
    assert not one_reading("1.0", b"/", [host, (b"transfer-encoding", b"chunked")])
    assert not one_reading("2.0", b"/", [host])


TYPES = {
    "with a charset that does not exist": "multipart/form-data; boundary=x; charset=undefined",
    "with a charset that codecs choke on": "multipart/form-data; boundary=x; charset=idna",
    "without a boundary": "multipart/form-data",
    "cut off": "multipart/form-data; boundary=cut",
}


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_multipart_is_refused_unread(door: Door, house: Deps, kind: str):
    before = stored(house)
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
    sent = request("POST", "/webhooks/actblue", door.host, body, basic(), ("Content-Type", kind))
    assert exchange(door, sent[:-20] if kind.endswith("cut") else sent).status == 415
    assert stored(house) == before


def test_a_boundary_of_a_megabyte_is_refused(web: Door, house: Deps):
    before = stored(house)
    kind = ("Content-Type", "multipart/form-data; boundary=" + "x" * 1024 * 1024)
    assert post(web, "/webhooks/actblue", b"--x--", (basic(), kind)).status == 415
    assert stored(house) == before


@pytest.mark.nginx
def test_a_boundary_of_a_megabyte_does_not_pass_nginx(nginx, web: Door):
    said = post(Door(nginx.https, web.host, nginx.trusting), "/webhooks/actblue", b"--x--",
                (basic(), ("Content-Type", "multipart/form-data; boundary=" + "x" * 1024 * 1024)))  # fmt: skip
    assert (said.status, said.closed) == (431, True)


@pytest.mark.parametrize("step", [1, 2], ids=["touching", "apart"])
@pytest.mark.parametrize("count", [1_000, 10_000])
def test_thousands_of_ranges_of_one_file_cost_no_more_than_the_file(web: Door, count: int, step: int):
    ranges = ",".join(f"{at}-{at}" for at in range(0, count * step, step))
    whole = get(web, "/static/style.css")
    said = get(web, "/static/style.css", ("Range", "bytes=" + ranges))
    assert said.status in (200, 416)
    assert len(said.raw) <= 2 * len(whole.raw)
