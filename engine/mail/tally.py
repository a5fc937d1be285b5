"""How many letters of each campaign mailing arrived, came back or annoyed: counted as it is told, not by looking at all."""

from collections import Counter
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
UPDATE mailing w SET delivered = w.delivered + v.delivered, bounced = w.bounced + v.bounced,
    complained = w.complained + v.complained
FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, delivered bigint, bounced bigint, complained bigint)
WHERE w.id = v.id
""")


def count(session: Session, moved: Iterable[Row[Any]], now: datetime, settings: Settings) -> list[Event]:
    """Count how these letters changed (mailing_id, lane, before, after, delivered), and pause a mailing that fares badly."""
    counted: dict[int, Counter[str]] = {}
    for row in moved:
        if row.lane == bell.DELIVERY:
            of = counted.setdefault(row.mailing_id, Counter())
            of["delivered"] += row.delivered
            of[row.after] += row.after != row.before and row.after != "delivered"
    if not counted:
        return []
    names = ("delivered", "bounced", "complained")
    told = ({"id": each} | {name: of[name] for name in names} for each, of in sorted(counted.items()))
    session.execute(_COUNT, {"rows": rows(told)})
    annoying = [each for each, of in counted.items() if of["bounced"] or of["complained"]]
    return breaker.look(session, annoying, now, settings) if annoying else []
