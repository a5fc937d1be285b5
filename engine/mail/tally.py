"""How many letters of each campaign mailing arrived, came back or annoyed: counted as it is told, not by looking at all."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.events import Event
from engine.mail import breaker
from engine.settings import Settings

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
    """Count how these letters changed (mailing_id, lane, handover_id, before, after, delivered); pause one that does badly.

    What is told of a handover from before a person let the mailing go on is counted, and excused.
    """
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
    return breaker.look(session, annoying, now, settings) if annoying else []
