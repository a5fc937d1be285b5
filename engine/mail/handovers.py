"""Handovers: each request to the provider, written down before its first byte leaves, and what came of it.

submitting -> accepted | refused | uncertain by the provider's answer; -> abandoned when nothing was written to the wire;
-> uncertain when the process died in between. An uncertain one is settled by evidence: the provider is asked. Letters
of a handover that took nothing go back to ready, at most three attempts, then a person is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Event, HumanNeeded, LettersComposed

MOST_ATTEMPTS = 3
RETRY_SECONDS = 30

# An answer may come after the sweep called it uncertain; it counts as long as nobody settled it otherwise.
_RECORD = text("""
UPDATE handover h SET state = v.state, provider_id = v.provider_id, reason = v.reason, answered_at = clock_timestamp()
FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, state text, provider_id text, reason text)
WHERE h.id = v.id AND h.state IN ('submitting', 'uncertain')
RETURNING h.id
""")

# Letters whose handover took nothing: ready again, or failed when tried too often or when it would never work.
_RETURN = text("""
UPDATE message m SET
    state = CASE WHEN v.again AND m.attempts < :most THEN 'ready' ELSE 'failed' END,
    reason = v.reason, handover_id = CASE WHEN v.again AND m.attempts < :most THEN NULL ELSE m.handover_id END,
    due_at = CASE WHEN v.again THEN CAST(:due AS timestamptz) ELSE m.due_at END
FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, again boolean, reason text)
WHERE m.handover_id = v.id AND m.state = 'handed'
RETURNING m.id, m.state, m.lane, m.reason, m.inbound_event_id
""")

_EXPIRE = text("UPDATE handover SET state = 'uncertain' WHERE state = 'submitting' AND due_at < now() RETURNING id")

_UNCERTAIN = text("SELECT id FROM handover WHERE state = 'uncertain' ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one handover ended. `again`: its letters may be tried once more."""

    id: int
    state: Literal["accepted", "refused", "abandoned", "uncertain", "resent"]
    provider_id: str = ""
    reason: str = ""
    again: bool = False


def record(session: Session, outcomes: Sequence[Outcome], now: datetime) -> list[Event]:
    """Write these outcomes; letters that nobody took go back to ready or, at the end of tries, fail and are told of."""
    values = [{"id": o.id, "state": o.state, "provider_id": o.provider_id, "reason": o.reason} for o in outcomes]
    recorded = set(session.scalars(_RECORD, {"rows": rows(values)}))
    back = [
        {"id": o.id, "again": o.again, "reason": o.reason}
        for o in outcomes
        if o.id in recorded and o.state in ("refused", "abandoned", "resent")
    ]
    if not back:
        return []
    at_once = all(o.state in ("abandoned", "resent") for o in outcomes if o.again)
    due = now if at_once else now + timedelta(seconds=RETRY_SECONDS)
    returned = session.execute(_RETURN, {"rows": rows(back), "most": MOST_ATTEMPTS, "due": due}).all()
    events: list[Event] = [
        HumanNeeded(row.inbound_event_id, "letter failed", f"message {row.id}", row.reason)
        for row in returned
        if row.state == "failed"
    ]
    ready = {row.lane for row in returned if row.state == "ready"} if at_once else set()
    return events + [LettersComposed(None, lane) for lane in sorted(ready)]


def expire(session: Session) -> int:
    """Sweep: a handover whose process outlived its lease is uncertain from now on. Returns how many."""
    return len(session.execute(_EXPIRE).all())


def uncertain(session: Session) -> list[int]:
    """The handovers to settle, locked."""
    return list(session.scalars(_UNCERTAIN))


def settled(ids: Sequence[int], taken: Mapping[int, str]) -> list[Outcome]:
    """What the provider's own record says of uncertain handovers: taken, or never arrived and to be sent again."""
    return [
        Outcome(i, "accepted", provider_id=taken[i])
        if i in taken
        else Outcome(i, "resent", reason="the provider has no record of it", again=True)
        for i in ids
    ]
