"""All processes of production on servers that are there already, from any tree of our code; and a load of gifts on them."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep, time
from types import MappingProxyType

import urllib3

from bench import bodies, gifts, running
from bench.report import Failed
from engine import command_lines
from engine.adapters import stripe_bodies
from engine.adapters.lifeline import tied
from engine.settings import ROOT
from workers.main import GROUPS

STRIPE_SECRET = "whsec_of-the-benchmark-and-of-nothing-else-0123456789"
READY_SECONDS, END_SECONDS = 120.0, 40.0


@dataclass(slots=True)
class Process:
    """One of them, and what it was started with."""

    name: str
    popen: subprocess.Popen[bytes]

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and wait."""
        self.popen.send_signal(how)
        try:
            self.popen.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


@dataclass(slots=True)
class House:
    """Processes of one tree of code. `port`: of the web process that runs."""

    root: Path
    environment: Mapping[str, str]
    logs: Path
    processes: list[Process] = field(default_factory=list)

    def start(self, name: str, argv: Sequence[str], variables: Mapping[str, str] = MappingProxyType({})) -> Process:
        """Start one, by the command line that ours has for it, in this tree."""
        argv = [str(self.root) if part == str(ROOT) else part for part in argv]
        log = self.logs / f"{name.replace(' ', '-')}.log"
        with log.open("ab") as output:
            popen = subprocess.Popen(
                (*tied(signal.SIGTERM), *argv),
                cwd=self.root, env=dict(self.environment) | dict(variables), stdout=output, stderr=output,
            )  # fmt: skip
        self.processes.append(Process(name, popen))
        return self.processes[-1]

    def web(self, port: int) -> Process:
        """The receivers, once they answer."""
        parts = {"GROUNDSWELL_WEB_ONLY": "hooks,pages"}
        process = self.start(f"web {port}", command_lines.web("127.0.0.1", port), parts)
        reached(lambda: _answers(port), f"the web {port} does not answer", log=self.logs / f"web-{port}.log")
        return process

    def worker(self, group: str) -> Process:
        """One process of this group."""
        return self.start(f"worker {group}", *command_lines.worker(group, GROUPS[group]))

    def pulse(self) -> Process:
        """The pulse."""
        return self.start("pulse", command_lines.pulse())

    def workers(self) -> None:
        """One process for each group, and the pulse."""
        for group in GROUPS:
            self.worker(group)
        self.pulse()

    def end(self, *names: str) -> None:
        """End those of these names, gracefully; all of them when none is named."""
        for process in [each for each in self.processes if not names or each.name in names]:
            process.end()
            self.processes.remove(process)

    def command(self, *arguments: str, check: bool = True) -> str:
        """Run one command of ours to its end; what it printed. Raises Failed."""
        found = subprocess.run(
            (sys.executable, "-m", "engine.cli", *arguments), cwd=self.root, env=dict(self.environment),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if check and found.returncode:
            raise Failed(f"groundswell {' '.join(arguments)}: {found.stdout[-500:]} {found.stderr[-1500:]}")
        return found.stdout.strip()


@contextmanager
def house(root: Path, environment: Mapping[str, str], logs: Path) -> Iterator[House]:
    """Whatever runs of it is ended afterwards."""
    made = House(root, environment, logs)
    try:
        yield made
    finally:
        made.end()


def production(url: str, public_key: str, servers: Mapping[str, str], data: Path) -> dict[str, str]:
    """The variables of production whose mail provider is at this address, logging little."""
    return running.environment() | dict(servers) | {
        "GROUNDSWELL_ENV": "production", "BASE_URL": "https://bench.groundswell.test", "LOG_FORMAT": "json",
        "SECRET_KEY": "of-the-benchmark-and-of-nothing-else-0123456789", "OPERATOR_EMAIL": "operator@example.org",
        "ACTBLUE_WEBHOOK_CREDENTIALS": gifts.CREDENTIALS, "STRIPE_WEBHOOK_SECRETS": STRIPE_SECRET,
        "SENDGRID_API_KEY": gifts.KEY, "SENDGRID_HOST": url, "SENDGRID_WEBHOOK_PUBLIC_KEYS": public_key,
        "GROUNDSWELL_DATA_DIR": str(data), "LETTER_AGE_HOURS": "1000000",
    }  # fmt: skip


@dataclass(slots=True)
class Gifts:
    """Gifts by ActBlue and Stripe in turns, posted at a rate, again and again until they are answered 200. `ports`: where,
    one after the other; `failed`: requests that were not answered 200; `slowest`: the longest answer, in seconds."""

    ports: list[int]
    first: int
    told: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0
    seconds: list[float] = field(default_factory=list)
    _web: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30.0))

    def email(self, number: int) -> str:
        """Whose gift it is."""
        return f"giver.{number}@gifts.example.org"

    def post(self, number: int) -> bool:
        """Tell of one gift; whether it was taken."""
        began = monotonic()
        headers = {"Content-Type": "application/json"}
        if number % 2:
            body = bodies.stripe_payment(number, self.email(number)).replace(b'"livemode": false', b'"livemode": true')
            path, headers["Stripe-Signature"] = "stripe", stripe_bodies.signed(body, STRIPE_SECRET, int(time()))
        else:
            body = bodies.actblue(number, self.email(number))
            path, headers = "actblue", headers | urllib3.make_headers(basic_auth=gifts.CREDENTIALS)
        status: object
        try:
            port = self.ports[number % len(self.ports)]
            status = self._web.request(
                "POST", f"http://127.0.0.1:{port}/webhooks/{path}", body=body, headers=headers
            ).status
        except urllib3.exceptions.HTTPError as error:
            status = type(error).__name__
        taken = monotonic() - began
        self.slowest = max(self.slowest, taken)
        self.seconds.append(taken)
        if status != 200:
            self.failed.append(f"gift {number}: {status}")
        return status == 200

    def run(self, rate: float, stopped: Callable[[], bool]) -> None:
        """Until stopped."""
        number, began = self.first, monotonic()
        while not stopped():
            while not self.post(number) and not stopped():
                sleep(0.5)
            self.told.append(number)
            number += 1
            sleep(max(0.0, began + (number - self.first) / rate - monotonic()))
        self.first = number

    @contextmanager
    def going(self, rate: float) -> Iterator[None]:
        """They come while this block runs."""
        ending = threading.Event()
        thread = threading.Thread(target=self.run, args=(rate, ending.is_set))
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


def reached(
    what: Callable[[], bool],
    otherwise: str,
    seconds: float = READY_SECONDS,
    every: float = 0.05,
    log: Path | None = None,
) -> float:
    """Wait for it; how many seconds that took. Raises Failed."""
    began = monotonic()
    while not what():
        if monotonic() - began > seconds:
            raise Failed(otherwise + (f": {log.read_text('utf-8', 'replace')[-1500:]}" if log else ""))
        sleep(every)
    return monotonic() - began


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with suppress(urllib3.exceptions.HTTPError):
        return urllib3.request("GET", f"http://127.0.0.1:{port}/readyz", timeout=2.0, retries=False).status == 200
    return False


def tree(folder: Path, revision: str) -> Path:
    """The code of another revision, in a work tree of its own there. Raises Failed."""
    place = folder / "tree"
    made = subprocess.run(
        ["git", "worktree", "add", "--detach", str(place), revision],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise Failed(f"no such revision: {made.stderr.strip()}")
    return place


def fell(place: Path) -> None:
    """Take such a tree away."""
    subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=ROOT, check=True, env=os.environ)
