"""The whole system in real processes, as a user starts it, and hands to break it with."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import psycopg

from engine.adapters.embedded import Places
from engine.settings import DEVELOPMENT_CREDENTIALS, ROOT

GROUNDSWELL = (sys.executable, "-m", "engine.cli")
READY_SECONDS = 60
OURS = ("GROUNDSWELL_", "DATABASE_URL", "REDIS_URL", "BASE_URL", "METRICS_PORT", "PROMETHEUS_")


def free_port() -> int:
    """A port that nobody listens on, nor on the next one."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what would point the system at servers elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | more


@dataclass
class System:
    """One running system."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @classmethod
    @contextmanager
    def started(cls, *flags: str, **environment: str) -> Iterator["System"]:
        """Start on a folder of its own; end and remove everything afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="groundswell up "))
        system = cls.start(folder, free_port(), *(flags or ("--demo",)), **environment)
        try:
            system.wait_ready()
            yield system
        finally:
            system.end()
            system.remove()

    @classmethod
    def start(cls, folder: Path, port: int, *flags: str, **environment: str) -> "System":
        """Start `groundswell up` there, in a session of its own, its output in a file. It thanks for the tests' old gifts."""
        environment = {"LETTER_AGE_HOURS": "1000000"} | environment
        with (folder / "up.log").open("ab") as log:
            process = subprocess.Popen(
                [*GROUNDSWELL, "up", "--port", str(port), "--data-dir", str(folder / "data"), *flags],
                env=clean_environment(**environment), cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return cls(folder, port, process)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        return (self.folder / "up.log").read_text("utf-8", "replace")

    @property
    def places(self) -> Places:
        return Places(self.data)

    def wait_ready(self, times: int = 1) -> float:
        """Wait until it has said for the n-th time that it is ready; returns the seconds that took."""
        began = monotonic()
        while self.log.count("Groundswell is ready") < times:
            if self.process.poll() is not None or monotonic() - began > READY_SECONDS:
                raise AssertionError("the system did not start:\n" + self.log[-3000:])
            sleep(0.05)
        return monotonic() - began

    def end(self, how: signal.Signals = signal.SIGINT) -> float:
        """Ask it to end; returns the seconds that took."""
        began = monotonic()
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(20)
        return monotonic() - began

    def remove(self) -> None:
        """Remove all it kept, also what it had to keep elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.places.elsewhere, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """Every process below the supervisor."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def find(self, word: str) -> psutil.Process:
        """The direct child whose command line holds this word."""
        for child in psutil.Process(self.process.pid).children():
            if any(word in part for part in child.cmdline()):
                return child
        raise AssertionError(f"no process with {word}")

    def ending_with(self, words: str) -> list[psutil.Process]:
        """Those of its processes whose command line ends with these words; some come and go while it is asked."""
        found = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                if " ".join(process.cmdline()).endswith(words):
                    found.append(process)
        return found

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """One `groundswell` command on this system's data."""
        return subprocess.run(
            [*GROUNDSWELL, *command, "--data-dir", str(self.data)],
            env=clean_environment(), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def post(self, body: bytes, *, timeout: float = 10, headers: Mapping[str, str] | None = None) -> int:
        """Post to the ActBlue receiver; returns the status, 0 when no answer came."""
        token = base64.b64encode(DEVELOPMENT_CREDENTIALS.encode()).decode()
        sent = {"Content-Type": "application/json", "Authorization": f"Basic {token}"} | dict(headers or {})
        try:
            with urlopen(Request(f"{self.url}/webhooks/actblue", body, sent), timeout=timeout) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code
        except OSError:
            return 0

    def get(self, path: str) -> tuple[int, str]:
        """One page: status and text."""
        try:
            with urlopen(self.url + path, timeout=10) as answer:
                return int(answer.status), answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def query(self, statement: str, *values: Any) -> list[Any]:
        """Rows from its database."""
        with psycopg.connect(self.places.database_url, autocommit=True) as connection:
            return connection.execute(statement, values or None).fetchall()

    def mailbox(self) -> list[dict[str, Any]]:
        """Every letter in the mailbox file, doubles included; not the one that is just being written."""
        file = self.data / "mailbox" / "letters.jsonl"
        lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith(b"}\n")]

    def wait_for(self, reached: Callable[[], bool], seconds: float, what: str) -> float:
        """Wait until it is so; returns the seconds that took."""
        began = monotonic()
        while not reached():
            if monotonic() - began > seconds:
                raise AssertionError(f"not within {seconds} seconds: {what}\n{self.log[-3000:]}")
            sleep(0.05)
        return monotonic() - began
