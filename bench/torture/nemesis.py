"""The nemesis: what goes wrong when, by the seed alone; and who does it.

Three lanes run side by side: processes, servers, providers outside; in each, one thing at a time with a pause after it. First
every kind comes once, in an order that the seed chooses; then those that do not take long come again, until the time is up
or all have come three times. The same seed makes the same timeline.
"""

import os
import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from random import Random
from time import monotonic, time

import psycopg
import redis

from bench.report import progress
from bench.torture.faults import LANES, PROCESS_FAULTS, Fault
from bench.torture.outside_faults import OUTSIDE_FAULTS
from bench.torture.server_faults import SERVER_FAULTS
from bench.torture.stage import Stage

FAULTS: Sequence[Fault] = (*PROCESS_FAULTS, *SERVER_FAULTS, *OUTSIDE_FAULTS)
MOST_TIMES = 3
LONGEST = 0.4  # a fault that takes more of a run than this is left to longer ones
PAUSES = (2.0, 4.5)  # seconds between two of one lane, at least and at most
WELL = 60.0  # seconds at the end, of a run of six minutes, in which nothing goes wrong; never less than a sixth
FIRST = 5.0


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault that will be: when (seconds after the beginning), which, and the seed of its choices."""

    at: float
    fault: Fault
    seed: int

    @property
    def ends(self) -> float:
        """When it will be healed, if all goes as planned."""
        return self.at + self.fault.seconds


@dataclass(slots=True)
class Happened:
    """One that was: what it hit, when it began and was healed (Unix time). `error`: it could not be done."""

    planned: Planned
    told: str
    began: float
    healed: float
    error: str = ""


def having() -> set[str]:
    """What this machine has for faults that need something."""
    return ({"disk"} if os.getuid() == 0 else set()) | ({"clocks"} if shutil.which("cc") else set())


def hurting(minutes: float) -> float:
    """The seconds of a run in which things go wrong."""
    return minutes * 60 - max(WELL * min(1.0, minutes / 6), minutes * 10)


def timeline(
    seed: int, minutes: float, having: Collection[str] = ("disk", "clocks"), faults: Sequence[Fault] = FAULTS
) -> list[Planned]:
    """All that will go wrong in a run of so many minutes, in the order of time. `having`: what this machine has for it."""
    chance = Random(seed)
    possible = [each for each in faults if not each.needs or each.needs in having]
    found: list[Planned] = []
    for lane in LANES:
        found += _lane([each for each in possible if each.lane == lane], hurting(minutes), Random(chance.random()))
    return sorted(found, key=lambda each: each.at)


def _lane(faults: Sequence[Fault], until: float, chance: Random) -> list[Planned]:
    """One after the other: in each turn every fault that still has room before `until`."""
    found, at = [], FIRST + chance.uniform(0, PAUSES[0])
    for turn in range(MOST_TIMES):
        for fault in chance.sample(faults, len(faults)):
            fits = at + fault.seconds <= until and fault.seconds <= LONGEST * until
            if fits and (fault.again or not turn):
                found.append(Planned(round(at, 2), fault, chance.randrange(2**31)))
                at += fault.seconds + chance.uniform(*PAUSES)
    return found


@dataclass
class Nemesis:
    """Does what a timeline says. `happened` grows as it goes."""

    stage: Stage
    planned: Sequence[Planned]
    until: float = float(
        "inf"
    )  # seconds from the beginning after which nothing begins any more: the machine may be slow
    happened: list[Happened] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin now."""
        began = monotonic()
        for lane in LANES:
            plan = [each for each in self.planned if each.fault.lane == lane]
            self._threads.append(threading.Thread(target=self._go, args=(plan, began), name=f"nemesis of {lane}"))
        for thread in self._threads:
            thread.start()

    def wait(self, until: Callable[[], bool] = lambda: False) -> None:
        """Until everything of the timeline is over, or `until()`."""
        while any(thread.is_alive() for thread in self._threads) and not until():
            self._stopping.wait(0.2)

    def stop(self) -> None:
        """Heal what hurts now, and do no more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _go(self, plan: Sequence[Planned], began: float) -> None:
        for each in plan:
            if self._stopping.wait(max(0.0, began + each.at - monotonic())):
                return
            if monotonic() - began > self.until:
                return
            self._do(each)

    def _do(self, planned: Planned) -> None:
        happened = Happened(planned, "", time(), 0.0)
        self.happened.append(happened)
        try:
            with planned.fault.hurt(self.stage, Random(planned.seed)) as told:
                happened.told = told
                progress(f"  {planned.at:6.1f} s  {planned.fault.name}" + (f": {told}" if told else ""))
                self._stopping.wait(planned.fault.seconds)
        except (OSError, RuntimeError, ValueError, psycopg.Error, redis.RedisError) as error:
            happened.error = f"{type(error).__name__}: {error}"
            progress(f"  {planned.at:6.1f} s  {planned.fault.name} could not be done: {happened.error}")
        happened.healed = time()
