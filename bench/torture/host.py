"""`python -m bench.torture.host FILE`: one machine of the product, a supervisor above its processes, as `up` has one.

The file is JSON: the children, each with its name, command line and variables. Killed with -9, all of its processes die with
it, as on a machine that loses its power; the next one on the same file ends what is left and starts again.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from engine.adapters.lifeline import die_with_parent
from engine.adapters.supervisor import Child, Supervisor, end_leftovers
from engine.settings import ROOT

STOP_SECONDS = 10.0
_INTO = 'exec "$@" >> "$0" 2>&1'  # a log of its own


@dataclass(frozen=True, slots=True)
class Told:
    """One process: its name, how it is started, its variables beside ours, where it writes."""

    name: str
    argv: Sequence[str]
    variables: dict[str, str]
    log: str

    @property
    def child(self) -> Child:
        """It, as a supervisor starts it."""
        environment = dict(os.environ) | self.variables
        return Child(self.name, logged(self.argv, Path(self.log)), environment, ROOT)


def logged(argv: Sequence[str], log: Path) -> tuple[str, ...]:
    """The same command, whose output goes to the end of this file; its number stays what it was."""
    return ("/bin/sh", "-c", _INTO, str(log), *argv)


def write(path: Path, children: Sequence[Told]) -> None:
    """The file of a host with these."""
    keys = ("name", "argv", "variables", "log")
    path.write_text(json.dumps([{key: getattr(each, key) for key in keys} for each in children]), "utf-8")


def main(path: Path) -> None:
    """Keep the children of this file alive until told to end."""
    asked: list[int] = []

    def note(signum: int, _: FrameType | None) -> None:
        asked.append(signum)

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, note)
    die_with_parent(signal.SIGTERM)
    register = path.with_suffix(".running")
    end_leftovers(register)
    supervisor = Supervisor(register, lambda line: print(line, flush=True))
    try:
        for each in json.loads(path.read_text("utf-8")):
            supervisor.add(Told(**each).child)
        supervisor.watch(lambda: bool(asked))
    finally:
        supervisor.stop(STOP_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
