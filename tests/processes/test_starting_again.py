"""`groundswell up` starts again whatever happened to it, wherever its folder is."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import psutil
import pytest

from engine.adapters.embedded import postgres_data
from tests.make import actblue_body, raw
from tests.system import System, free_port

pytestmark = pytest.mark.slow


def test_it_recovers_by_itself_straight_after_everything_was_killed(folder: Path):
    system = System.start(folder, free_port(), "--demo")
    system.wait_ready()
    for round_ in (2, 3):
        assert system.post(raw(actblue_body())) == 200
        for process in [*system.processes(), psutil.Process(system.process.pid)]:
            process.kill()
        system.process.wait(5)
        system = System.start(folder, free_port(), "--demo")
        system.wait_ready(round_)
    system.wait_for(lambda: len(system.mailbox()) == 2, 40, "both letters")
    assert system.query("SELECT count(*) FROM contribution") == [(2,)]
    system.end()


def test_nothing_outlives_a_supervisor_that_was_killed_and_the_next_one_recovers(folder: Path):
    system = System.start(folder, free_port(), "--demo")
    system.wait_ready()
    below = system.processes()
    psutil.Process(system.process.pid).kill()
    system.process.wait(5)
    system.wait_for(lambda: not any(process.is_running() for process in below), 15, "everything dies with it")
    again = System.start(folder, system.port, "--demo")
    again.wait_ready(2)
    again.end()


def test_a_postmaster_pid_left_by_a_reboot_is_removed_even_when_its_number_is_anothers_now(folder: Path):
    system = System.start(folder, free_port(), "--demo")
    system.wait_ready()
    pidfile = postgres_data(system.places) / "postmaster.pid"
    lines = pidfile.read_text().splitlines()
    system.end()
    stranger = subprocess.Popen(["sleep", "60"])
    pidfile.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
    again = System.start(folder, free_port(), "--demo")
    again.wait_ready(2)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()
    again.end()


def test_a_deep_folder_gets_short_sockets():
    deep = Path(tempfile.mkdtemp(prefix="groundswell ")) / ("a very long name " * 6) / "and one more"
    deep.mkdir(parents=True)
    system = System.start(deep, free_port(), "--demo")
    system.wait_ready()
    assert len(os.fsencode(system.places.sockets)) <= 80
    assert system.run("demo").returncode == 0
    system.end(signal.SIGTERM)
    system.remove()
