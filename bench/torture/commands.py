"""The command line of `python -m bench torture`."""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import report as figures
from bench.report import Failed, progress
from bench.torture import controls, play, report
from bench.torture.without import SAFEGUARDS

MINUTES, RATE = 6.0, 60.0


def run(arguments: Sequence[str]) -> None:
    """Do what is asked. Raises Failed when anything was red."""
    parser = argparse.ArgumentParser(prog="python -m bench torture")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how long ({MINUTES:g})")
    parser.add_argument("--seed", type=int, default=1, help="of load and timeline")
    parser.add_argument("--rate", type=float, default=RATE, help=f"things that happen a second ({RATE:g})")
    parser.add_argument("--without", choices=sorted(SAFEGUARDS), help="lack this safeguard: the run must turn red")
    parser.add_argument("--controls", nargs="?", const="all", help="lack each of these (a,b; all of them) in turn")
    parser.add_argument("--kept", action="store_true", help="with --controls: provoke only, and lack nothing")
    options = parser.parse_args(arguments)
    if options.without or options.controls:
        _controls(options)
        return
    busy = figures.busy()
    keep = Path(tempfile.gettempdir()) / f"groundswell-torture-{options.seed}"
    order = play.order_of(options.seed, options.minutes, options.rate)
    progress(
        f"seed {order.seed}: {len(order.planned)} faults in {order.minutes:g} minutes (load of this machine: {busy})"
    )
    if not report.show(play.play(order, keep), keep):
        raise Failed("red")
    shutil.rmtree(keep)


def _controls(options: argparse.Namespace) -> None:
    """Without a safeguard, or without each of several. Alone, exit 1 says that it was red; of several, that one was not."""
    names = [options.without] if options.without else options.controls.split(",")
    names = list(SAFEGUARDS) if names == ["all"] else names
    if unknown := set(names) - set(SAFEGUARDS):
        raise Failed(f"no safeguard {', '.join(sorted(unknown))}; there are {', '.join(SAFEGUARDS)}")
    minutes = options.minutes if options.minutes != MINUTES else controls.MINUTES
    keep = Path(tempfile.gettempdir()) / "groundswell-torture-controls"
    right = controls.run(names, options.seed, minutes, options.rate, keep, kept=options.kept)
    if options.without and right:
        raise Failed(f"red, as it must be without {options.without}")
    if not right:
        raise Failed("a control that must be red was green" if not options.kept else "red, and nothing was lacking")
