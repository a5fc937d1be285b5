"""Child processes: started, started again when they die, ended with their whole process groups.

A child's own children may outlive it (Dramatiq's do): what is left of a dead child's group is killed before the next start.
The list of children is kept on disk, so that the next `up` can end what a `kill -9` of this one left behind.
"""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import psutil

POLL_SECONDS = 0.1
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
GONE_SECONDS = 5.0
STEADY_SECONDS = 10.0  # a child that lived this long starts again without a pause


@dataclass(slots=True)
class Child:
    """One process to keep alive. `before` runs before each start; `last`: ended after all others."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    user: int | None = None
    stop_with: signal.Signals = signal.SIGTERM
    last: bool = False
    before: Callable[[], None] = lambda: None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = SHORTEST_PAUSE
    start_at: float = 0.0

    def start(self) -> None:
        """Start it in a session of its own."""
        self.before()
        self.process = subprocess.Popen(
            list(self.argv),
            env=dict(self.env),
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            user=self.user,
            group=self.user,
            extra_groups=() if self.user is not None else None,
        )
        self.started = monotonic()

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def kill_group(self) -> None:
        """Kill whatever is left of it and its own children."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass(slots=True)
class Supervisor:
    """Keeps children alive until told to stop."""

    register: Path
    say: Callable[[str], None]
    children: list[Child] = field(default_factory=list)

    def add(self, child: Child) -> None:
        """Start a child and keep it from now on."""
        child.start()
        self.children.append(child)
        self._write()

    def watch(self, stopping: Callable[[], bool]) -> None:
        """Look after the children until `stopping()`."""
        while not stopping():
            self.tend()
            sleep(POLL_SECONDS)

    def tend(self) -> None:
        """One look: start again what has died, each after its pause."""
        for child in self.children:
            if child.alive():
                continue
            if child.process is not None:
                self._bury(child)
            elif monotonic() >= child.start_at:
                child.start()
                self._write()

    def stop(self, seconds: float) -> None:
        """End everything: first what works, then what it works on; by force when time is up."""
        working = [child for child in self.children if not child.last]
        self._end(working, seconds * 0.6)
        self._end([child for child in self.children if child.last], seconds * 0.4)
        self.register.unlink(missing_ok=True)

    def _bury(self, child: Child) -> None:
        code = child.process.returncode if child.process else None
        child.kill_group()
        child.pause = SHORTEST_PAUSE if monotonic() - child.started > STEADY_SECONDS else child.pause * 2
        child.start_at = monotonic() + min(child.pause, LONGEST_PAUSE) - SHORTEST_PAUSE
        child.process = None
        self.say(f"{child.name} ended ({_cause(code)}); starting it again")

    def _end(self, children: Sequence[Child], seconds: float) -> None:
        for child in children:
            if child.alive() and child.process is not None:
                child.process.send_signal(child.stop_with)
        deadline = monotonic() + seconds
        while any(child.alive() for child in children) and monotonic() < deadline:
            sleep(0.02)
        for child in children:
            child.kill_group()

    def _write(self) -> None:
        running = [child.process.pid for child in self.children if child.process is not None]
        known = [(pid, psutil.Process(pid).create_time()) for pid in running if psutil.pid_exists(pid)]
        self.register.write_text(json.dumps(known), "utf-8")


def end_leftovers(register: Path) -> int:
    """Kill what an earlier supervisor, itself killed, left behind, and see it gone. Returns how many process groups."""
    try:
        known = json.loads(register.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return 0
    ended = 0
    for pid, created in known:
        with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired, ProcessLookupError):
            process = psutil.Process(pid)
            if process.create_time() == created:
                os.killpg(pid, signal.SIGKILL)
                process.wait(GONE_SECONDS)
                ended += 1
    return ended


def remove_stale_pidfile(data: Path) -> None:
    """Remove a `postmaster.pid` whose process is gone or is no Postgres on this folder: its number may be anyone's now."""
    pidfile = data / "postmaster.pid"
    try:
        pid = int(pidfile.read_text("utf-8").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    with suppress(psutil.NoSuchProcess):
        command = psutil.Process(pid).cmdline()
        if command and Path(command[0]).name.startswith("postgres") and str(data) in command:
            return
    pidfile.unlink(missing_ok=True)


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit {code}"
