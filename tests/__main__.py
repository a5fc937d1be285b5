"""`python -m tests [--quick]`: every check, as `make test` and `make quick` run them. Exits 1 when any failed.

Tests that have a database to themselves run four at a time, each process with servers of its own; those that kill
and starve whole systems have the machine to themselves.
"""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CHECKS = {
    "ruff": (BIN / "ruff", "check", "."),
    "format": (BIN / "ruff", "format", "--check", "."),
}
CHECKS_BESIDE = {"mypy": (BIN / "mypy",), "import-linter": (BIN / "lint-imports",)}

TESTS = (
    (
        "--numprocesses=4",  # of two cores: many wait for a browser, a process, a time-out
        "--dist=loadfile",
        "--no-loadscope-reorder",  # as they stand here: what takes longest begins first, so that both end together
        "tests/processes",
        "tests/browser",
        "tests/edge",
        "tests/crash",
        "tests/flows",
        "tests/webhooks",
        "tests/engine",
        "tests/test_architecture.py",
    ),
    ("tests/alone",),
)


def main() -> int:
    """Run everything; the tests come last, so that their closing line does."""
    failed = [name for name in CHECKS if not _ok(name, *_checked(name))]
    choice = ["-m", "not slow"] if "--quick" in sys.argv[1:] else []
    with ThreadPoolExecutor(1) as beside:  # they keep one core busy, and the tests wait for much
        told = [(name, beside.submit(_checked, name)) for name in CHECKS_BESIDE]
        failed += [_named(part) for part in TESTS[:-1] if not _passed(part, choice)]
        failed += [name for name, checked in told if not _ok(name, *checked.result())]
    failed += [_named(part) for part in TESTS[-1:] if not _passed(part, choice)]
    if failed:
        print("failed:", "; ".join(failed))
    return 1 if failed else 0


def _passed(part: Sequence[str], choice: Sequence[str]) -> bool:
    """Run one part of the tests."""
    return subprocess.run([sys.executable, "-m", "pytest", *choice, *part], cwd=ROOT, check=False).returncode == 0


def _named(part: Sequence[str]) -> str:
    return "the tests of " + ", ".join(place for place in part if place.startswith("tests"))


def _checked(name: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """One check: the seconds that it took, and what it said."""
    began = monotonic()
    done = subprocess.run((CHECKS | CHECKS_BESIDE)[name], cwd=ROOT, capture_output=True, text=True, check=False)
    return monotonic() - began, done


def _ok(name: str, seconds: float, done: subprocess.CompletedProcess[str]) -> bool:
    """Say how a check ended, and all that it said when it failed."""
    print(f"{name:14} {'ok' if done.returncode == 0 else 'FAILED'} in {seconds:.1f} s", flush=True)
    if done.returncode != 0:
        print(done.stdout, done.stderr, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
