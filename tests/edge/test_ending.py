"""A web that was told to end: it takes no new connections, and cuts none of those that a proxy holds."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, sleep

import psutil
import pytest

from engine import command_lines
from engine.bootstrap import Deps
from engine.settings import ROOT
from tests.edge.conftest import OURS, serving, told
from tests.edge.nginx import HOST
from tests.edge.wire import Door, get, listen, post
from tests.make import actblue_body, basic, raw
from tests.system import clean_environment, free_port

GET = b"GET / HTTP/1.1\r\nHost: give.example.org\r\n\r\n"


@dataclass
class Web:
    """A process with our command line, in which nothing takes long."""

    port: int
    process: subprocess.Popen[bytes]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def refuses(self) -> bool:
        try:
            self.connect().close()
        except ConnectionRefusedError:
            return True
        return False

    def asked(self) -> socket.socket:
        """A connection on which one request was answered."""
        sock = self.connect()
        sock.sendall(GET)
        answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" not in answer
        return sock


def until(reached, seconds: float = 20) -> None:
    deadline = monotonic() + seconds
    while not reached():
        assert monotonic() < deadline
        sleep(0.02)


@pytest.fixture
def web(request: pytest.FixtureRequest) -> Iterator[Web]:
    port = free_port()
    argv = command_lines.web("127.0.0.1", port, end_seconds=request.param)
    argv = tuple("tests.edge.echo:main" if part == "webhooks.app:main" else part for part in argv)
    process = subprocess.Popen(argv, env=clean_environment(), cwd=ROOT)
    found = Web(port, process)
    with process:
        until(lambda: not found.refuses())
        yield found
        with suppress(ProcessLookupError):
            process.kill()


@pytest.mark.parametrize("web", [30], indirect=True)
def test_connections_that_stand_are_answered_once_more_and_told_that_it_was_the_last_time(web: Web):
    with web.connect() as unused, web.asked() as used:  # the second was answered, so that the first was taken, too
        web.process.terminate()
        until(web.refuses)
        sleep(0.3)  # longer than it takes to end when there is nobody
        for sock in (used, unused):
            sock.sendall(GET)
            said = listen(sock)
            assert (said.status, said.closed) == (200, True)
            assert "connection: close" in said.head
    web.process.wait(5)


@pytest.mark.parametrize("web", [4], indirect=True)
def test_a_connection_that_nobody_uses_does_not_hold_it_up_for_longer_than_it_may(web: Web):
    with web.asked() as idle:
        began = monotonic()
        web.process.terminate()
        assert listen(idle).closed
        assert monotonic() - began > 1.5
        web.process.wait(5)


@pytest.mark.parametrize("web", [2], indirect=True)
def test_where_a_person_waits_for_it_idle_connections_are_cut_at_once(web: Web):
    with web.asked() as idle:
        began = monotonic()
        web.process.terminate()
        assert listen(idle).closed
        assert monotonic() - began < 1.5
        web.process.wait(5)


def test_where_the_proxy_finds_out_by_asking_it_is_told_first_and_everybody_is_served_meanwhile(house: Deps):
    log = house.settings.data_dir / "ending.log"
    with serving(OURS, free_port(), log, **told(house), DRAIN_SECONDS="2") as port:
        door = Door(port, HOST)
        assert get(door, "/readyz").status == 200
        (process,) = [one for one in psutil.Process().children() if str(port) in one.cmdline()]
        began = monotonic()
        process.terminate()
        until(lambda: get(door, "/readyz").status == 503)
        assert get(door, "/readyz").told == {"status": "ending"}
        assert post(door, "/webhooks/actblue", raw(actblue_body()), [basic()]).status == 200
        assert process.is_running()
        psutil.wait_procs([process], 10)
        assert 2 <= monotonic() - began < 8
