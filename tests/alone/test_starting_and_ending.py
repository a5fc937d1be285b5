"""`groundswell up` from its start to its end, with the machine to itself: it ends within seconds."""

import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from engine.settings import ROOT
from tests.system import GROUNDSWELL, System, clean_environment, free_port

pytestmark = pytest.mark.slow


def test_it_starts_shows_a_gift_end_to_end_and_ends_within_five_seconds_leaving_nothing(folder: Path):
    system = System.start(folder, free_port(), "--demo")
    system.wait_ready()
    shown = system.run("demo")
    assert shown.returncode == 0, shown.stderr
    assert [word in shown.stdout for word in ("answered 200", "applied: $", "/dev/mailbox/1")] == [True] * 3
    assert system.run("books", "check").stdout.endswith("The books balance.\n")
    below = system.processes()
    assert len(below) > 10
    assert system.end() < 5
    assert [process for process in below if process.is_running()] == []
    assert system.process.returncode == 0


def test_a_worker_runs_alone_serves_its_numbers_and_dies_whole(system: System):
    port = free_port()
    environment = clean_environment(
        DATABASE_URL=system.places.database_url, REDIS_URL=system.places.redis_url, METRICS_PORT=str(port),
        GROUNDSWELL_DATA_DIR=str(system.data),
    )  # fmt: skip
    alone = subprocess.Popen([*GROUNDSWELL, "worker", "--group", "feedback"], env=environment, cwd=ROOT)

    def served() -> bool:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as page:
            return page.status == 200
        return False

    system.wait_for(served, 20, "the numbers of a worker alone")
    below = psutil.Process(alone.pid).children(recursive=True)
    assert len(below) == 2
    alone.kill()
    alone.wait(5)
    system.wait_for(lambda: not any(process.is_running() for process in below), 5, "its children die with it")
