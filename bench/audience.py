"""A state's worth of invented people with their gifts and older letters, and a campaign to all of them, ready to leave.

All of it is made inside Postgres, by the rules that the product's own tables have: for each person a yes to letters, three
gifts, three letters of the weeks before, and one letter of the campaign, from her chapter, one of twenty.
"""

from collections.abc import Mapping

import psycopg

from bench.report import progress
from engine.db import make_pool, make_sessions, transaction
from engine.letters import writing
from engine.letters.drafts import Draft
from engine.letters.finishing import Body

CHAPTERS = 20
PAST = "bench-past"
CAMPAIGN, SECOND = "bench-campaign", "bench-second"  # letters that ask
STRETCH = 100_000  # people a statement

_CHAPTERS = """
INSERT INTO chapter (parent_id, kind, slug, name, sender_name, sender_email, reply_to, postal_address)
SELECT r.id, 'chapter', 'bench-' || n, 'Town ' || n, 'Common Ground, Town ' || n, '', '', ''
FROM chapter r, generate_series(1, %(chapters)s) n WHERE r.parent_id IS NULL
"""
_PEOPLE = """
INSERT INTO contact (email, first_name, last_name, city, state, zip, time_zone, details_at, chapter_id, routed_by, routed_on,
    gave_count, gave_cents, gave_highest_cents, gave_last_cents, gave_first_at, gave_last_at, gave_peaks_at, gave_peaks_cents,
    engaged_last_at, custom)
SELECT 'person.' || n || '@example.org', (ARRAY['Rosa', 'Ines', 'Hannah', 'Theodora', 'José', 'Mai', 'O''Neil'])[1 + n %% 7],
    (ARRAY['Delgado', 'Lindqvist', 'Okafor', 'Pratt & Sons', 'García'])[1 + n %% 5], 'Worcester', 'MA', '01604',
    'America/New_York', 'epoch', %(first_chapter)s + n %% %(chapters)s, 'zip', '01604', 3, 8100, 2700, 2700,
    now() - interval '90 days', now() - interval '30 days', ARRAY[now() - interval '30 days'], ARRAY[2700],
    now() - interval '30 days', '{"issue": "housing"}'
FROM generate_series(%(low)s + 1, %(high)s) n
"""
_YES = """
INSERT INTO consent (contact_id, channel, kind, given, at, source)
SELECT id, 'mail', '', true, now() - interval '1 year', 'signup' FROM contact WHERE id > %(after)s
"""
_GIFTS = """
INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, donor, order_number, payment_key)
SELECT 'actblue', id || '-' || n, id, (SELECT fund_id FROM letter WHERE slug = %(campaign)s), 2700,
    now() - make_interval(days => 30 * n), '{"email": "x"}', 'AB' || id || n, 'AB' || id || n
FROM contact, generate_series(1, 3) n WHERE id > %(after)s
"""
_OLDER = """
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, state, due_at, handed_at, chapter_id, facts, attempts,
    created_at, delivered_at)
SELECT c.id, m.id, 'campaign:past:' || n, 'delivery', 'news', 'delivered', at.past, at.past, c.chapter_id, '{}', 1,
    at.past, at.past
FROM contact c, mailing m, generate_series(1, 3) n, LATERAL (SELECT now() - make_interval(days => 3 * n) AS past) at
WHERE c.id > %(after)s AND m.slug = %(past)s
"""
_READY = """
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, chapter_id, facts, fund_id)
SELECT c.id, m.id, 'campaign:' || m.slug, 'delivery', 'asks', now(), c.chapter_id,
    '{"ladder": [1500, 2700, 5000, 10000, 25000]}', l.fund_id
FROM contact c, mailing m JOIN letter l ON l.id = m.letter_id
WHERE c.id > %(after)s AND c.id <= %(upto)s AND m.slug = %(campaign)s
"""
_LEFT = """
SELECT count(*) FROM message m JOIN mailing w ON w.id = m.mailing_id WHERE w.slug = %(campaign)s AND m.state = 'ready'
"""
# As a house that has sent letters for long: its domain is known, and its provider was heard from.
_KNOWN = """
INSERT INTO sending_domain (domain, warming_since)
SELECT split_part(sender_email, '@', 2), NULL FROM chapter WHERE parent_id IS NULL
"""
_HEARD = """
INSERT INTO handover (mailing_id, lane, state, due_at, heard_at)
SELECT id, 'delivery', 'accepted', now(), now() FROM mailing LIMIT 1
"""
_LAST = """
SELECT coalesce(max(m.contact_id), 0) FROM message m JOIN mailing w ON w.id = m.mailing_id WHERE w.slug = %(campaign)s
"""

_PARAGRAPH = (
    "On Tuesday the housing committee of the state house votes on the bill that would let towns keep rents from rising by"
    " more than wages do. Two of its nine members have not said how they will vote. In that room, letters from people who"
    " live in {{ city }} count more than anything that we could say, and the people who knock on doors this week need a van."
)
# Eleven fields, one condition, and the ladder with its five buttons: about 19 kB of HTML, as letters of campaigns are.
_LETTER = "\n\n".join([
    'Dear {{ first_name | default("friend") }} {{ last_name }},',
    "{% if has_given %}",
    "You gave {{ last_gift }} on {{ last_gift_on }}, for the people of {{ home_chapter }}; in all {{ given_in_all }}.",
    "{% else %}",
    "You have not given yet, and you care about {{ custom.issue }}.",
    "{% endif %}",
    *[_PARAGRAPH] * 2,
    "::: ladder\n:::",
    *[_PARAGRAPH.replace("{{ city }}", "your town")] * 13,
    "We write to {{ email }}, in {{ city }}, {{ state }} {{ zip }}.",
    "{{ sender_name }}",
])  # fmt: skip


def make(url: str, people: int, *, older: bool = True) -> None:
    """So many people with all that they have (`older`: with letters of the weeks before), in an empty house with the invented
    organisation; nothing is ready yet."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(_CHAPTERS, {"chapters": CHAPTERS})
        terms: dict[str, object] = {"chapters": CHAPTERS, "campaign": CAMPAIGN, "past": PAST, "after": 0}
        terms["first_chapter"] = _one(connection, "SELECT min(id) FROM chapter WHERE slug LIKE 'bench-%'")
        for low in range(0, people, STRETCH):
            high = min(people, low + STRETCH)
            progress(f"  people {low:,} to {high:,}")
            terms["after"] = _one(connection, "SELECT coalesce(max(id), 0) FROM contact")
            connection.execute(_PEOPLE, terms | {"low": low, "high": high})
            if low == 0:
                _letters(url)
            for statement in (_YES, _GIFTS, _OLDER) if older else (_YES, _GIFTS):
                connection.execute(statement, terms)
        connection.execute(_KNOWN)
        connection.execute(_HEARD)
        connection.execute("VACUUM ANALYZE")


def ready(url: str, letters: int) -> None:
    """So many more letters of the campaign, to people who have none of it yet."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        after = _one(connection, _LAST, {"campaign": CAMPAIGN})
        connection.execute(_READY, {"campaign": CAMPAIGN, "after": after, "upto": after + letters})
        connection.execute("VACUUM ANALYZE message")


def left(url: str) -> int:
    """How many letters of the campaign are still ready."""
    with psycopg.connect(url) as connection:
        return _one(connection, _LEFT, {"campaign": CAMPAIGN})


def _letters(url: str) -> None:
    """The letter of the campaign, and the one of the weeks before."""
    pool = make_pool(url, size=1)
    with transaction(make_sessions(pool)) as session:
        words = {"en": Body("The rent vote in {{ city }} is on Tuesday, {{ first_name }}", _LETTER)}
        for slug in (CAMPAIGN, SECOND):
            writing.save(session, Draft(slug=slug, kind="asks", form="common-ground", bodies=words))
        writing.save(session, Draft(slug=PAST, kind="news", bodies={"en": Body("News", "Hello.")}))
    pool.dispose()


def _one(connection: psycopg.Connection, query: str, terms: Mapping[str, object] | None = None) -> int:
    found = connection.execute(query, terms).fetchone()
    return int(found[0]) if found else 0
