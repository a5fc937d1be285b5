"""Raw events as a file, out of one database and into another: JSON, a line an event, as they arrived.

What an old database still knows, or a copy that was kept elsewhere, is replayed so into one that was restored. The key of an
event is what it was, so that one which is there already stays the only one. Events that were emptied or split are left out:
of the latter their parts are there. A file holds people's data. Others may write lines of their own into it.
"""

import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import IO, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.errors import Invalid

MOST = 500  # events in one statement
MOST_BYTES = 8 * 1024 * 1024  # of bodies in one statement
LONGEST_LINE = 16 * 1024 * 1024  # the largest body that is received, as base64, with room

# Told apart from the pages: else all that is older would be passed over one by one.
_FIRST = text("SELECT min(id) FROM (SELECT id FROM inbound_event WHERE received_at >= :since OFFSET 0) since")
_PAGE = text("""
SELECT id, source, key, kind, lane, received_at, body FROM inbound_event
WHERE id > :after AND received_at >= :since AND state <> 'split' AND octet_length(body) > 0 ORDER BY id LIMIT :most
""")
_PATIENCE = text("SET LOCAL statement_timeout = 0")
_STORE = text("""
INSERT INTO inbound_event (source, key, kind, lane, body, received_at)
SELECT v.source, v.key, v.kind, v.lane, v.body, least(v.at, now())
FROM unnest(CAST(:sources AS text[]), CAST(:keys AS text[]), CAST(:kinds AS text[]), CAST(:lanes AS text[]),
    CAST(:bodies AS bytea[]), CAST(:ats AS timestamptz[])) AS v(source, key, kind, lane, body, at)
ORDER BY v.source, v.key
ON CONFLICT (source, key) DO NOTHING
RETURNING id
""")


class Strict(BaseModel):
    """One line of such a file, of whatever kind."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Line(Strict):
    """One event of a file."""

    source: str = Field(min_length=1, max_length=40)
    key: str = Field(min_length=1, max_length=600)
    kind: str = Field(max_length=100)
    lane: str = Field(pattern=f"^({'|'.join(bell.INBOX_LANES)})$")
    received_at: AwareDatetime
    body: str


EVENTS: TypeAdapter[Any] = TypeAdapter(Line)


def export(session: Session, since: datetime, file: IO[bytes]) -> int:
    """Write all that arrived since then, whatever became of it. Returns how many events. Memory stays flat."""
    session.execute(_PATIENCE)
    first = session.scalar(_FIRST, {"since": since})
    written, after = 0, (first or 0) - 1
    while first and (found := session.execute(_PAGE, {"after": after, "since": since, "most": 50}).all()):
        for row in found:
            file.write(_line(row))
        written, after = written + len(found), found[-1].id
    return written


def read(file: IO[bytes], kinds: TypeAdapter[Any] = EVENTS) -> Iterator[tuple[Strict, bytes]]:
    """Each event with its body; other `kinds` of lines with none. Raises Invalid, naming the line."""
    number = 0
    while raw := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(raw) > LONGEST_LINE:
            raise Invalid(f"line {number} is longer than any event")
        try:
            said = kinds.validate_json(raw)
            yield said, b64decode(said.body, validate=True) if isinstance(said, Line) else b""
        except (ValidationError, NotBase64):
            raise Invalid(f"line {number} is no event of `groundswell events export`") from None


def batches(events: Iterator[tuple[Strict, bytes]]) -> Iterator[Sequence[tuple[Strict, bytes]]]:
    """So many at a time, bounded by rows and bytes."""
    batch: list[tuple[Strict, bytes]] = []
    size = 0
    for line, body in events:
        if batch and (len(batch) == MOST or size + len(body) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((line, body))
        size += len(body)
    if batch:
        yield batch


def store(session: Session, batch: Sequence[tuple[Strict, bytes]]) -> int:
    """Store the events among these, each once. Returns how many are new."""
    events = [(line, body) for line, body in batch if isinstance(line, Line)]
    lines = [line for line, _ in events]
    values: dict[str, Any] = {
        "sources": [line.source for line in lines], "keys": [line.key for line in lines],
        "kinds": [line.kind for line in lines], "lanes": [line.lane for line in lines],
        "ats": [line.received_at for line in lines], "bodies": [body for _, body in events],
    }  # fmt: skip
    return len(session.execute(_STORE, values).all())


def _line(row: Any) -> bytes:
    said = {
        "source": row.source, "key": row.key, "kind": row.kind, "lane": row.lane, "received_at": row.received_at.isoformat(),
        "body": b64encode(bytes(row.body)).decode(),
    }  # fmt: skip
    return json.dumps(said).encode() + b"\n"
