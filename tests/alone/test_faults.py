"""Under load with things breaking: every 200 becomes one contribution and one letter in the mailbox file, within seconds."""

import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest

from tests.gift_load import assert_each_once, load, settled, wire
from tests.make import actblue_body, raw
from tests.system import System

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """One for all that breaks here, which begins with nothing and must recover from each."""
    with System.started() as started:
        yield started


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
