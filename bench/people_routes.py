"""Moving a million people when territories change, beside a bare UPDATE of the same rows; a part of `python -m bench people`.

In an embedded Postgres (on a real disk, fsync on) with the invented organisation: contacts in all its cities, then in turns

- **ours**: a change of territories by which each chapter gets its neighbour's land and everybody moves, from the approval
  until it is applied: land written, the map drawn, contacts locked in order and moved a stretch at a time, each with a row
  in the history, each stretch a transaction.
- **bare**: one UPDATE that gives all the same rows another chapter, in one transaction, with no history.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from time import monotonic

import psycopg
from sqlalchemy.orm import Session

from bench import report
from bench.report import Failed, progress
from engine import demo_organisation
from engine.db import Sessions, driver_url, make_pool, make_sessions, transaction
from engine.people import lands, territories
from engine.people.lands import Land, Proposal

PEOPLE = 1_000_000
WITHIN_SECONDS = 60.0
MOST_TIMES = 3.0
PATIENCE_SECONDS = 900.0

# People in all cities of the chapters, one ZIP after another, each with her chapter as admission would have it.
_FILL = """
INSERT INTO contact (email, first_name, last_name, street, city, state, zip, country, details_at, chapter_id, routed_by,
    routed_on)
SELECT md5(n::text) || '@example.org', 'Rosa', 'Delgado ' || n, n || ' Lincoln Street', '', 'MA', r.zip, 'United States',
    now(), r.chapter_id, r.by, r."on"
FROM generate_series(1, %(people)s) n
JOIN (SELECT *, row_number() OVER (ORDER BY zip) - 1 AS place, count(*) OVER () AS places FROM zip_route WHERE by = 'zip') r
    ON r.place = n %% r.places
"""
# Each to the chapter before hers: nobody lands where the map, or the next change of it, would have her.
_BARE = """
WITH ring AS (
    SELECT id, coalesce(lag(id) OVER (ORDER BY id), max(id) OVER ()) AS before_id
    FROM chapter c WHERE EXISTS (SELECT FROM territory t WHERE t.chapter_id = c.id AND t.kind = 'zip')
)
UPDATE contact SET chapter_id = ring.before_id, routed_by = 'zip', routed_on = zip FROM ring WHERE chapter_id = ring.id
"""


@dataclass(frozen=True, slots=True)
class Rerouted:
    """Seconds of each round, ours and bare."""

    people: int
    ours: Sequence[float]
    bare: Sequence[float]

    @property
    def times(self) -> float:
        """How many times the bare UPDATE ours takes: the middle of the rounds."""
        return round(median(o / b for o, b in zip(self.ours, self.bare, strict=True)), 2)

    @property
    def figures(self) -> Mapping[str, object]:
        """For the closing line."""
        ours, bare = (round(median(seconds), 1) for seconds in (self.ours, self.bare))
        return {"rerouted": self.people, "reroute_seconds": ours, "bare_update_seconds": bare}

    def show(self) -> None:
        """The table of it."""
        verdict = "yes" if self.times <= MOST_TIMES and median(self.ours) <= WITHIN_SECONDS else "NO"
        cells = [f"{median(self.ours):.1f}", f"{median(self.bare):.1f}", f"{self.times:.2f}", verdict]
        columns = (
            "everybody moves",
            "seconds",
            "bare UPDATE",
            "times",
            f"{MOST_TIMES:.0f} times, {WITHIN_SECONDS:.0f} s",
        )
        report.table(f"{self.people:,} people to other chapters", columns, [["with history, in stretches", *cells]])


def measure(url: str, people: int = PEOPLE, rounds: int = report.ROUNDS) -> Rerouted:
    """Fill an empty, migrated database and measure in turns. Raises Failed when somebody did not move."""
    pool = make_pool(url, size=2)
    sessions = make_sessions(pool)
    with transaction(sessions) as session:
        demo_organisation.load(session)
    measured: dict[str, list[float]] = {"ours": [], "bare": []}
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        connection.execute(_FILL, {"people": people})
        for number in range(rounds):
            for name in report.turns(list(measured), number):
                connection.execute("VACUUM ANALYZE contact")
                connection.execute("CHECKPOINT")
                seconds = _ours(sessions, people) if name == "ours" else _bare(connection, people)
                progress(f"round {number + 1}: {name} {seconds:.1f} s")
                measured[name].append(seconds)
    pool.dispose()
    return Rerouted(people, **measured)


def _ours(sessions: Sessions, people: int) -> float:
    @contextmanager
    def work() -> Iterator[tuple[Session, datetime]]:
        with transaction(sessions) as session:
            yield session, datetime.now(UTC)

    with work() as (session, now):
        change = territories.propose(session, Proposal(chapters=_turned(session)), "everybody moves", None, now)
    if change.preview.people != people:
        raise Failed(f"the preview moves {change.preview.people} of {people} people")
    began = monotonic()
    with work() as (session, now):
        territories.approve(session, change.id, None, now)
    moved = territories.apply(work, PATIENCE_SECONDS)
    seconds = monotonic() - began
    if moved != people:
        raise Failed(f"{moved} of {people} people moved")
    return seconds


def _turned(session: Session) -> dict[str, Land]:
    """Each chapter's ZIPs to the next one."""
    slugs = [each.slug for each in sorted(lands.census(session), key=lambda each: each.id) if each.kind == "chapter"]
    held = lands.held(session, slugs)
    before = [slugs[-1], *slugs[:-1]]
    return {slug: held[slug].model_copy(update={"zips": held[b].zips}) for slug, b in zip(slugs, before, strict=True)}


def _bare(connection: psycopg.Connection, people: int) -> float:
    began = monotonic()
    done = connection.execute(_BARE).rowcount
    seconds = monotonic() - began
    if done != people:
        raise Failed(f"the bare UPDATE changed {done} of {people} rows")
    return seconds
