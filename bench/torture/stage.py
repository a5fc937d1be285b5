"""Standing a world up: servers on a small file system, the proxy, the stand-ins, two hosts of the product; and finding in it.

Every process can be killed by itself, and is started again: those of a host by its supervisor, hosts and servers by ours.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any

import psutil
import psycopg
import redis
from psycopg import sql

from bench import running
from bench.report import Failed, progress
from bench.torture import clocks, host, outside, proxy
from bench.torture.clocks import WrongClock
from bench.torture.host import Told
from bench.torture.house import House, furnish
from bench.torture.world import World
from engine import command_lines
from engine.adapters import bells, embedded
from engine.adapters.embedded import Places
from engine.adapters.lifeline import tied
from engine.adapters.supervisor import Child, Supervisor, remove_stale_pidfile
from engine.settings import ROOT
from workers.main import GROUPS

DISK = "768m"  # what Postgres has for all it writes
# Of such a disk the log of changes may have its share.
SMALL = {
    "max_wal_size": "128MB",
    "min_wal_size": "64MB",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
}
READY_SECONDS = 180.0  # twenty processes on two cores that others may be using
# What runs where. Those of host "b" named here go by clocks that can be set wrong.
HOSTS: Mapping[str, Sequence[str]] = {
    "a": ("web", "intake", "feedback", "receipts", "delivery", "outreach", "pulse"),
    "b": ("web", "intake", "receipts", "delivery", "outreach", "pulse"),
}
WRONG = ("intake", "delivery", "pulse")


@dataclass(frozen=True, slots=True)
class Lack:
    """A build that is without something: what tells its processes so, what is done to its database; and the beginnings of the
    names of invariants that are broken then: once one is, the run has shown what it was to show."""

    variables: dict[str, str]
    schema: Sequence[str] = ()
    breaks: tuple[str, ...] = ()


@dataclass(slots=True)
class Stage:
    """A world that stands."""

    world: World
    house: House
    proxy: proxy.Proxy
    outside: outside.Outside
    servers: Supervisor
    clocks: Mapping[str, WrongClock]
    disk: bool  # whether Postgres has a disk of its own, that can be filled

    @property
    def postgres_folder(self) -> Path:
        """Where Postgres keeps its own."""
        return self.world.home / "pg"

    def child(self, name: str) -> Child:
        """One of ours: "postgres", "redis", "host a", "host b"."""
        return next(each for each in self.servers.children if each.name == name)

    def pid(self, name: str) -> int | None:
        """The process of one of ours, while there is one."""
        process = self.child(name).process
        return process.pid if process is not None and process.poll() is None else None

    def of_host(self, name: str, what: str) -> list[psutil.Process]:
        """The processes of one child of a host ("a", "delivery"), the topmost first; [] while it is not running."""
        pid = self.pid(f"host {name}")
        if pid is None:
            return []
        with suppress(psutil.Error):
            for top in psutil.Process(pid).children():
                with suppress(psutil.Error):
                    if top.environ().get("TORTURE_NAME") == what:
                        return [top, *top.children(recursive=True)]
        return []

    def database(self, seconds: int = 3) -> psycopg.Connection[Any]:
        """A connection of our own, past the proxy, that commits each statement. Raises psycopg.OperationalError."""
        return psycopg.connect(
            self.world.database_url, autocommit=True, connect_timeout=seconds, application_name="nemesis"
        )

    def redis(self) -> redis.Redis:
        """Redis itself, past the proxy."""
        return redis.Redis.from_url(self.world.redis_url, socket_timeout=3)

    def web_ready(self, url: str) -> bool:
        """Whether a web process answers there."""
        host_name, _, port = url.removeprefix("http://").rpartition(":")
        with socket.socket() as probe:
            return probe.connect_ex((host_name, int(port))) == 0


@contextmanager
def standing(home: Path, seed: int, lack: Lack | None = None) -> Iterator[Stage]:
    """Stand everything up on this folder, and end it. `lack`: what the product's processes are without."""
    with ExitStack() as ending:
        disk = ending.enter_context(_disk(home / "pg"))
        (home / "logs").mkdir()
        postgres, redis_places = Places(home / "pg"), Places(home / "redis")
        urls = tuple(f"http://127.0.0.1:{_free_port()}" for _ in HOSTS)
        world = World(home, seed, urls, postgres.database_url, redis_places.redis_url, "", "")
        outsides = ending.enter_context(outside.started(home, seed, urls))
        ways = ending.enter_context(proxy.started(_addresses(postgres, redis_places, outsides)))
        world = _behind(world, postgres, ways)
        servers = ending.enter_context(_servers(world, postgres, redis_places))
        wrong = clocks.make(home, *WRONG)
        furnished = furnish(world)
        _altered(world, lack.schema if lack else ())
        for place, name in enumerate(HOSTS):
            servers.add(_host(world, name, urls[place], wrong, lack))
        stage = Stage(world, furnished, ways, outsides, servers, wrong, disk)
        ending.enter_context(_tended(stage))
        yield stage


def _behind(world: World, postgres: Places, ways: proxy.Proxy) -> World:
    """The same, with the addresses that the product is told."""
    at = f"host=127.0.0.1&port={ways.ports['postgres']}&passfile={postgres.passfile}&sslmode=disable"
    return replace(
        world,
        product_database_url=f"postgresql://{embedded.USER}@/{embedded.DATABASE}?{at}",
        product_redis_url=f"redis://127.0.0.1:{ways.ports['redis']}/0",
        mail_url=f"http://127.0.0.1:{ways.ports['mail']}",
        stripe_url=f"http://127.0.0.1:{ways.ports['stripe']}",
    )


def _addresses(postgres: Places, redis_places: Places, outsides: "outside.Outside") -> dict[str, str]:
    return {
        "postgres": str(postgres.postgres_sockets / ".s.PGSQL.5432"),
        "redis": str(redis_places.sockets / "redis.sock"),
        "mail": outsides.mail.url.removeprefix("http://"),
        "stripe": outsides.stripe.url.removeprefix("http://"),
    }


@contextmanager
def _disk(folder: Path) -> Iterator[bool]:
    """A file system of its own for Postgres, small enough to be filled. Without the right to mount one: a plain folder."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", str(folder)]
    mounted = os.getuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if not mounted:
        progress("no file system could be mounted: the disk will not be filled in this run")
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


@contextmanager
def _servers(world: World, postgres: Places, redis_places: Places) -> Iterator[Supervisor]:
    """Postgres and Redis under a supervisor of ours, and both answer. What it starts it ends."""
    for places in (postgres, redis_places):
        places.prepare()
    path = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    supervisor = Supervisor(world.home / "servers.running", lambda line: _said(world, line))
    data = embedded.postgres_data(postgres)
    database = embedded.postgres(postgres, settings=embedded.DURABLE | SMALL)
    log = world.logs / "postgres"
    log.touch()
    log.chmod(0o666)
    supervisor.add(Child(
        "postgres", host.logged(database.argv, log), path, database.cwd, user=database.user, stop_with=signal.SIGINT,
        last=True, before=lambda: remove_stale_pidfile(data),
    ))  # fmt: skip
    keep = embedded.redis_server(redis_places)
    supervisor.add(Child("redis", host.logged(keep.argv, world.logs / "redis"), path, keep.cwd, last=True))
    try:
        _await(
            lambda: running.database_made(world.database_url) and bells.answers(world.redis_url),
            "the servers do not answer",
        )
        yield supervisor
    finally:
        supervisor.stop(2 * host.STOP_SECONDS)


def _said(world: World, line: str) -> None:
    with (world.home / "supervisor.log").open("a", encoding="utf-8") as log:
        log.write(f"{monotonic():.2f} {line}\n")


def _host(world: World, name: str, url: str, wrong: Mapping[str, WrongClock], lack: Lack | None) -> Child:
    """One machine, and the file that tells what runs on it."""
    told = [_told(world, name, what, url) for what in HOSTS[name]]
    if lack:
        told = [_lacking(each, lack) for each in told]
    if name == "b":
        told = [replace(each, variables=each.variables | _clock(wrong, each.name)) for each in told]
    path = world.home / f"host-{name}.json"
    host.write(path, told)
    argv = (sys.executable, "-m", "bench.torture.host", str(path))
    log = world.logs / f"host-{name}"
    return Child(f"host {name}", host.logged(argv, log), running.environment() | dict(world.settings), ROOT)


def _clock(wrong: Mapping[str, WrongClock], name: str) -> dict[str, str]:
    return dict(wrong[name].environment) if name in wrong else {}


def _told(world: World, name: str, what: str, url: str) -> Told:
    """One process of the product, as production starts it."""
    variables = {"TORTURE_NAME": what}
    if what == "web":
        address, _, port = url.removeprefix("http://").rpartition(":")
        argv = (*tied(signal.SIGTERM), *command_lines.web(address, int(port)))
    elif what == "pulse":
        argv, variables = command_lines.pulse(), variables | {"GROUNDSWELL_SUPERVISED": "1"}
    else:
        command, tuning = command_lines.worker(what, GROUPS[what])
        argv, variables = (*tied(signal.SIGTERM), *command), variables | tuning
    return Told(what, argv, variables, str(world.logs / f"{what}-{name}"))


def _altered(world: World, schema: Sequence[str]) -> None:
    with psycopg.connect(world.database_url, autocommit=True) as connection:
        for statement in schema:
            connection.execute(statement.encode())


def _lacking(told: Told, lack: Lack) -> Told:
    """The same of a build that lacks a safeguard."""
    argv = tuple(_BEGINNINGS.get(part, part) for part in told.argv)
    return replace(told, argv=argv, variables=told.variables | lack.variables)


# Where the product begins, and where a build that lacks a safeguard does.
_BEGINNINGS: Mapping[str, str] = MappingProxyType({
    "webhooks.app:main": "bench.torture.process:web",
    "workers.main:setup": "bench.torture.process:worker",
    "workers.pulse": "bench.torture.process",
})  # fmt: skip


@contextmanager
def _tended(stage: Stage) -> Iterator[None]:
    """Look after servers and hosts in a thread, from which all that starts again is started; wait until all is up."""
    ending = threading.Event()

    def tend() -> None:
        stage.servers.watch(ending.is_set)

    thread = threading.Thread(target=tend, name="tending")
    thread.start()
    try:
        _await(
            lambda: all(map(stage.web_ready, stage.world.web_urls)) and _complete(stage), "the product does not start"
        )
        yield
    finally:
        ending.set()
        thread.join()


def _complete(stage: Stage) -> bool:
    return all(stage.of_host(name, what) for name, all_of in HOSTS.items() for what in all_of)


def _await(reached: Any, otherwise: str) -> None:
    deadline = monotonic() + READY_SECONDS
    while not reached():
        if monotonic() > deadline:
            raise Failed(otherwise)
        sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kept(home: Path, into: Path) -> None:
    """Copy what tells how a run went, for somebody to read after a red one."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for each in home.iterdir():
        if each.name == "logs":
            shutil.copytree(each, into / "logs")
        elif each.is_file() and each.suffix in (".json", ".jsonl", ".log", ".txt"):
            shutil.copy(each, into)


# What a red run is understood from.
_TABLES = (
    "inbound_event", "message", "handover", "mail_hold", "campaign", "enrollment", "contact", "consent", "suppression",
    "contribution", "ledger_entry", "refund", "dispute", "recurring_plan", "notice", "step_tally",
)  # fmt: skip


def tables(standing: Stage) -> None:
    """Write these tables out, as CSV, beside what the run left."""
    folder = standing.world.home / "logs" / "tables"
    folder.mkdir()
    with standing.database() as connection:
        found = {row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
        for name in sorted(found & set(_TABLES)):
            what = sql.SQL("COPY (SELECT * FROM {} ORDER BY 1) TO STDOUT (FORMAT csv, HEADER)").format(
                sql.Identifier(name)
            )
            with (folder / f"{name}.csv").open("wb") as file, connection.cursor().copy(what) as rows:
                for row in rows:
                    file.write(row)
