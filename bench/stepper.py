"""`python -m bench.stepper DESIGN`: one process in which all people who are due take their step; it says what that took.

The designs: ours, the product's own turns; and the bare loop, which claims who is due, inserts a letter for each and moves
her on: no rule, no plan, no words, nothing that is counted.
"""

import gc
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from time import monotonic, perf_counter, process_time
from typing import Any

import psycopg
import structlog
from psycopg.rows import dict_row
from sqlalchemy import event

from bench.audience import CAMPAIGN
from bench.handing import NoBells, most_mb
from engine.bootstrap import build
from engine.db import driver_url, server_options
from engine.outreach import stepping
from engine.settings import Settings
from workers import outreach

WAIT = timedelta(days=3)
# How the statements of a turn begin.
STATEMENTS = {
    "choosing a line": "WITH RECURSIVE line", "claiming people": "SELECT count(*) AS people",
    "what is known of them": "WITH RECURSIVE up", "their letters": "WITH made AS", "their next places": "UPDATE enrollment",
    "counting": "INSERT INTO step_tally",
}  # fmt: skip

_LINE = """
SELECT e.version_id, e.campaign_id, e.step, m.id AS mailing_id, l.fund_id
FROM enrollment e, mailing m JOIN letter l ON l.id = m.letter_id WHERE e.state = 'active' AND m.slug = %(slug)s LIMIT 1
"""
_DUE = """
SELECT id FROM enrollment WHERE state = 'active' AND version_id = %(version_id)s AND campaign_id = %(campaign_id)s
    AND due_at <= now() ORDER BY due_at, id LIMIT %(most)s FOR UPDATE SKIP LOCKED
"""
_INSERT = """
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, chapter_id, fund_id, facts, version_id,
    campaign_id, step)
SELECT e.contact_id, %(mailing_id)s, %(occasion)s, 'delivery', 'asks', now(), c.chapter_id, %(fund_id)s, '{}', e.version_id,
    e.campaign_id, e.step
FROM enrollment e JOIN contact c ON c.id = e.contact_id WHERE e.id = ANY(%(ids)s)
"""
_MOVE = "UPDATE enrollment SET step = 'again', due_at = now() + %(wait)s WHERE id = ANY(%(ids)s)"


@dataclass(slots=True)
class Taken:
    """What it took: people, wall and CPU seconds of this process, its most resident MB; of ours, the seconds of each kind of
    statement."""

    people: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    most_mb: float = 0.0
    where: dict[str, float] = field(default_factory=dict)


def ours(settings: Settings, where: dict[str, float]) -> Iterator[None]:
    """The product's own turns."""
    deps = replace(build(settings), bells=NoBells())
    _watch(deps.sessions.kw["bind"], where)
    while outreach.step(deps):
        yield


def _watch(pool: Any, where: dict[str, float]) -> None:
    """Add up the seconds of statements, by what they are for."""
    began = [0.0]

    @event.listens_for(pool, "before_cursor_execute")
    def _(*_: Any) -> None:
        began[0] = perf_counter()

    @event.listens_for(pool, "after_cursor_execute")
    def _(_: Any, __: Any, statement: str, *___: Any) -> None:
        said = " ".join(statement.split()[:4])
        kind = next((kind for kind, words in STATEMENTS.items() if said.startswith(words)), "other statements")
        where[kind] = where.get(kind, 0.0) + perf_counter() - began[0]


def bare(settings: Settings, _: dict[str, float]) -> Iterator[None]:
    """Claim, insert, update, commit."""
    assert settings.database_url is not None
    url = driver_url(settings.database_url.get_secret_value())
    with psycopg.connect(url, options=server_options(), row_factory=dict_row) as connection:
        line = connection.execute(_LINE, {"slug": CAMPAIGN}).fetchone() or {}
        occasion = f"campaign:{line['campaign_id']}:1:{line['step']}"
        values = line | {"most": stepping.MOST, "wait": WAIT, "occasion": occasion}
        connection.commit()
        while ids := [row["id"] for row in connection.execute(_DUE, values)]:
            connection.execute(_INSERT, values | {"ids": ids})
            connection.execute(_MOVE, values | {"ids": ids})
            connection.commit()
            yield


DESIGNS: Mapping[str, Callable[[Settings, dict[str, float]], Iterator[None]]] = {"ours": ours, "bare": bare}


def main(design: str) -> None:
    """Drain, and say what it took on the last line."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = Settings()
    gc.freeze()
    where: dict[str, float] = {}
    turn = DESIGNS[design](settings, where)
    next(turn, None)  # the first is warm for nobody
    where.clear()
    began, cpu, batches = monotonic(), process_time(), 0
    for _ in turn:
        batches += 1
    taken = Taken(batches * stepping.MOST, monotonic() - began, process_time() - cpu, most_mb(), where)
    print(json.dumps(asdict(taken)))


if __name__ == "__main__":
    main(sys.argv[1])
