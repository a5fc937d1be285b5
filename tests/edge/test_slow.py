"""Slow clients, all at once: each is let go within fifteen seconds, and everybody else is served all the while."""

import resource
import selectors
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from threading import Event
from time import monotonic

import pytest

from engine.bootstrap import Deps
from tests.edge.nginx import HOST, Nginx
from tests.edge.wire import Door, Said, exchange, get, post, request, through
from tests.flows.house import rows
from tests.make import actblue_body, basic, raw

pytestmark = [pytest.mark.nginx, pytest.mark.slow]

LONGEST = 15.0
WATCHED = 18.0  # for this long at most: who is still there then was not let go
IDLE, GREETED = 1_900, 100
HEAD = f"POST /webhooks/actblue HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
SIGNED = f"{HEAD}Authorization: {basic()[1]}\r\n"


@pytest.fixture(scope="module", autouse=True)
def room() -> Iterator[None]:
    """Open files for two thousand sockets, here and in the nginx that is started from here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def dripping(door: Door, first: bytes, drop: bytes = b"x") -> tuple[float, bytes]:
    """Send the beginning, then a drop each second. Returns when the other side closed, and what it said."""
    began, heard = monotonic(), b""
    with door.opened() as sock, suppress(ssl.SSLError, OSError):
        sock.sendall(first)
        sock.settimeout(1.0)
        while monotonic() - began < WATCHED:
            with suppress(TimeoutError):
                if not (chunk := sock.recv(65536)):
                    break
                heard += chunk
                continue
            sock.sendall(drop)
    return monotonic() - began, heard


def idling(sockets: Sequence[socket.socket], began: float) -> tuple[int, float]:
    """How many of these were closed by the other side, and when the last was."""
    closed, last = 0, 0.0
    with selectors.DefaultSelector() as selector:
        for sock in sockets:
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ)
        while selector.get_map() and monotonic() - began < WATCHED:
            for key, _ in selector.select(1.0):
                if _is_closed(key.fileobj):
                    selector.unregister(key.fileobj)
                    closed, last = closed + 1, monotonic() - began
    return closed, last


def _is_closed(sock) -> bool:
    try:
        return sock.recv(65536) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True


def two_thousand(nginx: Nginx) -> tuple[int, float]:
    """Sockets that never say a word, some of them after a TLS handshake, some after a request that was answered."""
    with ExitStack() as stack:
        began = monotonic()
        doors = [Door(nginx.https, HOST)] * (IDLE - 100) + [Door(nginx.http, HOST)] * 100 + [through(nginx)] * GREETED
        sockets = [stack.enter_context(door.opened()) for door in doors]
        for sock in sockets[-GREETED // 2 :]:
            sock.sendall(f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        return idling(sockets, began)


ATTACKS: dict[str, Callable[[Nginx], tuple[float, bytes]]] = {
    "a header, a byte a second": lambda nginx: dripping(through(nginx), b"GET / HTTP/1.1\r\nX-A: "),
    "a header without TLS": lambda nginx: dripping(Door(nginx.http, HOST), b"GET / HTTP/1.1\r\nX-A: "),
    "headers, one a second": lambda nginx: dripping(through(nginx), b"GET / HTTP/1.1\r\n", b"X-A: b\r\n"),
    "a handshake, a byte a second": lambda nginx: dripping(Door(nginx.https, HOST), b"\x16\x03\x01\x02\x00", b"\x01"),
    "a body, a byte a second": lambda nginx: dripping(
        through(nginx), f"{SIGNED}Content-Length: 9999\r\n\r\n".encode(), b" "
    ),
    "a body in chunks, one a second": lambda nginx: dripping(
        through(nginx), f"{SIGNED}Transfer-Encoding: chunked\r\n\r\n".encode(), b"1\r\n \r\n"
    ),
    "a body that stops": lambda nginx: dripping(
        through(nginx), f"{SIGNED}Content-Length: 9999\r\n\r\n{{".encode(), b""
    ),
    "a body of somebody who may not come in": lambda nginx: dripping(
        through(nginx), f"{HEAD}Content-Length: 9999\r\n\r\n".encode(), b" "
    ),
    "a body for a page that takes none": lambda nginx: dripping(
        through(nginx), f"GET / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9999\r\n\r\n".encode(), b" "
    ),
}
SAID = {
    "a body, a byte a second": b"HTTP/1.1 408 ",
    "a body in chunks, one a second": b"HTTP/1.1 408 ",
    "a body of somebody who may not come in": b"HTTP/1.1 401 ",
    "a body for a page that takes none": b"HTTP/1.1 200 ",
}


class Siege:
    """All attacks at once, and the ordinary people of the meantime."""

    def __init__(self, nginx: Nginx, web: Door) -> None:
        self.nginx = nginx
        self.over = Event()
        with ThreadPoolExecutor(len(ATTACKS) + 4) as pool:
            bystander = pool.submit(self._bystander)
            idle = pool.submit(two_thousand, nginx)
            body = pool.submit(dripping, web, f"{SIGNED}Content-Length: 9999\r\n\r\n".encode(), b" ")
            header = pool.submit(dripping, web, b"GET / HTTP/1.1\r\nX-A: ")
            running: dict[str, Future[tuple[float, bytes]]] = {
                name: pool.submit(attack, nginx) for name, attack in ATTACKS.items()
            }
            self.ended = {name: future.result() for name, future in running.items()}
            self.idle = idle.result()
            self.body_alone, self.header_alone = body.result(), header.result()
            self.over.set()
            self.meanwhile = bystander.result()

    def _bystander(self) -> list[tuple[bytes, Said, Said]]:
        seen = []
        while not self.over.wait(0.5):
            body = raw(actblue_body())
            seen.append((body, post(through(self.nginx), "/webhooks/actblue", body, [basic()]), self._page()))
        return seen

    def _page(self) -> Said:
        return exchange(through(self.nginx), request("GET", "/static/style.css", HOST))


@pytest.fixture(scope="module")
def siege(nginx: Nginx, web: Door) -> Siege:
    return Siege(nginx, web)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_slow_request_is_let_go_within_fifteen_seconds(siege: Siege, name: str):
    seconds, heard = siege.ended[name]
    assert seconds < LONGEST
    assert heard.startswith(SAID.get(name, b""))


def test_two_thousand_idle_sockets_are_let_go_within_fifteen_seconds(siege: Siege):
    closed, last = siege.idle
    assert closed == IDLE + GREETED
    assert last < LONGEST


def test_everybody_else_is_served_all_the_while(siege: Siege, house: Deps):
    assert len(siege.meanwhile) >= 10
    assert {(gift.status, page.status) for _, gift, page in siege.meanwhile} == {(200, 200)}
    stored = {bytes(row.body) for row in rows(house, "SELECT body FROM inbound_event")}
    assert stored == {body for body, _, _ in siege.meanwhile}


def test_our_server_ends_a_dripping_body_by_itself(siege: Siege):
    assert siege.body_alone[1].startswith(b"HTTP/1.1 408 ")


def test_it_is_nginx_that_ends_a_dripping_header(siege: Siege):
    assert siege.header_alone[0] >= WATCHED


def test_nothing_of_it_is_a_fault_of_ours(siege: Siege):
    assert '"status":5' not in siege.nginx.log
    assert get(through(siege.nginx), "/healthz").status == 200
