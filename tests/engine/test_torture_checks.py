"""Each invariant of the torture can fail: all hold of a small house where all is well, and each is red once it is broken."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

import psycopg
import pytest
import redis
from psycopg.rows import dict_row

from bench.torture import evidence
from bench.torture.evidence import Evidence
from bench.torture.house import DRIVE
from bench.torture.invariants import INVARIANTS
from bench.torture.journal import Journal, Writer
from bench.torture.people import CARD
from bench.torture.world import World
from engine.sources import letter_ids
from tests.conftest import Servers

ROSA, INES, WORD = "rosa@readers.example.org", "ines@joiners.example.org", "zqx0123456789abcdef"
STEPS = [{"key": "hello", "email": "x"}, {"key": "pause", "wait": "1 minute"}, {"key": "ask", "ask": "y"}]

_WELL = """
INSERT INTO contact (id, email, zip, state, details_at, chapter_id, routed_by) OVERRIDING SYSTEM VALUE
SELECT v.id, v.email, '01604', 'MA', 'epoch', h.id, 'zip'
FROM (VALUES (9001, 'rosa@readers.example.org'), (9002, 'ines@joiners.example.org')) v(id, email), chapter h
WHERE h.slug = 'worcester';
INSERT INTO consent (contact_id, channel, given, at, source) VALUES (9001, 'mail', true, 'epoch', 'signup');
INSERT INTO consent (contact_id, channel, given, at, source) VALUES (9002, 'mail', true, 'epoch', 'signup');
INSERT INTO inbound_event (id, source, key, lane, body, state, finished_at) OVERRIDING SYSTEM VALUE VALUES
    (9001, 'actblue', 'gift-1', 'intake', '{}', 'applied', now()),
    (9002, 'signup', 'signup-1', 'intake', '{}', 'applied', now());
INSERT INTO sign_up (source, source_key, kind, contact_id, person, at) VALUES ('signup', 's1', 'signup', 9002, '{}', now());
INSERT INTO contribution (id, source, source_key, inbound_event_id, contact_id, fund_id, amount_cents, paid_at, order_number,
    donor) OVERRIDING SYSTEM VALUE
SELECT 9001, 'actblue', '10', 9001, 9001, id, 2700, now() - interval '10 minutes', 'AB1', '{}'
FROM fund WHERE slug = 'action';
INSERT INTO ledger_entry (contribution_id, kind, source, source_key, amount_cents, occurred_at)
VALUES (9001, 'gift', 'actblue', '10', 2700, now());
INSERT INTO sequence (id, slug, name, version) OVERRIDING SYSTEM VALUE VALUES (9001, 'drive', 'Drive', 1);
INSERT INTO sequence_version (id, sequence_id, definition, mailings, published_at) OVERRIDING SYSTEM VALUE
VALUES (9001, 9001, CAST(%(definition)s AS jsonb), '{}', now());
INSERT INTO audit (at, action, subject, subject_id) VALUES (now(), 'sequence published', 'sequence', 9001);
INSERT INTO campaign (id, slug, name, version_id, rule, kind, state, enrolled, changed_at) OVERRIDING SYSTEM VALUE
VALUES (9001, 'c', 'C', 9001, '{}', 'news', 'running', 1, now());
INSERT INTO enrollment (id, contact_id, version_id, sequence_id, campaign_id, rotation, step, due_at, entered_at, history)
OVERRIDING SYSTEM VALUE VALUES (9001, 9001, 9001, 9001, 9001, 1, 'pause', now() + interval '1 minute', now(),
    '[["hello", "sent", "", 1000]]');
INSERT INTO handover (id, mailing_id, lane, state, due_at) OVERRIDING SYSTEM VALUE
SELECT n, (SELECT min(id) FROM mailing), CASE n WHEN 9001 THEN 'delivery' ELSE 'receipts' END, 'accepted', now()
FROM generate_series(9001, 9002) n;
INSERT INTO message (id, contact_id, mailing_id, occasion, lane, kind, state, due_at, facts, version_id, campaign_id, step,
    handover_id, handed_at) OVERRIDING SYSTEM VALUE
SELECT v.id, v.id, (SELECT min(id) FROM mailing), v.occasion, v.lane, v.kind, 'delivered', now(), '{}', v.version_id,
    v.version_id, v.step, v.id, now()
FROM (VALUES (9001, 'campaign:1:1:hello', 'delivery', 'news', 9001, 'hello'), (9002, 'gift:1:thanks', 'receipts', '', 0, ''))
    v(id, occasion, lane, kind, version_id, step);
INSERT INTO step_tally (version_id, campaign_id, mailing_id, chapter_id, step, composed, handed)
SELECT 9001, 9001, min(id), 0, 'hello', 1, 1 FROM mailing
"""


@dataclass
class Scene:
    """A small house in a transaction, what outsiders wrote down, and what is looked at."""

    world: World
    connection: psycopg.Connection[dict[str, Any]]
    journal: Writer
    redis: redis.Redis
    autocommit: psycopg.Connection[Any]
    now: float = field(default_factory=time)

    def do(self, statement: str) -> None:
        self.connection.execute(statement)

    def taken(self, kind: str, source: str = "", key: str = "", status: int = 200, **facts: Any) -> None:
        number = self.journal.intend(kind, source, key, **facts)
        self.journal.sent(number)
        self.journal.answered(number, status, 1.0)

    def accepted(self, message: int, to: str, handover: int | None = None, ago: float = 0.0) -> None:
        told = {"at": self.now - ago, "message": letter_ids.encode(message), "to": to,
                "handover": letter_ids.encode(handover or message)}  # fmt: skip
        with self.world.mail_log.open("a") as log:
            log.write(json.dumps(told) + "\n")

    def letter(self, message: int, **columns: Any) -> None:
        """Another one, like 9001."""
        told = {"id": message, "occasion": f"'o{message}'", "handover_id": 9001} | columns
        copied = [
            "contact_id", "mailing_id", "occasion", "lane", "kind", "state", "due_at", "facts", "version_id", "campaign_id",
            "step", "handover_id", "id",
        ]  # fmt: skip
        names, chosen = ", ".join(copied), ", ".join(str(told.get(name, name)) for name in copied)
        self.do(f"INSERT INTO message ({names}) OVERRIDING SYSTEM VALUE SELECT {chosen} FROM message WHERE id = 9001")

    def log(self, line: str) -> None:
        with (self.world.logs / "web-a").open("a") as file:
            file.write(line + "\n")

    def look(self) -> Evidence:
        journal = Journal(self.world.home).read()
        found = Evidence(self.world, journal, self.connection, time(), 0.0, list(evidence.accepted(journal)))
        return evidence.known(found)


def _drop(scene: Scene, index: str, statement: str) -> None:
    scene.do(f"DROP INDEX {index}")
    scene.do(statement)


def _again(table: str, columns: str) -> str:
    return f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} WHERE id = 9001"


def _later(scene: Scene) -> None:
    """She said no two minutes ago, and something left since."""
    scene.taken("unsubscribe", email=ROSA)
    path = scene.world.home / "journal.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["at"] -= 120 if line["n"] == max(each["n"] for each in lines) else 0
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _gift_and_ask(scene: Scene) -> None:
    scene.do("UPDATE inbound_event SET finished_at = now() - interval '9 minutes' WHERE id = 9001")
    scene.letter(9010, kind="'asks'", fund_id="1")
    scene.do("UPDATE message SET fund_id = (SELECT fund_id FROM contribution WHERE id = 9001) WHERE id = 9010")
    scene.accepted(9010, ROSA, 9001)


def _bells(scene: Scene) -> None:
    scene.redis.rpush("torture-checks:intake", *range(20))


def _unbalanced(scene: Scene) -> None:
    scene.autocommit.execute(
        "INSERT INTO contact (email, details_at, gave_cents) VALUES ('torture-checks@example.org', 'epoch', 1)"
    )


def _waits_for_a_lock(scene: Scene) -> None:
    """Looked at as if it were a minute later: nobody waits so long for a test."""
    scene.do("CREATE TEMP VIEW pg_stat_activity AS SELECT 1 AS pid, 'groundswell web' AS application_name, "
             "'Lock' AS wait_event_type, now() - interval '1 minute' AS query_start")  # fmt: skip
    scene.do("SET LOCAL search_path = pg_temp, public, pg_catalog")


def _erased(scene: Scene) -> None:
    scene.taken("erase", email=f"{WORD}@joiners.example.org", canary=WORD)
    scene.do(f"INSERT INTO inbound_event (source, key, lane, body) VALUES ('signup', 'k', 'intake', '{WORD}'::bytea)")


BREAKS: dict[str, Callable[[Scene], object]] = {
    "I1 stored": lambda scene: scene.taken("signup", "signup", "nowhere", email=INES, zip="01604", id="s1"),
    "I1 finished": lambda scene: scene.do("UPDATE inbound_event SET state = 'quarantined' WHERE id = 9002"),
    "I1 taken": lambda scene: scene.taken("gift", "actblue", "gift-1", 503, **GIFT),
    "I2 once": lambda scene: _drop(
        scene, "inbound_event_source_key_key", _again("inbound_event", "source, key, lane, body")
    ),
    "I2 effects": lambda scene: _drop(
        scene, "contribution_source_key_key",
        _again("contribution", "source, source_key, order_number, amount_cents, paid_at, donor"),
    ),
    "I2 gifts": lambda scene: scene.taken("gift", "actblue", "gift-2", **GIFT | {"item": "20"}),
    "I3 balance": _unbalanced,
    "I3 I4 sums": lambda scene: scene.do("UPDATE contribution SET fund_id = NULL"),
    "I3 plans": lambda scene: (
        scene.taken("cancellation", "actblue", "gift-1", order="AB1"),
        scene.do("INSERT INTO recurring_plan (source, source_key, amount_cents, period, started_at, told_at) "
                 "VALUES ('actblue', 'AB1', 1, 'monthly', now(), now())"),
    ),
    "I5 at most once": lambda scene: scene.accepted(9001, ROSA),
    "I6 receipts": lambda scene: scene.accepted(9002, INES),
    "I6 on record": lambda scene: scene.accepted(9001, ROSA, 8888),
    "I7 occasions": lambda scene: (
        _drop(scene, "message_contact_id_occasion_key", "SELECT 1"),
        scene.letter(9010, occasion="occasion"), scene.accepted(9010, ROSA, 9001),
    ),
    "I8 unsubscribed": _later,
    "I9 nobody": lambda scene: scene.do("DELETE FROM consent WHERE contact_id = 9001"),
    "I10 accounted": lambda scene: scene.do("UPDATE step_tally SET handed = 2"),
    "I11 order": lambda scene: scene.do(
        """UPDATE enrollment SET history = '[["hello", "sent", "", 1000], ["ask", "sent", "", 1001]]'"""
    ),
    "I11 there": lambda scene: scene.letter(9010, step="'ask'"),
    "I11 gave": _gift_and_ask,
    "I12 chapters": lambda scene: scene.do(
        "UPDATE contact SET chapter_id = (SELECT id FROM chapter WHERE slug = 'lowell')"
    ),
    "I12 sign-ups": lambda scene: scene.do("DELETE FROM sign_up"),
    "I13 caps": lambda scene: [
        (scene.letter(number), scene.accepted(number, ROSA, 9001)) for number in (9010, 9011)
    ],
    "I14 leases": lambda scene: scene.do(
        "UPDATE handover SET state = 'submitting', due_at = now() - interval '2 minutes' WHERE id = 9002"
    ),
    "I15 one click": lambda scene: scene.taken("unsubscribe", email=ROSA),
    "I15 provider": lambda scene: scene.taken("mail_events", events=1, suppresses=[[ROSA, "bounce"]]),
    "I16 erased": _erased,
    "I17 logs": lambda scene: scene.log(f'{{"said": "{CARD}"}}'),
    "I18 answers": lambda scene: scene.taken("page", status=500),
    "I18 intruders": lambda scene: scene.taken("intruder", "stripe", "gift-1", status=200),
    "I19 audit": lambda scene: scene.do("INSERT INTO audit (at, action, subject, "
        "subject_id) VALUES (now(), 'campaign paused', 'campaign', 1), (now(), 'campaign paused', 'campaign', 1)"),
    "I20 locks": _waits_for_a_lock,
    "I20 Redis": _bells,
    "L1 inbox": lambda scene: scene.do(
        "UPDATE inbound_event SET state = 'pending', due_at = now() - interval '2 minutes' WHERE id = 9002"
    ),
    "L2 due": lambda scene: scene.do("UPDATE enrollment SET due_at = now() - interval '2 minutes'"),
    "L4 doubts": lambda scene: scene.do(
        "UPDATE handover SET state = 'uncertain', due_at = now() - interval '2 minutes' WHERE id = 9002"
    ),
}  # fmt: skip
GIFT = {"item": "10", "cents": 2700, "entity": 12345, "email": ROSA, "monthly": False}


@pytest.fixture
def scene(module_database: str, servers: Servers, tmp_path: Path) -> Iterator[Scene]:
    world = World(tmp_path, 1, (), module_database, servers.redis_url, "", "")
    world.logs.mkdir()
    with (
        psycopg.connect(module_database, row_factory=dict_row) as connection,
        psycopg.connect(module_database, autocommit=True) as autocommit,
        redis.Redis.from_url(servers.redis_url) as server,
    ):
        definition = json.dumps({"slug": DRIVE, "steps": STEPS}).replace("'", "''")
        for statement in _WELL.replace("%(definition)s", f"'{definition}'").split(";\n"):
            connection.execute(statement)
        made = Scene(world, connection, Writer(world.journal), server, autocommit)
        made.taken("gift", "actblue", "gift-1", **GIFT)
        made.taken("signup", "signup", "signup-1", email=INES, zip="01604", id="s1")
        made.accepted(9001, ROSA)
        made.accepted(9002, INES)
        made.log('{"event": "request", "status": 200, "handover": 1234567890}')
        try:
            yield made
        finally:
            connection.rollback()
            autocommit.execute("DELETE FROM contact WHERE email = 'torture-checks@example.org'")
            server.delete("torture-checks:intake")


def test_all_hold_where_all_is_well(scene: Scene):
    found = scene.look()
    assert {each.name: list(each.broken(found)) for each in INVARIANTS} == {each.name: [] for each in INVARIANTS}


@pytest.mark.parametrize("name", [each.name for each in INVARIANTS])
def test_each_is_red_once_it_is_broken(scene: Scene, name: str):
    BREAKS[name](scene)
    (invariant,) = (each for each in INVARIANTS if each.name == name)
    assert list(invariant.broken(scene.look()))
