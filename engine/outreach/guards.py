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
from engine.outreach.plan import Facts, Place
from engine.segments import names as naming
from engine.segments import rules, sql
from engine.segments.names import Found, Names
from engine.segments.rules import Rule
from engine.segments.sql import Binder, Through

# SQL over contact `c`: a one-off gift, or the first of a plan, to one of :fund_ids, paid since that moment (SQL). Whatever
# she gives, and whatever becomes of it, moves the time at which she last did something (`giving.totals`).
GAVE = """(c.engaged_last_at > {since} AND EXISTS (SELECT FROM contribution g
    WHERE g.contact_id = c.id AND g.fund_id = ANY(CAST(:fund_ids AS bigint[])) AND g.paid_at > {since}
    AND (g.recurring_period = 'once' OR g.sequence = 0) AND g.status NOT IN ('refunded', 'duplicate')))"""
# Who is chosen for a campaign may have given a little before, and nobody knew of it yet.
ON_ITS_WAY = " - interval '1 hour'"
MERGED = "merged into another contact"
HERS = Through("e.entered_at", "e.campaign_id")  # of her place `e`
LACKING = "a sequence names what there is no more"  # a kind of notice
# The zone of each of :chapters: its own, else that of the nearest one upwards that says one.
ZONES = """up AS (
    SELECT h.id AS chapter_id, h.time_zone, h.parent_id FROM chapter h WHERE h.id = ANY(CAST(:chapters AS bigint[]))
    UNION ALL
    SELECT u.chapter_id, h.time_zone, h.parent_id FROM up u JOIN chapter h ON h.id = u.parent_id WHERE u.time_zone = ''
)"""
# Everybody is looked up by her index: the planner, which cannot know how few they are, would read whole tables. Those who
# stand in one place and of whom the same is known come together.
_KNOWN = f"""
WITH RECURSIVE {ZONES}
SELECT e.step, e.due_at, e.entered_at, e.waits_for, e.heard, c.language,
    CASE WHEN c.erased_at IS NOT NULL THEN 'erased' WHEN c.merged_into_id IS NOT NULL THEN '{MERGED}'
        WHEN c.email IS NULL THEN 'no address' ELSE '' END AS gone,
    array_agg(e.id) AS ids, array_agg(c.id) AS contacts, array_agg(c.chapter_id) AS chapters,
    coalesce(nullif(c.time_zone, ''), up.time_zone, '') AS zone{{columns}}
FROM unnest(CAST(CAST(:ids AS text) AS bigint[])) i(id)
CROSS JOIN LATERAL (SELECT * FROM enrollment WHERE id = i.id OFFSET 0) e
CROSS JOIN LATERAL (SELECT * FROM contact WHERE id = e.contact_id OFFSET 0) c
LEFT JOIN up ON up.chapter_id = c.chapter_id AND up.time_zone <> ''
GROUP BY {{grouped}}
"""
_FIRST = 10  # columns before those of `Facts`
_GROUPED = (1, 2, 3, 4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class People:
    """Some of those who are locked: their places (ids of enrollments), they themselves, and their homes, in one order."""

    ids: Sequence[int]
    contacts: Sequence[int]
    chapters: Sequence[int | None]

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, chosen: Iterable[int]) -> "People":
        """Those at these positions."""
        taken = [(self.ids[at], self.contacts[at], self.chapters[at]) for at in chosen]
        return People(*zip(*taken, strict=True)) if taken else People((), (), ())


@dataclass(frozen=True, slots=True)
class Asked:
    """Of whom is to be known: places (`ids`: as text, like "{1,2}"), at which steps these are, and the homes of those whose
    own zone nobody knows."""

    ids: str
    steps: Sequence[str]
    chapters: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Alike:
    """People who stand in one place (`place` names one of them) and of whom the same is known. `gone`: why there is nobody to
    write to any more."""

    place: Place
    facts: Facts
    language: str
    gone: str
    people: People


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


def known(session: Session, reading: Reading, asked: Asked, now: datetime, zone: str) -> list[Alike]:
    """What is known of these people at this moment. `zone`: the organisation's. Two statements at most.

    Raises Invalid when a rule names what there is no more.
    """
    names = naming.find(session, *reading.rules)
    if missing := lacking(names, reading.rules):
        raise Invalid(missing)
    guarded = reading.guarded(asked.steps)
    statement, values = _statement(reading, frozenset(names.found.items()), guarded)
    values = dict(values) | {
        "now": now, "fund_ids": list(reading.fund_ids), "ids": asked.ids, "chapters": list(asked.chapters),
    }  # fmt: skip
    return [_alike(row, guarded, zone) for row in session.execute(statement, values)]


def _alike(row: Row[Any], guarded: Sequence[Step], zone: str) -> Alike:
    """Of one row. SQL says NULL for no, too."""
    here, goal, leaves, *holds = row[_FIRST:]
    passes = frozenset(step.key for step, held in zip(guarded, holds, strict=True) if held)
    facts = Facts(here if _is_zone(here) else zone, bool(goal), bool(leaves), passes)
    place = Place(row.contacts[0], row.step, row.due_at, row.entered_at, row.waits_for, row.heard)
    return Alike(place, facts, row.language, row.gone, People(row.ids, row.contacts, row.chapters))


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
    said = reading.definition
    names, columns = Names(dict(found), written=said.letters), []
    values: dict[str, Any] = {}
    for place, rule in enumerate([said.goal, said.exit_when, *(step.when for step in guarded)]):
        if rule == "gave":
            columns.append(GAVE.format(since=f"e.entered_at{ON_ITS_WAY if said.on == LAUNCH else ''}"))
        elif rule is None:
            columns.append("NULL::boolean")
        else:
            # Each person's gifts by the index: she is one of a few.
            binder = Binder(names, f"r{place}_", few=True, through=HERS)
            columns.append(sql.condition(rule, binder))
            values |= binder.values
    numbers = (*_GROUPED, *range(_FIRST + 1, _FIRST + 2 + len(columns)))
    grouped = ", ".join(map(str, numbers))
    return text(_KNOWN.format(columns="".join(f", {each}" for each in columns), grouped=grouped)), values
