"""`python -m bench.hot ROUND PEOPLE`: one process that walks all hot paths once in the database that it is pointed at, with
people of its own in each round, and says how fast each was.

Gifts are received and applied; people of a new campaign step; their letters are claimed with the last look and handed to a
provider that takes everything; what it tells of them is applied; a rule is previewed.
"""

import gc
import hashlib
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import perf_counter
from typing import TypeVar

import orjson
import psycopg
import structlog
from sqlalchemy import text

from bench import bodies
from bench.audience import CAMPAIGN, SECOND
from bench.handing import KEY, NoBells
from engine import bell, inbox
from engine.adapters.sendgrid_mail import SendgridMail
from engine.bootstrap import Deps, build
from engine.db import driver_url, transaction
from engine.outreach import definitions
from engine.segments import audience, rules
from engine.settings import Settings
from engine.sources import letter_ids
from workers import delivery, intake, outreach

_T = TypeVar("_T")
PARTS = 5  # of the people: those who give, and those of four rounds who get letters
AT_ONCE = 500
RECEIVED = 3000  # and taken out again: the pages that the first of them touch are written whole
PREVIEWS = 20
RULE = {"op": "all", "of": [{"op": "chapter", "chapter": "bench-3"}, {"op": "gave", "within": "12 months"}]}
DEFINITION = {
    "slug": "hot", "name": "The rent vote", "goal": "gave", "expires": "30 days",
    "steps": [
        {"key": "write", "ask": True,
         "if": {"op": "not", "of": {"op": "received", "letter": "bench-past", "within": "1 hour"}},
         "variants": [{"key": "short", "letter": "short"}, {"key": "long", "letter": "long"}]},
        {"key": "pause", "wait": "3 days at 10:00"},
    ],
}  # fmt: skip

_BEGIN = """
WITH version AS (
    INSERT INTO sequence_version (definition, mailings, fund_ids, published_at)
    SELECT %(definition)s, jsonb_build_object('write', jsonb_build_object('short', jsonb_build_object('en', a.id),
        'long', jsonb_build_object('en', b.id))), ARRAY[l.fund_id], now()
    FROM mailing a JOIN letter l ON l.id = a.letter_id, mailing b WHERE a.slug = %(short)s AND b.slug = %(long)s RETURNING id
), begun AS (
    INSERT INTO campaign (slug, name, version_id, rule, kind, state, changed_at, launched_at)
    SELECT 'hot-' || id, 'The rent vote', id, '{}', 'asks', 'running', now(), now() FROM version RETURNING id, version_id
)
INSERT INTO enrollment (contact_id, version_id, campaign_id, rotation, step, due_at, entered_at)
SELECT c.id, k.version_id, k.id, 1, 'write', now(), now() - interval '1 minute'
FROM begun k, contact c WHERE c.routed_by = 'zip' AND c.id %% %(parts)s = %(part)s ORDER BY c.id LIMIT %(people)s
"""
_DONORS = """
SELECT email FROM contact WHERE routed_by = 'zip' AND id %% %(parts)s = 0 ORDER BY id OFFSET %(skip)s LIMIT %(people)s
"""
_COUNTED = text("SELECT sum(handed) FROM mailing")
_HANDED = text("""
SELECT m.id, m.handover_id, c.email FROM message m JOIN contact c ON c.id = m.contact_id JOIN mailing w ON w.id = m.mailing_id
WHERE m.state = 'handed' AND m.handed_at > now() - interval '10 minutes' AND w.slug IN (:short, :long) ORDER BY m.id
""")
_TELL = """
INSERT INTO inbound_event (source, kind, key, lane, body)
SELECT 'sendgrid', 'part', k, 'feedback', b FROM unnest(%s::text[], %s::bytea[]) AS v(k, b)
"""


def receive(connection: psycopg.Connection, told: Sequence[bytes]) -> None:
    """Stored as the web's writer does."""
    for batch in _batches(told):
        keys = [hashlib.sha256(body).hexdigest() for body in batch]
        same = [[word] * len(batch) for word in ("actblue", "", bell.INTAKE)]
        connection.execute(inbox.RECEIVE, (same[0], keys, same[1], same[2], list(batch)))


def drain(deps: Deps, lane: str) -> None:
    """All that is pending in this lane."""
    while claimed := inbox.claim(deps.sessions, lane):
        with claimed:
            intake.apply(deps, claimed)


def hand_over(deps: Deps) -> None:
    """All that is ready."""
    before, after = -1, 0
    while after > before:
        before = after
        delivery.hand_over(deps, bell.DELIVERY)
        with transaction(deps.sessions) as session:
            after = session.scalar(_COUNTED) or 0


def main(number: int, people: int) -> dict[str, float]:
    """Everything once: things a second of each path; of previews their milliseconds, as things a second too."""
    settings = Settings()
    deps = replace(
        build(settings), settings=settings.model_copy(update={"env": "production"}), bells=NoBells(),
        mailer=SendgridMail(KEY, settings.sendgrid_host),
    )  # fmt: skip
    assert settings.database_url is not None
    gc.freeze()
    found: dict[str, float] = {}
    with psycopg.connect(driver_url(settings.database_url.get_secret_value()), autocommit=True) as connection:
        terms = {"parts": PARTS, "part": number % (PARTS - 1) + 1, "people": people, "skip": number * people // 4}
        emails = [row[0] for row in connection.execute(_DONORS, terms | {"people": people // 4})]
        gifts = [bodies.actblue(int.from_bytes(os.urandom(4)), email) for email in emails]
        others = [bodies.actblue(int.from_bytes(os.urandom(4)), f"no.{n}@example.org") for n in range(RECEIVED)]
        found["receive"] = _rate(RECEIVED, lambda: receive(connection, others))
        connection.execute("DELETE FROM inbound_event WHERE state = 'pending'")
        receive(connection, gifts)
        found["apply"] = _rate(len(gifts), lambda: drain(deps, bell.INTAKE))
        words = {
            "short": CAMPAIGN,
            "long": SECOND,
            "definition": orjson.dumps(definitions.said(definitions.read(DEFINITION))).decode(),
        }
        entered = connection.execute(_BEGIN, terms | words).rowcount
        connection.execute("ANALYZE enrollment")
        found["step"] = _rate(entered, lambda: [None for _ in iter(lambda: outreach.step(deps), False)])
        connection.execute("ANALYZE message")
        began = perf_counter()
        hand_over(deps)
        seconds = perf_counter() - began
        with transaction(deps.sessions) as session:
            handed = session.execute(_HANDED, {"short": CAMPAIGN, "long": SECOND}).all()
        found["claim and hand over"] = len(handed) / seconds
        _tell(connection, [(row.id, row.handover_id, row.email) for row in handed])
        found["feedback"] = _rate(len(handed), lambda: drain(deps, bell.FEEDBACK))
    found["preview"] = _rate(PREVIEWS, lambda: _preview(deps))
    return found


def _preview(deps: Deps) -> None:
    for _ in range(PREVIEWS):
        with deps.work() as (session, now):
            audience.preview(session, rules.read(RULE), now, kind="asks")


def _tell(connection: psycopg.Connection, letters: Sequence[tuple[int, int, str]]) -> None:
    at = int(datetime.now(UTC).timestamp())
    for batch in _batches(letters):
        told = [
            json.dumps({
                "event": "delivered", "email": email, "timestamp": at, "sg_message_id": "sink.x", "sg_event_id": f"e{letter}",
                "gs_message": letter_ids.encode(letter), "gs_handover": letter_ids.encode(handover),
            }).encode()
            for letter, handover, email in batch
        ]  # fmt: skip
        connection.execute(_TELL, ([hashlib.sha256(body).hexdigest() + ":0" for body in told], told))


def _batches(things: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for at in range(0, len(things), AT_ONCE):
        yield things[at : at + AT_ONCE]


def _rate(many: int, do: Callable[[], object]) -> float:
    began = perf_counter()
    do()
    return many / (perf_counter() - began)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]))))
