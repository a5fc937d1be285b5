"""The `groundswell` command, in a process that stays for all tests of this one: starting it takes seconds.

    groundswell(deps, "letters", "list")

As a program it reads one command a line, and answers each with a line: its exit code, and what it said. Each command has the
environment that it is given and no more.
"""

import atexit
import gc
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path

from engine import cli
from engine.bootstrap import Deps
from engine.settings import ROOT
from tests.system import clean_environment


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def groundswell(deps: Deps, *arguments: str | Path, folder: Path | None = None, cwd: Path = ROOT) -> Done:
    """One command in this house, as a shell in `cwd` would give it; its folder of data is the house's own or another."""
    return run([str(argument) for argument in arguments], environment(deps, folder), cwd)


def environment(deps: Deps, folder: Path | None = None, **more: str) -> dict[str, str]:
    """The variables of a process of this house; its folder of data is the house's own or another."""
    settings = deps.settings
    assert settings.database_url is not None
    assert settings.redis_url is not None
    return clean_environment(
        DATABASE_URL=settings.database_url.get_secret_value(), REDIS_URL=settings.redis_url.get_secret_value(),
        GROUNDSWELL_DATA_DIR=str(folder or settings.data_dir), **more,
    )  # fmt: skip


def run(arguments: Sequence[str], variables: Mapping[str, str], cwd: Path = ROOT) -> Done:
    """One command in this environment, 200 columns wide unless that says otherwise."""
    process = _staying()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([[*arguments], {"COLUMNS": "200", **variables}, str(cwd)]) + "\n")
    process.stdin.flush()
    return Done(*json.loads(process.stdout.readline()))


@cache
def _staying() -> subprocess.Popen[str]:
    """The process that runs them, begun at the first; it ends with this one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.commands"], env=clean_environment(COLUMNS="200"), cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    with process:
        assert process.stdin is not None
        process.stdin.close()


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
        arguments, variables, cwd = json.loads(line)
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(cwd)
        done = _done(arguments)
        gc.collect()  # its connections, too
        print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)


if __name__ == "__main__":
    main()
