"""What a torture run says in the end: the timeline and each recovery, answers, what was counted, red or green."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench import report
from bench.torture.invariants import Verdict
from bench.torture.journal import Answered
from bench.torture.nemesis import FAULTS, Happened
from bench.torture.play import Played

MOST_MB = 400.0  # of one process
RECOVERS_SECONDS = 30.0  # from any loss of Redis
AFTER_SECONDS = 2.0  # an answer that came so soon after a healing still belongs to its fault


def red(done: Played) -> list[str]:
    """What makes this run a red one, a line each; empty: it is green."""
    found = [
        f"{name}: not so {at - done.began:.0f} s after the beginning: {_examples(verdict)}"
        for name, (at, verdict) in done.seen.items()
    ]
    if done.cut_short:
        return found
    found += [f"{each.name}: {each.broken} times: {_examples(each)}" for each in done.verdicts if not each.holds]
    if not done.drained:
        found.append("the load could not be stopped: something that it sent was never taken")
    if done.rested is None:
        found.append("L1: two minutes after the last healing something that could be done was not")
    found += [
        f"I20 memory: a process of {what} held {most:.0f} MB" for what, most in done.largest.items() if most > MOST_MB
    ]
    return [*found, *_not_recovered(done)]


def _not_recovered(done: Played) -> Iterator[str]:
    for each, seconds in zip(done.happened, done.recoveries, strict=True):
        name = each.planned.fault.name
        if each.error:
            yield f"{name} was not done: {each.error}"
        if seconds is None:
            yield f"L3: nothing recovered within the run from: {name}"
        elif seconds > RECOVERS_SECONDS and name.startswith("Redis"):
            yield f"L3: it took {seconds:.0f} s to recover from: {name}"


def show(done: Played, kept: Path) -> bool:
    """Print it; whether it was green."""
    _timeline(done)
    _answers(done)
    _verdicts(done)
    _figures(done)
    lines = red(done)
    print("RED" if lines else "GREEN", f"seed {done.order.seed}, {done.order.minutes:g} minutes")
    for line in lines:
        print(f"  {line}")
    if lines:
        print(f"  what it left is kept in {kept}")
    return not lines


def _timeline(done: Played) -> None:
    rows = [
        (each.planned.fault.name, f"{each.began - done.began:.1f}", f"{each.healed - each.began:.1f}",
         "-" if seconds is None else f"{seconds:.1f}", each.error or each.told)
        for each, seconds in sorted(zip(done.happened, done.recoveries, strict=True), key=lambda one: one[0].began)
    ]  # fmt: skip
    title = f"seed {done.order.seed}: what went wrong, seconds"
    report.table(title, ("fault", "at", "for", "recovered after", "hit"), rows)
    worst: dict[str, list[float]] = {}
    for each, seconds in zip(done.happened, done.recoveries, strict=True):
        worst.setdefault(each.planned.fault.name, []).append(float("inf") if seconds is None else seconds)
    slowest = sorted(((max(found), name, len(found)) for name, found in worst.items()), reverse=True)
    report.table(
        "the slowest recoveries, seconds from healing until nothing waited for long", ("fault", "times", "slowest"),
        [(name, str(times), f"{seconds:.1f}") for seconds, name, times in slowest[:10]],
    )  # fmt: skip
    if left_out := sorted({each.name for each in FAULTS} - set(worst)):
        print(f"not tried in this run: {', '.join(left_out)}")


def during(answers: Sequence[Answered], happened: Sequence[Happened]) -> tuple[list[Answered], list[Answered]]:
    """The answers that came while something was wrong, and the others."""
    spans = [(each.began, each.healed + AFTER_SECONDS) for each in happened]
    ill = [each for each in answers if any(began <= each.at <= healed for began, healed in spans)]
    chosen = set(map(id, ill))
    return ill, [each for each in answers if id(each) not in chosen]


def _answers(done: Played) -> None:
    ill, well = during(done.answers, done.happened)
    rows = []
    for name, found in (("while something was wrong", ill), ("while all was well", well)):
        taken = [each.milliseconds for each in found if 200 <= each.status < 400]
        codes = Counter(each.status for each in found)
        others = " ".join(f"{code}: {times}" for code, times in sorted(codes.items()) if not 200 <= code < 400)
        rows.append((name, str(len(found)), _at(taken, 50), _at(taken, 99), _at(taken, 100), others))
    columns = ("answers", "tries", "p50 ms", "p99 ms", "slowest ms", "others (0: none came)")
    report.table("answers 2xx and 3xx", columns, rows)


def _at(milliseconds: Sequence[float], percent: float) -> str:
    return f"{report.percentile(milliseconds, percent):.0f}" if milliseconds else "-"


def _examples(verdict: Verdict) -> str:
    return "; ".join(verdict.examples[:3])


def _verdicts(done: Played) -> None:
    if done.verdicts:
        rows = [(f"{each.name}: {each.says}", str(each.broken) if each.broken else "-") for each in done.verdicts]
        report.table("what must hold", ("invariant", "broken"), rows)


def _figures(done: Played) -> None:
    figures: Mapping[str, object] = {
        "seed": done.order.seed, "minutes": done.order.minutes, "rate": done.order.rate, "acked": done.events,
        "letters": done.letters, "faults": len(done.happened),
        "rested_after": None if done.rested is None else round(done.rested, 1),
        "without_database": round(done.without_database, 1), "largest_mb": {k: round(v) for k, v in done.largest.items()},
    }  # fmt: skip
    print(json.dumps({"bench": "torture", "figures": figures}), flush=True)
