"""Negative controls: a short run without each safeguard, which must turn red; and with it, which must not."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import report as figures
from bench.report import progress
from bench.torture import nemesis, play, report
from bench.torture.nemesis import FAULTS
from bench.torture.play import Order, Played
from bench.torture.stage import Lack
from bench.torture.without import SAFEGUARDS

MINUTES, REST_SECONDS = 1.2, 50.0


def order_of(name: str, seed: int, minutes: float, rate: float, *, kept: bool) -> Order:
    """A run without this safeguard, steered to the faults that bring it out; `kept`: only what it is against is provoked."""
    safeguard = SAFEGUARDS[name]
    faults = [fault for fault in FAULTS if fault.name in safeguard.faults]
    variables = {"TORTURE_WITHOUT": name} | ({"TORTURE_KEPT": "yes"} if kept else {})
    lack = Lack(variables, safeguard.also, () if kept else safeguard.breaks)
    if not kept:
        lack = replace(lack, schema=(*safeguard.schema, *safeguard.also))
    rest = play.REST_SECONDS if kept else REST_SECONDS
    return Order(seed, minutes, rate, nemesis.timeline(seed, minutes, faults=faults), lack, rest)


def shown(name: str, done: Played) -> list[str]:
    """The invariants by which the lack of this safeguard shows, of those that are broken."""
    broken = [*done.seen, *(each.name for each in done.verdicts if not each.holds)]
    return [each for each in dict.fromkeys(broken) if each.startswith(SAFEGUARDS[name].breaks)]


def run(names: Sequence[str], seed: int, minutes: float, rate: float, keep: Path, *, kept: bool) -> bool:
    """All of these, one after the other; whether each was as it must be: red, and with `kept` green."""
    rows, well = [], True
    for name in names:
        progress(f"{'with' if kept else 'without'} {name}: {SAFEGUARDS[name].says}")
        done = play.play(order_of(name, seed, minutes, rate, kept=kept), keep / name)
        found = report.red(done) if kept else shown(name, done)
        right = bool(found) != kept
        well = well and right
        others = [line.partition(":")[0] for line in report.red(done)]
        rows.append((name, SAFEGUARDS[name].says, "RED" if found else "green", ", ".join(found or others)[:90],
                     f"{done.ended - done.began:.0f}"))  # fmt: skip
        progress(f"  {'red' if found else 'green'}: {'; '.join(report.red(done)[:6])}")
    title = (
        "safeguards that are kept, and provoked: each must be green"
        if kept
        else "without each safeguard: each must be RED"
    )
    figures.table(title, ("safeguard", "what it promises", "", "by", "seconds"), rows)
    return well
