"""A whole system in real processes: `groundswell up --demo` on a data folder and a port of its own, ended afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psycopg
from sqlalchemy import make_url

from bench.report import Failed, progress
from engine.adapters.embedded import Places
from engine.db import driver_url
from engine.settings import ROOT, Settings

PERSISTENT = "/var/tmp"  # /tmp is memory on many machines, where an fsync costs nothing
READY = b"Groundswell is ready"
READY_SECONDS = 90.0
END_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class System:
    """One running system: where it is, and how long it took until it said that it was ready."""

    data: Path
    port: int
    ready_seconds: float

    @property
    def places(self) -> Places:
        """Its Postgres and Redis."""
        return Places(self.data)

    @property
    def settings(self) -> Settings:
        """Its settings, as far as a neighbour needs them."""
        return Settings(data_dir=self.data, database_url=self.places.database_url, redis_url=self.places.redis_url)


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
def system(home: Path) -> Iterator[System]:
    """Start a system on this folder and end it afterwards. Raises Failed when it does not start, and shows its log."""
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
            command, env=environment(), cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _await_ready(process, log)
        yield System(home / "data", port, monotonic() - began)
    except Failed:
        progress(log.read_text("utf-8", "replace")[-3000:])
        raise
    finally:
        _end(process)


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


def await_postgres(places: Places) -> None:
    """Wait until this Postgres answers."""
    deadline = monotonic() + READY_SECONDS
    admin = make_url(places.database_url).set(database="postgres").render_as_string(hide_password=False)
    while True:
        try:
            psycopg.connect(driver_url(admin), autocommit=True, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if monotonic() > deadline:
                raise Failed("Postgres did not start") from None
            sleep(0.05)


def environment() -> dict[str, str]:
    """Ours without what would point the system at servers elsewhere or set it up differently."""
    settings = {str(field.validation_alias or name).upper() for name, field in Settings.model_fields.items()}
    return {name: value for name, value in os.environ.items() if name not in settings | {"PROMETHEUS_MULTIPROC_DIR"}}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
