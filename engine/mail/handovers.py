"""Handovers: each request to the provider, written down before its first byte leaves, and what came of it.

submitting -> accepted | refused | uncertain by the provider's answer; -> abandoned when nothing was written to the wire;
-> uncertain when the process died in between. An uncertain one is settled by evidence: the provider is asked. Letters
of a handover that took nothing go back to ready; those that never get through fail, and a person is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Event, HumanNeeded, LettersComposed

MOST_ATTEMPTS = 30  # of which nobody took anything: with these pauses about a day
MOST_DOUBTS = 3  # handovers of one letter that may each have been taken
SHORTEST_PAUSE, LONGEST_PAUSE = 30, 3600  # seconds
FAILED = "letter failed"  # the kind of notice

# An answer may come after the sweep called it uncertain; it counts as long as nobody settled it otherwise.
_RECORD = text("""
WITH open AS MATERIALIZED (
    SELECT h.id, v.state, v.provider_id, v.reason
    FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, state text, provider_id text, reason text)
    JOIN handover h ON h.id = v.id WHERE h.state IN ('submitting', 'uncertain') ORDER BY h.id FOR UPDATE OF h
)
UPDATE handover h SET state = o.state, provider_id = o.provider_id, reason = o.reason, answered_at = clock_timestamp()
FROM open o WHERE h.id = o.id
RETURNING h.id
""")

# Letters whose handover took nothing. Nobody has them for certain (refused, abandoned): ready again, later each time, for
# about a day. Nobody seems to have them (resent): ready again at once, but only so often, for each time may be a double.
_RETURN = text("""
WITH judged AS MATERIALIZED (
    SELECT m.id, v.reason, v.doubtful,
        v.again AND CASE WHEN v.doubtful THEN m.doubts + 1 < :most_doubts ELSE m.attempts < :most END AS again,
        CASE WHEN v.at_once THEN 0 ELSE least(:longest, :shortest * power(2, m.attempts - 1)) END AS pause
    FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, again boolean, doubtful boolean, at_once boolean, reason text)
    JOIN message m ON m.handover_id = v.id AND m.state = 'handed'
    ORDER BY m.id FOR UPDATE OF m
)
UPDATE message m SET
    state = CASE WHEN j.again THEN 'ready' ELSE 'failed' END, reason = j.reason,
    doubts = m.doubts + CASE WHEN j.doubtful THEN 1 ELSE 0 END,
    handover_id = CASE WHEN j.again THEN NULL ELSE m.handover_id END,
    due_at = CASE WHEN j.again THEN CAST(:now AS timestamptz) + make_interval(secs => j.pause) ELSE m.due_at END
FROM judged j WHERE m.id = j.id
RETURNING m.id, m.state, m.lane, m.reason, m.inbound_event_id, j.pause
""")

_RETRY = text("""
UPDATE message SET state = 'ready', reason = '', attempts = 0, doubts = 0, handover_id = NULL, due_at = :now
WHERE state = 'failed' AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(:ids))
RETURNING id, lane
""")

_EXPIRE = text("""
WITH dead AS MATERIALIZED (
    SELECT id FROM handover WHERE state = 'submitting' AND due_at < now() ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE handover h SET state = 'uncertain' FROM dead WHERE h.id = dead.id RETURNING h.id
""")

_UNCERTAIN = text("SELECT id FROM handover WHERE state = 'uncertain' ORDER BY id LIMIT 500")


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
        {
            "id": o.id,
            "again": o.again,
            "reason": o.reason,
            "doubtful": o.state == "resent",
            "at_once": o.state in ("abandoned", "resent"),
        }
        for o in outcomes
        if o.id in recorded and o.state in ("refused", "abandoned", "resent")
    ]
    if not back:
        return []
    terms = {"most": MOST_ATTEMPTS, "most_doubts": MOST_DOUBTS, "shortest": SHORTEST_PAUSE, "longest": LONGEST_PAUSE}
    returned = session.execute(_RETURN, terms | {"rows": rows(back), "now": now}).all()
    events: list[Event] = [
        HumanNeeded(row.inbound_event_id, FAILED, name(row.id), row.reason) for row in returned if row.state == "failed"
    ]
    ready = {row.lane for row in returned if row.state == "ready" and not row.pause}
    return events + [LettersComposed(None, lane) for lane in sorted(ready)]


def retry(session: Session, ids: Sequence[int] | None, now: datetime) -> Mapping[int, str]:
    """Make failed letters ready again, all of them when `ids` is None. Returns the lane of each."""
    found = session.execute(_RETRY, {"ids": list(ids) if ids is not None else None, "now": now})
    return {row.id: row.lane for row in found}


def name(message_id: int) -> str:
    """How a letter is called in notices."""
    return f"message {message_id}"


def expire(session: Session) -> int:
    """Sweep: a handover whose process outlived its lease is uncertain from now on. Returns how many."""
    return len(session.execute(_EXPIRE).all())


def uncertain(session: Session) -> list[int]:
    """The handovers to settle. Not locked: the provider is asked between two transactions, `record` looks again."""
    return list(session.scalars(_UNCERTAIN))


def settled(ids: Sequence[int], taken: Mapping[int, str]) -> list[Outcome]:
    """What the provider's own record says of uncertain handovers: taken, or never arrived and to be sent again."""
    return [
        Outcome(i, "accepted", provider_id=taken[i])
        if i in taken
        else Outcome(i, "resent", reason="the provider has no record of it", again=True)
        for i in ids
    ]
