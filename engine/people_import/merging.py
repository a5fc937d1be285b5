"""A batch of addresses out of the staged rows onto contacts, consents and suppressions: statements, not loops.

One transaction a batch, its contacts locked in the order of addresses, the lock order of the whole house. What is told of a
person counts by the rules of `engine.people.best_words`, over all rows of hers and what we know; an import never overwrites a
newer word. Of consent the strictest counts,
over all files and what we know: a no of the run is a withdrawal and a suppression, and a yes is kept only where nobody
knows of a no. That makes no difference twice, in whatever order the files come.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.people import best_words, relocation, routing
from engine.people.routing import STATE_ROUTES
from engine.tokens import Signer

# A word without a date is older than any other: it fills in what nobody knows, and outweighs nothing.
UNDATED = "1970-01-01 00:00:00+00"
_THEIRS = ", ".join(f"c.{name}" for name in best_words.COLUMNS)

TABLES = (
    text("""
    CREATE TEMPORARY TABLE IF NOT EXISTS import_batch (
        email text, person boolean, rows int, tools int, engaged_at timestamptz, language text, custom jsonb,
        says_no boolean, unread boolean, says_yes boolean, first_name text, last_name text, name_at timestamptz, zip text,
        state text, country text, time_zone text, place_at timestamptz, moved_at timestamptz, street text, city text,
        address_at timestamptz, phone text, phone_at timestamptz, details_at timestamptz, chapter_id bigint, routed_by text,
        routed_on text
    ) ON COMMIT DELETE ROWS
    """),
    text("""
    CREATE TEMPORARY TABLE IF NOT EXISTS import_admitted (
        email text, contact_id bigint, merged_into_id bigint, fresh boolean, newer boolean, placed boolean
    ) ON COMMIT DELETE ROWS
    """),
)
# For a dry run: tables of the same names that only this connection sees.
DRY_TABLES = (
    text("CREATE TEMPORARY TABLE import_row (LIKE public.import_row INCLUDING ALL)"),
    text("CREATE TEMPORARY TABLE import_person (LIKE public.import_person INCLUDING ALL)"),
)
DROP = text(
    "DROP TABLE IF EXISTS pg_temp.import_batch, pg_temp.import_admitted, pg_temp.import_row, pg_temp.import_person"
)

UPTO = text("""
SELECT max(email) FROM (
    SELECT email FROM import_row WHERE email > :after AND email <= :last ORDER BY email LIMIT :most) batch
""")

_ADDRESSES = text("SELECT DISTINCT email FROM import_row WHERE email > :after AND email <= :upto")
_ERASED = text("SELECT hash FROM erased_address WHERE hash = ANY(:hashes)")
_CAME_BACK = text("SELECT email FROM contact WHERE email = ANY(:emails)")
_ERASED_COUNT = text("SELECT count(*) FROM erased_address")
_LEAVE_OUT = text("""
WITH gone AS (DELETE FROM import_row WHERE email = ANY(:emails) RETURNING email)
INSERT INTO import_person (email, outcome, refusal, tools, rows)
SELECT email, 'nobody', 'erased', 1, count(*) FROM gone GROUP BY email
""")

# One row an address: the best words about her, and all that was said about mail. Most addresses have one line, so that what
# costs more is done for the others only.
_SAYS = """
    {each}(r.standing IN ('unsubscribed', 'cleaned', 'complained')) AS says_no, {each}(r.standing = 'unread') AS unread,
    {each}(r.standing = 'subscribed') AS says_yes
"""
_TOLD = best_words.told("r", "coalesce(r.told_at, CAST(:undated AS timestamptz))", "z")
_GATHER = text(f"""
INSERT INTO import_batch
WITH file AS (SELECT * FROM json_to_recordset(CAST(:files AS json)) AS v(file int, source text)),
line AS MATERIALIZED (
    SELECT r.*, f.source, count(*) OVER (PARTITION BY r.email) AS lines
    FROM import_row r JOIN file f ON f.file = r.file WHERE r.email > :after AND r.email <= :upto
), words AS MATERIALIZED (
    SELECT r.email AS key, {_TOLD} FROM line r LEFT JOIN zip z ON z.zip = r.zip WHERE r.lines > 1
), {best_words.COMBINED}, many AS MATERIALIZED (
    SELECT r.email, bool_or(r.person) AS person, count(*) AS rows, count(DISTINCT r.source) AS tools,
        max(r.engaged_at) AS engaged_at, max(r.language) AS language, {_SAYS.format(each="bool_or")}
    FROM line r WHERE r.lines > 1 GROUP BY r.email
), fields AS (
    SELECT r.email, jsonb_object_agg(f.key, f.value ORDER BY r.told_at NULLS FIRST, r.file, r.line) AS custom
    FROM line r CROSS JOIN LATERAL jsonb_each(r.custom) f WHERE r.lines > 1 GROUP BY r.email
), tagged AS (
    SELECT r.email, jsonb_build_object('tags', jsonb_agg(DISTINCT t.tag ORDER BY t.tag)) AS custom
    FROM line r CROSS JOIN LATERAL unnest(r.tags) t(tag) WHERE r.lines > 1 GROUP BY r.email
), told AS (
    SELECT r.email, r.person, r.lines AS rows, 1 AS tools, r.engaged_at, r.language, coalesce(r.custom, '{{}}')
            || CASE WHEN r.tags IS NULL THEN '{{}}' ELSE jsonb_build_object('tags', to_jsonb(r.tags)) END AS custom,
        {_SAYS.format(each="")}, {_TOLD}
    FROM line r LEFT JOIN zip z ON z.zip = r.zip WHERE r.lines = 1
    UNION ALL
    SELECT m.email, m.person, m.rows, m.tools, m.engaged_at, m.language,
        coalesce(f.custom, '{{}}') || coalesce(t.custom, '{{}}'), m.says_no, m.unread, m.says_yes, {best_words.LISTED}
    FROM many m JOIN person p ON p.key = m.email LEFT JOIN fields f ON f.email = m.email
    LEFT JOIN tagged t ON t.email = m.email
)
SELECT c.email, c.person, c.rows, c.tools, c.engaged_at, coalesce(nullif(c.language, ''), 'en'), c.custom, c.says_no,
    c.unread, c.says_yes, {_THEIRS}, h.chapter_id, h.by, h."on"
FROM {relocation.joined("zip_route", STATE_ROUTES, "told")}
""")

# As `engine.people.contacts` admits, from rows in place of JSON. Everyone is locked, changed or not. `fresh`: made by this;
# `newer`: it tells something newer than all that was told of her; `placed`: she lives elsewhere by it.
_ADMIT = text(f"""
WITH admitted AS (
    INSERT INTO contact AS c (email, {best_words.LISTED}, language, custom, engaged_last_at, chapter_id, routed_by, routed_on)
    SELECT email, {best_words.LISTED}, language, custom, engaged_at, chapter_id, routed_by, routed_on
    FROM import_batch WHERE person ORDER BY email
    ON CONFLICT (email) {best_words.BETTER_WINS}
    RETURNING c.email, c.id, c.merged_into_id, old.id IS NULL AS fresh, c.chapter_id, c.routed_by, c.routed_on,
        (new.details_at > old.details_at) IS NOT FALSE AS newer,
        (old.zip, old.state) IS DISTINCT FROM (c.zip, c.state) AS placed
), moved AS (
    INSERT INTO chapter_move (contact_id, from_chapter_id, to_chapter_id, by, "on", at)
    SELECT id, NULL, chapter_id, routed_by, routed_on, CAST(:now AS timestamptz)
    FROM admitted WHERE fresh AND chapter_id IS NOT NULL
)
INSERT INTO import_admitted SELECT email, id, merged_into_id, fresh, newer, placed FROM admitted
""")

# One look into the index an address (OFFSET keeps it so), however stale what is known of the size of `contact`.
_KNOWN = text("""
INSERT INTO import_admitted
SELECT b.email, c.id, c.merged_into_id, false, false, false
FROM import_batch b
CROSS JOIN LATERAL (SELECT id, merged_into_id FROM contact WHERE email = b.email OFFSET 0) c
WHERE b.email NOT IN (SELECT email FROM import_admitted)
""")

# Whom nobody placed and who chose nothing lives where the best word about her says.
_REROUTE = text(f"""
WITH elsewhere AS (
    SELECT c.* FROM import_admitted a JOIN contact c ON c.id = a.contact_id
    WHERE (a.placed OR c.routed_by = '{routing.UNCONFIRMED}') AND NOT a.fresh AND c.merged_into_id IS NULL
        AND {relocation.FREE}
), moving AS (
    SELECT c.id, c.chapter_id AS before, h.* FROM {relocation.joined("zip_route", STATE_ROUTES, "elsewhere")}
), routed AS (
    UPDATE contact c SET chapter_id = m.chapter_id, routed_by = m.by, routed_on = m."on"
    FROM moving m WHERE c.id = m.id
        AND (c.chapter_id, c.routed_by, c.routed_on) IS DISTINCT FROM (m.chapter_id, m.by, m."on")
)
INSERT INTO chapter_move (contact_id, from_chapter_id, to_chapter_id, by, "on", at)
SELECT id, before, chapter_id, by, "on", CAST(:now AS timestamptz) FROM moving WHERE before IS DISTINCT FROM chapter_id
""")

# Of custom fields that are there already, a newer word about her replaces them, any other fills in. Tags are gathered.
_ADD = text("""
UPDATE contact c SET engaged_last_at = n.engaged_at, custom = n.custom
FROM (
    SELECT k.id, greatest(k.engaged_last_at, b.engaged_at) AS engaged_at,
        CASE WHEN a.newer THEN k.custom || b.custom ELSE b.custom || k.custom END
            || CASE WHEN b.custom ? 'tags' THEN jsonb_build_object('tags', (
                SELECT jsonb_agg(DISTINCT tag ORDER BY tag)
                FROM jsonb_array_elements_text(
                    CASE WHEN jsonb_typeof(k.custom -> 'tags') = 'array' THEN k.custom -> 'tags' ELSE '[]' END
                    || (b.custom -> 'tags')) tag)) ELSE '{}' END AS custom
    FROM import_admitted a JOIN import_batch b ON b.email = a.email JOIN contact k ON k.id = a.contact_id
    WHERE NOT a.fresh AND b.person
) n WHERE c.id = n.id AND (c.engaged_last_at, c.custom) IS DISTINCT FROM (n.engaged_at, n.custom)
""")

# What she said under an address that was merged holds for the one that she has now; a bounce is that address's alone.
_SUPPRESS = text("""
WITH told AS MATERIALIZED (
    SELECT email, CASE standing WHEN 'cleaned' THEN 'bounce' WHEN 'complained' THEN 'complaint' ELSE 'unsubscribe' END
        AS reason, max(coalesce(at, CAST(:told_at AS timestamptz))) AS at
    FROM import_row WHERE email > :after AND email <= :upto AND standing IN ('unsubscribed', 'cleaned', 'complained')
    GROUP BY 1, 2
)
INSERT INTO suppression (email, reason, at)
SELECT email, reason, max(at) FROM (
    SELECT * FROM told
    UNION ALL
    SELECT c.email, t.reason, t.at FROM told t JOIN import_admitted a ON a.email = t.email
    JOIN contact c ON c.id = a.merged_into_id AND c.email IS NOT NULL WHERE t.reason <> 'bounce'
) every GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (email, reason) DO UPDATE SET at = excluded.at WHERE excluded.at > suppression.at
""")

# Words as they were told, each once. Without a date they were said when this import was first told of them.
_WORDS = """
INSERT INTO consent (contact_id, channel, kind, given, at, source, place, wording)
SELECT DISTINCT ON (contact_id, at, source) contact_id, '{channel}', '', {given}, at, source, place, wording
FROM (
    SELECT her.contact_id, coalesce(r.at, CAST(:told_at AS timestamptz)) AS at, f.source, f.place, r.wording
    FROM import_row r JOIN json_to_recordset(CAST(:files AS json)) AS f(file int, source text, place text)
        ON f.file = r.file
    JOIN import_batch b ON b.email = r.email JOIN import_admitted a ON a.email = r.email
    CROSS JOIN LATERAL (SELECT a.contact_id UNION ALL SELECT a.merged_into_id) her
    WHERE r.email > :after AND r.email <= :upto AND her.contact_id IS NOT NULL AND {which}
) word ORDER BY contact_id, at, source, place COLLATE "C" DESC, wording COLLATE "C" DESC
ON CONFLICT (contact_id, channel, kind, at, given, source) DO NOTHING
"""
_LAST_WORD_IS_NO = """
SELECT FROM (
    SELECT given FROM consent w WHERE w.contact_id = a.contact_id AND w.channel = 'mail' AND w.kind = ''
    ORDER BY at DESC, given LIMIT 1) last WHERE NOT given
"""
_SAY_NO = text(
    _WORDS.format(channel="mail", given="false", which="r.standing IN ('unsubscribed', 'complained')"),
)
_SAY_YES = text(
    _WORDS.format(
        channel="mail", given="true",
        which=f"""r.standing = 'subscribed' AND NOT b.says_no AND NOT b.unread AND a.merged_into_id IS NULL
        AND NOT EXISTS (SELECT FROM suppression s WHERE s.email = r.email)
        AND (a.fresh OR NOT EXISTS ({_LAST_WORD_IS_NO}))""",
    )
)  # fmt: skip
_SAY_NO_TEXTS = text(_WORDS.format(channel="text", given="false", which="r.text_given IS FALSE"))
_SAY_YES_TEXTS = text(
    _WORDS.format(
        channel="text", given="true",
        which="""r.text_given AND a.merged_into_id IS NULL
        AND NOT EXISTS (SELECT FROM import_row no WHERE no.email = r.email AND no.text_given IS FALSE)
        AND NOT EXISTS (SELECT FROM consent w
            WHERE w.contact_id = a.contact_id AND w.channel = 'text' AND w.kind = '' AND NOT w.given)""",
    )
)  # fmt: skip

# What came of each address, from what is told and what is known: the same before the batch is written and after. Who is new
# has said nothing but what the run tells.
_JUDGE = text("""
INSERT INTO import_person (email, outcome, refusal, tools, rows)
WITH known AS MATERIALIZED (
    SELECT email, contact_id AS id, merged_into_id FROM import_admitted WHERE NOT fresh
), no AS (
    SELECT email, reason, max(at) AS at FROM (
        SELECT email, CASE standing WHEN 'cleaned' THEN 'bounce' WHEN 'complained' THEN 'complaint' ELSE 'unsubscribe' END
            AS reason, coalesce(at, CAST(:told_at AS timestamptz)) AS at
        FROM import_row WHERE email > :after AND email <= :upto AND standing IN ('unsubscribed', 'cleaned', 'complained')
        UNION ALL SELECT email, reason, at FROM suppression WHERE email > :after AND email <= :upto
    ) told GROUP BY email, reason
), word AS (
    SELECT DISTINCT ON (email) email, given FROM (
        SELECT k.email, w.given, w.at FROM known k JOIN consent w ON w.contact_id = k.id
        WHERE w.channel = 'mail' AND w.kind = ''
        UNION ALL SELECT k.email, false, coalesce(r.at, CAST(:told_at AS timestamptz))
        FROM known k JOIN import_row r ON r.email = k.email WHERE r.standing IN ('unsubscribed', 'complained')
    ) said ORDER BY email, at DESC, given
), stop AS (
    SELECT n.email, min(n.reason) FILTER (WHERE n.reason NOT IN ('unsubscribe', 'erased') OR NOT EXISTS (
            SELECT FROM consent yes WHERE yes.contact_id = k.id AND yes.channel = 'mail' AND yes.kind = '' AND yes.given
            AND yes.source IN ('signup', 'confirm', 'preferences') AND yes.at > n.at
            AND NOT EXISTS (SELECT FROM consent no WHERE no.contact_id = k.id AND no.channel = 'mail' AND no.kind = ''
                AND NOT no.given AND no.at >= yes.at))) AS reason
    FROM no n LEFT JOIN known k ON k.email = n.email GROUP BY n.email
)
SELECT b.email, CASE WHEN k.id IS NOT NULL THEN 'known' WHEN b.person THEN 'new' ELSE 'nobody' END,
    CASE WHEN k.merged_into_id IS NOT NULL THEN 'merged into another contact'
        WHEN stop.reason IS NOT NULL THEN 'address suppressed: ' || stop.reason
        WHEN NOT word.given THEN 'wants no letters'
        WHEN word.given THEN ''
        WHEN b.unread THEN 'a row of hers could not be read'
        WHEN b.says_yes AND NOT b.says_no AND stop.email IS NULL THEN ''
        ELSE 'never said yes' END,
    b.tools, b.rows
FROM import_batch b LEFT JOIN known k ON k.email = b.email
LEFT JOIN stop ON stop.email = b.email LEFT JOIN word ON word.email = b.email
""")

# What the planner cannot know by itself: how large the tables of this batch are, and that few were merged or say no. Without
# it, it compares everybody with everybody, and a batch takes minutes.
_PLAN = text("SET LOCAL plan_cache_mode = force_custom_plan")
_ANALYZE_BATCH = text("ANALYZE import_batch (email, person, says_no, unread, says_yes)")
_ANALYZE_ADMITTED = text("ANALYZE import_admitted")

WRITTEN = (
    _ADMIT, _KNOWN, _ANALYZE_ADMITTED, _REROUTE, _ADD, _SUPPRESS, _SAY_NO, _SAY_YES, _SAY_NO_TEXTS, _SAY_YES_TEXTS,
)  # fmt: skip


class Overtaken(Exception):
    """Somebody was erased meanwhile: the batch has to be looked at again."""


def merge(session: Session, batch: Mapping[str, object], signer: Signer, now: datetime, *, dry_run: bool) -> None:
    """Merge the addresses after `after` up to `upto`; when it is a dry run, only judge them.

    batch: after, upto, files (JSON: file, source, place), told_at. Raises Overtaken; then nothing of it may be committed.
    """
    values = {**batch, "now": now, "undated": UNDATED}
    routing.hold(session)
    erased = session.execute(_ERASED_COUNT).scalar_one()
    if erased:
        _leave_out(session, batch, signer)
    session.execute(_PLAN)
    session.execute(_GATHER, values)
    session.execute(_ANALYZE_BATCH)
    for statement in (_KNOWN,) if dry_run else WRITTEN:
        session.execute(statement, values)
    session.execute(_JUDGE, values)
    if session.execute(_ERASED_COUNT).scalar_one() != erased:
        raise Overtaken


def files_of(sources: Sequence[tuple[str, str]]) -> str:
    """The files of a run, (source, place) each, as the statements want them."""
    return rows({"file": number, "source": source, "place": place} for number, (source, place) in enumerate(sources))


def _leave_out(session: Session, batch: Mapping[str, object], signer: Signer) -> None:
    """Take those out of the staged rows who were erased: they are not brought back, unless they came back themselves."""
    hashes = {mark: email for email in session.scalars(_ADDRESSES, batch) for mark in signer.hashes(email)}
    if found := {hashes[mark] for mark in session.scalars(_ERASED, {"hashes": list(hashes)})}:
        found -= set(session.scalars(_CAME_BACK, {"emails": list(found)}))
        session.execute(_LEAVE_OUT, {"emails": list(found)})
