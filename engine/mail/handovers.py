"""Handovers: each request to the provider, written down before its first byte leaves, and what came of it.

submitting -> accepted | refused | abandoned | split by the provider's answer; -> uncertain when none came, or the process
died in between. What an uncertain one becomes is decided in `engine.mail.settling`. The answer is written on the handover
alone; letters of one that took nothing go back to ready, and those that never get through fail, and a person is told.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import Event, HumanNeeded, LettersComposed
from engine.mail import allowances, tally

MOST_DOUBTS = 3  # handovers of one letter that may each have been taken
FAILED, SENDER = "letter failed", "sender refused"  # kinds of notice
_PLAIN: Mapping[str, object] = {
    "doubtful": False, "pause": 0.0, "together": None, "ids": None, "others": None, "pointless": False,
}  # fmt: skip

# What is counted of a letter of a sequence that is with nobody, by what it is now.
_BECAME: Mapping[str, Sequence[tuple[str, int]]] = {
    "ready": [("handed", -1)], "failed": [("handed", -1), ("refused", 1)], "skipped": [("handed", -1), ("skipped", 1)],
}  # fmt: skip

# An answer may come after the sweep called it uncertain; it counts as long as nobody settled it otherwise.
_RECORD = text("""
WITH open AS MATERIALIZED (
    SELECT h.id, v.state, v.provider_id, v.reason
    FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, state text, provider_id text, reason text)
    JOIN handover h ON h.id = v.id WHERE h.state IN ('submitting', 'uncertain') ORDER BY h.id FOR UPDATE OF h
)
UPDATE handover h SET state = o.state, provider_id = o.provider_id, reason = o.reason, answered_at = clock_timestamp(),
    due_at = CASE o.state WHEN 'uncertain' THEN now() ELSE h.due_at END
FROM open o WHERE h.id = o.id
RETURNING h.id
""")

# The handover, while nobody but the process that makes its request knows what came of it.
_STILL_OPEN = text("SELECT id FROM handover WHERE id = :id AND state IN ('submitting', 'uncertain') FOR UPDATE")

# Letters that nobody has. For certain (refused, abandoned, split): ready again. It only seems so (resent): ready again, but
# only so often, for each time may be a double.
_RETURN = text("""
WITH judged AS MATERIALIZED (
    SELECT m.id, m.handed_at, v.id AS under, v.reason, v.doubtful, v.together, v.pause, v.pointless,
        v.again AND NOT (v.doubtful AND m.doubts + 1 >= :most_doubts) AS again
    FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, again boolean, doubtful boolean, pause float, together int,
        reason text, ids bigint[], others bigint[], pointless boolean)
    JOIN message m ON m.handover_id = v.id AND m.state = 'handed'
        AND (v.ids IS NULL OR m.id = ANY(v.ids)) AND (v.others IS NULL OR m.id <> ALL(v.others))
    ORDER BY m.id FOR UPDATE OF m
)
UPDATE message m SET
    state = CASE WHEN j.again THEN 'ready' WHEN j.pointless THEN 'skipped' ELSE 'failed' END, reason = j.reason,
    handed_at = NULL,
    doubts = m.doubts + CASE WHEN j.doubtful THEN 1 ELSE 0 END,
    together = coalesce(j.together, m.together),
    handover_id = CASE WHEN j.again OR j.pointless THEN NULL ELSE m.handover_id END,
    due_at = CASE WHEN j.again THEN greatest(m.due_at, CAST(:now AS timestamptz) + make_interval(secs => j.pause))
        ELSE m.due_at END
FROM judged j WHERE m.id = j.id
RETURNING m.id, m.mailing_id, m.version_id, m.campaign_id, m.step, j.under, m.state, m.lane, m.reason, m.inbound_event_id,
    m.due_at <= :now AS due, m.handover_id, coalesce(m.chapter_id, 0) AS chapter,
    CAST(j.handed_at AT TIME ZONE 'UTC' AS date) AS day
""")

# What comes back of a handover from before a person let the mailing go on is excused, too.
_UNCOUNT = text("""
UPDATE mailing w SET handed = greatest(w.handed - v.letters, 0), refused = w.refused + v.failed,
    excused = CASE WHEN w.excused = '{}' THEN w.excused ELSE w.excused || (
        SELECT jsonb_build_object('handed', greatest(CAST(w.excused ->> 'handed' AS bigint) - sum(b.letters), 0),
            'refused', CAST(w.excused ->> 'refused' AS bigint) + sum(b.failed))
        FROM (SELECT 0 AS letters, 0 AS failed UNION ALL
            SELECT letters, failed FROM json_to_recordset(v.back) AS e(id bigint, letters int, failed int)
            WHERE id <= CAST(w.excused ->> 'upto' AS bigint)) b) END
FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, letters bigint, failed bigint, back json) WHERE w.id = v.id
""")

_RETRY = text("""
UPDATE message m SET state = 'ready', reason = '', doubts = 0, handover_id = NULL, due_at = :now
WHERE state = 'failed' AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(:ids))
    AND NOT EXISTS (SELECT FROM campaign k WHERE k.id = m.campaign_id AND k.state = 'cancelled')
RETURNING id, lane, mailing_id, version_id, campaign_id, coalesce(chapter_id, 0) AS chapter, step
""")

_EXPIRE = text("""
WITH dead AS MATERIALIZED (
    SELECT id FROM handover WHERE state = 'submitting' AND due_at < now() ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE handover h SET state = 'uncertain' FROM dead WHERE h.id = dead.id RETURNING h.id
""")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one handover ended. `again`: its letters may be tried once more, after `pause` seconds; `together`: at most so many
    of them in one request. `failing`, `alone`: of its letters these fail, or go out in a request of their own (why), however
    it ended; `pointless`: these are skipped, for they have nothing to say; those that were set aside before the request are
    not looked at again. `sender`: the provider takes nothing from
    this address of ours; its letters fail, and a person is told of the address, once."""

    id: int
    state: Literal["accepted", "refused", "abandoned", "split", "uncertain", "resent", "presumed"]
    provider_id: str = ""
    reason: str = ""
    again: bool = False
    pause: float = 0.0
    together: int | None = None
    failing: Mapping[int, str] = field(default_factory=dict)
    alone: Mapping[int, str] = field(default_factory=dict)
    pointless: Mapping[int, str] = field(default_factory=dict)
    sender: str = ""


def record(session: Session, outcomes: Sequence[Outcome], now: datetime) -> list[Event]:
    """Write these outcomes; letters that nobody took go back to ready or, at the end of tries, fail and are told of."""
    values = [{"id": o.id, "state": o.state, "provider_id": o.provider_id, "reason": o.reason} for o in outcomes]
    recorded = set(session.scalars(_RECORD, {"rows": rows(values)}))
    back = [each for outcome in outcomes if outcome.id in recorded for each in _back(outcome)]
    told = [_of_sender(each) for each in outcomes if each.sender and each.id in recorded]
    strangers = {each.id for each in outcomes if each.sender}
    return [*told, *_returned(session, back, now, strangers)] if back else []


def set_aside(session: Session, outcome: Outcome, now: datetime) -> list[Event]:
    """Before the request is made: those of its letters that are not in it. They fail, are skipped, or are ready to go alone,
    whatever becomes of the others: once the provider has told of those, nobody takes the answer's word for these."""
    if session.scalar(_STILL_OPEN, {"id": outcome.id}) is None:
        return []
    return _returned(session, _apart(outcome), now)


def _of_sender(outcome: Outcome) -> Event:
    advice = (
        f"{outcome.reason}: nothing leaves from this address before it is verified there; then `groundswell letters retry "
        "--all` makes its letters ready again"
    )
    return HumanNeeded(None, SENDER, outcome.sender, advice)


def _returned(
    session: Session, back: Sequence[Mapping[str, object]], now: datetime, strangers: Collection[int] = ()
) -> list[Event]:
    """Letters that go back: ready, or failed, and a person is told. Those under the handovers of `strangers` fail for their
    sender: it is told of already, and held against no mailing."""
    returned = session.execute(_RETURN, {"rows": rows(back), "now": now, "most_doubts": MOST_DOUBTS}).all()
    failed = [row for row in returned if row.state == "failed" and row.under not in strangers]
    _uncount(session, [row for row in returned if row.lane == bell.DELIVERY], {row.id for row in failed})
    told = {(row.mailing_id if row.lane == bell.DELIVERY else row.id, row.reason): row for row in reversed(failed)}
    ready = {row.lane for row in returned if row.state == "ready" and row.due}
    return [
        *(HumanNeeded(row.inbound_event_id, FAILED, name(row.id), row.reason) for row in told.values()),
        *(LettersComposed(None, lane) for lane in sorted(ready)),
        *tally.of_steps((row, what) for row in returned if row.lane == bell.DELIVERY for what in _BECAME[row.state]),
    ]


def retry(session: Session, ids: Sequence[int] | None, now: datetime) -> tuple[Mapping[int, str], list[Event]]:
    """Make failed letters ready again, all of them when `ids` is None; not those of a cancelled campaign. Returns the lane of
    each, and what followed."""
    found = session.execute(_RETRY, {"ids": list(ids) if ids is not None else None, "now": now}).all()
    return {row.id: row.lane for row in found}, tally.of_steps((row, ("refused", -1)) for row in found)


def name(message_id: int) -> str:
    """How a letter is called in notices."""
    return f"message {message_id}"


def expire(session: Session) -> int:
    """Sweep: a handover whose process outlived its lease is uncertain from now on. Returns how many."""
    return len(session.execute(_EXPIRE).all())


def _uncount(session: Session, returned: Sequence[Row[Any]], refused: Set[int]) -> None:
    """Fewer letters are with the provider than were counted when they were claimed, of their mailings and of all that has an
    allowance; some were `refused`."""
    if returned:
        letters = Counter((row.mailing_id, row.under) for row in returned)
        failed = Counter((row.mailing_id, row.under) for row in returned if row.id in refused)
        back: dict[int, list[dict[str, int]]] = {}
        for (mailing_id, under), many in sorted(letters.items()):
            of = {"id": under, "letters": many, "failed": failed[mailing_id, under]}
            back.setdefault(mailing_id, []).append(of)
        counted = (
            {"id": each, "back": of} | {name: sum(one[name] for one in of) for name in ("letters", "failed")}
            for each, of in back.items()
        )
        session.execute(_UNCOUNT, {"rows": rows(counted)})
        allowances.give_back(session, Counter((row.chapter, row.day) for row in returned if row.day))


def _back(outcome: Outcome) -> list[dict[str, object]]:
    """Which of its letters go back, and how: first those that fail or go alone, then the rest."""
    apart = [*outcome.failing, *outcome.alone, *outcome.pointless]
    found = _apart(outcome)
    if outcome.state in ("refused", "abandoned", "split", "resent"):
        rest = {"again": outcome.again, "reason": outcome.reason, "together": outcome.together, "others": apart or None}
        known = {"id": outcome.id, "pause": outcome.pause, "doubtful": outcome.state == "resent"}
        found.append({**_PLAIN, **known, **rest})
    return found


def _apart(outcome: Outcome) -> list[dict[str, object]]:
    """Its letters that are not in the request."""
    plain = {**_PLAIN, "id": outcome.id, "pause": outcome.pause}
    kinds: list[tuple[Mapping[int, str], dict[str, object]]] = [
        (outcome.failing, {"again": False}),
        (outcome.pointless, {"again": False, "pointless": True}),
        (outcome.alone, {"again": True, "together": 1}),
    ]
    return [plain | how | {"reason": why, "ids": [letter]} for letters, how in kinds for letter, why in letters.items()]
