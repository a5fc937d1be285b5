"""The proof that ledger, contributions, totals and statuses agree, to the cent. Reads everything, changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import sources
from engine.db import rows
from engine.errors import Invalid
from engine.events import (
    ContributionReported,
    DisputeReported,
    Event,
    PlanEndReported,
    RawEvent,
    RefundReported,
    RefundTotalReported,
)
from engine.giving.ledger import TRUE_STATUS
from engine.giving.plans import TRUE_STANDING
from engine.giving.totals import COLUMNS, TRUE_MONTHLY, TRUE_TOTALS

LISTED = 20
BATCH = 500
FACTS: dict[type[Event], str] = {
    RefundReported: "refund",
    RefundTotalReported: "refund",
    DisputeReported: "dispute",
    PlanEndReported: "end",
}

_TOTALS_ARE = ", ".join(f"c.{name}" for name in COLUMNS)
_TOTALS_MUST_BE = ", ".join(f"coalesce(t.{name}, {none})" for name, none in COLUMNS.items())
_ORPHANS = """
        SELECT '{table} ' || f.id AS subject, 'not counted for contribution ' || g.id AS detail
        FROM {table} f JOIN contribution g ON g.source = f.source AND (g.payment_key = f.payment_key
            AND g.payment_key <> '' OR g.charge_key = f.charge_key AND g.charge_key <> '')
        WHERE f.contribution_id IS NULL"""
_CHECKS = {
    "a contribution's amount is not what the ledger holds": """
        SELECT 'contribution ' || g.id AS subject,
               g.amount_cents || ' cents, the ledger says ' || coalesce(sum(l.amount_cents)::text, 'nothing') AS detail
        FROM contribution g LEFT JOIN ledger_entry l ON l.contribution_id = g.id AND l.kind = 'gift'
            AND l.currency = g.currency AND l.source = g.source AND l.source_key IN (g.source_key, g.payment_key)
        GROUP BY g.id HAVING g.amount_cents IS DISTINCT FROM sum(l.amount_cents)""",
    "a contribution's status does not follow from the ledger": f"""
        SELECT 'contribution ' || t.id AS subject,
               format('%s, must be %s', quote_literal(t.told), t.status) AS detail
        FROM (SELECT g.id, g.status AS told, {TRUE_STATUS} AS status FROM contribution g) t WHERE t.told <> t.status""",
    "a ledger entry is not its contribution's": """
        SELECT 'ledger entry ' || l.id AS subject, format('%s %s of %s %s at %s', l.kind, l.amount_cents, l.source,
               l.source_key, l.occurred_at) AS detail
        FROM ledger_entry l JOIN contribution g ON g.id = l.contribution_id
        WHERE (l.source, l.currency) IS DISTINCT FROM (g.source, g.currency) OR l.kind IN ('gift', 'duplicate')
            AND (l.source_key NOT IN (g.source_key, g.payment_key) OR l.occurred_at <> g.paid_at)""",
    "what went back is not what the ledger holds": """
        SELECT 'contribution ' || coalesce(r.contribution_id, l.contribution_id) AS subject, format(
               'refunds of %s cents of which %s failed; the ledger took %s and gave back %s', coalesce(r.gone, 0),
               coalesce(r.failed, 0), coalesce(l.gone, 0), coalesce(l.failed, 0)) AS detail
        FROM (SELECT contribution_id, greatest(coalesce(max(amount_cents) FILTER (WHERE total), 0),
                  coalesce(sum(amount_cents) FILTER (WHERE NOT total), 0)) AS gone,
                  coalesce(sum(amount_cents) FILTER (WHERE state = 'failed'), 0) AS failed
              FROM refund WHERE contribution_id IS NOT NULL GROUP BY contribution_id) r
        FULL JOIN (SELECT contribution_id, coalesce(-sum(amount_cents) FILTER (WHERE kind = 'refund'), 0) AS gone,
                  coalesce(sum(amount_cents) FILTER (WHERE kind = 'refund_failed'), 0) AS failed
              FROM ledger_entry l WHERE kind IN ('refund', 'refund_failed') AND NOT EXISTS (SELECT FROM ledger_entry d
                  WHERE d.contribution_id = l.contribution_id AND d.kind = 'duplicate') GROUP BY contribution_id) l
            ON l.contribution_id = r.contribution_id
        WHERE (coalesce(r.gone, 0), coalesce(r.failed, 0)) <> (coalesce(l.gone, 0), coalesce(l.failed, 0))""",
    "a dispute is not what the ledger holds": """
        SELECT 'dispute ' || d.id AS subject, format('%s of %s cents, the ledger says %s', d.state, d.amount_cents,
               coalesce(sum(l.amount_cents), 0)) AS detail
        FROM dispute d LEFT JOIN ledger_entry l ON l.contribution_id = d.contribution_id
            AND (l.source, l.source_key) = (d.source, d.source_key) AND l.kind IN ('dispute', 'dispute_won', 'dispute_lost')
        WHERE d.contribution_id IS NOT NULL
        GROUP BY d.id HAVING coalesce(sum(l.amount_cents), 0)
            <> CASE WHEN d.state IN ('open', 'lost') THEN -d.amount_cents ELSE 0 END""",
    "a plan's standing does not follow from its facts": f"""
        SELECT 'recurring plan ' || p.id AS subject, format('%s, must be %s', p.state, t.state) AS detail
        FROM recurring_plan p JOIN ({TRUE_STANDING}) t ON t.id = p.id
        WHERE (p.state, p.contact_id, p.fund_id, p.paid_at, p.failed_at, p.ended_at)
            IS DISTINCT FROM (t.state, t.contact_id, t.fund_id, t.paid_at, t.failed_at, t.ended_at)""",
    "a contribution's event was not applied": """
        SELECT 'contribution ' || g.id AS subject, 'its inbound event ' || i.id || ' is ' || i.state AS detail
        FROM contribution g JOIN inbound_event i ON i.id = g.inbound_event_id WHERE i.state <> 'applied'""",
    "an event was applied but its contribution is gone": """
        SELECT 'inbound event ' || i.id AS subject, 'applied, yet no contribution came of it' AS detail
        FROM inbound_event i WHERE i.state = 'applied' AND string_to_array(i.reason, ', ') && ARRAY['gift', 'instalment']
            AND NOT EXISTS (SELECT FROM contribution g WHERE g.inbound_event_id = i.id)""",
    "a contact's totals are not the sum of her gifts": f"""
        SELECT 'contact ' || c.id AS subject, format(
               '%s gifts, %s cents, highest %s, last %s, from %s to %s, peaks %s %s; '
               'must be %s, %s, %s, %s, from %s to %s, %s %s', {_TOTALS_ARE}, {_TOTALS_MUST_BE}) AS detail
        FROM contact c LEFT JOIN ({TRUE_TOTALS.format(only="")}) t ON t.contact_id = c.id
        WHERE ({_TOTALS_ARE}) IS DISTINCT FROM ({_TOTALS_MUST_BE})""",
    "a refund of a gift on the books is not its own": _ORPHANS.format(table="refund"),
    "a dispute of a gift on the books is not its own": _ORPHANS.format(table="dispute"),
    "one payment counts as two gifts": """
        SELECT 'contribution ' || p.id AS subject, 'paid ' || i.source_key || ', which is booked, too' AS detail
        FROM payment_link l JOIN contribution i ON (i.source, i.source_key) = (l.source, l.source_key)
        JOIN contribution p ON (p.source, p.payment_key) = (l.source, l.payment_key) AND p.id <> i.id
            AND p.payment_key <> ''""",
    "a gift does not know the donor of its checkout": """
        SELECT 'contribution ' || g.id AS subject, 'finished as ' || s.source_key AS detail
        FROM checkout_session s JOIN contribution g
            ON g.source = s.source AND g.payment_key = s.payment_key AND g.payment_key <> ''
        JOIN contact c ON c.email = s.donor ->> 'email'
        WHERE NOT EXISTS (SELECT FROM contact k WHERE k.id = g.contact_id AND k.donor_key IS NULL)""",
    "a payment that was booked twice does not come to nothing": """
        SELECT 'contribution ' || contribution_id AS subject, sum(amount_cents) || ' cents' AS detail FROM ledger_entry
        GROUP BY contribution_id HAVING bool_or(kind = 'duplicate') AND sum(amount_cents) <> 0""",
    "what a contact gives monthly is not what her plans promise": f"""
        SELECT 'contact ' || c.id AS subject,
               format('%s cents, must be %s', c.gives_monthly_cents, coalesce(t.monthly, 0)) AS detail
        FROM contact c LEFT JOIN ({TRUE_MONTHLY.format(only="")}) t ON t.contact_id = c.id
        WHERE c.gives_monthly_cents <> coalesce(t.monthly, 0)""",
}
_APPLIED = text("""
SELECT id, source, key, kind, body, attempts, received_at FROM inbound_event
WHERE state IN ('applied', 'ignored') AND lane = 'intake' AND kind <> 'again'
    AND octet_length(body) > 0 ORDER BY id
""")
_UNLIKE = text("""
SELECT v.cause, v.source_key, format('%s %s at %s', v.amount_cents, v.currency, v.paid_at) AS told,
    CASE WHEN g.id IS NOT NULL THEN format('%s %s at %s', g.amount_cents, g.currency, g.paid_at) END AS booked
FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, source_key text, order_number text, payment_key text,
    cause bigint, amount_cents bigint, currency text, paid_at timestamptz)
LEFT JOIN LATERAL (
    SELECT * FROM contribution g WHERE (g.source, g.source_key, g.order_number) = (v.source, v.source_key, v.order_number)
    UNION
    SELECT * FROM contribution g
    WHERE (g.source, g.payment_key) = (v.source, v.payment_key) AND g.payment_key <> ''
    LIMIT 1
) g ON true
WHERE g.id IS NULL OR g.inbound_event_id = v.cause
    AND (g.amount_cents, g.currency, g.paid_at) <> (v.amount_cents, v.currency, v.paid_at)
""")
_LOST = text("""
SELECT v.cause, v.source_key, v.what FROM json_to_recordset(CAST(:rows AS json)) AS v(what text, source text,
    source_key text, cause bigint)
WHERE NOT EXISTS (SELECT FROM refund f WHERE v.what = 'refund' AND (f.source, f.source_key) = (v.source, v.source_key))
  AND NOT EXISTS (SELECT FROM dispute f WHERE v.what = 'dispute' AND (f.source, f.source_key) = (v.source, v.source_key))
  AND NOT EXISTS (SELECT FROM cancellation f WHERE v.what = 'end' AND (f.source, f.source_key) = (v.source, v.source_key))
""")
_SUMS = text("""
SELECT (SELECT count(*) FROM contribution) AS contributions,
       (SELECT count(*) FROM ledger_entry) AS entries,
       (SELECT coalesce(sum(amount_cents), 0)::bigint FROM ledger_entry WHERE currency = 'usd') AS cents
""")


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that does not add up: which rule, which row, what it says and what it must say."""

    rule: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Books:
    """What was looked at, and every discrepancy (the first twenty of each rule). `cents`: of what is in dollars."""

    contributions: int
    entries: int
    cents: int
    discrepancies: tuple[Discrepancy, ...]


def check(session: Session) -> Books:
    """Hold everything against the ledger, in one snapshot if the session's isolation is REPEATABLE READ."""
    sums = session.execute(_SUMS).one()
    found = [
        Discrepancy(rule, row.subject, row.detail)
        for rule, query in _CHECKS.items()
        for row in session.execute(text(f"{query} LIMIT {LISTED}"))
    ]
    return Books(sums.contributions, sums.entries, sums.cents, (*found, *islice(_unlike_the_inbox(session), LISTED)))


def _unlike_the_inbox(session: Session) -> Iterator[Discrepancy]:
    """Hold the books against the raw bodies that are still kept, read anew: batch by batch, in flat memory."""
    events = session.execute(_APPLIED, execution_options={"yield_per": BATCH})
    for batch in events.partitions():
        told: list[Event] = []
        for event in batch:
            try:
                told += _told(event)
            except Invalid as error:
                yield Discrepancy(
                    "an event on the books cannot be read any more", f"inbound event {event.id}", str(error)
                )
        yield from _compare(session, told)


def _compare(session: Session, told: Sequence[Event]) -> Iterator[Discrepancy]:
    gifts = [asdict(event) for event in told if isinstance(event, ContributionReported)]
    for row in session.execute(_UNLIKE, {"rows": rows(gifts)}):
        detail = f"line item {row.source_key} is {row.booked or 'not there'}; told was {row.told}"
        yield Discrepancy("a gift is not on the books as it was told", f"inbound event {row.cause}", detail)
    facts = [asdict(event) | {"what": FACTS[type(event)]} for event in told if type(event) in FACTS]
    for row in session.execute(_LOST, {"rows": rows(facts)}) if facts else ():
        yield Discrepancy(
            "a fact that was told is not kept", f"inbound event {row.cause}", f"{row.what} {row.source_key}"
        )


def _told(event: Row[Any]) -> Sequence[Event]:
    parsed = sources.parse(RawEvent(**event._mapping))
    return parsed if isinstance(parsed, list) else ()
