"""A steady stream of gifts to a whole system, and what must be so in the end: each gift once, each thanked for once."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic, sleep

import redis

from tests.make import actblue_body, raw
from tests.system import System

RATE = 20


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
