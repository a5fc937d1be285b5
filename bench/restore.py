"""`python -m bench restore`: a disaster under load, a restore to a point in time, and nothing told or sent twice.

Production's processes work while gifts come in by ActBlue and Stripe and a campaign leaves to a provider that writes down
each letter. A base backup is taken, and every commit waits until `pg_receivewal` has its WAL as well (README of backups:
docs/backups.md). Then:

1. the database as it is at T0 is what one will want back; the load goes on until T1;
2. disaster: Postgres is killed, its folder and Redis' are removed;
3. what was archived is brought back whole, beside, only to write its raw events since T0 to a file (`events export`);
4. the database of T0 is brought back, and all processes start on it: it holds every letter by itself;
5. the file is taken in, and ActBlue and Stripe tell all their gifts again; sending is released.

Looked at: no letter left while it was held, every gift is booked once, the books balance, nobody got the same letter twice.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg

from bench import audience, recorder, report, running
from bench import house as houses
from bench.house import Gifts, House, reached
from bench.recorder import Recorder
from bench.report import Failed, progress
from engine import demo_organisation
from engine.adapters import bells, embedded
from engine.adapters.embedded import Places
from engine.adapters.lifeline import tied
from engine.db import make_pool, make_sessions, transaction
from engine.giving import books
from engine.settings import ROOT

PEOPLE, RATE, SECONDS = 20_000, 4.0, 20.0
SLOT = "archive"
ARCHIVED = {"synchronous_standby_names": "archive", "wal_sender_timeout": "10s"}
PATIENCE = 240.0
BEFORE = timedelta(
    minutes=1
)  # an event that arrives at T0 is older than its commit, and that is not in the database of T0
_GAVE_NOTHING = """
UPDATE contact SET gave_count = 0, gave_cents = 0, gave_highest_cents = 0, gave_last_cents = 0, gave_first_at = NULL,
    gave_last_at = NULL, gave_peaks_at = '{}', gave_peaks_cents = '{}'
"""


@dataclass(slots=True)
class Figures:
    """What was seen; seconds, or numbers of things."""

    found: dict[str, float | int | str] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """How long this block takes."""
        began = monotonic()
        progress(name)
        yield
        self.found[f"{name} (s)"] = round(monotonic() - began, 1)


class Cluster:
    """An embedded Postgres, its archive, and a Redis, on one folder."""

    def __init__(self, home: Path) -> None:
        self.places = Places(home / "data")
        self.places.prepare()
        self.backup, self.archive = home / "base", home / "wal"
        self.archive.mkdir()
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Of our database."""
        return self.places.database_url

    def tool(self, name: str, *arguments: str) -> tuple[tuple[str, ...], dict[str, str]]:
        """A command of Postgres', as its role, and its environment."""
        binary = str(embedded.postgres_binaries() / name)
        own = {
            "PGHOST": str(self.places.postgres_sockets),
            "PGUSER": embedded.USER,
            "PGPASSFILE": str(self.places.passfile),
        }
        return (*tied(signal.SIGTERM), binary, *arguments), os.environ | own

    def start(self, *, archived: bool = True, redis: bool = True) -> None:
        """Start what does not run, and wait until it answers."""
        commands = {
            "postgres": embedded.postgres(self.places, settings=embedded.DURABLE | (ARCHIVED if archived else {}))
        }
        if redis:
            commands["redis"] = embedded.redis_server(self.places)
        for name, command in commands.items():
            self.running[name] = subprocess.Popen(
                command.argv, cwd=command.cwd, user=command.user, group=command.user, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        reached(self._answers, "Postgres does not answer", PATIENCE)
        if redis:
            reached(lambda: bells.answers(self.places.redis_url), "Redis does not answer")

    def stream(self) -> None:
        """Every commit from now on waits until its WAL is in the archive, too."""
        command, environment = self.tool(
            "pg_receivewal", "-D", str(self.archive), "--slot", SLOT, "--synchronous", "-d", f"application_name={SLOT}"
        )
        make, _ = self.tool("pg_receivewal", "--slot", SLOT, "--create-slot", "--if-not-exists")
        subprocess.run(make, env=environment, check=True)
        self.running["archive"] = subprocess.Popen(command, env=environment, start_new_session=True)

    def back_up(self) -> None:
        """A base backup, as a folder."""
        command, environment = self.tool("pg_basebackup", "-D", str(self.backup), "-X", "none", "-c", "fast")
        subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)

    def lose(self) -> None:
        """Disaster: everything is killed, Postgres' folder and Redis' are gone."""
        for name in ("postgres", "redis", "archive"):
            self.end(name, signal.SIGKILL)
        shutil.rmtree(embedded.postgres_data(self.places))
        shutil.rmtree(self.places.data_dir / "redis")

    def end(self, name: str, how: signal.Signals = signal.SIGINT) -> None:
        """End one, if it runs."""
        process = self.running.pop(name, None)
        if process is not None:
            os.killpg(process.pid, how) if how == signal.SIGKILL else process.send_signal(how)
            process.wait(60)

    def bring_back(self, target: datetime | None) -> None:
        """The base backup with the archived WAL on top: all of it, or up to this moment."""
        for partial in self.archive.glob("*.partial"):  # the newest segment, as far as it was written
            partial.rename(partial.with_suffix(""))
        data = embedded.postgres_data(self.places)
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(self.backup, data)
        data.chmod(0o700)
        terms = [f'restore_command = \'cp "{self.archive}/%f" "%p"\'', "recovery_target_action = 'promote'"]
        if target is not None:
            terms.append(f"recovery_target_time = '{target.isoformat()}'")
        (data / "recovery.signal").touch()
        with (data / "postgresql.auto.conf").open("a") as file:
            file.write("\n".join([*terms, ""]))

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url, dbname="postgres", connect_timeout=2, autocommit=True) as admin:
                if admin.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
                    return False
                made = admin.execute("SELECT FROM pg_database WHERE datname = %s", [embedded.DATABASE]).fetchone()
                if made is None:
                    admin.execute(f"CREATE DATABASE {embedded.DATABASE}")
        except psycopg.OperationalError:
            return False
        return True


def run(arguments: Sequence[str]) -> None:
    """Do all of it, print what was seen, close with a line of JSON. Raises Failed when a promise does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench restore")
    parser.add_argument("--people", type=int, default=PEOPLE, help=f"of the campaign ({PEOPLE:,})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of load before T0, and after ({SECONDS:.0f})")
    options = parser.parse_args(arguments)
    figures = Figures({"processes that wanted a core, for each, before": report.busy()})
    with ExitStack() as ending:
        home = ending.enter_context(running.folder())
        cluster = Cluster(home)
        for name in ("archive", "redis", "postgres"):
            ending.callback(cluster.end, name, signal.SIGINT if name == "postgres" else signal.SIGTERM)
        provider = ending.enter_context(recorder.started(home / "letters.log"))
        _Bench(home, cluster, provider, figures, options.people, options.seconds).run()
    report.table("restore", ("what", "seen"), [(name, f"{value:,}") if not isinstance(value, str) else (name, value)
                                               for name, value in figures.found.items()])  # fmt: skip
    report.close("restore", {}, figures.found)


@dataclass(slots=True)
class _Bench:
    home: Path
    cluster: Cluster
    provider: Recorder
    figures: Figures
    people: int
    seconds: float
    port: int = field(default_factory=houses.free_port)

    def run(self) -> None:
        gifts = Gifts([self.port], 1)
        began, target = self._lost_hours(gifts)
        self._restore(gifts, began, target)

    def _house(self) -> House:
        servers = {"DATABASE_URL": self.cluster.url, "REDIS_URL": self.cluster.places.redis_url}
        environment = houses.production(
            self.provider.url, self.provider.public_key, servers, self.cluster.places.data_dir
        )
        (self.home / "logs").mkdir(exist_ok=True)
        return House(
            ROOT,
            environment | {"MAIL_PER_SECOND": str(max(1, int(self.people / self.seconds / 3)))},
            self.home / "logs",
        )

    def _lost_hours(self, gifts: Gifts) -> tuple[datetime, datetime]:
        """Load until T0, and on until the disaster at T1. A moment a little before T0, and T0."""
        self.cluster.start(archived=False)
        house = self._house()
        progress("a house with its people")
        house.command("migrate")
        with transaction(make_sessions(make_pool(self.cluster.url))) as session:
            demo_organisation.load(session)
        audience.make(self.cluster.url, self.people, older=False)
        with psycopg.connect(self.cluster.url) as connection:  # their gifts have no ledger: the books could not balance
            connection.execute("SET LOCAL session_replication_role = replica")  # the house refuses it
            connection.execute("DELETE FROM contribution")
            connection.execute(_GAVE_NOTHING)
        self.cluster.end("postgres")
        self.cluster.start(redis=False)
        self.cluster.stream()
        with self.figures.timed("base backup"):
            self.cluster.back_up()
        audience.ready(self.cluster.url, self.people)
        self.provider.events_to(f"http://127.0.0.1:{self.port}/webhooks/sendgrid")
        house.web(self.port)
        house.workers()
        with gifts.going(RATE):
            reached(lambda: self.provider.told()["letters"] > 0, "no letter leaves", PATIENCE)
            sleep(self.seconds)
            (target,) = self._one("SELECT clock_timestamp()")
            self.figures.found |= self._counted("at T0")
            sleep(self.seconds)
            self.figures.found |= self._counted("at T1")
            self.cluster.lose()
        self.figures.found["lost: from T0 to T1 (s)"] = round((datetime.now(UTC) - target).total_seconds(), 1)
        house.end()
        return target - BEFORE, target

    def _restore(self, gifts: Gifts, began: datetime, target: datetime) -> None:
        house, file = self._house(), self.home / "events.jsonl"
        disaster = monotonic()
        with self.figures.timed("all that was archived, beside, to read raw events from"):
            self.cluster.bring_back(None)
            self.cluster.start(archived=False)
            told = house.command("events", "export", str(file), "--since", began.isoformat())
        self.figures.found["exported"] = told.partition(" ")[0]
        self.cluster.end("postgres")
        with self.figures.timed("the database of T0"):
            self.cluster.bring_back(target)
            self.cluster.start(archived=False, redis=False)
        left = self.provider.told()["letters"]
        with self.figures.timed("processes answer"):
            house.web(self.port)
        self.figures.found["from disaster until gifts are taken again (s)"] = round(monotonic() - disaster, 1)
        try:
            house.workers()
            self._replay(house, gifts, file)
            if self.provider.told()["letters"] != left:
                raise Failed("letters left while they were held")
            self.figures.found["letters that left while held"] = 0
            progress(house.command("sending", "status", check=False))
            house.command("sending", "release", "--replayed")
            self.figures.found["from disaster until letters leave (s)"] = round(monotonic() - disaster, 1)
            with self.figures.timed("the rest of the campaign"):
                reached(self._nothing_waits, "letters wait still", PATIENCE * 2, every=1.0)
        finally:
            house.end()
        self._judge(gifts)

    def _replay(self, house: House, gifts: Gifts, file: Path) -> None:
        with self.figures.timed("replay"):
            if "held since" not in house.command("sending", "status", check=False):
                raise Failed("the restored database does not hold letters")
            self.figures.found["imported, new"] = house.command("events", "import", str(file)).split(", ")[1].split()[0]
            for number in gifts.told:
                if not gifts.post(number):
                    raise Failed(f"gift {number} is not taken")
            self._applied()
            reached(
                lambda: self.provider.told()["events"] >= 2 * self.provider.told()["letters"],
                "the provider waits",
                PATIENCE,
            )
            self._applied()

    def _applied(self) -> None:
        """Wait until no raw event waits. Raises Failed, and says which do."""
        try:
            reached(self._all_applied, "", PATIENCE, every=0.5)
        except Failed:
            found = self._all("SELECT source, kind, lane, attempts, reason, count(*) FROM inbound_event"
                              " WHERE state = 'pending' GROUP BY 1, 2, 3, 4, 5")  # fmt: skip
            raise Failed(f"raw events wait still: {found}") from None

    def _all_applied(self) -> bool:
        return self._one("SELECT count(*) FROM inbound_event WHERE state = 'pending'") == (0,)

    def _nothing_waits(self) -> bool:
        return self._all_applied() and self._one("SELECT count(*) FROM message WHERE state = 'ready'") == (0,)

    def _counted(self, when: str) -> dict[str, int]:
        (booked,) = self._one("SELECT count(*) FROM contribution")
        return {f"gifts booked {when}": booked, f"letters at the provider {when}": self.provider.told()["letters"]}

    def _judge(self, gifts: Gifts) -> None:
        booked = self._all("SELECT contact_id, count(*) FROM contribution GROUP BY 1")
        doubles = self.provider.doubles()
        pool = make_pool(self.cluster.url, size=1)
        with transaction(make_sessions(pool)) as session:
            wrong = books.check(session).discrepancies
        pool.dispose()
        campaign = self._all(
            "SELECT state, reason, count(*) FROM message WHERE lane = 'delivery' GROUP BY 1, 2 ORDER BY 3 DESC"
        )
        self.figures.found |= {
            "gifts told": len(gifts.told), "gifts booked": sum(number for _, number in booked),
            "letters at the provider": len(self.provider.letters()), "letters twice": len(doubles),
            "books": "balance" if not wrong else str(wrong[:3]),
            "campaign": json.dumps([list(map(str, row)) for row in campaign]),
        }  # fmt: skip
        whole = len(booked) == len(gifts.told) and {number for _, number in booked} == {1}
        got = {each["email"] for each in self.provider.letters()}
        missing = [gifts.email(number) for number in gifts.told if gifts.email(number) not in got]
        self.figures.found["givers without a letter"] = len(missing)
        if doubles or wrong or not whole or missing:
            raise Failed(f"it does not hold: {self.figures.found} {list(doubles.items())[:5]}")

    def _one(self, query: str) -> tuple[Any, ...]:
        return self._all(query)[0]

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.cluster.url, autocommit=True) as connection:
            return connection.execute(query).fetchall()
