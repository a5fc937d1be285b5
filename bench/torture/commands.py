"""The command line of `python -m bench torture`."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import report as figures
from bench.report import Failed, progress
from bench.torture import play, report

MINUTES, RATE = 6.0, 60.0


def run(arguments: Sequence[str]) -> None:
    """Do what is asked. Raises Failed when anything was red."""
    parser = argparse.ArgumentParser(prog="python -m bench torture")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how long ({MINUTES:g})")
    parser.add_argument("--seed", type=int, default=1, help="of load and timeline")
    parser.add_argument("--rate", type=float, default=RATE, help=f"things that happen a second ({RATE:g})")
    options = parser.parse_args(arguments)
    busy = figures.busy()
    keep = Path(tempfile.gettempdir()) / f"groundswell-torture-{options.seed}"
    order = play.order_of(options.seed, options.minutes, options.rate)
    progress(
        f"seed {order.seed}: {len(order.planned)} faults in {order.minutes:g} minutes (load of this machine: {busy})"
    )
    if not report.show(play.play(order, keep), keep):
        raise Failed("red")
