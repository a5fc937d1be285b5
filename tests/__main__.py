"""`python -m tests [--quick]`: every check, as `make test` and `make quick` run them. Exits 1 when any failed.

Tests that have a database to themselves run four at a time, each process with servers of its own; those that kill
and starve whole systems have the machine to themselves.
"""

import subprocess
import sys
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CHECKS = (
    ("ruff", (BIN / "ruff", "check", ".")),
    ("format", (BIN / "ruff", "format", "--check", ".")),
    ("mypy", (BIN / "mypy",)),
    ("import-linter", (BIN / "lint-imports",)),
)

TESTS = (
    (
        "--numprocesses=4",  # of two cores: many wait for a browser, a process, a time-out
        "--dist=loadfile",
        "--no-loadscope-reorder",  # as they stand here: what takes longest begins first, so that both end together
        "tests/browser",
        "tests/processes",
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
    failed = []
    for name, command in CHECKS:
        began = monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"{name:14} {'ok' if done.returncode == 0 else 'FAILED'} in {monotonic() - began:.1f} s", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print(done.stdout, done.stderr, flush=True)
    choice = ["-m", "not slow"] if "--quick" in sys.argv[1:] else []
    for part in TESTS:
        done = subprocess.run([sys.executable, "-m", "pytest", *choice, *part], cwd=ROOT, check=False)
        if done.returncode != 0:
            failed.append("the tests of " + ", ".join(place for place in part if place.startswith("tests")))
    if failed:
        print("failed:", "; ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
