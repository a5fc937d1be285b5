"""`python -m bench delivery`: a campaign handed over to a provider that takes everything at once.

A million people with three gifts and three older letters each, a yes to letters, caps of a day and a week, and the goal of
the ask looked at for each; a letter of 19 kB with eleven fields and a ladder; twenty senders. Postgres is as durable as in
production. Each contestant is one process of its own and hands over letters of the same campaign in turns:

- **ours**: claim with the last look, render, POST, record, by the product's own worker function.
- **ceiling**: rendering, JSON and POST alone, of letters that are in memory already.
- **one each**: claimed as ours, but one request with a whole letter for each recipient.
- **tasks**: what one would write first: for each contact a task with an ORM, Jinja, SendGrid's own package and a commit.

Then ours hands over all that is left, while its memory is looked at.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench import audience, report, running
from bench.handing import Taken
from bench.report import Failed, progress
from engine import demo_organisation
from engine.db import make_pool, make_sessions, transaction
from engine.settings import ROOT

PEOPLE = 1_000_000
# Letters of each contestant in each round.
SHARE: Mapping[str, int] = {"ours": 120_000, "ceiling": 120_000, "one_each": 6_000, "tasks": 600}
OF_CEILING, OF_TASKS, OF_ONE_EACH = 0.5, 40.0, 4.0  # what was asked
MOST_POSTGRES, LETTERS_A_SECOND, MOST_MB, MOST_GROWTH = 0.9, 10_000, 150.0, 1.1


@dataclass(frozen=True, slots=True)
class Passage:
    """One contestant's turn. `postgres`: CPU seconds of all of Postgres meanwhile."""

    taken: Taken
    postgres: float

    @property
    def rate(self) -> float:
        """Letters a second."""
        return self.taken.letters / self.taken.seconds

    def micros(self, seconds: float) -> float:
        """Microseconds of CPU a letter."""
        return seconds / self.taken.letters * 1e6


def run(arguments: Sequence[str]) -> None:
    """Measure, print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench delivery")
    parser.add_argument("--people", type=int, default=PEOPLE, help=f"people ({PEOPLE:,})")
    parser.add_argument("--rounds", type=int, default=report.ROUNDS)
    options = parser.parse_args(arguments)
    turns = options.rounds * sum(share for name, share in SHARE.items() if name != "ceiling")
    if options.people < turns + 20_000:
        parser.error(f"the rounds alone take {turns:,} letters")
    busy = report.busy()
    with running.folder() as home, running.servers(home, running.AS_COMPOSE) as servers:
        _house(servers, options.people)
        with running.neighbour("bench.sink") as (sink, _):
            contest = _Contest(servers, f"http://127.0.0.1:{sink['port']}")
            passages: dict[str, list[Passage]] = {name: [] for name in SHARE}
            contest.turn("ours", 20_000)  # the first is warm for nobody
            for number in range(options.rounds):
                for name in report.turns(list(SHARE), number):
                    progress(f"round {number + 1}: {name}")
                    passages[name].append(contest.turn(name, SHARE[name]))
            left = contest.left()
            progress(f"and {left:,} letters more")
            long = contest.turn("ours", left)
    _show(passages, long, options.people, busy)


class _Contest:
    """One house, one provider, and whoever's turn it is."""

    def __init__(self, servers: running.Servers, provider: str) -> None:
        self._servers = servers
        self._environment = servers.environment | {"SENDGRID_HOST": provider}

    def turn(self, name: str, letters: int) -> Passage:
        """Let a design hand over so many letters, in a process of its own."""
        before = self._servers.cpu()
        design = ("bench.tasks",) if name == "tasks" else ("bench.handing", name)
        command = (sys.executable, "-m", *design, str(letters))
        done = subprocess.run(command, env=self._environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{name}: {done.stderr[-3000:]}")
        return Passage(Taken(**json.loads(done.stdout.splitlines()[-1])), self._servers.cpu() - before)

    def left(self) -> int:
        """How many letters are still ready; whole requests of them."""
        return audience.left(self._servers.places.database_url) // 1000 * 1000


def _house(servers: running.Servers, people: int) -> None:
    url = servers.places.database_url
    pool = make_pool(url, size=1)
    with transaction(make_sessions(pool)) as session:
        demo_organisation.load(session)
    pool.dispose()
    progress(f"making {people:,} people, {3 * people:,} gifts, {3 * people:,} older letters")
    audience.make(url, people)
    progress("writing the campaign's letters")
    audience.ready(url, people)


def _show(passages: Mapping[str, Sequence[Passage]], long: Passage, people: int, busy: float) -> None:
    rows = [
        [name, f"{median(p.rate for p in each):,.0f}", *(f"{median(value):.1f}" for value in (
            [p.micros(p.taken.cpu) for p in each], [p.micros(p.postgres) for p in each])),
         "  ".join(f"{p.rate:,.0f}" for p in each)]
        for name, each in passages.items()
    ]  # fmt: skip
    columns = ["", "letters/s", "Python µs", "Postgres µs", "each round"]
    report.table(f"{people:,} people, {audience.CHAPTERS} senders; load {busy} for each core", columns, rows)
    ratios = {
        f"ours_to_{name}": round(median(a.rate / b.rate for a, b in zip(passages["ours"], passages[name], strict=True)), 2)
        for name in ("ceiling", "one_each", "tasks")
    }  # fmt: skip
    ours = passages["ours"]
    ratios["postgres_to_python_cpu"] = round(median(p.postgres / p.taken.cpu for p in ours), 2)
    ratios["memory_most_to_tenth"] = round(long.taken.most_mb / long.taken.early_mb, 2)
    rate = median(p.rate for p in ours)
    asked = [
        ("of the ceiling, at least", ratios["ours_to_ceiling"], OF_CEILING, 1),
        ("times the tasks, at least", ratios["ours_to_tasks"], OF_TASKS, 1),
        ("times one POST each, at least", ratios["ours_to_one_each"], OF_ONE_EACH, 1),
        ("letters a second, at least", rate, LETTERS_A_SECOND, 1),
        ("Postgres' CPU to Python's, at most", ratios["postgres_to_python_cpu"], MOST_POSTGRES, -1),
        (f"MB at most, of {long.taken.letters:,} letters", long.taken.most_mb, MOST_MB, -1),
        ("times the memory that it had at a tenth", ratios["memory_most_to_tenth"], MOST_GROWTH, -1),
    ]
    verdicts = [
        [what, f"{found:,.2f}", f"{bound:,g}", "yes" if found * way >= bound * way else "NO"]
        for what, found, bound, way in asked
    ]
    report.table("what was asked", ["", "is", "asked", ""], verdicts)
    figures = {f"{name}_letters_a_second": round(median(p.rate for p in each)) for name, each in passages.items()}
    long_run = {
        "letters": long.taken.letters,
        "letters_a_second": round(long.rate),
        "most_mb": round(long.taken.most_mb),
    }
    report.close("delivery", ratios, {"people": people, **figures, "long_run": long_run})
