"""Raw bodies that tell of a person: found by what came of them, and by her address wherever it stands whole in one.

What still waits to be applied keeps its body: once it is applied, she has come again by herself.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import ContactErased, Event
from engine.people.mentions import Sought, likely, spellings
from engine.settings import Settings

STRETCH = 100_000  # ids looked through in one statement
LOOKED_AT = 50  # bodies that are in memory at once
SHORTEST_KEY = 10  # a shorter name of a payment may stand in a body by accident

# Everything on record that came of a body and names her, or is about her money.
_LINKED = text("""
WITH gift AS MATERIALIZED (SELECT * FROM contribution WHERE contact_id = ANY(:ids)),
plan AS MATERIALIZED (SELECT * FROM recurring_plan WHERE contact_id = ANY(:ids)), cause AS (
    SELECT inbound_event_id AS id FROM gift
    UNION SELECT inbound_event_id FROM plan
    UNION SELECT inbound_event_id FROM sign_up WHERE contact_id = ANY(:ids)
    UNION SELECT inbound_event_id FROM consent WHERE contact_id = ANY(:ids)
    UNION SELECT inbound_event_id FROM confirmation WHERE contact_id = ANY(:ids)
    UNION SELECT inbound_event_id FROM message WHERE contact_id = ANY(:ids)
    UNION SELECT e.inbound_event_id FROM mail_event e JOIN message m ON m.id = e.message_id WHERE m.contact_id = ANY(:ids)
    UNION SELECT f.inbound_event_id FROM refund f JOIN gift g ON g.id = f.contribution_id
    UNION SELECT f.inbound_event_id FROM dispute f JOIN gift g ON g.id = f.contribution_id
    UNION SELECT f.inbound_event_id FROM fraud_warning f JOIN gift g ON f.source = g.source AND (
        f.payment_key = g.payment_key AND g.payment_key <> '' OR f.charge_key = g.charge_key AND g.charge_key <> '')
    UNION SELECT f.inbound_event_id FROM checkout_session f WHERE f.donor ->> 'email' = ANY(:emails)
    UNION SELECT f.inbound_event_id FROM checkout_session f JOIN gift g ON f.source = g.source AND (
        f.payment_key = g.payment_key AND g.payment_key <> '' OR f.plan_key = g.plan_key AND g.plan_key <> '')
    UNION SELECT f.inbound_event_id FROM plan_failure f JOIN plan p ON (p.source, p.source_key) = (f.source, f.plan_key)
    UNION SELECT f.inbound_event_id FROM cancellation f JOIN plan p USING (source, source_key)
)
UPDATE inbound_event e SET body = '' FROM cause WHERE e.id = cause.id AND e.state <> 'pending' AND octet_length(e.body) > 0
RETURNING e.id
""")
_KEYS = text("""
SELECT DISTINCT source, key FROM contribution
CROSS JOIN LATERAL unnest(ARRAY[payment_key, charge_key, plan_key, order_number]) key
WHERE contact_id = ANY(:ids) AND length(key) >= :shortest
""")
_LAST = text("SELECT coalesce(max(id), 0) FROM inbound_event")
# A body may be no text at all: bytes are compared, as Postgres writes them out, in small letters. It leaves out no mention,
# and lets through what only looks like one.
_LIKELY = text("""
WITH address AS MATERIALIZED (SELECT unnest(CAST(:patterns AS text[])) AS pattern), key AS MATERIALIZED (
    SELECT source, lower(encode(convert_to(key, 'UTF8'), 'escape')) AS key
    FROM json_to_recordset(CAST(:keys AS json)) AS v(source text, key text)
)
SELECT e.id, e.source, e.state, e.body FROM inbound_event e
CROSS JOIN LATERAL (SELECT lower(encode(e.body, 'escape')) AS said OFFSET 0) b
WHERE e.id > :after AND e.id <= :upto AND octet_length(e.body) > 0
    AND (EXISTS (SELECT FROM address a WHERE b.said ~ a.pattern)
        OR EXISTS (SELECT FROM key k WHERE k.source = e.source AND position(k.key IN b.said) > 0))
ORDER BY e.id
""").execution_options(yield_per=LOOKED_AT)
_EMPTY = text("UPDATE inbound_event SET body = '' WHERE id = ANY(:ids)")


def forget(session: Session, erased: Sequence[ContactErased], _: datetime, __: Settings) -> list[Event]:
    """Empty the bodies from which something on record about her followed."""
    ids = [event.contact_id for event in erased]
    session.execute(_LINKED, {"ids": ids, "emails": [event.email for event in erased if event.email]})
    return []


def mentioning(session: Session, contact_ids: Collection[int], emails: Collection[str]) -> dict[int, str]:
    """The raw events, by id, whose body holds one of these addresses or the name of one of her payments; and their state.

    Looks through every body there is, a stretch at a time, and reads the likely ones, a few at a time: not to be asked while
    others wait.
    """
    found = session.execute(_KEYS, {"ids": list(contact_ids), "shortest": SHORTEST_KEY}).all()
    if not (emails or found):
        return {}
    keys: dict[str, list[str]] = {}
    for row in found:
        keys.setdefault(row.source, []).append(row.key)
    sought = Sought(emails, keys)
    patterns = [likely(spelling) for email in emails for spelling in spellings(email)]
    values = {"patterns": patterns, "keys": rows({"source": row.source, "key": row.key} for row in found)}
    return {
        row.id: row.state
        for after, upto in _stretches(session.scalar(_LAST) or 0)
        for row in session.execute(_LIKELY, {**values, "after": after, "upto": upto})
        if sought.stands_in(row.body, row.source)
    }


def empty(session: Session, event_ids: Collection[int]) -> None:
    """Empty these bodies."""
    if event_ids:
        session.execute(_EMPTY, {"ids": sorted(event_ids)})


def _stretches(last: int) -> Iterator[tuple[int, int]]:
    for after in range(0, last, STRETCH):
        yield after, min(after + STRETCH, last)
