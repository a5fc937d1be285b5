"""`python -m tests [--quick]`: every check, as `make test` and `make quick` run them. Exits 1 when any failed."""

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
    tests = subprocess.run([sys.executable, "-m", "pytest", *choice], cwd=ROOT, check=False)
    if failed:
        print("failed before the tests:", ", ".join(failed))
    return 1 if failed else tests.returncode


if __name__ == "__main__":
    sys.exit(main())
