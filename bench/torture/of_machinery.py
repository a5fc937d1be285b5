"""Checks of the machinery: nothing is held by who is dead, nothing waits for nobody, nothing is told to the logs (I14, I17,
I20, L1-L4)."""

import re
from collections.abc import Iterator
from pathlib import Path

import redis

from bench.torture import world as doors
from bench.torture.evidence import Evidence
from engine.outreach.arbitration import STANDS_STILL

SWEPT_SECONDS = 15.0  # from the end of a lease until the pulse has seen it
DUE_SECONDS = 60.0  # how long anything may be due before somebody takes it
LOCK_SECONDS = 30.0
MOST_KEYS = 400  # of queues and limits in an idle Redis

_DEAD_CLAIMS = """
SELECT id, source, due_at FROM inbound_event
WHERE state = 'pending' AND lease IS NOT NULL AND due_at < now() - make_interval(secs => %s) LIMIT 50
"""
_DEAD_HANDOVERS = """
SELECT id, lane, due_at FROM handover WHERE state = 'submitting' AND due_at < now() - make_interval(secs => %s) LIMIT 50
"""
_WAITING = """
SELECT pid, application_name, extract(epoch FROM now() - query_start)::int AS seconds FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND query_start < now() - make_interval(secs => %s) AND application_name LIKE 'groundswell%%'
"""
_DUE_EVENTS = """
SELECT count(*) AS n, min(due_at) AS since FROM inbound_event
WHERE state = 'pending' AND due_at < now() - make_interval(secs => %s)
"""
_DUE_PLACES = """
SELECT count(*) AS n, min(e.due_at) AS since FROM enrollment e WHERE e.state = 'active'
    AND e.due_at < now() - make_interval(secs => %s)
    AND NOT EXISTS (SELECT FROM campaign k WHERE k.id = e.campaign_id AND (k.paused_at IS NOT NULL OR k.state = 'cancelled'))
    AND NOT EXISTS (SELECT FROM sequence q WHERE q.id = e.sequence_id AND q.paused_at IS NOT NULL)
"""
_DUE_LETTERS = f"""
SELECT count(*) AS n, min(m.due_at) AS since FROM message m JOIN mailing w ON w.id = m.mailing_id
WHERE m.state = 'ready' AND m.due_at < now() - make_interval(secs => %s) AND w.paused_at IS NULL
    AND NOT {STANDS_STILL.format("m")}
"""
_DOUBTS = """
SELECT id, lane, due_at FROM handover WHERE state = 'uncertain' AND due_at < now() - make_interval(secs => %s) LIMIT 50
"""
_HOLDS = "SELECT reason, since, until FROM mail_hold WHERE lifted_at IS NULL AND (until IS NULL OR until > now())"
_QUEUES = ("intake", "feedback", "receipts", "delivery", "outreach", "upkeep")

_ADDRESS = re.compile(rb"[A-Za-z0-9_.+-]+@(?:readers|givers|joiners|hostile)\.example\.org")
_DIGITS = re.compile(rb"(?<![0-9A-Za-z.-])[0-9]{13,19}(?![0-9A-Za-z-])")
_TOKEN = re.compile(rb"/(?:u|me|confirm)/[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{20,}|gsw_[A-Za-z0-9_-]{30,}")
_SECRETS = (
    doors.ACTBLUE_CREDENTIALS.partition(":")[2], doors.STRIPE_WEBHOOK_SECRET, doors.STRIPE_API_KEY, doors.SIGNUP_TOKEN,
    doors.SENDGRID_API_KEY, doors.SECRET_KEY,
)  # fmt: skip
_SERVERS = ("postgres", "redis")  # whose logs are their own: an operator's alone, and told so


def held_by_nobody(evidence: Evidence) -> Iterator[str]:
    """I14: no lease outlives the process that held it by longer than a sweep."""
    for row in evidence.rows(_DEAD_CLAIMS, DUE_SECONDS):
        yield f"event {row['id']} from {row['source']} is held under a lease that ended at {row['due_at']}"
    for row in evidence.rows(_DEAD_HANDOVERS, SWEPT_SECONDS):
        yield f"handover {row['id']} is submitting, and its lease ended at {row['due_at']}"


def locks(evidence: Evidence) -> Iterator[str]:
    """I20: nobody waits longer than half a minute for a lock."""
    for row in evidence.rows(_WAITING, LOCK_SECONDS):
        yield f"{row['application_name']} waits for a lock since {row['seconds']} seconds"


def told_nobody(evidence: Evidence) -> Iterator[str]:
    """I17: no secret, no token, no card's number and no address stands in a log."""
    for path in sorted(evidence.world.logs.rglob("*")):
        if path.is_file() and not path.name.startswith(_SERVERS):
            yield from _told_in(path)


def _told_in(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            for what in _indiscreet(line):
                yield f"{what} in {path.name}, line {number}"


def _indiscreet(line: bytes) -> Iterator[str]:
    if any(secret.encode() in line for secret in _SECRETS):
        yield "a secret"
    if _TOKEN.search(line):
        yield "a token"
    if _ADDRESS.search(line):
        yield "an address"
    if any(_luhn(digits.decode()) for digits in _DIGITS.findall(line)):
        yield "a card's number"


def _luhn(digits: str) -> bool:
    """Whether a number passes as a card's: its check digit, and how cards' numbers begin."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return digits[0] in "3456" and sum(each - 9 * (each > 9) for each in doubled) % 10 == 0


def applied(evidence: Evidence) -> Iterator[str]:
    """L1: no event waits."""
    yield from _due(evidence, _DUE_EVENTS, "events")


def taken(evidence: Evidence) -> Iterator[str]:
    """L2: no step, and no letter that may leave, is due for a minute; nothing holds letters back any more."""
    yield from _due(evidence, _DUE_PLACES, "steps")
    yield from _due(evidence, _DUE_LETTERS, "letters")
    for row in evidence.rows(_HOLDS):
        yield f"letters are held back: {row['reason']}, since {row['since']}, until {row['until']}"


def _due(evidence: Evidence, query: str, what: str) -> Iterator[str]:
    for row in evidence.rows(query, DUE_SECONDS):
        if row["n"]:
            yield f"{row['n']} {what} are due, the oldest since {row['since']}"


def settled(evidence: Evidence) -> Iterator[str]:
    """L4: no handover stays uncertain past the time at which somebody looks at it again."""
    for row in evidence.rows(_DOUBTS, DUE_SECONDS):
        yield f"handover {row['id']} of {row['lane']} is uncertain, and nobody looks at it since {row['due_at']}"


def emptied(evidence: Evidence) -> Iterator[str]:
    """L3, I20: no bell is left over in Redis, and its keys are few."""
    with redis.Redis.from_url(evidence.world.redis_url, socket_timeout=5) as server:
        keys = list(server.scan_iter(count=1000))
        for queue in _QUEUES:
            for key in keys:
                if key.decode(errors="replace").endswith(f":{queue}") and server.type(key) == b"list":
                    waiting = server.llen(key)
                    if waiting > 5:
                        yield f"{waiting} bells wait in the queue {queue}"
    if len(keys) > MOST_KEYS:
        yield f"{len(keys)} keys in Redis"
