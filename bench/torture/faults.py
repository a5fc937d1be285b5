"""What can go wrong with processes and clocks, and the form that every fault has.

A fault is a context: entered, it hurts and says whom; left, it heals. What follows from it is somebody else's to see.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from time import monotonic, sleep, time

import psutil

from bench.torture.stage import HOSTS, Stage

Hurt = Callable[[Stage, Random], AbstractContextManager[str]]
PROCESSES, SERVERS, OUTSIDE = "processes", "servers", "outside"  # what goes wrong side by side; of each, one at a time
LANES = (PROCESSES, SERVERS, OUTSIDE)
WORKERS = ("intake", "feedback", "receipts", "delivery", "outreach")
RESTART_SECONDS = 30.0
DAY = 86_400
FALL_BACK = datetime(2026, 11, 1, 5, 59, 55, tzinfo=UTC)  # in New York the hour after this comes twice


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind. `seconds`: how long it hurts; `again`: whether a run that has the time does it more than once; `needs`: what
    the machine must have for it ("disk", "clocks")."""

    name: str
    lane: str
    seconds: float
    hurt: Hurt
    again: bool = True
    needs: str = ""


def _place(chance: Random, *among: str) -> tuple[str, str]:
    """A host and one of its children, of these kinds."""
    found = [(host, what) for host, all_of in HOSTS.items() for what in all_of if what in among]
    host, what = chance.choice(found)
    return host, what


def _hit(processes: list[psutil.Process], how: signal.Signals) -> str:
    """Send it to all of them; how many there were."""
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(how)
    return f"{len(processes)} processes"


@contextmanager
def worker_child(stage: Stage, chance: Random) -> Iterator[str]:
    """kill -9 of a process that works, below Dramatiq's main one."""
    host, what = _place(chance, *WORKERS)
    below = stage.of_host(host, what)[1:]
    _hit(chance.sample(below, 1) if below else [], signal.SIGKILL)
    yield f"{what} on {host}"


@contextmanager
def dramatiq_main(stage: Stage, chance: Random) -> Iterator[str]:
    """kill -9 of Dramatiq's main process, above those that work."""
    host, what = _place(chance, *WORKERS)
    _hit(stage.of_host(host, what)[:1], signal.SIGKILL)
    yield f"{what} on {host}"


@contextmanager
def worker_group(stage: Stage, chance: Random) -> Iterator[str]:
    """kill -9 of a group, all at once."""
    host, what = _place(chance, *WORKERS)
    yield f"{what} on {host}, " + _hit(stage.of_host(host, what), signal.SIGKILL)


@contextmanager
def web(stage: Stage, chance: Random) -> Iterator[str]:
    """kill -9 of a web process."""
    host, what = _place(chance, "web")
    _hit(stage.of_host(host, what), signal.SIGKILL)
    yield f"on {host}"


@contextmanager
def pulse(stage: Stage, chance: Random) -> Iterator[str]:
    """kill -9 of a pulse, maybe the one that leads."""
    host, what = _place(chance, "pulse")
    _hit(stage.of_host(host, what), signal.SIGKILL)
    yield f"on {host}"


@contextmanager
def power(stage: Stage, chance: Random) -> Iterator[str]:
    """kill -9 of a supervisor: all of that host is gone at once."""
    host = chance.choice(list(HOSTS))
    pid = stage.pid(f"host {host}")
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
    yield f"host {host}"


@contextmanager
def rolling_restart(stage: Stage, chance: Random) -> Iterator[str]:
    """SIGTERM to every process of a host, one after the other, each once the one before is back."""
    host = chance.choice(list(HOSTS))
    slowest = 0.0
    for what in HOSTS[host]:
        began, old = monotonic(), stage.of_host(host, what)[:1]
        _hit(old, signal.SIGTERM)
        while (stage.of_host(host, what)[:1] or old) == old and monotonic() - began < RESTART_SECONDS:
            sleep(0.1)
        while what == "web" and not stage.web_ready(_url(stage, host)) and monotonic() - began < RESTART_SECONDS:
            sleep(0.1)
        slowest = max(slowest, monotonic() - began)
    yield f"host {host}, the slowest in {slowest:.1f} s"


def _url(stage: Stage, host: str) -> str:
    return dict(zip(HOSTS, stage.world.web_urls, strict=True))[host]


@contextmanager
def asleep(stage: Stage, chance: Random) -> Iterator[str]:
    """SIGSTOP of a group of workers: when it goes on it knows nothing of what happened meanwhile."""
    host, what = _place(chance, *WORKERS)
    stopped = stage.of_host(host, what)
    _hit(stopped, signal.SIGSTOP)
    try:
        yield f"{what} on {host}"
    finally:
        _hit(stopped, signal.SIGCONT)


def _clock(name: str, seconds: Callable[[], int]) -> Hurt:
    @contextmanager
    def wrong(stage: Stage, _: Random) -> Iterator[str]:
        clock = stage.clocks[name]
        clock.set(seconds())
        if name == "pulse":  # so that the one with the wrong clock leads
            _hit(stage.of_host("a", "pulse"), signal.SIGKILL)
        try:
            yield f"{name} on b"
        finally:
            clock.set(0)

    return wrong


PROCESS_FAULTS = (
    Fault("kill -9 of a worker's child", PROCESSES, 0, worker_child),
    Fault("kill -9 of Dramatiq's main", PROCESSES, 0, dramatiq_main),
    Fault("kill -9 of a group", PROCESSES, 0, worker_group),
    Fault("kill -9 of a web", PROCESSES, 0, web),
    Fault("kill -9 of a pulse", PROCESSES, 0, pulse),
    Fault("kill -9 of a host", PROCESSES, 0, power),
    Fault("rolling restart by SIGTERM", PROCESSES, 20, rolling_restart, again=False),
    Fault("a group asleep, 10 s", PROCESSES, 10, asleep),
    Fault("a group asleep, 90 s", PROCESSES, 90, asleep, again=False),
    Fault("delivery's clock +2 min", PROCESSES, 6, _clock("delivery", lambda: 120), again=False, needs="clocks"),
    Fault("intake's clock -2 min", PROCESSES, 6, _clock("intake", lambda: -120), again=False, needs="clocks"),
    Fault("delivery's clock -1 day", PROCESSES, 6, _clock("delivery", lambda: -DAY), again=False, needs="clocks"),
    Fault("intake's clock +1 day", PROCESSES, 6, _clock("intake", lambda: DAY), again=False, needs="clocks"),
    Fault("two pulses, one a day ahead", PROCESSES, 8, _clock("pulse", lambda: DAY), again=False, needs="clocks"),
    Fault(
        "delivery's clock at the end of summer time", PROCESSES, 10,
        _clock("delivery", lambda: int(FALL_BACK.timestamp() - time())), again=False, needs="clocks",
    ),
)  # fmt: skip
