"""The inbox: raw events stored once, claimed under a lease, finished, put aside, replayed.

A claim counts the attempt in a transaction of its own before any work, so that an event that kills its worker is found
out. Fresh events come in batches bounded by rows and bytes; an event that was tried before comes alone. The lease token
fences the work: a worker that lost its lease finds none of its rows and changes nothing.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from engine.db import Sessions, rows, transaction
from engine.errors import NotFound
from engine.events import HumanNeeded
from engine.tables import InboundEvent

BATCH_ROWS = 500
BATCH_BYTES = 8 * 1024 * 1024
LEASE_SECONDS = 10
MOST_ATTEMPTS = 5
PAUSE_SECONDS = 5

# The web process's writer: whatever has arrived, in one statement. psycopg runs it without SQLAlchemy; `%b`: in
# binary, for an array of bodies written out as text costs more than all else together.
RECEIVE = """
INSERT INTO inbound_event (source, key, kind, lane, body)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bytea[])
ON CONFLICT (source, key) DO NOTHING
RETURNING source, key, id
"""

# For keys that are the sender's own ids: a body that differs from the one kept under its key is kept beside it, unless the
# first was emptied since. Runs after RECEIVE, on what that did not insert; the same body again finds its own row.
RECEIVE_AGAIN = """
INSERT INTO inbound_event (source, key, kind, lane, body)
SELECT v.source, v.beside, 'again', v.lane, v.body
FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bytea[]) AS v(source, key, beside, lane, body)
JOIN inbound_event e ON e.source = v.source AND e.key = v.key
WHERE octet_length(e.body) > 0 AND e.body <> v.body
ON CONFLICT (source, key) DO NOTHING
RETURNING key, id
"""

_CLAIM_FRESH = text("""
WITH due AS MATERIALIZED (
    SELECT id, octet_length(body) AS size FROM inbound_event
    WHERE state = 'pending' AND lane = :lane AND attempts = 0 AND due_at <= now()
    ORDER BY due_at, id LIMIT :most FOR UPDATE SKIP LOCKED
), bounded AS (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM due
)
UPDATE inbound_event e SET attempts = 1, lease = :lease, due_at = now() + make_interval(secs => :seconds)
FROM bounded WHERE e.id = bounded.id AND bounded.before < :bytes
RETURNING e.id
""")

_CLAIM_TRIED = text("""
WITH due AS MATERIALIZED (
    SELECT id FROM inbound_event
    WHERE state = 'pending' AND lane = :lane AND attempts > 0 AND due_at <= now()
    ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE inbound_event e SET attempts = attempts + 1, lease = :lease, due_at = now() + make_interval(secs => :seconds)
FROM due WHERE e.id = due.id
RETURNING e.id
""")

_LOAD = text("""
SELECT id, source, kind, body, attempts FROM inbound_event
WHERE id = ANY(:ids) AND lease = :lease AND state = 'pending' ORDER BY id FOR UPDATE
""")

_FINISH = text("""
UPDATE inbound_event e SET state = v.state, reason = v.reason, lease = NULL, finished_at = clock_timestamp()
FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, state text, reason text)
WHERE e.id = v.id AND e.state = 'pending'
""")

# What a failed batch still holds: each of its rows comes alone next; one that failed alone waits longer each time. When
# Postgres itself was at fault (a lock, a full disk, a restart), no event is blamed: the attempt does not count.
_RELEASE = text("""
UPDATE inbound_event SET lease = NULL, reason = :reason, attempts = attempts - CASE WHEN :blameless THEN 1 ELSE 0 END,
    due_at = now() + make_interval(secs => CASE
        WHEN :blameless THEN :pause WHEN :alone AND attempts < :most THEN power(4, attempts - 1) ELSE 0 END)
WHERE id = ANY(:ids) AND lease = :lease AND state = 'pending'
""")

_EXHAUSTED = text("""
WITH due AS MATERIALIZED (
    SELECT id FROM inbound_event WHERE state = 'pending' AND lane = :lane AND attempts >= :most AND due_at <= now()
    FOR UPDATE SKIP LOCKED
)
UPDATE inbound_event e SET state = 'quarantined', lease = NULL, finished_at = now(),
    reason = 'gave up after ' || attempts || ' attempts' || CASE reason WHEN '' THEN '' ELSE ': ' || reason END
FROM due WHERE e.id = due.id
RETURNING e.id, e.source, e.reason
""")

_REPLAY = text("""
UPDATE inbound_event SET state = 'pending', attempts = 0, reason = '', lease = NULL, due_at = now(), finished_at = NULL
WHERE state = 'quarantined' AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(:ids))
RETURNING id, lane
""")


QUARANTINED = "event quarantined"  # the kind of notice


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event as it came, with how often it was tried (this time included)."""

    id: int
    source: str
    kind: str
    body: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an event ended."""

    id: int
    state: Literal["applied", "ignored", "split", "quarantined"]
    reason: str = ""


@dataclass(slots=True)
class Claim:
    """Events under a lease. Left by an error, it gives back what was not finished, and why."""

    sessions: Sessions
    lease: UUID
    ids: Sequence[int]
    alone: bool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is not None:
            with transaction(self.sessions) as session:
                values = {"ids": list(self.ids), "lease": self.lease, "alone": self.alone, "most": MOST_ATTEMPTS}
                fault = {"reason": kind.__name__, "blameless": _blameless(error), "pause": PAUSE_SECONDS}
                session.execute(_RELEASE, values | fault)


def _blameless(error: BaseException | None) -> bool:
    """Whether Postgres failed and not the event: anything operational but a value too large for an index."""
    return isinstance(error, OperationalError | InterfaceError) and not isinstance(
        error.orig, psycopg.errors.ProgramLimitExceeded
    )


def claim(sessions: Sessions, lane: str, *, tried_first: bool = False) -> Claim | None:
    """Take what is due in this lane: a batch of fresh events or one that was tried before, or None."""
    lease = uuid4()
    terms = {"lane": lane, "lease": lease, "seconds": LEASE_SECONDS}
    with transaction(sessions) as session:
        for tried in (tried_first, not tried_first):
            bounds = {} if tried else {"most": BATCH_ROWS, "bytes": BATCH_BYTES}
            if ids := session.scalars(_CLAIM_TRIED if tried else _CLAIM_FRESH, terms | bounds).all():
                return Claim(sessions, lease, ids, alone=tried)
    return None


@contextmanager
def loaded(claimed: Claim) -> Iterator[tuple[Session, list[RawEvent]]]:
    """The claim's events, locked, in the transaction that applies them. Empty when the lease was lost."""
    with transaction(claimed.sessions) as session:
        found = session.execute(_LOAD, {"ids": list(claimed.ids), "lease": claimed.lease})
        yield session, [RawEvent(*row) for row in found]


def key_beside(key: str, body: bytes) -> str:
    """The key of a body that came under a key which another body has."""
    return f"{key}#{hashlib.sha256(body).hexdigest()}"


def finish(session: Session, verdicts: Sequence[Verdict]) -> None:
    """Write how these events ended, in the transaction of their effects."""
    records = [{"id": v.id, "state": v.state, "reason": v.reason} for v in verdicts]
    session.execute(_FINISH, {"rows": rows(records)})


def give_up(session: Session, lane: str) -> list[HumanNeeded]:
    """Quarantine what was tried too often. Returns what a person must be told."""
    found = session.execute(_EXHAUSTED, {"lane": lane, "most": MOST_ATTEMPTS})
    return [needs_a_person(row.id, row.source, row.reason) for row in found]


def needs_a_person(id: int, source: str, reason: str) -> HumanNeeded:
    """What a person is told of an event in quarantine."""
    return HumanNeeded(id, QUARANTINED, name(id), f"from {source}: {reason}")


def name(id: int) -> str:
    """How an event is called in notices."""
    return f"inbound event {id}"


def get(session: Session, id: int) -> InboundEvent:
    """One event whole. Raises NotFound."""
    found = session.get(InboundEvent, id)
    if found is None:
        raise NotFound(f"no inbound event {id}")
    return found


def replay(session: Session, ids: Sequence[int] | None) -> Mapping[int, str]:
    """Put quarantined events back to pending, all of them when `ids` is None. Returns the lane of each."""
    found = session.execute(_REPLAY, {"ids": list(ids) if ids is not None else None})
    return {row.id: row.lane for row in found}
