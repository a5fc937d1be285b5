"""What is counted, and the page of numbers. `up` gathers all processes' numbers through PROMETHEUS_MULTIPROC_DIR."""

import os
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from engine.db import Sessions

REQUESTS = Counter("groundswell_requests_total", "HTTP requests answered", ["route", "method", "status"])
REQUEST_SECONDS = Histogram("groundswell_request_seconds", "Time to answer a request", ["route"])
JOBS = Counter("groundswell_jobs_total", "Bells answered by a worker", ["queue", "outcome"])
JOB_SECONDS = Histogram("groundswell_job_seconds", "Time to answer a bell", ["queue"])
LETTERS = Counter("groundswell_letters_total", "Letters by what came of handing them over", ["lane", "outcome"])
BELLS = Counter("groundswell_bells_total", "Bells rung, and those that did not reach Redis", ["queue", "outcome"])
NOTICES = Counter("groundswell_notices_total", "Times that something needed a human being", ["kind"])

_DEPTHS = text("""
SELECT 'inbox' AS what, lane, count(*) AS depth,
    coalesce(extract(epoch FROM now() - min(received_at)), 0)::float AS age
FROM inbound_event WHERE state = 'pending' GROUP BY lane
UNION ALL SELECT 'quarantine', '', count(*), 0 FROM inbound_event WHERE state = 'quarantined'
UNION ALL SELECT 'ready', lane, count(*), 0 FROM message WHERE state = 'ready' GROUP BY lane
UNION ALL SELECT 'uncertain', '', count(*), 0 FROM handover WHERE state = 'uncertain'
UNION ALL SELECT 'holds', reason, 1, 0 FROM mail_hold
    WHERE lifted_at IS NULL AND (until IS NULL OR until > now())
UNION ALL SELECT 'notices', '', count(*), 0 FROM notice WHERE resolved_at IS NULL
""")


class _Depths(Collector):
    """Depths and ages, read from Postgres when the page is asked for."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def collect(self) -> Iterator[Metric]:
        """One gauge a depth; nothing while Postgres does not answer."""
        depth = GaugeMetricFamily("groundswell_rows", "Rows waiting, by what they are", labels=["what", "lane"])
        age = GaugeMetricFamily("groundswell_inbox_oldest_seconds", "Age of the oldest pending event", labels=["lane"])
        try:
            with self.sessions() as session:
                found = session.execute(_DEPTHS).all()
        except SQLAlchemyError:
            found = []
        for row in found:
            depth.add_metric([row.what, row.lane], row.depth)
            if row.what == "inbox":
                age.add_metric([row.lane], row.age)
        yield depth
        yield age


def serve(host: str, port: int, sessions: Sessions) -> None:
    """Answer /metrics on its own port, on a thread of its own."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_Depths(sessions))
    start_http_server(port, addr=host, registry=registry)
