"""Gifts above a fund's limit: which gift crossed it and by how much follows from the ledger, at any time and in any order.

Her gifts within one period are counted as they were paid; whatever goes beyond the limit is above it, gift by gift. A late
gift, a refund or a merge changes which ones that are, so that nothing of it is kept: it is reckoned again for those whom an
event is about, and a person is told, once, and again of what has become more. Only dollars count.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.events import (
    ContactMerged,
    ContributionRecorded,
    DisputeRecorded,
    DonorLearned,
    Event,
    HumanNeeded,
    InstalmentRecorded,
    MatterSettled,
    RefundFailed,
    RefundRecorded,
)
from engine.giving import periods
from engine.money import dollars
from engine.settings import Settings

ABOVE = "gift above a limit"  # the kind of notice

# What of a gift of `{cents}` is above the limit, over gifts `n` of one person to one fund in one period.
OVER = "least({cents}, greatest(sum({cents}) OVER so_far - n.limit_cents, 0))::bigint"
SO_FAR = "so_far AS (PARTITION BY n.contact_id, n.fund_id, n.period ORDER BY n.paid_at, n.id)"
_PERIOD = periods.NAME.format(day=periods.DAY.format(at="g.paid_at", zone=":zone"))

# Of everybody who gave one of these gifts, or is one of these contacts: her gifts of the same periods that are above the
# limit, by how much they were without those of `:fresh`, and those of which a person was told that they were.
_JUDGED = text(f"""
WITH touched AS MATERIALIZED (
    SELECT DISTINCT g.contact_id, g.fund_id, {_PERIOD} AS period
    FROM contribution g JOIN fund f ON f.id = g.fund_id AND f.limit_cents IS NOT NULL
    WHERE (g.id = ANY(:ids) OR g.contact_id = ANY(:contact_ids)) AND g.contact_id IS NOT NULL AND g.currency = 'usd'
), n AS (
    SELECT t.*, g.id, g.paid_at, g.cents, CASE WHEN g.id = ANY(:fresh) THEN 0 ELSE g.cents END AS cents_before,
        f.limit_cents, f.name AS fund
    FROM touched t JOIN fund f ON f.id = t.fund_id CROSS JOIN LATERAL (
        SELECT g.id, g.paid_at, greatest(sum(l.amount_cents), 0) AS cents
        FROM contribution g JOIN ledger_entry l ON l.contribution_id = g.id
        WHERE g.contact_id = t.contact_id AND g.fund_id = t.fund_id AND g.currency = 'usd' AND {_PERIOD} = t.period
        GROUP BY g.id OFFSET 0
    ) g
), judged AS (
    SELECT n.*, {OVER.format(cents="n.cents")} AS over_cents, {OVER.format(cents="n.cents_before")} AS over_before
    FROM n WINDOW {SO_FAR}
)
SELECT j.id, j.over_cents, j.over_before, j.limit_cents, j.fund, j.period, x.detail AS told
FROM judged j LEFT JOIN notice x ON x.kind = :kind AND x.subject = 'contribution ' || j.id AND x.resolved_at IS NULL
WHERE j.over_cents > 0 OR x.id IS NOT NULL ORDER BY j.id
""")


def weigh(
    session: Session,
    recorded: Sequence[ContributionRecorded | InstalmentRecorded | DonorLearned],
    _: datetime,
    settings: Settings,
) -> list[Event]:
    """Tell a person which gifts are above a limit since these are on the books. One statement, which ends at once when no
    fund of theirs has a limit."""
    causes = {event.contribution_id: event.cause for event in recorded if event.contact_id is not None}
    found = _judged(session, settings, ids=list(causes), fresh=list(causes))
    return _told(found, causes, [row for row in found if row.over_cents > row.over_before])


def weigh_again(
    session: Session,
    changed: Sequence[RefundRecorded | RefundFailed | DisputeRecorded],
    _: datetime,
    settings: Settings,
) -> list[Event]:
    """Money went back, or came back: what is above no limit any more is settled; what is above one once more is told."""
    causes = {event.contribution_id: event.cause for event in changed if event.contribution_id is not None}
    found = _judged(session, settings, ids=list(causes))
    back = any(isinstance(event, RefundFailed) or getattr(event, "state", "") == "won" for event in changed)
    return _told(found, causes, found if back else [])


def weigh_together(session: Session, merged: Sequence[ContactMerged], _: datetime, settings: Settings) -> list[Event]:
    """Two donors were one, and have one limit: their gifts are counted together."""
    found = _judged(session, settings, contact_ids=[event.into_id for event in merged])
    return _told(found, {}, found)


def _judged(session: Session, settings: Settings, **about: Sequence[int]) -> Sequence[Row[Any]]:
    asked: dict[str, Any] = {"ids": [], "contact_ids": [], "fresh": [], "kind": ABOVE, "zone": settings.time_zone}
    return session.execute(_JUDGED, asked | about).all() if any(about.values()) else []


def _told(found: Sequence[Row[Any]], causes: dict[int, int | None], news: Sequence[Row[Any]]) -> list[Event]:
    """What is news and not told yet, what is told and not true any more, and what is told otherwise than it is."""
    happened: list[Event] = []
    fresh = {row.id for row in news}
    for row in found:
        cause, subject, said = causes.get(row.id), f"contribution {row.id}", _sentence(row)
        if not row.over_cents:
            happened.append(MatterSettled(cause, ABOVE, subject))
        elif said != row.told and (row.told is not None or row.id in fresh):
            happened.append(HumanNeeded(cause, ABOVE, subject, said))
    return happened


def _sentence(row: Row[Any]) -> str:
    over, limit = dollars(row.over_cents), dollars(row.limit_cents)
    return (
        f"{over} of it is more than {row.fund} may take from one person ({limit}, {row.period}). "
        f"It was taken all the same: refund {over}, or do what else the law allows, in time"
    )
