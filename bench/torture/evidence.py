"""What checks look at: the database itself, the journals, the log of accepted letters. Read, never changed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import time
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bench.torture.journal import Intent, Journal
from bench.torture.world import World
from engine.sources import letter_ids

MESSAGE, HANDOVER = "message", "handover"
STATEMENT_SECONDS = 120
Row = Mapping[str, Any]

_MESSAGES = """
SELECT m.id, m.contact_id, coalesce(c.merged_into_id, c.id) AS person, m.kind, m.lane, m.state, m.occasion, m.handover_id,
    m.at_cap, m.campaign_id, m.version_id, m.step, m.fund_id
FROM message m JOIN contact c ON c.id = m.contact_id WHERE m.id = ANY(%s)
"""
_HANDOVERS = """
SELECT id, state, lane, letters, extract(epoch FROM created_at)::float AS created_at FROM handover WHERE id = ANY(%s)
"""


@dataclass(slots=True)
class Letter:
    """One acceptance by the provider: when, which letter of ours, under which handover, to whom."""

    at: float
    message: int
    handover: int
    to: str


@dataclass
class Evidence:
    """All there is. `since`: of what was taken before (Unix time), a look during the run has told already; 0 at the end."""

    world: World
    journal: Journal
    connection: psycopg.Connection[dict[str, Any]]
    now: float = field(default_factory=time)
    since: float = 0.0
    letters: Sequence[Letter] = ()
    messages: Mapping[int, Row] = field(default_factory=dict)
    handovers: Mapping[int, Row] = field(default_factory=dict)

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a query, as dicts."""
        return self.connection.execute(query, values or None).fetchall()

    def sent(self) -> Iterator[tuple[Letter, Row]]:
        """Every acceptance with its message, as far as there is one."""
        return ((each, self.messages[each.message]) for each in self.letters if each.message in self.messages)

    def acked(self, *kinds: str) -> Iterator[Intent]:
        """Intents of these kinds that were taken, since then."""
        return (
            each for each in self.journal.acked(*kinds) if each.acked_at is not None and each.acked_at >= self.since
        )


@contextmanager
def collected(world: World, journal: Journal, *, since: float = 0.0, now: float | None = None) -> Iterator[Evidence]:
    """The evidence of this moment, in one snapshot of the database. Raises psycopg.Error while Postgres is away."""
    journal.read()
    letters = list(accepted(journal))
    with psycopg.connect(
        world.database_url, connect_timeout=3, application_name="checks", row_factory=dict_row,
        options=f"-c statement_timeout={STATEMENT_SECONDS}s -c default_transaction_isolation=repeatable\\ read"
        " -c default_transaction_read_only=on",
    ) as connection:  # fmt: skip
        yield known(Evidence(world, journal, connection, time() if now is None else now, since, letters))


def known(found: Evidence) -> Evidence:
    """The same with the rows of its letters: after the log was read, for what stood there had been committed before."""
    found.messages = {row["id"]: row for row in found.rows(_MESSAGES, [each.message for each in found.letters])}
    found.handovers = {row["id"]: row for row in found.rows(_HANDOVERS, [each.handover for each in found.letters])}
    return found


def accepted(journal: Journal) -> Iterator[Letter]:
    """Every letter that the mail provider ever accepted, doubles included."""
    for said in journal.mail:
        message, handover = (letter_ids.decode(said[name]) or 0 for name in (MESSAGE, HANDOVER))
        yield Letter(said["at"], message, handover, said["to"])
