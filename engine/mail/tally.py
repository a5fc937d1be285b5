"""How many letters of each campaign mailing arrived, came back or annoyed: counted as it is told, not by looking at all."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import Event, StepCounted
from engine.mail import breaker
from engine.settings import Settings

_Step = tuple[int, int, int, int, str]
TOLD = ("bounced", "complained", "unsubscribed")  # long after they left

_COUNT = text("""
UPDATE mailing w SET delivered = w.delivered + v.delivered, bounced = w.bounced + cardinality(v.bounced),
    complained = w.complained + cardinality(v.complained),
    excused = CASE WHEN w.excused = '{}' THEN w.excused ELSE w.excused || jsonb_build_object(
        'bounced', CAST(w.excused ->> 'bounced' AS bigint) + (
            SELECT count(*) FROM unnest(v.bounced) late WHERE late <= CAST(w.excused ->> 'upto' AS bigint)),
        'complained', CAST(w.excused ->> 'complained' AS bigint) + (
            SELECT count(*) FROM unnest(v.complained) late WHERE late <= CAST(w.excused ->> 'upto' AS bigint))) END
FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, delivered bigint, bounced bigint[], complained bigint[])
WHERE w.id = v.id
""")


def count(session: Session, moved: Iterable[Row[Any]], now: datetime, settings: Settings) -> list[Event]:
    """Count how these letters changed (mailing_id, lane, handover_id, before, after, delivered, and of which step they are);
    pause one that does badly.

    What is told of a handover from before a person let the mailing go on is counted, and excused.
    """
    moved = list(moved)
    counted: dict[int, dict[str, Any]] = {}
    for row in moved:
        if row.lane == bell.DELIVERY:
            empty: dict[str, Any] = {"id": row.mailing_id, "delivered": 0, "bounced": [], "complained": []}
            of = counted.setdefault(row.mailing_id, empty)
            of["delivered"] += row.delivered
            if row.after != row.before and row.after in ("bounced", "complained"):
                of[row.after].append(row.handover_id or 0)
    if not counted:
        return []
    session.execute(_COUNT, {"rows": rows(counted[each] for each in sorted(counted))})
    annoying = [each for each, of in counted.items() if of["bounced"] or of["complained"]]
    told = breaker.look(session, annoying, now, settings) if annoying else []
    return [*told, *of_steps((row, what) for row in moved for what in _becomes(row))]


def of_steps(changed: Iterable[tuple[Row[Any], str | tuple[str, int]]]) -> list[Event]:
    """What these letters became (a column of step_tally; with how many more), for the tallies of their steps. Rows:
    version_id, campaign_id, mailing_id, chapter (0: the root), step; handover_id, of what is told of one. Letters of no
    sequence are none."""
    counts: dict[_Step, Counter[str]] = defaultdict(Counter)
    told_of: dict[_Step, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, said in changed:
        if row.version_id:
            what, more = said if isinstance(said, tuple) else (said, 1)
            key = (row.version_id, row.campaign_id, row.mailing_id, row.chapter, row.step)
            counts[key][what] += more
            if what in TOLD and more > 0:
                told_of[key][what].append(row.handover_id or 0)
    return [StepCounted(None, *key, counts[key], told_of[key]) for key in sorted(counts)]


def _becomes(row: Row[Any]) -> list[str]:
    """What is counted of how this letter changed."""
    annoyed = [row.after] if row.after != row.before and row.after in ("bounced", "complained") else []
    return annoyed + (["delivered"] if row.delivered else [])
