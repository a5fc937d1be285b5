"""What takes a gift back, or threatens to: refunds, disputes, early fraud warnings.

Each is kept as a fact of its own, with or without its gift; the ledger follows from all facts together. A fact only moves
forward: a refund that failed stays failed, a dispute that is over does not open again, whatever comes late.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import (
    DisputeRecorded,
    DisputeReported,
    Event,
    FraudWarned,
    FraudWarningReported,
    HumanNeeded,
    MatterSettled,
    RefundFailed,
    RefundRecorded,
    RefundReported,
    RefundTotalReported,
)
from engine.giving import ledger
from engine.money import amount
from engine.settings import Settings

EPOCH = datetime.min.replace(tzinfo=UTC)
DISPUTED, WARNED = "gift disputed", "gift may be fraud"  # kinds of notice

_KEYS = "source text, source_key text, payment_key text, charge_key text, cause bigint"

_REFUNDS = text(f"""
INSERT INTO refund AS r (source, source_key, total, payment_key, charge_key, amount_cents, currency, state, refunded_at,
    inbound_event_id)
SELECT source, source_key, total, payment_key, charge_key, amount_cents, currency, state, refunded_at, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v({_KEYS}, total boolean, amount_cents bigint, currency text, state text,
    refunded_at timestamptz)
ORDER BY source, source_key, cause
ON CONFLICT (source, source_key) DO UPDATE SET
    state = CASE WHEN 'failed' IN (r.state, excluded.state) THEN 'failed' ELSE 'succeeded' END,
    amount_cents = greatest(r.amount_cents, excluded.amount_cents),
    refunded_at = least(r.refunded_at, excluded.refunded_at),
    payment_key = greatest(r.payment_key, excluded.payment_key),
    charge_key = greatest(r.charge_key, excluded.charge_key),
    inbound_event_id = coalesce(r.inbound_event_id, excluded.inbound_event_id)
    WHERE r.state <> 'failed' AND excluded.state = 'failed' OR r.amount_cents < excluded.amount_cents
        OR r.refunded_at > excluded.refunded_at OR r.payment_key < excluded.payment_key
        OR r.charge_key < excluded.charge_key
RETURNING id, source, source_key
""")

_DISPUTES = text(f"""
INSERT INTO dispute AS d (source, source_key, payment_key, charge_key, amount_cents, currency, state, reason, opened_at,
    settled_at, inbound_event_id)
SELECT source, source_key, payment_key, charge_key, amount_cents, currency, state, reason, opened_at, settled_at, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v({_KEYS}, amount_cents bigint, currency text, state text, reason text,
    opened_at timestamptz, settled_at timestamptz)
ORDER BY source, source_key, cause
ON CONFLICT (source, source_key) DO UPDATE SET
    state = excluded.state, settled_at = excluded.settled_at, amount_cents = excluded.amount_cents,
    payment_key = greatest(d.payment_key, excluded.payment_key), charge_key = greatest(d.charge_key, excluded.charge_key)
    WHERE (least(array_position(:ranks, excluded.state), 4), coalesce(excluded.settled_at, '-infinity'),
            excluded.state = 'lost')
        > (least(array_position(:ranks, d.state), 4), coalesce(d.settled_at, '-infinity'), d.state = 'lost')
RETURNING id, source, source_key
""")
# The one further on wins, whichever came first; of two ends the later, and of two at one instant the loss.
RANKS = ["inquiry", "closed", "open", "won", "lost"]

_WARNINGS = text(f"""
INSERT INTO fraud_warning (source, source_key, payment_key, charge_key, account, state, warned_at, inbound_event_id)
SELECT source, source_key, payment_key, charge_key, account, :state, warned_at, cause
FROM json_to_recordset(CAST(:rows AS json)) AS v({_KEYS}, account text, warned_at timestamptz)
ORDER BY source, source_key, cause
ON CONFLICT (source, source_key) DO NOTHING
RETURNING id, source_key, inbound_event_id
""")

# The contributions that these facts are about.
_ABOUT = """
SELECT g.id FROM {table} f JOIN contribution g
    ON g.source = f.source AND g.payment_key = f.payment_key AND g.payment_key <> '' WHERE f.id = ANY(:ids)
UNION
SELECT g.id FROM {table} f JOIN contribution g
    ON g.source = f.source AND g.charge_key = f.charge_key AND g.charge_key <> '' WHERE f.id = ANY(:ids)
"""
_REFUNDED = text(_ABOUT.format(table="refund"))
_DISPUTED = text(_ABOUT.format(table="dispute"))
_REFUND_ROWS = text(
    "SELECT id, source, source_key, contribution_id, state FROM refund WHERE id = ANY(:ids) ORDER BY id"
)
_DISPUTE_ROWS = text("""
SELECT id, source, source_key, contribution_id, state, reason, amount_cents, currency FROM dispute
WHERE id = ANY(:ids) ORDER BY id
""")


def refund(
    session: Session, told: Sequence[RefundReported | RefundTotalReported], _: datetime, __: Settings
) -> list[Event]:
    """Keep these refunds and running totals; the ledger takes what they say and it does not have yet."""
    words: dict[tuple[str, str], dict[str, Any]] = {}
    for event in told:
        key, word = (event.source, event.source_key), _refund(event)
        words[key] = _furthest(words[key], word) if key in words else word
    changed = session.execute(_REFUNDS, {"rows": rows(words.values())}).all()
    ids = {"ids": [row.id for row in changed]}
    ledger.settle(session, session.scalars(_REFUNDED, ids).all())
    causes = {key: word["cause"] for key, word in words.items()}
    return [_refund_event(row, causes[row.source, row.source_key]) for row in session.execute(_REFUND_ROWS, ids)]


def dispute(session: Session, told: Sequence[DisputeReported], _: datetime, __: Settings) -> list[Event]:
    """Keep how these disputes stand; the ledger follows, and a person is told while there is something to do."""
    words = {(event.source, event.source_key): event for event in sorted(told, key=_standing)}
    records = [_keys(event) | _dispute(event) for event in words.values()]
    changed = session.execute(_DISPUTES, {"rows": rows(records), "ranks": RANKS}).all()
    ids = {"ids": [row.id for row in changed]}
    ledger.settle(session, session.scalars(_DISPUTED, ids).all())
    happened: list[Event] = []
    for row in session.execute(_DISPUTE_ROWS, ids):
        cause = words[row.source, row.source_key].cause
        happened.append(DisputeRecorded(cause, row.id, row.contribution_id, row.state))
        subject = f"dispute {row.source_key}"
        if row.state in ("won", "closed"):
            happened.append(MatterSettled(cause, DISPUTED, subject))
        else:
            sentence = f"{amount(row.amount_cents, row.currency)}, {row.reason or 'no reason told'}: {row.state}"
            happened.append(HumanNeeded(cause, DISPUTED, subject, sentence))
    return happened


def warn(session: Session, told: Sequence[FraudWarningReported], _: datetime, settings: Settings) -> list[Event]:
    """Keep these warnings and tell a person; the gift is refunded by itself only where the house says so."""
    state = "refund_due" if settings.refund_fraud_warnings else "told"
    records = [_keys(event) | {"account": event.account, "warned_at": event.warned_at} for event in told]
    happened: list[Event] = []
    for row in session.execute(_WARNINGS, {"rows": rows(records), "state": state}):
        happened.append(FraudWarned(row.inbound_event_id, row.id))
        follows = "it will be refunded" if settings.refund_fraud_warnings else "refunding it now avoids a dispute"
        happened.append(HumanNeeded(row.inbound_event_id, WARNED, f"warning {row.source_key}", follows))
    return happened


def _keys(event: RefundReported | RefundTotalReported | DisputeReported | FraudWarningReported) -> dict[str, object]:
    return {
        "source": event.source,
        "source_key": event.source_key,
        "payment_key": event.payment_key,
        "charge_key": event.charge_key,
        "cause": event.cause,
    }


def _refund(event: RefundReported | RefundTotalReported) -> dict[str, object]:
    return _keys(event) | {
        "total": isinstance(event, RefundTotalReported),
        "amount_cents": event.amount_cents,
        "currency": event.currency,
        "state": event.state if isinstance(event, RefundReported) else "succeeded",
        "refunded_at": event.refunded_at,
    }


def _furthest(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two words on one refund as one, as the statement does it with a row that is there already."""
    most = {name: max(one[name], other[name]) for name in ("amount_cents", "payment_key", "charge_key")}
    state = "failed" if "failed" in (one["state"], other["state"]) else "succeeded"
    return one | most | {"state": state, "refunded_at": min(one["refunded_at"], other["refunded_at"])}


def _refund_event(row: Row[Any], cause: int | None) -> Event:
    kind = RefundFailed if row.state == "failed" else RefundRecorded
    return kind(cause, row.id, row.contribution_id)


def _standing(event: DisputeReported) -> tuple[object, ...]:
    """What makes one word on a dispute stand over another, as the statement has it."""
    return min(RANKS.index(event.state), 3), event.settled_at or EPOCH, event.state == "lost"


def _dispute(event: DisputeReported) -> dict[str, object]:
    return {
        "amount_cents": event.amount_cents,
        "currency": event.currency,
        "state": event.state,
        "reason": event.reason,
        "opened_at": event.opened_at,
        "settled_at": event.settled_at,
    }
