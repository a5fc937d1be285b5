"""`groundswell up`: the whole system on one machine. Servers, migrations, web, workers and pulse under one supervisor."""

import fcntl
import gc
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep, time
from types import FrameType
from urllib.request import urlopen

import psycopg
from psycopg import sql

from engine import command_lines, demo_organisation, migrate
from engine.adapters import bells, embedded
from engine.adapters.embedded import Command, Places
from engine.adapters.lifeline import tied
from engine.adapters.supervisor import Child, Supervisor, end_leftovers, remove_stale_pidfile
from engine.db import driver_url, make_pool, make_sessions, transaction
from engine.errors import Conflict, Unavailable
from engine.settings import ROOT, Settings
from workers.main import GROUPS

STOP_SECONDS = 3.6
WEB_END_SECONDS = 2  # a person waits
SERVERS_SECONDS = 20.0
READY_SECONDS = 60.0
# Who looks around signs up and gives more often than one household does.
DEMO_LIMITS = {"JOIN_NETWORK_HOURLY": "200", "GIVE_NETWORK_MINUTE": "60"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked for."""

    data_dir: Path
    host: str
    port: int
    demo: bool

    @property
    def near(self) -> str:
        """The address at which this machine itself reaches the web."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 compared, not bound


def resolved(data_dir: Path) -> Settings:
    """The settings that hold for this data folder: the environment's, with embedded addresses where it names no server."""
    places = Places(data_dir)
    settings = Settings(data_dir=data_dir)
    found: dict[str, object] = {}
    if settings.database_url is None and settings.development:
        found["database_url"] = places.database_url
    if settings.redis_url is None and settings.development:
        found["redis_url"] = places.redis_url
    with suppress(FileNotFoundError, ValueError):
        found |= json.loads((data_dir / "up.json").read_text("utf-8"))
    return Settings(data_dir=data_dir, **found)  # type: ignore[arg-type]


def run(options: Options, say: Say) -> None:
    """Start everything, say where to look, keep it alive until told to end. Raises Conflict when it runs already."""
    stopping = _stop_signals()
    with _only_one(options.data_dir):
        end_leftovers(options.data_dir / "children.json")
        metrics_port = _free_port(options.host, options.port)
        supervisor = Supervisor(options.data_dir / "children.json", say)
        try:
            settings = _with_servers(options, supervisor, stopping)
            if stopping():
                return
            _migrate(settings, options, say)
            environment = _environment(settings, options, metrics_port)
            for child in _processes(options, environment):
                supervisor.add(child)
            if _await_ready(settings, options, supervisor, stopping):
                _welcome(settings, options, metrics_port, say)
            supervisor.watch(stopping)
        finally:
            say("ending")
            supervisor.stop(STOP_SECONDS)
            (options.data_dir / "up.json").unlink(missing_ok=True)
            gc.freeze()  # collecting everything on the way out takes half a second that a waiting person notices


def _with_servers(options: Options, supervisor: Supervisor, stopping: Callable[[], bool]) -> Settings:
    """Start the embedded servers that are wanted; returns once both databases answer."""
    places = Places(options.data_dir)
    places.prepare()
    base = Settings(data_dir=options.data_dir)
    if base.database_url is None:
        command = embedded.postgres(places, settings=embedded.DURABLE)
        data = embedded.postgres_data(places)
        supervisor.add(_server("postgres", command, signal.SIGINT, lambda: remove_stale_pidfile(data)))
    if base.redis_url is None:
        supervisor.add(_server("redis", embedded.redis_server(places), signal.SIGTERM))
    settings = resolved(options.data_dir)
    assert settings.database_url is not None  # resolved() filled both in
    assert settings.redis_url is not None
    if base.database_url is None:
        url = driver_url(settings.database_url.get_secret_value())
        _await(lambda: _database_made(url), "Postgres", supervisor, stopping)
    redis_url = settings.redis_url.get_secret_value()
    _await(lambda: bells.answers(redis_url), "Redis", supervisor, stopping)
    return settings


def _server(name: str, command: Command, stop: signal.Signals, before: Callable[[], None] = lambda: None) -> Child:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    return Child(
        name, command.argv, environment, command.cwd, user=command.user, stop_with=stop, last=True, before=before
    )


def _processes(options: Options, environment: dict[str, str]) -> Iterator[Child]:
    web = command_lines.web(options.host, options.port, Settings().trusted_proxies, WEB_END_SECONDS)
    yield Child("web", web, environment, ROOT)
    unmetered = environment | {"METRICS_PORT": "0"}
    for name, group in GROUPS.items():
        argv, variables = command_lines.worker(name, group)
        yield Child(f"worker {name}", (*tied(signal.SIGTERM), *argv), unmetered | variables, ROOT)
    yield Child("pulse", command_lines.pulse(), unmetered, ROOT)


def _environment(settings: Settings, options: Options, metrics_port: int) -> dict[str, str]:
    """What the children see: our environment with the resolved addresses."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    numbers = options.data_dir / "metrics"
    shutil.rmtree(numbers, ignore_errors=True)
    numbers.mkdir()
    base_url = os.environ.get("BASE_URL") or f"http://{options.near}:{options.port}"
    known = {"base_url": base_url, "metrics_port": metrics_port}
    (options.data_dir / "up.json").write_text(json.dumps(known), "utf-8")
    limits = {name: os.environ.get(name) or most for name, most in DEMO_LIMITS.items()}
    return dict(os.environ) | {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "GROUNDSWELL_DATA_DIR": str(options.data_dir),
        "GROUNDSWELL_SUPERVISED": "1",
        "BASE_URL": base_url,
        "ALLOWED_HOSTS": os.environ.get("ALLOWED_HOSTS") or ("" if options.near == options.host else "*"),
        "METRICS_PORT": str(metrics_port),
        "PROMETHEUS_MULTIPROC_DIR": str(numbers),
        **(limits if options.demo else {}),
    }


def _migrate(settings: Settings, options: Options, say: Say) -> None:
    assert settings.database_url is not None
    pool = make_pool(settings.database_url.get_secret_value(), size=1)
    if migrate.upgrade(pool):
        say("database migrated")
    if options.demo:
        with transaction(make_sessions(pool)) as session:
            now = datetime.now(UTC)
            demo_organisation.load(session, now)
            demo_organisation.load_leads(session, now)
            demo_organisation.load_staff(session, now)
            demo_organisation.load_letters(session)
    pool.dispose()


def _await_ready(settings: Settings, options: Options, supervisor: Supervisor, stopping: Callable[[], bool]) -> bool:
    """Wait until the web answers and every worker group has knocked at Redis."""
    assert settings.redis_url is not None
    redis_url = settings.redis_url.get_secret_value()
    since = time()

    def ready() -> bool:
        with suppress(OSError), urlopen(f"http://{options.near}:{options.port}/readyz", timeout=2) as answer:
            return answer.status == 200 and bells.listeners(redis_url, since) >= len(GROUPS)
        return False

    return _await(ready, "the system", supervisor, stopping, READY_SECONDS)


def _await(
    ready: Callable[[], bool],
    what: str,
    supervisor: Supervisor,
    stopping: Callable[[], bool],
    seconds: float = SERVERS_SECONDS,
) -> bool:
    deadline = monotonic() + seconds
    while not stopping():
        if ready():
            return True
        if monotonic() > deadline:
            raise Unavailable(f"{what} did not answer within {seconds:.0f} seconds")
        supervisor.tend()
        sleep(0.1)
    return False


def _database_made(url: str) -> bool:
    """Whether Postgres answers; makes our database if it is not there."""
    try:
        with psycopg.connect(url, dbname="postgres", autocommit=True, connect_timeout=2) as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [embedded.DATABASE]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(embedded.DATABASE)))
        return True
    except psycopg.OperationalError:
        return False


def _free_port(host: str, port: int) -> int:
    """Raises Conflict when the web's port is taken; returns a free one for the metrics, the next if possible."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Conflict(f"port {port} cannot be used: {error.strerror}. Choose another with --port") from None
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port + 1))
        except (OSError, OverflowError):
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data folder. The kernel lets go of the lock when the process is gone, however it went."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"Groundswell is already running on {data_dir}") from None
        yield


def _stop_signals() -> Callable[[], bool]:
    """Ctrl-C, TERM or a closed terminal ask for the end; the loops look at this."""
    asked: list[int] = []

    def note(signum: int, _: FrameType | None) -> None:
        asked.append(signum)

    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, note)
    return lambda: bool(asked)


def _welcome(settings: Settings, options: Options, metrics_port: int, say: Say) -> None:
    url = resolved(options.data_dir).base_url
    say("")
    say(f"  Groundswell is ready   {url}/")
    say(f"  Join                   {url}/join")
    say(f"  Staff                  {url}/staff")
    if settings.development:
        say(f"  The mailbox            {url}/dev/mailbox   (no mail can leave this machine)")
    say(f"  Numbers                http://127.0.0.1:{metrics_port}/metrics")
    say(f"  Data                   {options.data_dir}")
    say(f"  A gift, end to end     {settings.command('demo')}   (in another terminal)")
    say("  To end it              Ctrl-C")
    say("")
