"""Ten years of an organisation, made inside Postgres: campaigns to everybody with what became of each letter, and gifts with
their thanks. As the product's own tables have them, but for the bodies, which were emptied.

The rows of each table come in the order of time, as they did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic

import psycopg

from bench.audience import CAMPAIGN, PAST
from bench.report import progress
from engine.db import driver_url

TABLES = ("inbound_event", "mail_event", "message", "handover", "enrollment", "contribution", "ledger_entry")
A_REQUEST = 1000  # letters

# Nothing that looks at a row as it comes: what is made here is as it must be.
_TERMS = "SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '256MB'"
_NOW = "(now() - interval '{days:.3f} days')"
_CAMPAIGN = """
WITH version AS (
    INSERT INTO sequence_version (definition, mailings, fund_ids, published_at)
    SELECT '{{"name": "News", "steps": [{{"key": "write", "email": "news"}}]}}',
        jsonb_build_object('write', jsonb_build_object('', jsonb_build_object('en', id))), '{{}}', {at}
    FROM mailing WHERE slug = %(past)s RETURNING id
)
INSERT INTO campaign (slug, name, version_id, rule, kind, state, launched_at, ended_at, enrolled, finished,
    changed_at, created_at)
SELECT 'past-' || %(number)s, 'News', id, '{{}}', 'news', 'finished', {at}, {at}, %(people)s, %(people)s, {at}, {at}
FROM version RETURNING id, version_id
"""
_HANDOVERS = """
INSERT INTO handover (id, mailing_id, lane, letters, state, provider_id, due_at, created_at, answered_at, heard_at)
OVERRIDING SYSTEM VALUE
SELECT %(handover)s + n, m.id, %(lane)s, %(letters)s, 'accepted', 'p' || n, {at}, {at}, {at}, {at}
FROM generate_series(1, %(requests)s) n, mailing m WHERE m.slug = %(past)s
"""
_PLACES = """
INSERT INTO enrollment (contact_id, version_id, campaign_id, rotation, state, step, due_at, entered_at, ended_at, history)
SELECT id, %(version_id)s, %(campaign_id)s, 1, 'finished', '', {at}, {at}, {at}, '[["write", "written", "", 1700000000]]'
FROM contact WHERE routed_by = 'zip' ORDER BY id
"""
_LETTERS = """
INSERT INTO message (id, contact_id, mailing_id, occasion, lane, kind, state, due_at, chapter_id, facts, version_id,
    campaign_id, step, attempts, handover_id, handed_at, delivered_at, created_at)
OVERRIDING SYSTEM VALUE
SELECT %(letter)s + row_number() OVER (ORDER BY c.id), c.id, m.id, 'campaign:' || %(campaign_id)s || ':1:write', 'delivery',
    'news', 'delivered', {at}, c.chapter_id, '{{}}', %(version_id)s, %(campaign_id)s, 'write', 1,
    %(handover)s + 1 + (row_number() OVER (ORDER BY c.id) - 1) / 1000, {at}, {at} + interval '20 s', {at}
FROM contact c, mailing m WHERE c.routed_by = 'zip' AND m.slug = %(past)s ORDER BY c.id
"""
# Processed, delivered, and of one in five a click, half of them a machine's.
_WORDS = """
INSERT INTO mail_event (message_id, handover_id, kind, at, url, machine, inbound_event_id)
SELECT m.id, m.handover_id, k.kind, m.handed_at + k.after,
    CASE k.kind WHEN 'click' THEN 'https://example.org/vote' ELSE '' END, k.kind = 'click' AND m.id %% 10 = 0,
    %(event)s + row_number() OVER (ORDER BY m.id)
FROM message m,
    (VALUES ('processed', interval '2 s'), ('delivered', interval '20 s'), ('click', interval '1 hour')) k(kind, after)
WHERE m.id > %(letter)s AND (k.kind <> 'click' OR m.lane = 'delivery' AND m.id %% 5 = 0) ORDER BY m.id
"""
_EVENTS = """
INSERT INTO inbound_event (id, source, key, kind, lane, body, received_at, state, reason, attempts, due_at, finished_at)
OVERRIDING SYSTEM VALUE
SELECT %(event)s + n, 'sendgrid', encode(sha256(convert_to('e' || (%(event)s + n) / 700, 'UTF8')), 'hex')
        || ':' || (%(event)s + n) %% 700,
    'part', 'feedback', CASE WHEN {days} < 90 THEN convert_to(repeat('x', 300), 'UTF8') ELSE '' END, {at}, 'applied',
    'delivered', 1, {at}, {at} FROM generate_series(1, %(events)s) n
"""
_GIFTS = """
INSERT INTO contribution (id, source, source_key, contact_id, fund_id, amount_cents, paid_at, donor, order_number,
    payment_key, inbound_event_id)
OVERRIDING SYSTEM VALUE
SELECT %(gift)s + row_number() OVER (ORDER BY id), 'actblue', 'past-' || %(number)s || '-' || id, id,
    (SELECT fund_id FROM letter WHERE slug = %(campaign)s), 2700, {at},
    '{{"email": "x", "last_name": "Delgado", "employer": "Library", "occupation": "Librarian"}}', 'PAST' || %(number)s || id,
    'PAST' || %(number)s || id, %(event)s + row_number() OVER (ORDER BY id)
FROM contact WHERE routed_by = 'zip' ORDER BY id
"""
_LEDGER = """
INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, occurred_at)
SELECT id, 'gift', source, source_key, amount_cents, paid_at FROM contribution WHERE id > %(gift)s ORDER BY id
"""
_TOLD = """
INSERT INTO inbound_event (id, source, key, lane, body, received_at, state, reason, attempts, due_at, finished_at)
OVERRIDING SYSTEM VALUE
SELECT %(event)s + n, 'actblue', encode(sha256(convert_to('g' || (%(event)s + n), 'UTF8')), 'hex'), 'intake', '', {at},
    'applied', 'gift', 1, {at}, {at} FROM generate_series(1, %(people)s) n
"""
_THANKS = """
INSERT INTO message (id, contact_id, mailing_id, occasion, lane, state, due_at, chapter_id, facts, attempts, handover_id,
    handed_at, delivered_at, inbound_event_id, created_at)
OVERRIDING SYSTEM VALUE
SELECT %(letter)s + row_number() OVER (ORDER BY g.id), g.contact_id, m.id, 'gift:' || g.id || ':thanks', 'receipts',
    'delivered', {at}, c.chapter_id, '{{"amount": "$27.00", "fund": "Common Ground Massachusetts Action, Inc."}}', 1,
    %(handover)s + row_number() OVER (ORDER BY g.id), {at}, {at}, g.inbound_event_id, {at}
FROM contribution g JOIN contact c ON c.id = g.contact_id, mailing m
WHERE g.id > %(gift)s AND m.slug = 'thank_you' ORDER BY g.id
"""
_TOTALS = """
UPDATE contact c SET gave_count = t.many, gave_cents = t.cents, gave_first_at = t.first_at FROM (
    SELECT contact_id, count(*) AS many, sum(amount_cents) AS cents, min(paid_at) AS first_at FROM contribution GROUP BY 1
) t WHERE t.contact_id = c.id
"""
_IDS = {"letter": "message", "handover": "handover", "event": "inbound_event", "gift": "contribution"}


@dataclass(slots=True)
class Made:
    """How much there is now."""

    letters: int = 0
    events: int = 0
    gifts: int = 0


def make(url: str, years: int, a_year: int, seconds: float) -> tuple[Made, bool]:
    """So many years with so many campaigns a year to everybody, and a gift of everybody in each year; goes on where it was
    cut short. Returns how much was made within these seconds, and whether that is all of it."""
    made, ends = Made(), monotonic() + seconds
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        for term in _TERMS.split(";"):
            connection.execute(term)
        people = _one(connection, "SELECT count(*) FROM contact WHERE routed_by = 'zip'")
        number = _one(connection, "SELECT count(*) FROM campaign WHERE slug LIKE 'past-%'") - 1
        while (number := number + 1) < years * a_year and monotonic() < ends:
            days = 365.25 * years * (1 - number / (years * a_year)) - 2
            if number % a_year == 0:
                progress(f"  {days / 365.25:.1f} years ago")
                _round_of_gifts(connection, number, days + 1, people, made)
            _campaign(connection, number, days, people, made)
        connection.execute(_TOTALS)
        for table in _IDS.values():
            connection.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
        connection.execute("VACUUM ANALYZE" if number >= years * a_year else "ANALYZE")
        connection.execute("CHECKPOINT")
    return made, number >= years * a_year


def _campaign(connection: psycopg.Connection, number: int, days: float, people: int, made: Made) -> None:
    terms = _ids(connection) | {
        "number": number, "people": people, "lane": "delivery", "letters": A_REQUEST, "requests": people // A_REQUEST + 1,
        "past": PAST, "events": 2 * people + people // 5,
    }  # fmt: skip
    at = _NOW.format(days=days)
    found = connection.execute(_CAMPAIGN.format(at=at), terms).fetchone()
    assert found is not None
    terms |= {"campaign_id": found[0], "version_id": found[1]}
    for statement in (_HANDOVERS, _PLACES, _LETTERS, _WORDS, _EVENTS):
        connection.execute(statement.format(at=at, days=days), terms)
    made.letters += people
    made.events += 2 * people + people // 5


def _round_of_gifts(connection: psycopg.Connection, number: int, days: float, people: int, made: Made) -> None:
    terms = _ids(connection) | {
        "number": number, "people": people, "lane": "receipts", "letters": 1, "requests": people, "past": "thank_you",
        "campaign": CAMPAIGN, "events": 2 * people,
    }  # fmt: skip
    at = _NOW.format(days=days)
    for statement in (_TOLD, _GIFTS, _LEDGER, _HANDOVERS, _THANKS):
        connection.execute(statement.format(at=at, days=days), terms)
    terms["event"] = int(str(terms["event"])) + people
    for statement in (_WORDS, _EVENTS):
        connection.execute(statement.format(at=at, days=days), terms)
    made.letters += people
    made.events += 3 * people
    made.gifts += people


def _ids(connection: psycopg.Connection) -> dict[str, object]:
    return {name: _one(connection, f"SELECT coalesce(max(id), 0) FROM {table}") for name, table in _IDS.items()}


def _one(connection: psycopg.Connection, query: str, terms: Mapping[str, object] | None = None) -> int:
    found = connection.execute(query, terms).fetchone()
    return int(found[0]) if found else 0
