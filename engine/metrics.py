"""What is counted, and the page of numbers. `up` gathers all processes' numbers through PROMETHEUS_MULTIPROC_DIR.

What is read from the database for it is `engine.vitals`; docs/watching.md tells what each number is for.
"""

import os
from collections.abc import Iterator
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector
from sqlalchemy.pool import QueuePool

from engine.db import Sessions

REQUESTS = Counter("groundswell_requests_total", "HTTP requests answered", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("groundswell_request_seconds", "Time to answer a request", ["route"])
HEARD = Gauge(
    "groundswell_heard_timestamp_seconds",
    "When an event of this source was last stored by its webhook",
    ["source"],
    multiprocess_mode="max",
)
EVENTS = Counter("groundswell_events_total", "Raw events finished, by what became of them", ["source", "state"])
JOBS = Counter("groundswell_jobs_total", "Bells answered by a worker", ["queue", "outcome"])
JOB_SECONDS = Histogram("groundswell_job_seconds", "Time to answer a bell", ["queue"])
CLAIMED = Counter("groundswell_claimed_total", "Letters that the last look decided on", ["lane", "verdict"])
LETTERS = Counter("groundswell_letters_total", "Letters by what came of handing them over", ["lane", "outcome"])
ANSWERS = Counter(
    "groundswell_provider_answers_total", "What providers answered: HTTP's status, or none", ["provider", "answer"]
)
ANSWER_SECONDS = Histogram("groundswell_provider_seconds", "Time until a provider answered", ["provider"])
BELLS = Counter("groundswell_bells_total", "Bells rung, and those that did not reach Redis", ["queue", "outcome"])
BEAT = Gauge("groundswell_pulse_beat_timestamp_seconds", "When the leading pulse last beat", multiprocess_mode="max")
CHORES = Counter("groundswell_chores_total", "Chores of the schedule, by how they ended", ["chore", "outcome"])
NOTICES = Counter("groundswell_notices_total", "Times that something needed a human being", ["kind"])


class Pool(Collector):
    """The connections to Postgres that this process has."""

    def __init__(self, sessions: Sessions) -> None:
        self._pool = sessions.kw["bind"].pool

    def describe(self) -> Iterator[Metric]:
        """Nothing ahead."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Those in use, and how many there can be."""
        pool = self._pool
        if isinstance(pool, QueuePool):
            found = GaugeMetricFamily("groundswell_pool_connections", "Connections of this process", labels=["state"])
            found.add_metric(["used"], pool.checkedout())
            found.add_metric(["most"], pool.size() * 2)  # as many again may overflow: engine.db
            yield found


def serve(host: str, port: int, *others: Collector) -> tuple[WSGIServer, Thread]:
    """Answer /metrics on its own port (0: a free one), on a thread of its own, with these collectors' numbers too."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    for other in others:
        registry.register(other)
    return start_http_server(port, addr=host, registry=registry)
