"""Checks of people: where they belong, that their no holds, that who was erased is nowhere, that staff's deeds are on record
(I12, I15, I16, I19)."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import redis
from psycopg import sql

from bench.torture import model
from bench.torture.evidence import Evidence
from bench.torture.house import DRIVE, THANKED
from bench.torture.people import CANARY, CHAPTERS

_HOMES = """
SELECT c.email, c.zip, coalesce(h.slug, '') AS chapter, c.routed_by FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id
WHERE c.email = ANY(%s) AND c.merged_into_id IS NULL AND c.erased_at IS NULL
"""
# Whoever is meant by an address, if she may be written to after all.
_OPEN_AGAIN = """
SELECT k.email FROM unnest(%s::text[]) k(email) JOIN contact c ON c.email = k.email
JOIN contact p ON p.id = coalesce(c.merged_into_id, c.id)
WHERE p.erased_at IS NULL AND NOT EXISTS (
    SELECT FROM consent no WHERE no.contact_id = p.id AND no.channel = 'mail' AND no.kind = '' AND NOT no.given
        AND NOT EXISTS (SELECT FROM consent yes WHERE yes.contact_id = p.id AND yes.channel = 'mail' AND yes.kind = ''
            AND yes.given AND yes.at > no.at AND yes.source IN ('signup', 'confirm', 'preferences')))
    AND NOT EXISTS (SELECT FROM suppression s WHERE s.email = p.email)
"""
_KNOWN = "SELECT email FROM contact WHERE email = ANY(%s)"
_UNSUPPRESSED = """
SELECT k.email, k.reason FROM unnest(%s::text[], %s::text[]) k(email, reason)
WHERE NOT EXISTS (SELECT FROM suppression s WHERE (s.email, s.reason) = (k.email, k.reason))
    AND EXISTS (SELECT FROM contact c WHERE c.email = k.email AND c.erased_at IS NULL)
"""
_SIGN_UPS = "SELECT source, source_key FROM sign_up WHERE source IN ('signup', 'join')"
_TABLES = """
SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind = 'r' ORDER BY 1
"""
_FOUND = "SELECT DISTINCT m[1] AS word FROM {table} t, regexp_matches(t::text, %s, 'g') m"
_AUDIT = """
SELECT subject, subject_id, array_agg(action ORDER BY id) AS actions FROM audit
WHERE subject IN ('campaign', 'sequence') AND action ~ '(paused|resumed)$' GROUP BY 1, 2
"""
_VERSIONS = """
SELECT q.slug, count(DISTINCT v.id) AS versions, (SELECT count(*) FROM audit a WHERE a.subject = 'sequence'
    AND a.subject_id = q.id AND a.action = 'sequence published') AS published
FROM sequence q JOIN sequence_version v ON v.sequence_id = q.id WHERE q.slug = ANY(%s) GROUP BY q.id
"""
_DEEDS = "SELECT action, count(*) AS n FROM audit WHERE action IN ('merged', 'erased', 'campaign launched') GROUP BY 1"
_WORD = re.compile(CANARY.encode() + rb"[0-9a-f]{16}")
# The same in the hexadecimal in which Postgres writes bytes.
_PATTERN = f"({CANARY}[0-9a-f]{{16}}|{CANARY.encode().hex()}(?:3[0-9]|6[1-6]){{16}})"


def at_home(evidence: Evidence) -> Iterator[str]:
    """I12: whoever always told one ZIP stands in the chapter whose territory it is."""
    told = model.told(evidence.journal)
    lives = {
        email: next(iter(zips)) for email, zips in told.zips.items() if len(zips) == 1 and email not in told.merged
    }
    into = set(told.merged.values())
    for row in evidence.rows(_HOMES, [email for email in lives if email not in into]):
        zip_code = lives[row["email"]]
        if (row["zip"], row["chapter"]) != (zip_code, CHAPTERS[zip_code]):
            says = f"{row['zip']}, {row['chapter']} by {row['routed_by']}"
            yield f"{row['email']} stands in {says}; must be {zip_code}, {CHAPTERS[zip_code]}"


def signed_up(evidence: Evidence) -> Iterator[str]:
    """Every sign-up that was taken is on record, unless she was erased since."""
    told = model.told(evidence.journal)
    gone = {email for email, _ in told.erased.values()}
    there = {(row["source"], row["source_key"]) for row in evidence.rows(_SIGN_UPS)}
    for key, email in told.signed_up.items():
        if key not in there and email not in gone:
            yield f"a sign-up that was taken is not on record: {key}, {email}"


def no_holds(evidence: Evidence) -> Iterator[str]:
    """I15: one click that was answered 2xx is in effect, for good; so is what the provider told of an address."""
    told = model.told(evidence.journal)
    stopped = [email for email, at in told.stopped.items() if at <= evidence.now]
    for row in evidence.rows(_OPEN_AGAIN, stopped):
        yield f"{row['email']} stopped her letters, and may be written to"


def suppressed(evidence: Evidence) -> Iterator[str]:
    """An address of which the provider told that it bounced or complained is suppressed."""
    pairs = sorted(model.told(evidence.journal).suppressed)
    for row in evidence.rows(_UNSUPPRESSED, [email for email, _ in pairs], [reason for _, reason in pairs]):
        yield f"{row['email']} is not suppressed although the provider told of it: {row['reason']}"


def forgotten(evidence: Evidence) -> Iterator[str]:
    """I16: of whoever was erased no word is left: in no table, log file or key of Redis."""
    gone = model.told(evidence.journal).erased
    if not gone:
        return
    for row in evidence.rows(_TABLES):
        query = sql.SQL(_FOUND).format(table=sql.Identifier(row["name"]))
        found = evidence.connection.execute(query, [_PATTERN]).fetchall()
        for word in {_word(each["word"]) for each in found} & set(gone):
            yield f"{word} was erased, and stands in the table {row['name']}"
    for path, words in in_logs(evidence.world.logs):
        for word in words & set(gone):
            yield f"{word} was erased, and stands in {path}"
    for place, words in _in_redis(evidence.world.redis_url):
        for word in words & set(gone):
            yield f"{word} was erased, and stands in {place}"


def _word(found: str) -> str:
    return found if found.startswith(CANARY) else bytes.fromhex(found).decode()


def in_logs(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """The canaries of each log file that the product wrote."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.name, _words(path.read_bytes().splitlines())


def _in_redis(url: str) -> Iterator[tuple[str, set[str]]]:
    with redis.Redis.from_url(url, socket_timeout=5) as server:
        for key in server.scan_iter(count=500):
            value = server.dump(key) or b""
            yield f"Redis' key {key!r}", _words([key, value])


def _words(lines: Iterable[bytes]) -> set[str]:
    return {found.decode() for line in lines for found in _WORD.findall(line)}


def on_record(evidence: Evidence) -> Iterator[str]:
    """I19: each deed of staff's is on the audit once: stopped and let go on by turns; each version, merge, erasure."""
    for row in evidence.rows(_AUDIT):
        doubled = [one for one, two in zip(row["actions"], row["actions"][1:], strict=False) if one == two]
        if doubled:
            yield f"{row['subject']} {row['subject_id']}: on record twice running: {doubled[0]}"
    for row in evidence.rows(_VERSIONS, [DRIVE, THANKED]):
        if row["versions"] != row["published"]:
            yield f"sequence {row['slug']} has {row['versions']} versions, and {row['published']} are on the audit"
    held = {row["action"]: row["n"] for row in evidence.rows(_DEEDS)}
    launches = {each.facts["subject"] for each in evidence.journal.acked("staff") if each.facts["act"] == "launch"}
    for action, did in (
        ("merged", sum(1 for _ in evidence.journal.acked("merge"))),
        ("erased", sum(1 for _ in evidence.journal.acked("erase"))),
        ("campaign launched", len(launches)),
    ):
        if not did <= held.get(action, 0) <= did + _doubtful(evidence, action):
            yield f"{action}: {did} times, and {held.get(action, 0)} times on the audit"


def _doubtful(evidence: Evidence, action: str) -> int:
    """How many of these were begun, and nobody knows whether they were done."""
    kind = {"merged": "merge", "erased": "erase"}.get(action, "staff")
    return sum(each.acked_at is None for each in evidence.journal.of(kind))
