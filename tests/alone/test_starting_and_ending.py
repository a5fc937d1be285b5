"""`groundswell up` from its start to its end, with the machine to itself: it ends within seconds."""

from pathlib import Path

import pytest

from tests.system import System, free_port

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
