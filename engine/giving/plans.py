"""Recurring plans: what a source says of them, and how they stand by all the facts that are known.

A plan's amount, rhythm and pause are those of the newest word. Whose it is, when it was last paid and how it stands follow
from its contributions, the payments that failed and the end that was told, whichever of them came first: an end is an end,
even when the beginning is heard later.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import (
    Event,
    FactRecorded,
    PlanCancelled,
    PlanChanged,
    PlanEndReported,
    PlanFailed,
    PlanPaymentFailed,
    PlanReported,
    PlanStarted,
)
from engine.giving import totals
from engine.settings import Settings

NEVER = datetime.min.replace(tzinfo=UTC)

Key = tuple[str, str]  # source, and the plan's own id there
Causes = Mapping[Key, int | None]

# The newest word on amount, rhythm and pause; of two at one instant, the greater. Its account is told by whoever knows it.
_TELL = text("""
WITH v AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, source_key text, entity_id bigint,
        amount_cents bigint, currency text, period text, account text, paused boolean, paused_until timestamptz,
        started_at timestamptz, told_at timestamptz, cause bigint)
), before AS MATERIALIZED (
    SELECT p.* FROM recurring_plan p JOIN v USING (source, source_key, entity_id)
), told AS (
    INSERT INTO recurring_plan AS p (source, source_key, entity_id, amount_cents, currency, period, account, paused,
        paused_until, started_at, told_at, inbound_event_id)
    SELECT source, source_key, entity_id, amount_cents, currency, period, account, paused, paused_until, started_at, told_at,
        cause
    FROM v
    ORDER BY source, source_key, entity_id
    ON CONFLICT (source, source_key, entity_id) DO UPDATE SET started_at = least(p.started_at, excluded.started_at),
        account = greatest(p.account, excluded.account),
        (told_at, amount_cents, period, paused, paused_until, currency) = (
            SELECT * FROM (VALUES
                (p.told_at, p.amount_cents, p.period, p.paused, p.paused_until, p.currency),
                (excluded.told_at, excluded.amount_cents, excluded.period, excluded.paused, excluded.paused_until,
                    excluded.currency)
            ) word(told_at, amount_cents, period, paused, paused_until, currency)
            ORDER BY told_at DESC, amount_cents DESC, period DESC, paused DESC, paused_until DESC NULLS LAST LIMIT 1)
        WHERE (excluded.told_at, excluded.amount_cents, excluded.period, excluded.paused,
                coalesce(excluded.paused_until, '-infinity'))
            > (p.told_at, p.amount_cents, p.period, p.paused, coalesce(p.paused_until, '-infinity'))
            OR excluded.started_at < p.started_at OR excluded.account > p.account
    RETURNING p.id, p.source, p.source_key, p.amount_cents, p.period, p.paused, p.paused_until
)
SELECT t.id, t.source, t.source_key, b.id IS NULL AS started,
    (b.amount_cents, b.period, b.paused, b.paused_until)
        IS DISTINCT FROM (t.amount_cents, t.period, t.paused, t.paused_until) AS changed
FROM told t LEFT JOIN before b ON b.id = t.id ORDER BY t.id
""")

_FAIL = text("""
INSERT INTO plan_failure (source, source_key, plan_key, failed_at, inbound_event_id)
SELECT source, source_key, plan_key, failed_at, cause FROM json_to_recordset(CAST(:rows AS json)) AS v(source text,
    source_key text, plan_key text, failed_at timestamptz, cause bigint)
ORDER BY source, source_key, cause
ON CONFLICT (source, source_key) DO NOTHING
RETURNING source, plan_key, inbound_event_id
""")

# Told twice, the earlier end counts.
_END = text("""
INSERT INTO cancellation AS c (source, source_key, ended_at, ended_by, reason, inbound_event_id)
SELECT source, source_key, ended_at, ended_by, reason, cause FROM json_to_recordset(CAST(:rows AS json)) AS v(source text,
    source_key text, ended_at timestamptz, ended_by text, reason text, cause bigint)
ORDER BY source, source_key, cause
ON CONFLICT (source, source_key) DO UPDATE SET ended_at = excluded.ended_at, ended_by = excluded.ended_by,
    reason = excluded.reason
    WHERE (excluded.ended_at, excluded.ended_by, excluded.reason) < (c.ended_at, c.ended_by, c.reason)
RETURNING source, source_key
""")

# How plans stand by what is known of them. Whose: the earliest contribution that names somebody with an address, else
# somebody at all.
TRUE_STANDING = """
SELECT p.id, p.state AS before, p.contact_id AS contact_before, w.contact_id, w.fund_id, l.paid_at, f.failed_at, x.ended_at,
    coalesce(x.ended_by, '') AS ended_by,
    CASE WHEN x.ended_by = 'lapsed' THEN 'lapsed' WHEN x.ended_at IS NOT NULL THEN 'cancelled'
        WHEN f.failed_at > coalesce(l.paid_at, '-infinity') THEN 'failing'
        WHEN p.paused THEN 'paused' ELSE 'active' END AS state
FROM recurring_plan p
LEFT JOIN cancellation x ON (x.source, x.source_key) = (p.source, p.source_key)
LEFT JOIN LATERAL (SELECT max(failed_at) AS failed_at FROM plan_failure f
    WHERE f.source = p.source AND f.plan_key = p.source_key) f ON true
LEFT JOIN LATERAL (SELECT max(paid_at) AS paid_at FROM contribution g
    WHERE g.source = p.source AND g.plan_key = p.source_key AND g.plan_key <> ''
        AND p.entity_id IN (0, g.entity_id)) l ON true
LEFT JOIN LATERAL (SELECT g.contact_id, g.fund_id FROM contribution g LEFT JOIN contact k ON k.id = g.contact_id
    WHERE g.source = p.source AND g.plan_key = p.source_key AND g.plan_key <> '' AND p.entity_id IN (0, g.entity_id)
    ORDER BY g.contact_id IS NULL, k.donor_key IS NOT NULL, g.paid_at, g.id LIMIT 1) w ON true
"""

_STAND = text(f"""
UPDATE recurring_plan p SET state = t.state, contact_id = t.contact_id, fund_id = t.fund_id, paid_at = t.paid_at,
    failed_at = t.failed_at, ended_at = t.ended_at
FROM ({TRUE_STANDING} JOIN unnest(CAST(:sources AS text[]), CAST(:keys AS text[])) k(source, source_key)
    ON (p.source, p.source_key) = (k.source, k.source_key)) t
WHERE p.id = t.id AND (p.state, p.contact_id, p.fund_id, p.paid_at, p.failed_at, p.ended_at)
    IS DISTINCT FROM (t.state, t.contact_id, t.fund_id, t.paid_at, t.failed_at, t.ended_at)
RETURNING p.id, p.source, p.source_key, t.before, p.state, p.contact_id, t.contact_before, t.ended_by
""")

_OWNERS = text("SELECT DISTINCT contact_id FROM recurring_plan WHERE id = ANY(:ids) AND contact_id IS NOT NULL")


def tell(session: Session, told: Sequence[PlanReported], _: datetime, __: Settings) -> list[Event]:
    """Keep the newest word on each plan."""
    newest: dict[tuple[str, str, int], PlanReported] = {}
    for event in sorted(told, key=_weight):
        newest[event.source, event.source_key, event.entity_id] = event
    begun: dict[tuple[str, str, int], datetime] = {}
    accounts: dict[tuple[str, str, int], str] = {}
    for event in told:
        key = (event.source, event.source_key, event.entity_id)
        begun[key] = min(begun.get(key, event.started_at), event.started_at)
        accounts[key] = max(accounts.get(key, ""), event.account)
    records = [_record(event) | {"started_at": begun[key], "account": accounts[key]} for key, event in newest.items()]
    causes = {(event.source, event.source_key): event.cause for event in newest.values()}
    found = session.execute(_TELL, {"rows": rows(records)}).all()
    changed: list[Event] = [
        (PlanStarted if row.started else PlanChanged)(causes[row.source, row.source_key], row.id)
        for row in found
        if row.started or row.changed
    ]
    standing = follow(session, causes)
    if other := [row.id for row in found if row.changed and not row.started]:
        totals.refresh(session, session.scalars(_OWNERS, {"ids": other}).all())
    return changed + standing


def fail(session: Session, told: Sequence[PlanPaymentFailed], _: datetime, __: Settings) -> list[Event]:
    """Keep payments that failed, each once."""
    records = [
        {
            "source": event.source,
            "source_key": event.source_key,
            "plan_key": event.plan_key,
            "failed_at": event.failed_at,
            "cause": event.cause,
        }
        for event in told
    ]
    fresh = session.execute(_FAIL, {"rows": rows(records)}).all()
    kept: list[Event] = [FactRecorded(row.inbound_event_id) for row in fresh]
    return kept + follow(session, {(row.source, row.plan_key): row.inbound_event_id for row in fresh})


def end(session: Session, told: Sequence[PlanEndReported], _: datetime, __: Settings) -> list[Event]:
    """Keep the end of these plans."""
    first: dict[Key, PlanEndReported] = {}
    for event in sorted(told, key=lambda event: (event.ended_at, event.ended_by, event.reason), reverse=True):
        first[event.source, event.source_key] = event
    records = [
        {
            "source": event.source,
            "source_key": event.source_key,
            "ended_at": event.ended_at,
            "ended_by": event.ended_by,
            "reason": event.reason,
            "cause": event.cause,
        }
        for event in first.values()
    ]
    fresh = session.execute(_END, {"rows": rows(records)}).all()
    causes = {(row.source, row.source_key): first[row.source, row.source_key].cause for row in fresh}
    kept: list[Event] = [FactRecorded(cause) for cause in causes.values()]
    return kept + follow(session, causes)


def follow(session: Session, causes: Causes) -> list[Event]:
    """Let the standing of these plans follow from the facts, and with it what their givers promise a month."""
    if not causes:
        return []
    sources, keys = zip(*causes, strict=True)
    moved = session.execute(_STAND, {"sources": list(sources), "keys": list(keys)}).all()
    whose = {owner for row in moved for owner in (row.contact_id, row.contact_before) if owner is not None}
    totals.refresh(session, whose)
    return [
        _turned(causes[row.source, row.source_key], row.id, row.state, row.ended_by)
        for row in moved
        if row.before != row.state
    ]


def _turned(cause: int | None, plan_id: int, state: str, ended_by: str) -> Event:
    if state in ("cancelled", "lapsed"):
        return PlanCancelled(cause, plan_id, ended_by)
    return PlanFailed(cause, plan_id) if state == "failing" else PlanChanged(cause, plan_id)


def _weight(event: PlanReported) -> tuple[object, ...]:
    """What makes one word on a plan stand over another, as the statement has it."""
    return event.told_at, event.amount_cents, event.period, event.paused, event.paused_until or NEVER


def _record(event: PlanReported) -> dict[str, object]:
    return {
        "source": event.source,
        "source_key": event.source_key,
        "entity_id": event.entity_id,
        "amount_cents": event.amount_cents,
        "currency": event.currency,
        "period": event.period,
        "paused": event.paused,
        "paused_until": event.paused_until,
        "told_at": event.told_at,
        "cause": event.cause,
    }
