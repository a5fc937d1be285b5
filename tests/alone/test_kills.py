"""Under load with processes killed: every 200 becomes one contribution and one letter in the mailbox file."""

import random
from collections import Counter
from contextlib import suppress
from time import sleep

import psutil
import psycopg
import pytest

from tests.gift_load import assert_each_once, load, settled
from tests.system import System
from workers.main import GROUPS

pytestmark = pytest.mark.slow

KINDS = ("web", "intake", "feedback", "receipts", "delivery", "outreach", "pulse", "postgres", "redis")
KILLS = 20


def test_twenty_kills_of_each_kind_of_process_lose_and_double_nothing(system: System):
    chosen = random.Random(20261103)
    killed: Counter[str] = Counter()
    with load(system) as running:
        for _ in range(KILLS):
            for kind in chosen.sample(KINDS, len(KINDS)):
                sleep(chosen.uniform(0.05, 0.35))
                killed[kind] += kill(system, kind)
    assert killed == dict.fromkeys(KINDS, KILLS)
    system.wait_for(lambda: database_answers(system), 20, "the database, which may have been the last that was killed")
    settled(system, running.gifts, 60)
    assert len(running.answered) > 1000
    assert_each_once(system, running.gifts)


def database_answers(system: System) -> bool:
    with suppress(psycopg.OperationalError):
        return bool(system.query("SELECT 1"))
    return False


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
