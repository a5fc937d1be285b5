"""A crowd for the bench of segments: people in 211 chapters on three levels, three gifts each in the middle, interests,
letters and clicks, and what people allowed and forbade; made inside Postgres, by the rules of the product's own tables."""

from collections.abc import Mapping

import psycopg

from bench.report import progress
from engine.db import make_pool, make_sessions, transaction
from engine.letters import writing
from engine.letters.drafts import Draft
from engine.letters.finishing import Body

REGIONS, TOWNS = 10, 20
STRETCH = 100_000  # people a statement
LETTER = "bench-news"

_REGIONS = """
INSERT INTO chapter (parent_id, kind, slug, name)
SELECT r.id, 'region', 'region-' || n, 'Region ' || n
FROM chapter r, generate_series(1, %(regions)s) n WHERE r.parent_id IS NULL
"""
_TOWNS = """
INSERT INTO chapter (parent_id, kind, slug, name)
SELECT r.id, 'chapter', replace(r.slug, 'region', 'town') || '-' || n, 'Town ' || r.id || '/' || n
FROM chapter r, generate_series(1, %(towns)s) n WHERE r.slug LIKE 'region-%%' ORDER BY n, r.id
"""
# Half of the people gave: many a few times, few often, six times in the middle; mostly small sums, over four years.
_GIFTS = """
CREATE TEMP TABLE made ON COMMIT PRESERVE ROWS AS
SELECT p AS person, (ARRAY[500, 1000, 1500, 2000, 2500, 2700, 5000, 10000, 25000])[1 + floor(9 * random() * random())]
    AS cents, now() - interval '4 years' * random() AS paid_at, random() AS luck
FROM generate_series(%(low)s + 1, %(high)s) p,
    generate_series(1, CASE p %% 2 WHEN 0 THEN 0 ELSE ceil(-6 * ln(1 - random()))::int END) n
"""
_PEOPLE = """
INSERT INTO contact (email, first_name, last_name, city, state, zip, time_zone, language, details_at, chapter_id, routed_by,
    routed_on, engaged_last_at, created_at, gave_count, gave_cents, gave_highest_cents, gave_last_cents, gave_first_at,
    gave_last_at, gave_peaks_at, gave_peaks_cents)
SELECT 'person.' || p || '@example.org', 'Rosa', 'Delgado', 'Worcester', 'MA', '01604', 'America/New_York',
    CASE WHEN random() < 0.1 THEN 'es' ELSE 'en' END, 'epoch', t.ids[1 + floor(cardinality(t.ids) * random())], 'zip',
    '01604', now() - interval '2 years' * random(), now() - interval '5 years' * random(),
    coalesce(g.many, 0), coalesce(g.cents, 0), coalesce(g.highest, 0), coalesce(g.last, 0), g.first_at, g.last_at,
    coalesce(g.peaks_at[greatest(cardinality(g.peaks_at) - 15, 1):], '{}'),
    coalesce(g.peaks_cents[greatest(cardinality(g.peaks_cents) - 15, 1):], '{}')
FROM generate_series(%(low)s + 1, %(high)s) p
CROSS JOIN (SELECT array_agg(id) AS ids FROM chapter WHERE slug LIKE 'town-%%') t
LEFT JOIN (SELECT person, count(*) AS many, sum(cents) AS cents, max(cents) AS highest,
    (array_agg(cents ORDER BY paid_at DESC, cents DESC))[1] AS last, min(paid_at) AS first_at, max(paid_at) AS last_at,
    array_agg(paid_at ORDER BY paid_at) FILTER (WHERE cents > later) AS peaks_at,
    array_agg(cents ORDER BY paid_at) FILTER (WHERE cents > later) AS peaks_cents
    FROM (SELECT *, coalesce(max(cents) OVER (PARTITION BY person ORDER BY paid_at DESC
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS later FROM made) m GROUP BY person) g ON g.person = p
ORDER BY p
"""
# Of one in fifty half went back. What is left of a gift that is "received" nobody asks the ledger, so it has no entries here.
_BOOKED = """
INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, donor, order_number, payment_key,
    status)
SELECT 'actblue', row_number() OVER () || '-' || m.person, c.id, f.ids[CASE WHEN m.luck < 0.8 THEN 1 ELSE 2 END],
    CASE WHEN m.luck < 0.02 THEN 2 * m.cents ELSE m.cents END,
    m.paid_at, '{"email": "x"}', 'AB' || m.person, row_number() OVER () || '-' || m.person,
    CASE WHEN m.luck < 0.02 THEN 'partly_refunded' ELSE 'received' END
FROM made m JOIN contact c ON c.email = 'person.' || m.person || '@example.org'
CROSS JOIN (SELECT array_agg(id ORDER BY id) AS ids FROM fund) f ORDER BY m.paid_at
"""
_LEDGER = """
INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, occurred_at)
SELECT g.id, e.kind, 'actblue', g.source_key, g.amount_cents * e.of / 2, g.paid_at
FROM contribution g, (VALUES ('gift', 2), ('refund', -1)) e(kind, of)
WHERE g.status = 'partly_refunded' AND g.contact_id > %(after)s
"""
_YES = """
INSERT INTO consent (contact_id, channel, kind, given, at, source)
SELECT id, 'mail', '', true, now() - interval '3 years', 'signup' FROM contact WHERE id > %(after)s AND random() < 0.9
"""
_NO = """
INSERT INTO consent (contact_id, channel, kind, given, until, at, source)
SELECT id, 'mail', v.kind, false, CASE v.kind WHEN 'pause' THEN now() + interval '60 days' END,
    now() - interval '1 year', 'preferences'
FROM (SELECT id, random() AS luck FROM contact WHERE id > %(after)s) c
JOIN (VALUES ('', 0.0, 0.06), ('asks', 0.06, 0.08), ('pause', 0.08, 0.09), ('many', 0.09, 0.11)) v(kind, low, high)
    ON c.luck >= v.low AND c.luck < v.high
"""
_SUPPRESSED = """
INSERT INTO suppression (email, reason, at)
SELECT email, CASE WHEN luck < 0.025 THEN 'bounce' ELSE 'unsubscribe' END, now() - interval '6 months'
FROM (SELECT email, random() AS luck FROM contact WHERE id > %(after)s) c WHERE luck < 0.04
"""
_INTERESTS = """
INSERT INTO contact_interest (contact_id, interest_id, at, source)
SELECT c.id, i.id, now(), 'join' FROM contact c JOIN interest i ON (c.id * 31 + i.id * 17) %% 5 = 0 WHERE c.id > %(after)s
"""
_LETTERS = """
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, state, due_at, handed_at, delivered_at, chapter_id, facts)
SELECT c.id, m.id, 'campaign:past', 'delivery', 'news', 'delivered', a.at, a.at, a.at, c.chapter_id, '{}'
FROM (SELECT id, chapter_id FROM contact WHERE id > %(after)s AND random() < 0.5) c, mailing m,
    LATERAL (SELECT now() - interval '200 days' * random() AS at OFFSET 0) a
WHERE m.slug = %(letter)s
"""
_CLICKS = """
INSERT INTO mail_event (message_id, handover_id, kind, at, url, machine)
SELECT id, 0, 'click', handed_at + interval '1 hour', 'https://example.org', random() < 0.5
FROM message WHERE contact_id > %(after)s AND random() < 0.2
"""


def make(url: str, people: int) -> int:
    """So many people with all that they have, in an empty house with the invented organisation; how many gifts they gave."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SELECT setseed(0.5)")
        connection.execute(_REGIONS, {"regions": REGIONS})
        connection.execute(_TOWNS, {"towns": TOWNS})
        _letter(url)
        for low in range(0, people, STRETCH):
            progress(f"  people {low:,} to {min(people, low + STRETCH):,}")
            _stretch(connection, low, min(people, low + STRETCH))
        connection.execute("VACUUM ANALYZE")
        return _one(connection, "SELECT count(*) FROM contribution")


def _stretch(connection: psycopg.Connection, low: int, high: int) -> None:
    terms: Mapping[str, object] = {
        "low": low, "high": high, "letter": LETTER, "after": _one(connection, "SELECT coalesce(max(id), 0) FROM contact"),
    }  # fmt: skip
    connection.execute("DROP TABLE IF EXISTS made")
    for statement in (_GIFTS, _PEOPLE, _BOOKED, _LEDGER, _YES, _NO, _SUPPRESSED, _INTERESTS, _LETTERS, _CLICKS):
        connection.execute(statement, terms)


def _letter(url: str) -> None:
    pool = make_pool(url, size=1)
    with transaction(make_sessions(pool)) as session:
        writing.save(session, Draft(slug=LETTER, kind="news", bodies={"en": Body("News", "Hello.")}))
    pool.dispose()


def _one(connection: psycopg.Connection, query: str) -> int:
    found = connection.execute(query).fetchone()
    return int(found[0]) if found else 0
