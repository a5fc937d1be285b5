"""Watching a world while it is tortured: its backlog twice a second, what its processes hold in memory, the cheap invariants.

The backlog is what could be done at once and is not: events that are due in the inbox, and receipts that nothing holds back.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any

import psutil
import psycopg

from bench.torture.stage import HOSTS, Stage
from engine.mail.holds import HELD

EACH_SECONDS, MEMORY_SECONDS = 0.5, 4.0
NORMAL_SECONDS = 5.0  # what is due for less is no backlog: the pulse comes once a second, and two cores are few

_HELD_NOW = HELD.replace(":now", "now()").replace(":lane", "'receipts'")
_BACKLOG = f"""
SELECT coalesce(sum(n), 0)::bigint, coalesce(max(age), 0)::float FROM (
    SELECT count(*) AS n, extract(epoch FROM now() - min(due_at)) AS age FROM inbound_event
        WHERE state = 'pending' AND due_at <= now()
    UNION ALL
    SELECT count(*), extract(epoch FROM now() - min(due_at)) FROM message
        WHERE state = 'ready' AND lane = 'receipts' AND due_at <= now() AND NOT ({_HELD_NOW})
) due
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: when (Unix time), how many rows are due, for how long the oldest. None: Postgres did not answer."""

    at: float
    rows: int | None
    oldest: float

    @property
    def normal(self) -> bool:
        """Whether nothing waits for long."""
        return self.rows is not None and self.oldest < NORMAL_SECONDS


@dataclass
class Watch:
    """Looks at a stage until it is stopped. `largest`: the most that a process of each kind held, MB."""

    stage: Stage
    check: Callable[[], None] = lambda: None
    each: float = 5.0  # seconds between two checks
    samples: list[Sample] = field(default_factory=list)
    largest: dict[str, float] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        for work in (self._backlog, self._check, self._memory):
            self._threads.append(threading.Thread(target=work, name=f"watch{work.__name__}"))
            self._threads[-1].start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def recovered(self, healed: float, until: float) -> float | None:
        """Seconds from a healing until nothing waited for long; None: not before `until` (Unix time)."""
        for sample in self.samples:
            if sample.at >= healed and sample.normal:
                return sample.at - healed
            if sample.at > until:
                return None
        return None

    def quiet(self) -> bool:
        """Whether nothing waits now."""
        return bool(self.samples) and self.samples[-1].rows == 0

    def _backlog(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not self._stopping.wait(EACH_SECONDS):
            try:
                connection = connection or _connected(self.stage)
                rows, oldest = connection.execute(_BACKLOG).fetchone() or (0, 0.0)
                self.samples.append(Sample(time(), rows, oldest))
            except psycopg.Error:
                self.samples.append(Sample(time(), None, 0.0))
                if connection is not None:
                    with suppress(psycopg.Error):
                        connection.close()
                connection = None

    def _check(self) -> None:
        due = monotonic()
        while not self._stopping.wait(max(0.1, due - monotonic())):
            due = monotonic() + self.each
            self.check()

    def _memory(self) -> None:
        while not self._stopping.wait(MEMORY_SECONDS):
            for what, held in held_now(self.stage):
                self.largest[what] = max(held, self.largest.get(what, 0.0))


def _connected(stage: Stage) -> psycopg.Connection[Any]:
    connection = stage.database(1)
    connection.execute("SET statement_timeout = '5s'")
    return connection


def held_now(stage: Stage) -> Sequence[tuple[str, float]]:
    """What the largest process of each child of the hosts holds, MB."""
    found = []
    for host, all_of in HOSTS.items():
        for what in all_of:
            held = [0.0]
            for process in stage.of_host(host, what):
                with suppress(psutil.Error):
                    held.append(process.memory_info().rss / 1e6)
            found.append((what, max(held)))
    return found
