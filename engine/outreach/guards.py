"""What is known of people in a sequence at this moment: one query for many of them, with every rule that their version could
ask of them next as a boolean column, and the zone of each.

What a version says is read once in each process. What its rules name is looked up for each batch, for a chapter may have got
a new town since.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.outreach import definitions
from engine.outreach.definitions import LAUNCH, Definition, Step
from engine.outreach.plan import Facts
from engine.segments import names as naming
from engine.segments import rules, sql
from engine.segments.names import Found, Names
from engine.segments.rules import Rule
from engine.segments.sql import Binder

# SQL over contact `c`: a one-off gift, or the first of a plan, to one of :fund_ids, paid since that moment (SQL). Whatever
# she gives, and whatever becomes of it, moves the time at which she last did something (`giving.totals`).
GAVE = """(c.engaged_last_at > {since} AND EXISTS (SELECT FROM contribution g
    WHERE g.contact_id = c.id AND g.fund_id = ANY(CAST(:fund_ids AS bigint[])) AND g.paid_at > {since}
    AND (g.recurring_period = 'once' OR g.sequence = 0) AND g.status NOT IN ('refunded', 'duplicate')))"""
# Who is chosen for a campaign may have given a little before, and nobody knew of it yet.
ON_ITS_WAY = " - interval '1 hour'"
LACKING = "a sequence names what there is no more"  # a kind of notice
# The zone of each of :chapters: its own, else that of the nearest one upwards that says one.
ZONES = """up AS (
    SELECT h.id AS chapter_id, h.time_zone, h.parent_id FROM chapter h WHERE h.id = ANY(CAST(:chapters AS bigint[]))
    UNION ALL
    SELECT u.chapter_id, h.time_zone, h.parent_id FROM up u JOIN chapter h ON h.id = u.parent_id WHERE u.time_zone = ''
)"""
_FACTS = f"""
WITH RECURSIVE {ZONES}
SELECT e.id, coalesce(nullif(c.time_zone, ''), up.time_zone, '') AS zone{{columns}}
FROM unnest(CAST(CAST(:ids AS text) AS bigint[])) i(id) JOIN enrollment e ON e.id = i.id
JOIN contact c ON c.id = e.contact_id LEFT JOIN up ON up.chapter_id = c.chapter_id AND up.time_zone <> ''
"""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A version as its definition says it. `fund_ids`: whom its asks ask for. `reach`: for each step what a turn that begins
    there can come by before it must wait."""

    definition: Definition
    fund_ids: Sequence[int]
    reach: Mapping[str, Sequence[Step]]

    @property
    def rules(self) -> list[Rule]:
        """All that is asked of people on their way; who is let in (`if`) is asked before."""
        of_steps = (step.when for step in self.definition.steps)
        found = (*(rule for rule in (self.definition.goal, self.definition.exit_when) if rule != "gave"), *of_steps)
        return [rule for rule in found if rule is not None]

    def drawn(self, place: str) -> tuple[Step, ...]:
        """The steps at which lots are drawn that a turn from this place can come by."""
        return tuple(step for step in self.reach.get(place, ()) if step.variants or step.holdout)

    def guarded(self, places: Collection[str]) -> tuple[Step, ...]:
        """The steps with a rule that turns from these places can come by, in their order."""
        near = {step.key for key in places for step in self.reach.get(key, ()) if step.when is not None}
        return tuple(step for step in self.definition.steps if step.key in near)


@lru_cache(maxsize=256)
def read(definition: str, fund_ids: tuple[int, ...] = ()) -> Reading:
    """What a version says, from the JSON of its definition."""
    found = definitions.read(orjson.loads(definition))
    return Reading(found, fund_ids, {step.key: _reach(found.steps[place:]) for place, step in enumerate(found.steps)})


def _reach(steps: Sequence[Step]) -> tuple[Step, ...]:
    for place, step in enumerate(steps):
        if step.when is None and _holds(step):
            return tuple(steps[: place + 1])
    return tuple(steps)


def _holds(step: Step) -> bool:
    """Whether nobody comes by it in one turn. A day, a deadline or a gathering can lie in the past."""
    if step.wait is not None:
        return not step.wait.anchor and step.wait.day is None
    return step.wait_for is not None or step.stop is not None


def lacking(names: Names, asked: Sequence[Rule]) -> str:
    """What these rules name and there is not, in words; '': nothing."""
    named = {(kind, name) for rule in asked for each in rules.every(rule) for kind, _, name in naming.named(each)}
    return "; ".join(f"there is no {naming.CALLED[kind]} {name}" for kind, name in sorted(named - names.found.keys()))


def facts(session: Session, reading: Reading, people: Sequence[Row[Any]], now: datetime, zone: str) -> dict[int, Facts]:
    """What is known of each of these: enrollments (id, contact_id, step, entered_at, chapter_id, time_zone), by their id.

    `zone`: the organisation's. Two statements at most. Raises Invalid when a rule names what there is no more.
    """
    names = naming.find(session, *reading.rules)
    if missing := lacking(names, reading.rules):
        raise Invalid(missing)
    guarded = reading.guarded({each.step for each in people})
    statement, values = _statement(reading, frozenset(names.found.items()), guarded)
    rows = session.execute(statement, dict(values) | {
        "now": now, "fund_ids": list(reading.fund_ids), "ids": ids([each.id for each in people]),
        "chapters": sorted({each.chapter_id for each in people if each.chapter_id and not each.time_zone}),
    })  # fmt: skip
    known: dict[tuple[Any, ...], Facts] = {}
    found = {}
    for row in rows:
        said = row[1:]
        if said not in known:
            known[said] = _facts(said, guarded, zone)
        found[row[0]] = known[said]
    return found


def _facts(said: Sequence[Any], guarded: Sequence[Step], zone: str) -> Facts:
    """Of one row: her zone, goal, rule to leave by, and the rules of the steps. SQL says NULL for no, too."""
    passes = frozenset(step.key for step, holds in zip(guarded, said[3:], strict=True) if holds)
    return Facts(said[0] if _is_zone(said[0]) else zone, bool(said[1]), bool(said[2]), passes)


def ids(numbers: Iterable[int]) -> str:
    """Many ids as one value, to be cast to bigint[]."""
    return "{" + ",".join(map(str, numbers)) + "}"


@lru_cache(maxsize=1024)
def _is_zone(name: str) -> bool:
    try:
        return bool(name and ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


@lru_cache(maxsize=256)
def _statement(
    reading: Reading, found: frozenset[tuple[tuple[str, str], Found]], guarded: tuple[Step, ...]
) -> tuple[TextClause, Mapping[str, Any]]:
    """The query, and the values of its rules."""
    names, columns = Names(dict(found)), []
    values: dict[str, Any] = {}
    said = reading.definition
    for place, rule in enumerate([said.goal, said.exit_when, *(step.when for step in guarded)]):
        if rule == "gave":
            columns.append(GAVE.format(since=f"e.entered_at{ON_ITS_WAY if said.on == LAUNCH else ''}"))
        elif rule is None:
            columns.append("false")
        else:
            # Each person's gifts by the index: she is one of a few.
            binder = Binder(names, f"r{place}_", few=True)
            columns.append(sql.condition(rule, binder))
            values |= binder.values
    return text(_FACTS.format(columns="".join(f", {each}" for each in columns))), values
