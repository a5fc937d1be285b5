"""How each long-running process is started, one command line each: the same under `up`, by hand and in containers."""

import sys
import tempfile

from engine.settings import ROOT
from workers.main import Group

SHUTDOWN_MS = 25_000  # under the 30 seconds that supervisors usually grant


def web(host: str, port: int) -> tuple[str, ...]:
    """uvicorn, on its own: it reads no log configuration and writes no access log, our middleware does."""
    server = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header", "--no-proxy-headers")
    place = ("--host", host, "--port", str(port), "--app-dir", str(ROOT))
    ending = ("--timeout-graceful-shutdown", "2", "--log-level", "warning")
    return (sys.executable, "-m", "uvicorn", "webhooks.app:main", "--factory", *place, *server, *ending)


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
