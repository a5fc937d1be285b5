"""A process whose side effects are numbered, and what goes wrong at one of them.

A boundary is a commit of a transaction that wrote something, a statement of the writer's, a request at the mail provider or
the payment processor, a bell. They are found by what the process itself uses: its connections and its ports. A process that
died does nothing more, whatever its code still tries: each of its connections and ports raises `Died`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Engine, event

T = TypeVar("T")
WAIT_SECONDS = 5.0


class Died(BaseException):
    """This process is gone. Nothing in the product may catch it."""


class Fault(StrEnum):
    """What happens at a boundary. Crashed behind one is crashed before the next: between them nothing is left behind."""

    NONE = "undisturbed"
    CRASH = "crashed before it"
    ERROR = "an error there"  # nothing happened, and it is said so
    TIMEOUT = "timed out after it took effect"
    SILENCE = "timed out, and nothing happened"  # only where that is not known: at a provider
    TWICE = "delivered twice"  # the other process does the same, once this effect is there
    BESIDE = "another beside it"  # and while this one holds its locks


COMMIT, WRITER, MAIL, PAY, LIST, BELL = "commit", "writer", "mail", "payments", "suppressions", "bell"
FAULTS: dict[str, tuple[Fault, ...]] = {
    COMMIT: (Fault.CRASH, Fault.ERROR, Fault.TIMEOUT, Fault.TWICE, Fault.BESIDE),
    WRITER: (Fault.CRASH, Fault.ERROR, Fault.TIMEOUT, Fault.TWICE, Fault.BESIDE),
    MAIL: (Fault.CRASH, Fault.ERROR, Fault.TIMEOUT, Fault.SILENCE, Fault.TWICE, Fault.BESIDE),
    PAY: (Fault.CRASH, Fault.ERROR, Fault.TIMEOUT, Fault.SILENCE, Fault.TWICE, Fault.BESIDE),
    LIST: (Fault.CRASH, Fault.ERROR, Fault.TIMEOUT, Fault.TWICE, Fault.BESIDE),
    BELL: (Fault.CRASH, Fault.ERROR),  # it never raises: one that fails is not heard
}


@dataclass
class Probe:
    """Numbers the side effects of one process, from 0, and breaks the one at `place`. `other`: runs the other process."""

    watch: psycopg.Connection[Any]
    place: int = -1
    fault: Fault = Fault.NONE
    other: Callable[[], None] = lambda: None
    seen: list[str] = field(default_factory=list)
    dead: bool = False
    _wires: list[Any] = field(default_factory=list)
    _beside: list[Thread] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def begin(self, place: int = -1, fault: Fault = Fault.NONE, other: Callable[[], None] = lambda: None) -> None:
        """A new process, which is to meet this."""
        self.place, self.fault, self.other = place, fault, other
        self.seen, self.dead = [], False

    def alive(self) -> None:
        """Raises Died for one that is dead."""
        if self.dead:
            raise Died

    def connected(self, wire: Any) -> None:
        self._wires = [each for each in self._wires if not each.closed]
        self._wires.append(wire)
        wire.probe = self

    def reached(self, kind: str) -> Fault:
        """The process comes to a boundary: what happens there."""
        self.alive()
        with self._lock:
            here = len(self.seen) == self.place
            self.seen.append(kind)
        if not here:
            return Fault.NONE
        if self.fault is Fault.CRASH:
            self.die()
        if self.fault is Fault.BESIDE:
            self._side_by_side()
        return self.fault

    def effect(self, kind: str, does: Callable[[], T], fails: Callable[[Fault], T]) -> T:
        """A side effect: done, or what happens instead. `fails` says or raises what the process is told."""
        fault = self.reached(kind)
        if fault in (Fault.ERROR, Fault.SILENCE):
            return fails(fault)
        done = does()
        if fault is Fault.TIMEOUT:
            return fails(fault)
        if fault is Fault.TWICE:
            self.other()
        return done

    def die(self) -> None:
        """As by `kill -9`: its connections are cut, and Postgres notices."""
        self.dead = True
        gone = [wire.pgconn.backend_pid for wire in self._wires if not wire.closed]
        for wire in self._wires:
            wire.pgconn.finish()
        self._wires.clear()
        self.until("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY(%s)", [gone])
        raise Died

    def finish(self) -> None:
        """Wait until whoever ran beside it is done."""
        for thread in self._beside:
            thread.join(WAIT_SECONDS * 4)
            assert not thread.is_alive(), "the one beside it hangs"
        self._beside.clear()

    def until(self, question: str, values: Any = ()) -> bool:
        """Wait until Postgres says yes."""
        deadline = monotonic() + WAIT_SECONDS
        while monotonic() < deadline:
            found = self.watch.execute(question, values).fetchone()
            if found and found[0]:
                return True
            sleep(0.001)
        raise AssertionError(f"never came true: {question}")

    def _side_by_side(self) -> None:
        """Start the other, and go on once it is done or waits for a lock."""
        thread = Thread(target=self.other, daemon=True)
        self._beside.append(thread)
        thread.start()
        deadline = monotonic() + WAIT_SECONDS
        waits = """SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')"""
        while thread.is_alive() and monotonic() < deadline:
            if self.watch.execute(waits).fetchone() == (True,):
                return
            thread.join(0.002)


def _cut(wire: Any) -> psycopg.OperationalError:
    wire.pgconn.finish()
    return psycopg.OperationalError("server closed the connection unexpectedly")


class Wire(psycopg.Connection[Any]):
    """A connection of such a process."""

    probe: Probe | None = None

    def cursor(self, *args: Any, **terms: Any) -> Any:
        if self.probe is not None:
            self.probe.alive()
        return super().cursor(*args, **terms)

    def rollback(self) -> None:
        if self.probe is None or not self.probe.dead:  # of who is dead Postgres has rolled it back
            super().rollback()

    def commit(self) -> None:
        if self.probe is None:
            super().commit()
            return
        self.probe.alive()
        if not self._wrote():
            super().commit()
            return

        def fails(_: Fault) -> None:
            raise _cut(self)

        self.probe.effect(COMMIT, super().commit, fails)

    def _wrote(self) -> bool:
        """Whether there is anything to commit; a lock counts."""
        if self.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
            return False
        with super().cursor() as cursor:
            found = cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()
        return bool(found and found[0])


class WriterWire(psycopg.AsyncConnection[Any]):
    """The writer's: each of its statements is a transaction."""

    probe: Probe | None = None

    async def execute(self, *args: Any, **terms: Any) -> Any:
        if self.probe is None:
            return await super().execute(*args, **terms)
        fault = self.probe.reached(WRITER)
        if fault is Fault.ERROR:
            raise _cut(self)
        done = await super().execute(*args, **terms)
        if fault is Fault.TIMEOUT:
            raise _cut(self)
        if fault is Fault.TWICE:
            self._twice(self.probe)
        return done

    @staticmethod
    def _twice(probe: Probe) -> None:
        thread = Thread(target=probe.other, daemon=True)
        thread.start()
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive(), "the other hangs"


def wired(pool: Engine, probe: Probe) -> Engine:
    """The pool of such a process."""

    @event.listens_for(pool, "do_connect")
    def _(_: Any, __: Any, args: Any, terms: Any) -> Wire:
        probe.alive()
        wire = Wire.connect(*args, **terms)
        probe.connected(wire)
        return wire

    return pool
