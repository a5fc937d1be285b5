"""`python -m bench upgrade`: the database is migrated while older code works on it, and its processes are replaced.

The older code is a work tree of another revision (`--from`; without it, the last one whose migrations end one before ours).
It makes its schema, fills it, and works: gifts come in by ActBlue and Stripe over two web processes, a campaign leaves. Then,
under that load:

1. ours migrates;
2. the older processes go on with the newer schema;
3. ours take their places: a web process is taken out of service before it is told to end, as a proxy does it.

Looked at: no request failed, every gift is booked once, the books balance, nobody got a letter twice or none, no process said
that something is wrong; how long the longest request took, and the longest wait for a lock.
"""

import argparse
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg

from bench import house as houses
from bench import recorder, report, running
from bench.house import Gifts, House, reached
from bench.recorder import Recorder
from bench.report import Failed, progress
from bench.restore import Cluster
from engine import migrate
from engine.db import make_pool, make_sessions, transaction
from engine.giving import books
from engine.settings import ROOT
from workers.main import GROUPS

PEOPLE, LETTERS, RATE, SECONDS = 100_000, 20_000, 8.0, 15.0
PATIENCE = 180.0
_BOOKED = """
SELECT count(*), count(DISTINCT contact_id) FROM contribution g JOIN contact c ON c.id = g.contact_id
WHERE c.email LIKE '%@gifts.example.org'
"""
_WAITING = (
    "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8 FROM pg_locks WHERE NOT granted"
)


def run(arguments: Sequence[str]) -> None:
    """Do all of it, print what was seen, close with a line of JSON. Raises Failed when a promise does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench upgrade")
    parser.add_argument("--from", dest="revision", default="", help="a revision of git")
    parser.add_argument("--people", type=int, default=PEOPLE, help=f"with three gifts each ({PEOPLE:,})")
    parser.add_argument("--letters", type=int, default=LETTERS, help=f"of the campaign ({LETTERS:,})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of load between the steps ({SECONDS:.0f})")
    options = parser.parse_args(arguments)
    with ExitStack() as ending:
        home = ending.enter_context(running.folder())
        cluster = Cluster(home)
        for name in ("redis", "postgres"):
            ending.callback(cluster.end, name)
        tree = houses.tree(home, options.revision or _before())
        ending.callback(houses.fell, tree)
        provider = ending.enter_context(recorder.started(home / "letters.log"))
        bench = _Bench(home, tree, cluster, provider, options)
        bench.found["processes that wanted a core, for each, before"] = report.busy()
        bench.run()
    report.table("upgrade", ("what", "seen"), [(name, str(value)) for name, value in bench.found.items()])
    report.close("upgrade", {}, bench.found)


def _before() -> str:
    """The last revision whose migrations end one before ours."""
    (newest,) = _newest()
    said = subprocess.run(
        ["git", "log", "--diff-filter=A", "-1", "--format=%H", "--", str(newest)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    if not said.stdout.strip():
        raise Failed("the newest migration is not committed yet: say --from")
    return f"{said.stdout.strip()}^"


def _newest() -> list[Path]:
    said = [f"revision: str = {quote}{migrate.head()}{quote}" for quote in "'\""]
    versions = sorted((ROOT / "migrations" / "versions").glob("*.py"))
    return [each for each in versions if any(line in each.read_text("utf-8").splitlines() for line in said)]


class _Waits:
    """The longest wait for a lock, looked at fifty times a second."""

    def __init__(self, url: str) -> None:
        self.longest = 0.0
        self._url = url

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While this block runs."""
        ending = threading.Event()
        thread = threading.Thread(target=self._watch, args=(ending,))
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def _watch(self, ending: threading.Event) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not ending.wait(0.02):
                found = connection.execute(_WAITING).fetchone()
                self.longest = max(self.longest, found[0] if found else 0.0)


@dataclass(slots=True)
class _Bench:
    home: Path
    tree: Path
    cluster: Cluster
    provider: Recorder
    options: argparse.Namespace
    found: dict[str, Any] = field(default_factory=dict)

    def run(self) -> None:
        old, new = self._house(self.tree, "old"), self._house(ROOT, "new")
        self.cluster.start(archived=False)
        progress(f"{self.options.people:,} people with their gifts, by the older code")
        old.command("migrate")
        self._fill()
        ports = [houses.free_port() for _ in range(3)]
        gifts = Gifts(ports[:2], 1_000_000_000)
        self.provider.events_to(*(f"http://127.0.0.1:{port}/webhooks/sendgrid" for port in ports))
        try:
            for port in gifts.ports:
                old.web(port)
            old.workers()
            with gifts.going(RATE):
                self._steps(old, new, gifts, ports[2])
            reached(self._done, "something waits still", PATIENCE, every=0.5)
        finally:
            old.end()
            new.end()
        self._judge(gifts)

    def _house(self, root: Path, name: str) -> House:
        servers = {"DATABASE_URL": self.cluster.url, "REDIS_URL": self.cluster.places.redis_url}
        environment = houses.production(
            self.provider.url, self.provider.public_key, servers, self.cluster.places.data_dir
        )
        (self.home / name).mkdir()
        return House(
            root,
            environment | {"MAIL_PER_SECOND": str(max(1, int(self.options.letters / self.options.seconds / 6)))},
            self.home / name,
        )

    def _fill(self) -> None:
        script = (sys.executable, str(ROOT / "bench" / "filled.py"), self.cluster.url)
        counts = (str(self.options.people), str(self.options.letters))
        environment = running.environment() | {"PYTHONPATH": str(self.tree)}
        subprocess.run((*script, *counts), cwd=self.tree, env=os.environ | environment, check=True)

    def _steps(self, old: House, new: House, gifts: Gifts, port: int) -> None:
        reached(lambda: self.provider.told()["letters"] > 0, "no letter leaves", PATIENCE)
        sleep(self.options.seconds)
        self._step("older code, older schema", gifts)
        waits = _Waits(self.cluster.url)
        with waits.watched():
            began = monotonic()
            new.command("migrate")
            self.found["migrate (s)"] = round(monotonic() - began, 2)
        self.found["longest wait for a lock while migrating (s)"] = round(waits.longest, 3)
        self._step("while migrating", gifts)
        sleep(self.options.seconds)
        self._step("older code, newer schema", gifts)
        new.web(port)
        gifts.ports[:] = [port]
        sleep(1.0)
        old.end(*(each.name for each in old.processes if each.name.startswith("web")))
        for group in GROUPS:
            old.end(new.worker(group).name)
        old.end(new.pulse().name)
        self._step("while processes are replaced", gifts)
        sleep(self.options.seconds)
        self._step("newer code", gifts)

    def _step(self, name: str, gifts: Gifts) -> None:
        progress(name)
        taken, gifts.seconds = gifts.seconds, []
        self.found[f"answers {name}: number, middle, longest (ms)"] = (
            f"{len(taken)}, {report.percentile(taken, 50) * 1000:.0f}, {max(taken) * 1000:.0f}" if taken else "none"
        )

    def _done(self) -> bool:
        with psycopg.connect(self.cluster.url, autocommit=True) as connection:
            found = connection.execute("SELECT (SELECT count(*) FROM inbound_event WHERE state = 'pending')"
                                       " + (SELECT count(*) FROM message WHERE state = 'ready')").fetchone()  # fmt: skip
        return found == (0,)

    def _judge(self, gifts: Gifts) -> None:
        with psycopg.connect(self.cluster.url) as connection:
            booked, givers = connection.execute(_BOOKED).fetchone() or (0, 0)
        pool = make_pool(self.cluster.url, size=1)
        with transaction(make_sessions(pool)) as session:
            wrong = books.check(session).discrepancies
        pool.dispose()
        times = Counter(each["email"] for each in self.provider.letters())
        twice = sum(number > 1 for number in times.values())
        none = [number for number in gifts.told if not times[gifts.email(number)]]
        faults = self._faults()
        self.found |= {
            "gifts told": len(gifts.told), "gifts booked": booked, "requests that failed": len(gifts.failed),
            "letters at the provider": sum(times.values()), "people with two letters": twice, "givers without one": len(none),
            "books": "balance" if not wrong else str(wrong[:3]), "faults in logs": len(faults),
        }  # fmt: skip
        whole = booked == givers == len(gifts.told) and sum(times.values()) == self.options.letters + len(gifts.told)
        if not whole or twice or none or wrong or gifts.failed or faults:
            raise Failed(f"it does not hold: {self.found} {gifts.failed[:3]} {faults[:5]}")

    def _faults(self) -> list[str]:
        logs = [each for name in ("old", "new") for each in sorted((self.home / name).glob("*.log"))]
        return [
            f"{log.parent.name}/{log.name}: {line[:300]}"
            for log in logs for line in log.read_text("utf-8", "replace").splitlines()
            if '"level":"error"' in line.replace(" ", "") or "Traceback" in line
        ]  # fmt: skip
