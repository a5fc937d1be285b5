"""Under load with things breaking: every 200 becomes one contribution and one letter in the mailbox file."""

import random
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic, sleep

import psutil
import pytest
import redis

from tests.make import actblue_body, raw
from tests.system import System
from workers.main import GROUPS

pytestmark = pytest.mark.slow

RATE = 20
KINDS = ("web", "intake", "feedback", "receipts", "delivery", "outreach", "pulse", "postgres", "redis")
KILLS = 20


@dataclass
class Load:
    """A steady stream of gifts; each is offered until it is answered 200, as ActBlue would. `before`: gifts from earlier."""

    system: System
    before: int = 0
    answered: list[bytes] = field(default_factory=list)
    slowest: float = 0.0
    failures: int = 0
    stopping: Event = field(default_factory=Event)

    @property
    def gifts(self) -> int:
        """All that must be booked."""
        return self.before + len(self.answered)

    def offer(self) -> None:
        body = raw(actblue_body())
        while True:
            began = monotonic()
            if self.system.post(body, timeout=10) == 200:
                self.slowest = max(self.slowest, monotonic() - began)
                self.answered.append(body)
                return
            self.failures += 1
            sleep(0.2)

    def run(self) -> None:
        with ThreadPoolExecutor(40) as pool:
            due = monotonic()
            while not self.stopping.is_set():
                pool.submit(self.offer)
                due += 1 / RATE
                sleep(max(0.0, due - monotonic()))


@contextmanager
def load(system: System) -> Iterator[Load]:
    """Gifts arrive while the block runs; at its end all that were begun have been answered."""
    running = Load(system, booked(system))
    thread = Thread(target=running.run)
    thread.start()
    try:
        yield running
    finally:
        running.stopping.set()
        thread.join(120)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """One for all that breaks here, which begins with nothing and must recover from each."""
    with System.started() as started:
        yield started


def settled(system: System, gifts: int, seconds: float) -> float:
    """Wait until that many gifts are booked and thanked for."""
    return system.wait_for(
        lambda: booked(system) == gifts and len(system.mailbox()) >= gifts, seconds, f"{gifts} gifts and letters"
    )


def booked(system: System) -> int:
    return int(system.query("SELECT count(*) FROM contribution")[0][0])


def assert_each_once(system: System, gifts: int) -> None:
    letters = Counter(letter["to_email"] for letter in system.mailbox())
    assert booked(system) == len(letters) == gifts
    assert [address for address, times in letters.items() if times != 1] == []
    assert system.run("books", "check").returncode == 0
    assert system.query("SELECT count(*) FROM inbound_event WHERE state <> 'applied'") == [(0,)]


def wire(system: System) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(system.places.sockets / "redis.sock"))


def test_the_same_body_posted_fifty_times_at_once_is_one_gift_and_one_letter(system: System):
    body = raw(actblue_body())
    with ThreadPoolExecutor(50) as pool:
        assert Counter(pool.map(system.post, [body] * 50)) == {200: 50}
    settled(system, 1, 10)
    sleep(2)
    assert_each_once(system, 1)
    assert system.query("SELECT count(*) FROM inbound_event") == [(1,)]


def test_emptying_redis_while_events_are_pending_costs_seconds(system: System):
    with load(system) as running:
        for _ in range(10):
            sleep(0.3)
            wire(system).flushall()
    assert running.failures == 0
    assert settled(system, running.gifts, 5) < 5
    assert_each_once(system, running.gifts)


def test_a_frozen_redis_delays_work_and_nothing_else(system: System):
    frozen = system.find("redis-server")
    frozen.send_signal(signal.SIGSTOP)
    with load(system) as running:
        sleep(20)
    assert running.failures == 0
    assert running.slowest < 1
    assert system.get("/readyz")[0] == 200
    frozen.send_signal(signal.SIGCONT)
    assert settled(system, running.gifts, 5) < 5
    assert_each_once(system, running.gifts)


def test_a_redis_that_restarts_while_events_are_pending_costs_seconds(system: System):
    with load(system) as running:
        for _ in range(3):
            system.find("redis-server").kill()
            sleep(2)
    assert running.failures == 0
    assert running.slowest < 1
    system.wait_for(lambda: wire(system).ping(), 5, "Redis")
    assert settled(system, running.gifts, 5) < 5
    assert_each_once(system, running.gifts)


def test_a_full_redis_fails_no_request_and_work_resumes_when_there_is_room(system: System):
    room = wire(system)
    room.config_set("maxmemory", 1)
    with load(system) as running:
        sleep(3)
    assert running.failures == 0
    room.config_set("maxmemory", 0)
    assert settled(system, running.gifts, 5) < 5
    assert_each_once(system, running.gifts)


def test_twenty_kills_of_each_kind_of_process_lose_and_double_nothing(system: System):
    chosen = random.Random(20261103)
    killed: Counter[str] = Counter()
    with load(system) as running:
        for _ in range(KILLS):
            for kind in chosen.sample(KINDS, len(KINDS)):
                sleep(chosen.uniform(0.05, 0.35))
                killed[kind] += kill(system, kind)
    assert killed == dict.fromkeys(KINDS, KILLS)
    settled(system, running.gifts, 60)
    assert len(running.answered) > 1000
    assert_each_once(system, running.gifts)


def kill(system: System, kind: str) -> int:
    """kill -9 one process of this kind; of a worker's two, Dramatiq's main and its child, either."""
    victims: list[psutil.Process] = []
    system.wait_for(lambda: bool(victims.extend(alive(system, kind)) or victims), 20, kind)
    random.choice(victims).kill()
    return 1


WORDS = {"web": "uvicorn", "pulse": "workers.pulse", "redis": "redis-server", "postgres": "pginstall/bin/postgres"}
QUEUES = {group: f"--queues {' '.join(GROUPS[group].queues)}" for group in GROUPS}


def alive(system: System, kind: str) -> list[psutil.Process]:
    """The processes of one kind that run now; of Postgres, the one that all others hang on."""
    found = []
    for process in psutil.Process(system.process.pid).children(recursive=kind in QUEUES):
        with suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if line.endswith(QUEUES[kind]) if kind in QUEUES else WORDS[kind] in line:
                found.append(process)
    return found
