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
from typing import Any, Literal, Self
from uuid import UUID, uuid4

import psycopg
from sqlalchemy import Row, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from engine import bookmarks
from engine.bookmarks import Place
from engine.db import Sessions, rows, transaction
from engine.errors import NotFound
from engine.events import HumanNeeded, RawEvent

BATCH_ROWS = 500
BATCH_BYTES = 8 * 1024 * 1024
LEASE_SECONDS = 10
MOST_ATTEMPTS = 5
PAUSE_SECONDS = 5
STRETCH = 5_000
FORGOTTEN = {
    "feedback": "forgotten feedback",
    "intake": "forgotten intake",
}  # bookmarks: the last event that was looked at
BODIES = "emptied bodies"  # the bookmark: the last event whose body was looked at for emptying
AGAIN = "again"  # the kind of an event that came again under a known key with other bytes

_GET = text("SELECT * FROM inbound_event WHERE id = :id")

# The web process's writer: whatever has arrived, in one statement. psycopg runs it without SQLAlchemy; `%b`: in
# binary, for an array of bodies written out as text costs more than all else together.
RECEIVE = """
INSERT INTO inbound_event (source, key, kind, lane, body)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::bytea[])
ON CONFLICT (source, key) DO NOTHING
RETURNING source, key, id
"""

# What we fetch ourselves, page by page. In order of key: a webhook that brings the same ones may insert them meanwhile.
_STORE = text("""
INSERT INTO inbound_event (source, key, kind, lane, body)
SELECT CAST(:source AS text), v.key, v.kind, CAST(:lane AS text), v.body
FROM unnest(CAST(:keys AS text[]), CAST(:kinds AS text[]), CAST(:bodies AS bytea[])) AS v(key, kind, body)
ORDER BY v.key
ON CONFLICT (source, key) DO NOTHING
RETURNING id
""")
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
SELECT id, source, key, kind, body, attempts, received_at FROM inbound_event
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

# The parts of a body that holds many; the whole one is emptied, for nothing of it is lost.
_SPLIT = text("""
INSERT INTO inbound_event (source, key, kind, lane, body, received_at)
SELECT p.source, p.key || ':' || v.place, 'part', p.lane, v.body, p.received_at
FROM unnest(CAST(:ids AS bigint[]), CAST(:places AS int[]), CAST(:bodies AS bytea[])) AS v(id, place, body)
JOIN inbound_event p ON p.id = v.id ORDER BY v.id, v.place
ON CONFLICT (source, key) DO NOTHING
""")

_EMPTY = text("UPDATE inbound_event SET body = '' WHERE id = ANY(:ids)")

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

# Bodies that are done with, a stretch of ids at a time. What waits for a person keeps its body: it may be a gift.
_EMPTY_OLD = text("""
WITH stretch AS MATERIALIZED (
    SELECT id, state, octet_length(body) > 0 AS kept FROM inbound_event
    WHERE id > coalesce((SELECT number FROM bookmark WHERE name = :bookmark), 0)
        AND received_at < now() - make_interval(days => :days)
    ORDER BY id LIMIT :most
), emptied AS (
    UPDATE inbound_event e SET body = '' FROM stretch s
    WHERE e.id = s.id AND s.kept AND s.state IN ('applied', 'ignored', 'split') RETURNING e.id
)
SELECT (SELECT max(id) FROM stretch) AS last, (SELECT count(*) FROM emptied) AS emptied
""")

# Events that are done with, whole. What came of them has keys of its own. What waits for a person stays.
_FORGET = text("""
WITH stretch AS MATERIALIZED (
    SELECT id, lane, state, received_at FROM inbound_event
    WHERE id > coalesce((SELECT number FROM bookmark WHERE name = :bookmark), 0) ORDER BY id LIMIT :most
), old AS MATERIALIZED (
    SELECT * FROM stretch WHERE received_at < now() - make_interval(days => :days) AND state <> 'pending'
), gone AS (
    DELETE FROM inbound_event e USING old o
    WHERE e.id = o.id AND o.lane = :lane AND e.state IN ('applied', 'ignored', 'split') RETURNING e.id
)
SELECT (SELECT coalesce(max(id), 0) FROM old
        WHERE id < coalesce((SELECT min(id) FROM stretch WHERE id NOT IN (SELECT id FROM old)), 9223372036854775807)) AS upto,
    (SELECT count(*) = :most FROM old) AS more, (SELECT count(*) FROM gone) AS gone
""")

_GO_BACK = text("UPDATE bookmark SET number = least(number, :number) WHERE name = ANY(:bookmarks)")

# The first event under a key that came again with other bytes.
_FIRST = text("""
SELECT a.id, f.body FROM inbound_event a JOIN inbound_event f
    ON f.source = a.source AND f.key = split_part(a.key, '#', 1)
WHERE a.id = ANY(:ids)
""")

_BODY = text("SELECT body FROM inbound_event WHERE source = :source AND key = :key")

_REPLAY = text("""
UPDATE inbound_event SET state = 'pending', attempts = 0, reason = '', lease = NULL, due_at = now(), finished_at = NULL
WHERE state = 'quarantined' AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(:ids))
RETURNING id, lane
""")


QUARANTINED = "event quarantined"  # kinds of notice
UNEXPECTED = "unexpected event"


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


def store(session: Session, source: str, lane: str, arrivals: Sequence[tuple[str, str, bytes]]) -> int:
    """Store what we fetched ourselves, each (key, kind, body) once. Returns how many are new."""
    if not arrivals:
        return 0
    keys, kinds, bodies = (list(column) for column in zip(*arrivals, strict=True))
    values = {"source": source, "lane": lane, "keys": keys, "kinds": kinds, "bodies": bodies}
    return len(session.execute(_STORE, values).all())


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


def split(session: Session, parts: Mapping[int, Sequence[bytes]]) -> None:
    """Store the parts of these events (by id) as events of their own, fresh, in the same lane, and empty the whole ones."""
    if not parts:
        return
    each = [(parent, place, body) for parent, bodies in parts.items() for place, body in enumerate(bodies)]
    if each:
        ids, places, bodies = zip(*each, strict=True)
        session.execute(_SPLIT, {"ids": list(ids), "places": list(places), "bodies": list(bodies)})
    session.execute(_EMPTY, {"ids": list(parts)})


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


def first_bodies(session: Session, raw: Sequence[RawEvent]) -> Mapping[int, bytes]:
    """For events that came again under a known key with other bytes (kind "again"): the body that came first."""
    again = [event.id for event in raw if event.kind == AGAIN]
    return {row.id: row.body for row in session.execute(_FIRST, {"ids": again})} if again else {}


def body_of(session: Session, source: str, key: str) -> bytes | None:
    """What was stored under this key; None when nothing was, b"" when it was emptied since."""
    found: bytes | None = session.execute(_BODY, {"source": source, "key": key}).scalar_one_or_none()
    return found


def empty_old(session: Session, days: int) -> tuple[int, bool]:
    """Empty the bodies of one stretch of events older than this. Returns how many, and whether there may be more."""
    found = session.execute(_EMPTY_OLD, {"bookmark": BODIES, "days": days, "most": STRETCH}).one()
    if found.last is not None:
        bookmarks.put(session, BODIES, Place(number=found.last))
    return found.emptied, found.last is not None


def forget(session: Session, lane: str, days: int, most: int = STRETCH) -> tuple[int, bool]:
    """Take out one stretch of this lane's events that came longer ago than this and are done with. Returns how many, and
    whether there may be more. One that is pending still is waited for."""
    found = session.execute(_FORGET, {"bookmark": FORGOTTEN[lane], "lane": lane, "days": days, "most": most}).one()
    if found.upto:
        bookmarks.put(session, FORGOTTEN[lane], Place(number=found.upto))
    return found.gone, found.more


def get(session: Session, id: int) -> Row[Any]:
    """One event whole: the columns of `inbound_event`. Raises NotFound."""
    found = session.execute(_GET, {"id": id}).one_or_none()
    if found is None:
        raise NotFound(f"no inbound event {id}")
    return found


def replay(session: Session, ids: Sequence[int] | None) -> Mapping[int, str]:
    """Put quarantined events back to pending, all of them when `ids` is None. Returns the lane of each."""
    found = session.execute(_REPLAY, {"ids": list(ids) if ids is not None else None})
    lanes = {row.id: row.lane for row in found}
    if lanes:
        session.execute(_GO_BACK, {"bookmarks": [BODIES, *FORGOTTEN.values()], "number": min(lanes) - 1})
    return lanes
