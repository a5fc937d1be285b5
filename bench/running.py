"""Real processes, ended afterwards: a whole system (`groundswell up --demo`), or embedded servers and one command alone."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import MappingProxyType
from typing import IO, Any

import psutil
import psycopg
from psycopg import sql

from bench.report import Failed, progress
from engine import command_lines, migrate
from engine.adapters import bells, embedded
from engine.adapters.embedded import Places
from engine.adapters.lifeline import tied
from engine.db import make_pool
from engine.settings import ROOT, Settings

PERSISTENT = "/var/tmp"  # /tmp is memory on many machines, where an fsync costs nothing
READY = b"Groundswell is ready"
READY_SECONDS = 90.0
END_SECONDS = 20.0
AS_COMPOSE = {"shared_buffers": "1GB", "max_wal_size": "4GB"}  # as compose.yaml has its Postgres


@dataclass(frozen=True, slots=True)
class System:
    """One running system: where it is, how long it took until it said that it was ready, and the process above its others."""

    data: Path
    port: int
    ready_seconds: float
    process: psutil.Process

    def resident_mb(self, group: str) -> float:
        """What the largest process of this group of workers holds in memory."""
        members = [
            each.memory_info().rss / 1e6
            for each in self.process.children(recursive=True)
            if each.environ().get("GROUNDSWELL_WORKER_GROUP") == group
        ]
        return max(members)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on a real disk (TMPDIR chooses another), removed afterwards with all that was kept for it elsewhere."""
    made = Path(tempfile.mkdtemp(prefix="groundswell-bench-", dir=os.environ.get("TMPDIR", PERSISTENT)))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(Places(made / "data").elsewhere, ignore_errors=True)


@contextmanager
def system(home: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[System]:
    """Start a system on this folder, with these variables besides ours, and end it afterwards. Raises Failed when it does not
    start, and shows its log."""
    port = _free_port()
    log = home / "up.log"
    command = (
        sys.executable,
        "-m",
        "engine.cli",
        "up",
        "--demo",
        "--port",
        str(port),
        "--data-dir",
        str(home / "data"),
    )
    began = monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment() | dict(settings), cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _await_ready(process, log)
        yield System(home / "data", port, monotonic() - began, psutil.Process(process.pid))
    except Failed:
        progress(log.read_text("utf-8", "replace")[-3000:])
        raise
    finally:
        _end(process)


@dataclass(frozen=True, slots=True)
class Servers:
    """An embedded Postgres with the schema in it, an embedded Redis, and what a process of ours must be told of them.
    `address`: of the machine where they listen on TCP as well, empty: on their sockets only."""

    places: Places
    postgres: psutil.Process
    address: str = ""

    @property
    def addresses(self) -> dict[str, str]:
        """The variables that say where they are."""
        if not self.address:
            return {"DATABASE_URL": self.places.database_url, "REDIS_URL": self.places.redis_url}
        password = self.places.passfile.read_text("utf-8").strip().rpartition(":")[2]
        return {
            "DATABASE_URL": f"postgresql://{embedded.USER}:{password}@{self.address}:5432/{embedded.DATABASE}",
            "REDIS_URL": f"redis://{self.address}:6379/0",
        }

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process that uses them, logging as in production."""
        return (
            environment() | self.addresses | {"GROUNDSWELL_DATA_DIR": str(self.places.data_dir), "LOG_FORMAT": "json"}
        )

    def cpu(self) -> float:
        """CPU seconds that Postgres has had, with its processes that ended."""
        total = 0.0
        for process in (self.postgres, *self.postgres.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:  # since it was listed
                continue
            total += times.user + times.system
            if process == self.postgres:
                total += times.children_user + times.children_system
        return total


@contextmanager
def servers(
    home: Path, settings: Mapping[str, str] = MappingProxyType({}), address: str = "", before: Sequence[str] = ()
) -> Iterator[Servers]:
    """Start an embedded Postgres, as durable as `up` has it, and Redis. Raises Failed when they do not answer.

    `settings`: Postgres' own, where they are to be others than on a small machine. `address`: where they listen on TCP, too,
    on the machine that `before` a command leads to.
    """
    places = Places(home / "data")
    places.prepare()
    listening = {"listen_addresses": address} if address else {}
    with ExitStack() as ending:
        commands = (
            embedded.postgres(places, settings=embedded.DURABLE | listening | dict(settings)),
            embedded.redis_server(places),
        )
        reached = ("--port", "6379", "--bind", address, "--protected-mode", "no") if address else ()
        if address:
            with (embedded.postgres_data(places) / "pg_hba.conf").open("a", encoding="utf-8") as access:
                access.write("host all all samenet scram-sha-256\n")
        for command in commands:
            argv = (*before, *command.argv, *(reached if command is commands[1] else ()))
            postgres_or_redis = subprocess.Popen(
                argv, cwd=command.cwd, user=command.user, group=command.user, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            ending.callback(_end, postgres_or_redis)
            if command is commands[0]:
                postgres = psutil.Process(postgres_or_redis.pid)
        _await(
            lambda: database_made(places.database_url) and bells.answers(places.redis_url),
            "the servers do not answer",
        )
        pool = make_pool(places.database_url, size=1)
        migrate.upgrade(pool)
        pool.dispose()
        yield Servers(places, postgres, address)


@contextmanager
def neighbour(module: str, *arguments: str) -> Iterator[tuple[Mapping[str, Any], IO[str]]]:
    """Run a module of ours that serves until its standard input ends: what its first line tells, and its standard input."""
    command = (sys.executable, "-m", module, *arguments)
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline()), process.stdin
        finally:
            process.stdin.close()


@contextmanager
def web(
    found: Servers, application: str, log: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[psutil.Process, int]]:
    """One uvicorn process, started as the product's is, with these settings besides, its output in a file: the process and
    its port."""
    port = _free_port()
    argv = [
        application if part == "webhooks.app:main" else part
        for part in command_lines.web("127.0.0.1", port, end_seconds=2)
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            (*tied(signal.SIGTERM), *argv),
            env=found.environment | dict(settings),
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        _await(lambda: _listens(port), f"{application} does not answer, see {log}")
        yield psutil.Process(process.pid), port
    finally:
        _end(process)


def database_made(url: str) -> bool:
    """Whether the server of this URL answers and has our database, which is made if it is not there."""
    try:
        with psycopg.connect(url, dbname="postgres", connect_timeout=2, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(embedded.DATABASE)))
    except psycopg.OperationalError:
        return False
    except psycopg.errors.DuplicateDatabase:
        pass
    return True


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _await(reached: Callable[[], bool], otherwise: str) -> None:
    deadline = monotonic() + READY_SECONDS
    while not reached():
        if monotonic() > deadline:
            raise Failed(otherwise)
        sleep(0.05)


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + READY_SECONDS
    while READY not in log.read_bytes():
        if process.poll() is not None or monotonic() > deadline:
            raise Failed("the system did not start")
        sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # its children die with it
        process.wait()


def environment() -> dict[str, str]:
    """Ours without what would point the system at servers elsewhere or set it up differently."""
    settings = {str(field.validation_alias or name).upper() for name, field in Settings.model_fields.items()}
    return {name: value for name, value in os.environ.items() if name not in settings | {"PROMETHEUS_MULTIPROC_DIR"}}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
