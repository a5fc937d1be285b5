"""Checks of the door: what was answered 2xx is here, was worked through once; what was refused stayed out (I1, I2, I18)."""

from collections.abc import Iterator

from bench.torture.evidence import Evidence

GIVES_UP = ("page", "pays", "read")  # a person at a browser, who tries a few times
OURS_WHEN_BUSY = (503, 429, 408)  # how we say: come again

_MISSING = """
SELECT k.source, k.key FROM unnest(%s::text[], %s::text[]) k(source, key)
WHERE NOT EXISTS (SELECT FROM inbound_event e WHERE (e.source, e.key) = (k.source, k.key))
"""
_THERE = """
SELECT k.source, k.key FROM unnest(%s::text[], %s::text[]) k(source, key)
JOIN inbound_event e ON (e.source, e.key) = (k.source, k.key)
"""
_TWICE = "SELECT source, key, count(*) AS n FROM inbound_event GROUP BY source, key HAVING count(*) > 1"
_UNFINISHED = """
SELECT id, source, state, attempts, reason FROM inbound_event WHERE state = 'pending' ORDER BY id LIMIT 50
"""
_QUARANTINED = "SELECT id, source, key, reason FROM inbound_event WHERE state = 'quarantined'"
# What each effect is known by outside.
_EFFECTS = {
    "contribution": "source, source_key, order_number",
    "ledger_entry": "source, source_key, kind, contribution_id",
    "refund": "source, source_key",
    "dispute": "source, source_key",
    "sign_up": "source, source_key",
    "mail_event": "message_id, handover_id, kind, at, url",
    "enrollment": "contact_id, sequence_id, campaign_id, rotation",
}


def stored(evidence: Evidence) -> Iterator[str]:
    """I1, at once: every request that was answered 2xx is in the inbox."""
    taken = [each for each in evidence.acked() if each.key and each.kind != "intruder"]
    sources, keys = [each.source for each in taken], [each.key for each in taken]
    for row in evidence.rows(_MISSING, sources, keys):
        yield f"answered 2xx and not in the inbox: {row['source']} {row['key']}"


def finished(evidence: Evidence) -> Iterator[str]:
    """I1, in the end: each was applied, or ignored or put aside for a reason that is right."""
    for row in evidence.rows(_UNFINISHED):
        yield f"never finished: event {row['id']} from {row['source']}, {row['attempts']} attempts, {row['reason']}"
    meant = {each.key for each in evidence.journal.of("hostile")}
    for row in evidence.rows(_QUARANTINED):
        if row["key"] not in meant:
            yield f"put aside although nothing is wrong with it: event {row['id']} from {row['source']}: {row['reason']}"


def once_in(evidence: Evidence) -> Iterator[str]:
    """I2: no event twice in the inbox."""
    for row in evidence.rows(_TWICE):
        yield f"{row['n']} rows of event {row['source']} {row['key']}"


def applied_once(evidence: Evidence) -> Iterator[str]:
    """I2: nothing that came of an event is there twice."""
    for table, known_by in _EFFECTS.items():
        query = f"SELECT {known_by}, count(*) AS n FROM {table} GROUP BY {known_by} HAVING count(*) > 1 LIMIT 20"
        for row in evidence.rows(query):
            yield f"{row.pop('n')} rows of one {table}: {row}"


def refused(evidence: Evidence) -> Iterator[str]:
    """Intruders are turned away: replays older than the tolerance, forged signatures, wrong tokens."""
    honest = {each.key for each in evidence.journal.of("hostile")}
    strangers = list(evidence.journal.of("intruder"))
    for each in strangers:
        if each.acked_at is not None:
            yield f"an intruder was let in: {each.source} {each.key}"
    kept_out = [each for each in strangers if each.key not in honest]
    for row in evidence.rows(_THERE, [each.source for each in kept_out], [each.key for each in kept_out]):
        yield f"an intruder's event is in the inbox: {row['source']} {row['key']}"


def answers(evidence: Evidence) -> Iterator[str]:
    """I18: where we cannot take something we say so; nobody sees us fall over."""
    for intent in evidence.journal.of():
        for answer in intent.answers:
            if answer.status >= 500 and answer.status not in OURS_WHEN_BUSY and answer.at >= evidence.since:
                yield f"{answer.status} to a request of kind {intent.kind} at {answer.at:.1f}"


def none_lost(evidence: Evidence) -> Iterator[str]:
    """In the end everybody who comes again has had an answer for good."""
    for each in evidence.journal.open():
        if each.kind in GIVES_UP:
            continue
        said = [answer.status for answer in each.answers[-3:]]
        yield f"never taken: {each.kind} {each.source} {each.key}, last answers {said}"
