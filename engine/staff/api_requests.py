"""What was answered to requests with an Idempotency-Key: the same one again gets the same answer, and does nothing.

The row is written by the transaction that does the work. Whoever comes with the same key meanwhile waits for it; if it fails,
nothing is kept, and the next one does the work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict

KEPT = timedelta(days=30)
STRETCH = 5_000

_CLAIM = text("""
INSERT INTO api_request (api_token_id, key, request_hash, at) VALUES (:token_id, :key, :hash, :now)
ON CONFLICT DO NOTHING RETURNING api_token_id
""")
_FIND = text(
    "SELECT request_hash, status, headers, answer FROM api_request WHERE api_token_id = :token_id AND key = :key"
)
_KEEP = text("""
UPDATE api_request SET status = :status, headers = CAST(:headers AS jsonb), answer = :answer
WHERE api_token_id = :token_id AND key = :key
""")
_FORGET = text("""
DELETE FROM api_request WHERE (api_token_id, key) IN (
    SELECT api_token_id, key FROM api_request WHERE at < :before ORDER BY at LIMIT :most FOR UPDATE SKIP LOCKED
)
""")


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it was given: status, the headers that belong to it, body."""

    status: int
    headers: Mapping[str, str]
    answer: str


def claim(session: Session, token_id: int, key: str, request_hash: str, now: datetime) -> Kept | None:
    """The answer that this token's request of this key got; None: it is new, and whoever asks does the work now.

    Raises Conflict when the key was used for another request (another hash).
    """
    values = {"token_id": token_id, "key": key, "hash": request_hash, "now": now}
    if session.scalar(_CLAIM, values) is not None:
        return None
    found = session.execute(_FIND, values).one()
    if found.request_hash != request_hash:
        raise Conflict("this Idempotency-Key was used for another request: take a new one for each")
    return Kept(found.status, found.headers, found.answer)


def keep(session: Session, token_id: int, key: str, done: Kept) -> None:
    """Keep the answer, in the transaction that claimed the key."""
    values = {"token_id": token_id, "key": key, "status": done.status, "answer": done.answer}
    session.execute(_KEEP, values | {"headers": orjson.dumps(dict(done.headers)).decode()})


def forget(session: Session, now: datetime) -> tuple[int, bool]:
    """Delete one stretch of those that were kept long enough. Returns how many, and whether there may be more."""
    done = session.connection().execute(_FORGET, {"before": now - KEPT, "most": STRETCH}).rowcount
    return done, done == STRETCH
