"""Workers that are killed while people enter a campaign and step in it: everybody is in it once, and gets its letter once."""

import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from time import monotonic, sleep

import pytest

from engine.bootstrap import Deps
from tests import dying
from tests.campaigns import letter, people
from tests.dying import Orders
from tests.flows.house import one, rows
from tests.launches import NOON, all_turns, draft, entered, launch, leave, pressed, received, standing

STRETCH = 20
NOBODY = "http://127.0.0.1:9"  # nothing is handed over by whoever is killed


@pytest.fixture(autouse=True)
def _at_noon(deps: Deps) -> None:
    deps.clock.now = NOON


def orders(deps: Deps, **terms: object) -> Orders:
    work = partial(all_turns, stretch=STRETCH, **terms)
    return Orders(deps.settings, NOBODY, "outreach", deps.clock.now, work=work)


@pytest.mark.parametrize(("die", "after"), [("before", 0), ("before", 1), ("behind", 1), ("before", 3), ("behind", 4)])
def test_killed_before_or_behind_a_commit_it_goes_on_where_it_was(deps: Deps, die: str, after: int):
    hers = people(deps, 6 * STRETCH)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    assert dying.run(orders(deps, die=die, after=after)) == -signal.SIGKILL
    seen = one(deps, "SELECT state, cursor, enrolled FROM campaign")
    committed = after + (die == "behind") - 1  # stretches: the first turn only begins it
    assert seen.enrolled == len(entered(deps)) == max(committed, 0) * STRETCH
    end(deps)
    assert entered(deps) == hers
    assert standing(deps).enrolled == len(hers)
    assert received(deps) == hers


@pytest.mark.slow
def test_two_workers_killed_at_any_moment_and_a_relaunch_twice_at_once(deps: Deps):
    chosen = random.Random(7)
    hers = people(deps, 3_000)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    deps.clock.skip(timedelta(minutes=deps.settings.hold_minutes))
    for _ in range(8):
        running = [dying.start(orders(deps)) for _ in range(2)]
        for worker in running:
            worker.begin()
        with ThreadPoolExecutor(2) as hands:
            assert list(hands.map(partial(pressed, deps, "vote"), ["first", "other"])) == [
                False,
                "vote is already launched",
            ]
        sleep(chosen.uniform(0.1, 0.5))
        for worker in running:
            with suppress(ProcessLookupError):  # it was done already
                os.kill(worker.pid, signal.SIGKILL)
            worker.end()
    end(deps)
    assert entered(deps) == hers
    assert received(deps) == hers
    found = standing(deps)
    assert (found.state, found.enrolled, found.finished, found.left_early) == ("finished", 3_000, 3_000, 0)
    assert one(deps, "SELECT sum(composed) AS letters FROM step_tally").letters == 3_000
    assert rows(deps, "SELECT 1 FROM message WHERE state <> 'handed'") == []


def end(deps: Deps) -> None:
    """Work on until it has finished: Postgres notices after a moment only that somebody was killed, and what she held."""
    deadline = monotonic() + 10
    while standing(deps).state != "finished" and monotonic() < deadline:
        leave(deps)
