"""How each long-running process is started, one command line each: the same under `up`, by hand and in containers."""

import sys
import tempfile

from engine.settings import ROOT
from workers.main import Group

SHUTDOWN_MS = 25_000  # under the 30 seconds that supervisors usually grant
MOST_CONNECTIONS = 900  # under the 1,024 files that a process may usually open; one more is answered 503
KEEP_ALIVE_SECONDS = 15  # longer than the proxies in deploy/ keep theirs: it is they who let go first
END_SECONDS = (
    14  # for a web behind a proxy: until that has let go of its idle connections, and two for the last answers
)


def web(host: str, port: int, proxies: str = "", end_seconds: int = END_SECONDS) -> tuple[str, ...]:
    """uvicorn, on its own: it reads no log configuration and writes no access log, our middleware does.

    `proxies`: the addresses whose X-Forwarded-For and X-Forwarded-Proto are believed; empty, nobody's. `end_seconds`: how
    long it may take to end; idle connections are kept for all but two of them.
    """
    server = ("--loop", "uvloop", "--http", "webhooks.protocol:Protocol", "--ws", "none")
    quiet = ("--no-access-log", "--no-server-header", "--log-level", "warning")
    believed = ("--proxy-headers", "--forwarded-allow-ips", proxies) if proxies else ("--no-proxy-headers",)
    place = ("--host", host, "--port", str(port), "--app-dir", str(ROOT))
    limits = ("--limit-concurrency", str(MOST_CONNECTIONS), "--timeout-keep-alive", str(KEEP_ALIVE_SECONDS))
    ending = ("--timeout-graceful-shutdown", str(end_seconds))
    return (
        *(sys.executable, "-m", "uvicorn", "webhooks.app:main", "--factory"),
        *(*place, *server, *quiet, *believed, *limits, *ending),
    )


def worker(
    name: str, group: Group, *, processes: int = 1, metered: bool = False
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Dramatiq for one group, with the variables by which it takes its tuning; `metered`: serving METRICS_PORT."""
    size = ("--processes", str(processes), "--threads", str(group.threads))
    ending = ("--worker-shutdown-timeout", str(SHUTDOWN_MS), "--skip-logging", "--path", str(ROOT))
    numbers: tuple[str, ...] = ()
    shared: dict[str, str] = {}
    if metered:
        numbers = ("--fork-function", "workers.main:serve_numbers")
        shared["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="groundswell-numbers-")
    command = (sys.executable, "-m", "dramatiq", "workers.main:setup", *size, *ending, *numbers)
    return (*command, "--queues", *group.queues), {
        "GROUNDSWELL_WORKER_GROUP": name,
        "GROUNDSWELL_SUPERVISED": "1",  # by Dramatiq's main process: its children must not outlive it
        "dramatiq_queue_prefetch": str(group.threads),
        "dramatiq_worker_timeout": str(group.notice_ms),
        "dramatiq_restart_delay": "500",
        **shared,
    }


def pulse() -> tuple[str, ...]:
    """The pulse."""
    return (sys.executable, "-m", "workers.pulse")
