"""The processes of an installation, each started, asked whether it is ready, and ended as its operator does it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import psutil
import urllib3

from bench import running
from bench.report import Failed
from engine.settings import ROOT
from tests.system import free_port

READY_SECONDS = 300.0
END_SECONDS = 40.0  # longer than any of them may take
SETTLE_SECONDS = 2.5  # between two webs: until the proxy asks the first again (fail_timeout in deploy/nginx.conf)


@dataclass(slots=True)
class Member:
    """One process: its command (`web --only staff`), the address of its machine, a port, and what to put before it."""

    name: str
    command: tuple[str, ...]
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    before: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    log: Path = Path(os.devnull)

    @property
    def serves(self) -> bool:
        """Whether it answers requests; the others only tell their numbers."""
        return self.command[0] == "web"

    @property
    def at(self) -> str:
        """Where it listens."""
        return f"{self.address}:{self.port}"

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it; its output goes to its log."""
        own = {} if self.serves else {"METRICS_HOST": self.address, "METRICS_PORT": str(self.port)}
        port = ("--host", self.address, "--port", str(self.port)) if self.serves else ()
        argv = (*self.before, sys.executable, "-m", "engine.cli", *self.command, *port)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                argv, env={**environment, **own}, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
            )

    def ready(self) -> bool:
        """Whether it says that it can work."""
        path = "/readyz" if self.serves else "/metrics"
        with suppress(urllib3.exceptions.HTTPError):
            url = f"http://{self.at}{path}"
            asked = urllib3.request("GET", url, headers={"Host": "localhost"}, timeout=5.0, retries=False)
            return asked.status == 200
        return False

    def wait_ready(self) -> float:
        """The seconds until it is. Raises Failed."""
        began = monotonic()
        while not self.ready():
            if monotonic() - began > READY_SECONDS or self.process is None or self.process.poll() is not None:
                raise Failed(f"{self.name} is not ready, see {self.log}:\n{self.log.read_text()[-1500:]}")
            sleep(0.05)
        return monotonic() - began

    def end(self) -> float:
        """Ask it to end, by SIGTERM; the seconds that took. Raises Failed when it does not."""
        assert self.process is not None
        began = monotonic()
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} does not end, see {self.log}") from None
        return monotonic() - began

    def memory_mb(self) -> float:
        """What it holds with its children, in MB, not counting twice what they share."""
        assert self.process is not None
        total = 0
        for one in _family(self.process.pid):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += one.memory_full_info().pss
        return total / 1e6

    def cpu(self) -> float:
        """CPU seconds that it has had, with its children."""
        assert self.process is not None
        total = 0.0
        for one in _family(self.process.pid):
            with suppress(psutil.NoSuchProcess):
                total += sum(one.cpu_times()[:2])
        return total

    def kill(self) -> None:
        """End all of it at once."""
        if self.process is not None and self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        one = psutil.Process(pid)
        return [one, *one.children(recursive=True)]
    return []


@contextmanager
def manned(members: Sequence[Member], environment: Mapping[str, str], logs: Path) -> Iterator[Sequence[Member]]:
    """Start all of them, wait until they are ready, and end them afterwards."""
    try:
        for one in members:
            one.log = logs / f"{one.name}.log"
            one.start(environment)
        for one in members:
            one.wait_ready()
        yield members
    finally:
        for one in members:
            one.kill()


def production(servers: Mapping[str, str], data: Path) -> dict[str, str]:
    """The variables that every process of an installation in production has here, but for secrets and providers."""
    return {
        **running.environment(), **servers, "GROUNDSWELL_ENV": "production", "LOG_FORMAT": "json",
        "BASE_URL": "https://give.groundswell.test", "ALLOWED_HOSTS": "give.example.org", "TRUSTED_PROXIES": "*",
        "OPERATOR_EMAIL": "operator@example.org",
        "GROUNDSWELL_DATA_DIR": str(data), "API_MINUTE": "100000",
    }  # fmt: skip
