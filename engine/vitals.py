"""How the installation is: what waits and for how long, what stands still, whether the servers answer; as metrics.

Read from Postgres when the page of numbers is asked for, at most once in a few seconds, on a thread: the page answers while
Postgres is frozen, and says so. It is for one or two processes to read it (the pulse), not for all. No statement looks at
more than `MOST` rows, each by an index made for it.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from threading import Lock, Thread
from time import monotonic

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Row, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from engine.states import STATES

KEPT_SECONDS, FATES_SECONDS = 5.0, 60.0
PATIENCE_SECONDS = 0.6  # that a page waits for what is being read
FROZEN_SECONDS = 6.0  # a reading that takes longer: Postgres does not answer
MOST = 1_000_000

Work = Callable[[], AbstractContextManager[tuple[Session, datetime]]]

_SHORTLY = text("SET LOCAL statement_timeout = '5s'")
# Times of the inbox and of handovers are Postgres' own, those of letters and enrollments the house's.
_ROWS = text("""
SELECT 'inbox' AS what, v.lane, d.number, extract(epoch FROM now() - d.first)::float AS late
FROM (VALUES ('intake'), ('feedback')) v(lane) CROSS JOIN LATERAL (
    SELECT count(*) AS number, min(due_at) AS first FROM (
        SELECT due_at FROM inbound_event WHERE state = 'pending' AND lane = v.lane ORDER BY due_at LIMIT :most) e) d
UNION ALL
SELECT 'quarantine', '', count(*), 0 FROM (SELECT FROM inbound_event WHERE state = 'quarantined' LIMIT :most) q
UNION ALL
SELECT 'ready', 'receipts', count(*), extract(epoch FROM :now - min(due_at))::float FROM (
    SELECT due_at FROM message WHERE state = 'ready' AND lane = 'receipts' ORDER BY due_at LIMIT :most) r
UNION ALL
SELECT 'ready', 'delivery', count(*), extract(epoch FROM :now - min(due_at))::float FROM (
    SELECT due_at FROM message WHERE state = 'ready' AND lane = 'delivery' LIMIT :most) b
UNION ALL
SELECT state, '', count(*), extract(epoch FROM now() - min(created_at))::float FROM (
    SELECT state, created_at FROM handover WHERE state IN ('submitting', 'uncertain') LIMIT :most) h GROUP BY state
UNION ALL
SELECT 'notices', '', count(*), 0 FROM (SELECT FROM notice WHERE resolved_at IS NULL LIMIT :most) n
""")
_LABELLED = text("""
SELECT 'notices_open' AS metric, kind AS label, count(*)::float AS value FROM notice WHERE resolved_at IS NULL GROUP BY kind
UNION ALL SELECT 'campaigns', v.state, (SELECT count(*) FROM campaign k WHERE k.state = v.state AND k.archived_at IS NULL)
    FROM unnest(CAST(:states AS text[])) v(state)
UNION ALL SELECT 'paused', 'campaigns', count(*) FROM campaign WHERE paused_at IS NOT NULL AND archived_at IS NULL
UNION ALL SELECT 'paused', 'sequences', count(*) FROM sequence WHERE paused_at IS NOT NULL
UNION ALL SELECT 'paused', 'mailings', count(*) FROM mailing WHERE paused_at IS NOT NULL
UNION ALL SELECT 'mail_held', reason, 1 FROM mail_hold WHERE lifted_at IS NULL AND (until IS NULL OR until > :now)
UNION ALL SELECT 'chore_late_seconds', name, greatest(extract(epoch FROM now() - due_at), 0) FROM chore
UNION ALL SELECT 'chore_finished_timestamp_seconds', name, extract(epoch FROM finished_at) FROM chore
    WHERE finished_at IS NOT NULL
UNION ALL SELECT 'connections', coalesce(state, 'unknown'), count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' GROUP BY state
UNION ALL SELECT 'connections_most', '', CAST(current_setting('max_connections') AS float)
UNION ALL SELECT 'database_bytes', '', pg_database_size(current_database())
UNION ALL SELECT 'archive_failing', '',
    coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)::int FROM pg_stat_archiver
UNION ALL SELECT 'slots_left_alone', '', count(*) FROM pg_replication_slots WHERE NOT active
UNION ALL SELECT 'wal_kept_bytes', '', coalesce(max(pg_wal_lsn_diff(
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)), 0)::float
    FROM pg_replication_slots
""")
# Whom each chapter writes from: its own address, or that of the nearest one above it which has one. What was told only
# grows, as a counter has to; what was handed over does not, for letters come back.
_FATES = text("""
WITH RECURSIVE said AS (
    SELECT id, sender_email AS email FROM chapter WHERE parent_id IS NULL
    UNION ALL
    SELECT c.id, coalesce(nullif(c.sender_email, ''), said.email) FROM chapter c JOIN said ON said.id = c.parent_id
), told AS (
    SELECT chapter_id, sum(delivered) AS delivered, sum(bounced) AS bounced, sum(complained) AS complained,
        sum(unsubscribed) AS unsubscribed FROM step_tally GROUP BY chapter_id
)
SELECT lower(split_part(said.email, '@', 2)) AS domain, sum(t.delivered)::float AS delivered,
    sum(t.bounced)::float AS bounced, sum(t.complained)::float AS complained, sum(t.unsubscribed)::float AS unsubscribed
FROM told t JOIN said
    ON said.id = coalesce(nullif(t.chapter_id, 0), (SELECT id FROM chapter WHERE parent_id IS NULL LIMIT 1))
WHERE said.email <> '' GROUP BY 1
""")
_SAID = {
    "notices_open": ("Matters that wait for a person, by kind", "kind"),
    "campaigns": ("Campaigns that are not archived, by state", "state"),
    "paused": ("What stands still until a person lets it go on", "what"),
    "mail_held": ("Why letters do not leave now", "reason"),
    "chore_late_seconds": ("For how long a chore of the schedule has been due", "chore"),
    "chore_finished_timestamp_seconds": ("When a chore last ended well", "chore"),
    "connections": ("Connections to our database, of all processes, by state", "state"),
    "connections_most": ("How many connections Postgres takes in all", ""),
    "database_bytes": ("What our database takes on its disk", ""),
    "archive_failing": ("Whether archive_command failed last", ""),
    "slots_left_alone": ("Replication slots that nobody reads", ""),
    "wal_kept_bytes": ("The WAL that is kept for the slot that is furthest behind", ""),
}


class Vitals(Collector):
    """A collector for the page of numbers. `reachable`: whether Redis answers; `folder`: whose disk is looked at."""

    def __init__(self, work: Work, reachable: Callable[[], bool], folder: Path | None = None) -> None:
        self._work, self._reachable, self._folder = work, reachable, folder
        self._starting = Lock()
        self._reading: Thread | None = None
        self._began = self._ended = self._fates_at = float("-inf")
        self._found: Sequence[Metric] = ()
        self._fates: Sequence[Metric] = ()

    def describe(self) -> Iterator[Metric]:
        """Nothing: to be registered is no reason to look."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """What was read a moment ago. While Postgres does not answer: that, and whatever does not come from it."""
        yield from _disk(self._folder) if self._folder else ()
        reading = self._read()
        reading.join(PATIENCE_SECONDS)
        if reading.is_alive() and monotonic() - self._began > FROZEN_SECONDS:
            yield _one("postgres_up", "Whether Postgres answers", 0)
            return
        yield from self._found

    def _read(self) -> Thread:
        """The thread that reads, or has read: a new one when what is known is old. Never two at once."""
        with self._starting:
            known = self._reading
            if known is None or (not known.is_alive() and monotonic() - self._ended > KEPT_SECONDS):
                self._began = monotonic()
                known = self._reading = Thread(target=self._look, name="vitals", daemon=True)
                known.start()
            return known

    def _look(self) -> None:
        redis = _one("redis_up", "Whether Redis answers", int(self._reachable()))
        try:
            with self._work() as (session, now):
                session.execute(_SHORTLY)
                of_rows = session.execute(_ROWS, {"now": now, "most": MOST}).all()
                labelled = session.execute(_LABELLED, {"now": now, "states": list(STATES["campaign"])}).all()
                if monotonic() - self._fates_at > FATES_SECONDS:
                    self._fates = [_fates(session.execute(_FATES).all())]
                    self._fates_at = monotonic()
        except SQLAlchemyError:
            self._found = [redis, _one("postgres_up", "Whether Postgres answers", 0)]
        else:
            up = _one("postgres_up", "Whether Postgres answers", 1)
            took = _one("vitals_seconds", "How long it took to read all this", monotonic() - self._began)
            self._found = [redis, up, took, *_waiting(of_rows), *_labelled(labelled), *self._fates]
        self._ended = monotonic()


def _one(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"groundswell_{name}", said, value=value)


def _waiting(found: Sequence[Row[tuple[object, ...]]]) -> Iterator[Metric]:
    number = GaugeMetricFamily("groundswell_rows", f"Rows waiting, {MOST:,} at most", labels=["what", "lane"])
    late = GaugeMetricFamily(
        "groundswell_oldest_due_seconds", "For how long the oldest of these rows has been due", labels=["what", "lane"]
    )
    for row in found:
        number.add_metric([row.what, row.lane], row.number)
        late.add_metric([row.what, row.lane], max(row.late or 0.0, 0.0))
    yield number
    yield late


def _labelled(found: Sequence[Row[tuple[object, ...]]]) -> Iterator[Metric]:
    for name, (said, label) in _SAID.items():
        family = GaugeMetricFamily(f"groundswell_{name}", said, labels=[label] if label else [])
        for row in found:
            if row.metric == name:
                family.add_metric([row.label] if label else [], row.value)
        yield family


def _fates(found: Sequence[Row[tuple[object, ...]]]) -> Metric:
    family = CounterMetricFamily(
        "groundswell_mail_fates",
        "What was told of campaigns' letters, by domain of the sender",
        labels=["domain", "fate"],
    )
    for row in found:
        for fate in ("delivered", "bounced", "complained", "unsubscribed"):
            family.add_metric([row.domain, fate], getattr(row, fate))
    return family


def _disk(folder: Path) -> Iterator[Metric]:
    try:
        used = shutil.disk_usage(folder)
    except OSError:
        return
    yield _one("data_disk_bytes", "Size of the disk that the data folder is on", used.total)
    yield _one("data_disk_free_bytes", "What is left of it", used.free)
