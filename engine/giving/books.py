"""The proof that ledger, contributions, totals and statuses agree, to the cent. Reads everything, changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import sources
from engine.db import rows
from engine.errors import Invalid
from engine.events import ContributionReported, RawEvent
from engine.giving.totals import TRUE_TOTALS

LISTED = 20
BATCH = 500

_CHECKS = {
    "a contribution's amount is not what the ledger holds": """
        SELECT 'contribution ' || g.id AS subject,
               g.amount_cents || ' cents, the ledger says ' || coalesce(sum(l.amount_cents)::text, 'nothing') AS detail
        FROM contribution g LEFT JOIN ledger_entry l ON l.contribution_id = g.id AND l.kind = 'gift'
            AND l.currency = g.currency AND l.source = g.source AND l.source_key = g.source_key
        GROUP BY g.id HAVING g.amount_cents IS DISTINCT FROM sum(l.amount_cents)""",
    "a contribution's status does not follow from the ledger": """
        SELECT 'contribution ' || g.id AS subject,
               format('%s, must be received', quote_literal(g.status)) AS detail
        FROM contribution g WHERE g.status <> 'received'""",
    "a ledger entry is not its contribution's": """
        SELECT 'ledger entry ' || l.id AS subject, format('%s %s of %s %s at %s', l.kind, l.amount_cents, l.source,
               l.source_key, l.occurred_at) AS detail
        FROM ledger_entry l JOIN contribution g ON g.id = l.contribution_id
        WHERE (l.source, l.source_key, l.currency, l.occurred_at) IS DISTINCT FROM
            (g.source, g.source_key, g.currency, g.paid_at)""",
    "a contribution's event was not applied": """
        SELECT 'contribution ' || g.id AS subject, 'its inbound event ' || i.id || ' is ' || i.state AS detail
        FROM contribution g JOIN inbound_event i ON i.id = g.inbound_event_id WHERE i.state <> 'applied'""",
    "an event was applied but its contribution is gone": """
        SELECT 'inbound event ' || i.id AS subject, 'applied, yet no contribution came of it' AS detail
        FROM inbound_event i WHERE i.state = 'applied' AND i.reason LIKE '%gift%'
            AND NOT EXISTS (SELECT FROM contribution g WHERE g.inbound_event_id = i.id)""",
    "a contact's totals are not the sum of her gifts": f"""
        SELECT 'contact ' || c.id AS subject, format(
               '%s gifts, %s cents, highest %s, last %s, from %s to %s; must be %s, %s, %s, %s, from %s to %s',
               c.gave_count, c.gave_cents, c.gave_highest_cents, c.gave_last_cents, c.gave_first_at, c.gave_last_at,
               coalesce(t.gave_count, 0), coalesce(t.gave_cents, 0), coalesce(t.gave_highest_cents, 0),
               coalesce(t.gave_last_cents, 0), t.gave_first_at, t.gave_last_at) AS detail
        FROM contact c LEFT JOIN ({TRUE_TOTALS.format(only="")}) t ON t.contact_id = c.id
        WHERE (c.gave_count, c.gave_cents, c.gave_highest_cents, c.gave_last_cents, c.gave_first_at, c.gave_last_at)
            IS DISTINCT FROM (coalesce(t.gave_count, 0), coalesce(t.gave_cents, 0), coalesce(t.gave_highest_cents, 0),
                coalesce(t.gave_last_cents, 0), t.gave_first_at, t.gave_last_at)""",  # noqa: S608 our own text
}
_APPLIED = text("""
SELECT id, source, key, kind, body, attempts, received_at FROM inbound_event
WHERE state IN ('applied', 'ignored') AND lane = 'intake' AND octet_length(body) > 0 ORDER BY id
""")
_UNLIKE = text("""
SELECT v.cause, v.source_key, format('%s %s at %s', v.amount_cents, v.currency, v.paid_at) AS told,
    CASE WHEN g.id IS NOT NULL THEN format('%s %s at %s', g.amount_cents, g.currency, g.paid_at) END AS booked
FROM json_to_recordset(CAST(:rows AS json)) AS v(source text, source_key text, order_number text, cause bigint,
    amount_cents bigint, currency text, paid_at timestamptz)
LEFT JOIN contribution g ON (g.source, g.source_key, g.order_number) = (v.source, v.source_key, v.order_number)
WHERE g.id IS NULL OR g.inbound_event_id = v.cause
    AND (g.amount_cents, g.currency, g.paid_at) <> (v.amount_cents, v.currency, v.paid_at)
""")
_SUMS = text("""
SELECT (SELECT count(*) FROM contribution) AS contributions,
       (SELECT count(*) FROM ledger_entry) AS entries,
       (SELECT coalesce(sum(amount_cents), 0)::bigint FROM ledger_entry) AS cents
""")


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that does not add up: which rule, which row, what it says and what it must say."""

    rule: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Books:
    """What was looked at, and every discrepancy (the first twenty of each rule)."""

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
        told: list[dict[str, object]] = []
        for event in batch:
            try:
                told += _told(event)
            except Invalid as error:
                yield Discrepancy(
                    "an event on the books cannot be read any more", f"inbound event {event.id}", str(error)
                )
        for row in session.execute(_UNLIKE, {"rows": rows(told)}):
            detail = f"line item {row.source_key} is {row.booked or 'not there'}; told was {row.told}"
            yield Discrepancy("a gift is not on the books as it was told", f"inbound event {row.cause}", detail)


def _told(event: Row[Any]) -> Iterator[dict[str, object]]:
    parsed = sources.parse(RawEvent(**event._mapping))
    for gift in parsed if isinstance(parsed, list) else ():
        if isinstance(gift, ContributionReported):
            yield {
                "source": gift.source,
                "source_key": gift.source_key,
                "order_number": gift.order_number,
                "cause": gift.cause,
                "amount_cents": gift.amount_cents,
                "currency": gift.currency,
                "paid_at": gift.paid_at,
            }
