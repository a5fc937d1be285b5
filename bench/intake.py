"""`python -m bench intake`: how many of Stripe's events one web process takes in, each in Postgres before it is answered.

One uvicorn process each, one after the other, three rounds in turns, 64 kept-alive connections, every event a new one:

- **nothing**: a bare Starlette that reads the body and answers.
- **edge**: the same under the product's middleware (hosts, security headers, log line, numbers).
- **checked**: the bare one that checks the signature and reads the id, and stores nothing.
- **product**: `webhooks.app`, every event committed (fsync on) in an embedded Postgres before its 200.
- **obvious**: a session for each request, the SDK's `construct_event`, a SQLModel row committed, `actor.send`.

Sender, server and Postgres share this machine's cores, so requests a second understate a real deployment; CPU for each
request is what carries over. Afterwards the product alone: one connection, and its memory over many events.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
import psycopg

from bench import report, running
from bench.load import Told
from bench.report import Failed, Spread

NOTHING, EDGE, CHECKED, PRODUCT, OBVIOUS = "nothing", "edge", "checked", "product", "obvious"
APPLICATIONS = {
    NOTHING: "bench.bare:app",
    EDGE: "bench.doors:edge",
    CHECKED: "bench.doors:checked",
    PRODUCT: "webhooks.app:main",
    OBVIOUS: "bench.doors:obvious",
}
STORING = (PRODUCT, OBVIOUS)
SECONDS, WARM_SECONDS, CONNECTIONS, MEMORY_EVENTS = 4.0, 0.5, 64, 50_000
# What we aim at, each a ratio within this run: at least, or at most.
AT_LEAST = {"product_to_edge": 0.4, "product_to_checked": 0.4, "product_to_obvious": 15.0}
AT_MOST = {"edge_cpu_to_nothing": 1.3, "product_cpu_to_edge": 2.5, "memory_full_to_tenth": 1.1}
ONE_CONNECTION_P50_MS = 2.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One contestant's turn in one round: requests a second, milliseconds, and microseconds of CPU for each request."""

    rate: float
    p50: float
    p99: float
    web_cpu: float
    postgres_cpu: float
    failed: int


@dataclass(slots=True)
class Contestant:
    """One server under measurement."""

    name: str
    process: psutil.Process
    port: int
    servers: running.Servers

    def turn(self, seconds: float, connections: int = CONNECTIONS) -> Turn:
        """Warm it up and measure it. Raises Failed when it stored anything but one row for each 200."""
        self._empty()
        warm = send(self.port, connections, seconds=WARM_SECONDS)
        web, postgres = seconds_of(self.process), seconds_of(self.servers.postgres)
        told = send(self.port, connections, seconds=seconds)
        web, postgres = seconds_of(self.process) - web, seconds_of(self.servers.postgres) - postgres
        if told.acknowledged == 0:
            raise Failed(f"{self.name} answered nothing with 200")
        if self.name in STORING and (rows := self._rows()) != warm.acknowledged + told.acknowledged:
            raise Failed(f"{self.name}: {warm.acknowledged + told.acknowledged} answered with 200, {rows} rows")
        each = 1_000_000 / told.acknowledged
        rate = told.acknowledged / told.seconds
        return Turn(rate, told.p50, told.p99, web * each, postgres * each, warm.failed + told.failed)

    def memory(self, events: int) -> tuple[float, float]:
        """Megabytes resident after a tenth of that many events, and after all."""
        self._empty()
        tenth = send(self.port, CONNECTIONS, requests=events // 10)
        early = self.process.memory_info().rss
        rest = send(self.port, CONNECTIONS, requests=events - events // 10)
        if tenth.failed + rest.failed or self._rows() != events:
            raise Failed(f"of {events} events {tenth.failed + rest.failed} failed, {self._rows()} rows")
        return early / 2**20, self.process.memory_info().rss / 2**20

    def _empty(self) -> None:
        with psycopg.connect(self.servers.places.database_url, autocommit=True) as connection:
            connection.execute("TRUNCATE inbound_event CASCADE")
            connection.execute("CHECKPOINT")

    def _rows(self) -> int:
        with psycopg.connect(self.servers.places.database_url, autocommit=True) as connection:
            (found,) = connection.execute("SELECT count(*) FROM inbound_event").fetchone() or (0,)
            return int(found)


def send(port: int, connections: int, *, seconds: float = 3600, requests: int = 10**9, page: str = "") -> Told:
    """Let the sender's process run."""
    asked = ("--port", port, "--connections", connections, "--seconds", seconds, "--requests", requests, "--page", page)
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", *map(str, asked)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Failed(f"the sender failed: {done.stderr[-2000:]}")
    return Told(**json.loads(done.stdout))


def seconds_of(process: psutil.Process) -> float:
    """CPU seconds of a process, of all below it, and of those below it that have ended."""
    found = [process, *process.children(recursive=True)]
    own = sum(each.user + each.system for each in (member.cpu_times() for member in found))
    ended = process.cpu_times()
    return float(own + ended.children_user + ended.children_system)


def run(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench intake", description="Stripe's events into Postgres")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of each turn")
    parser.add_argument("--memory", type=int, default=MEMORY_EVENTS, metavar="N", help="events of the memory run")
    asked = parser.parse_args(arguments)
    if asked.seconds <= 0 or asked.memory < 0:
        parser.error("seconds above 0; events of the memory run at least 0, which leaves it out")
    busy = report.busy()
    with running.folder() as home, running.servers(home) as found, ExitStack() as ending:
        contestants = {
            name: Contestant(name, *ending.enter_context(running.web(found, application, home / f"{name}.log")), found)
            for name, application in APPLICATIONS.items()
        }
        rounds = [dict(_round(contestants, number, asked.seconds)) for number in range(report.ROUNDS)]
        report.progress("product: one connection")
        alone = [contestants[PRODUCT].turn(asked.seconds / 2, connections=1) for _ in range(report.ROUNDS)]
        memory = _memory(contestants[PRODUCT], asked.memory)
        lines = _lines(home / f"{PRODUCT}.log")
    _tell(rounds, alone, memory, {"load_per_core_before": busy, "memory_events": asked.memory, "log_lines": lines})


def _round(contestants: Mapping[str, Contestant], number: int, seconds: float) -> Iterator[tuple[str, Turn]]:
    report.progress(f"round {number + 1} of {report.ROUNDS}")
    for name in report.turns(list(contestants), number):
        turn = contestants[name].turn(seconds)
        report.progress(f"  {name}: {turn.rate:.0f} req/s, {turn.web_cpu:.0f} µs")
        yield name, turn


def _memory(product: Contestant, events: int) -> tuple[float, float] | None:
    if not events:
        return None
    report.progress(f"product: memory over {events} events")
    return product.memory(events)


def _lines(log: Path) -> int:
    with log.open("rb") as file:
        return sum(1 for _ in file)


def _tell(
    rounds: Sequence[Mapping[str, Turn]],
    alone: Sequence[Turn],
    memory: tuple[float, float] | None,
    figures: dict[str, object],
) -> None:
    """The table, what we aim at, and the line of JSON."""

    def spread(name: str, what: str) -> Spread:
        return Spread([[float(getattr(one[name], what))] for one in rounds])

    def middle(name: str, what: str) -> float:
        return median(spread(name, what).p50s)

    shown = ("rate", "p50", "p99", "web_cpu", "postgres_cpu")
    failed = {name: sum(one[name].failed for one in rounds) for name in APPLICATIONS}
    rows = [(name, *(f"{middle(name, what):.1f}" for what in shown), str(failed[name])) for name in APPLICATIONS]
    columns = ("", "req/s", "p50 ms", "p99 ms", "web CPU µs", "Postgres CPU µs", "failed")
    report.table(
        f"{CONNECTIONS} connections; load for each core before: {figures['load_per_core_before']}", columns, rows
    )
    ratios = {
        "edge_to_nothing": report.ratio(spread(EDGE, "rate"), spread(NOTHING, "rate")),
        "edge_cpu_to_nothing": report.ratio(spread(EDGE, "web_cpu"), spread(NOTHING, "web_cpu")),
        "product_to_edge": report.ratio(spread(PRODUCT, "rate"), spread(EDGE, "rate")),
        "product_to_checked": report.ratio(spread(PRODUCT, "rate"), spread(CHECKED, "rate")),
        "product_to_obvious": report.ratio(spread(PRODUCT, "rate"), spread(OBVIOUS, "rate")),
        "product_cpu_to_edge": report.ratio(spread(PRODUCT, "web_cpu"), spread(EDGE, "web_cpu")),
    }
    one = median(turn.p50 for turn in alone)
    figures |= {"failed": sum(failed.values()), "rows_equal_acknowledged": True, "one_connection_p50_ms": round(one, 2)}
    if memory:
        ratios["memory_full_to_tenth"] = round(memory[1] / memory[0], 3)
        figures |= {"memory_tenth_mb": round(memory[0], 1), "memory_full_mb": round(memory[1], 1)}
    for name in APPLICATIONS:
        figures |= {f"{name}_{what}": round(middle(name, what), 1) for what in shown}
    _tell_aims(ratios, one, memory)
    report.close("intake", ratios, figures)


def _tell_aims(ratios: Mapping[str, float], alone: float, memory: tuple[float, float] | None) -> None:
    for name, ratio in ratios.items():
        least, most = AT_LEAST.get(name), AT_MOST.get(name)
        aim = "" if least is None and most is None else f"(at least {least:g})" if least else f"(at most {most:g})"
        kept = (least is None or ratio >= least) and (most is None or ratio <= most)
        print(f"{name}: {ratio:g} {aim}{'' if kept else ' MISSED'}")
    print(f"product, one connection: p50 {alone:.2f} ms (at most {ONE_CONNECTION_P50_MS:g})")
    if memory:
        print(f"product, memory: {memory[0]:.1f} MB after a tenth of the events, {memory[1]:.1f} MB after all")
