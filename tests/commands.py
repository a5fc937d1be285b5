"""The `groundswell` command in a process that stays, so that a test can give many: starting one takes seconds.

    with commands.running() as groundswell:
        groundswell.run(["letters", "list"], {"DATABASE_URL": …})

As a program it reads one command a line, and answers each with a line: its exit code, and what it said.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

from engine import cli
from engine.settings import ROOT
from tests.system import clean_environment


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Groundswell:
    """The process that runs them."""

    process: subprocess.Popen[str]

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Done:
        """One command, as a shell would give it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([*arguments]) + "\n" + json.dumps(dict(environment)) + "\n")
        self.process.stdin.flush()
        return Done(*json.loads(self.process.stdout.readline()))


@contextmanager
def running() -> Iterator[Groundswell]:
    """It ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.commands"], env=clean_environment(COLUMNS="200"), cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        yield Groundswell(process)


def _done(arguments: Sequence[str]) -> Done:
    out, err, code = StringIO(), StringIO(), 0
    sys.argv = ["groundswell", *arguments]
    with redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1 if end.code else 0
            err.write(f"{end.code}\n" if isinstance(end.code, str) else "")
    return Done(code, out.getvalue(), err.getvalue())


def main() -> None:
    """Answer until nobody asks any more."""
    for line in sys.stdin:
        os.environ.update(json.loads(sys.stdin.readline()))
        done = _done(json.loads(line))
        print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)


if __name__ == "__main__":
    main()
