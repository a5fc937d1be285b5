"""Whom a rule chooses who may also be written to. There is no audience without that clause.

A preview is one scan: each person falls at the first condition that she does not meet (the last one is whether she may be
written to), so that the same look says how many there are and where the others were lost, and picks twenty of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from engine.errors import Invalid, NotFound
from engine.people.consent import KINDS, mailable, refusal
from engine.people.leave import NUMBER
from engine.segments import names as naming
from engine.segments import rules, sql, words
from engine.segments.names import Names
from engine.segments.rules import Rule
from engine.segments.sql import Binder, Compiled

SECONDS = 10  # no question about an audience takes longer
SHOWN = 20
HOME: Literal["home"] = "home"  # the sender of letters that each come from their reader's home chapter
Sender = int | Literal["home"] | None

_PEOPLE = text("""
SELECT c.id, c.email, c.first_name, c.last_name, c.city, h.name AS chapter, c.gave_count, c.gave_cents, c.gave_last_at
FROM unnest(CAST(:ids AS bigint[])) WITH ORDINALITY i(id, place) JOIN contact c ON c.id = i.id
LEFT JOIN chapter h ON h.id = c.chapter_id ORDER BY i.place
""")
# A plan made for these very values; nothing is compiled for a question of milliseconds.
_TERMS = text("""
SELECT set_config('statement_timeout', :most, true), set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('jit', 'off', true)
""")


@dataclass(frozen=True, slots=True)
class Left:
    """How many are left of all people after this condition and those before it; what it says, in English."""

    says: str
    people: int


@dataclass(frozen=True, slots=True)
class Met:
    """Whether one person meets a condition; what it says, in English. `why` not, where more is known."""

    says: str
    met: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """One of those whom a preview shows. Cents; `chapter`: the name of her home, none: "" ."""

    id: int
    email: str
    name: str
    city: str
    chapter: str
    gave_count: int
    gave_cents: int
    gave_last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Preview:
    """Who it would be at this moment: how many exactly, what each condition leaves, some of them."""

    people: int
    conditions: Sequence[Left]
    shown: Sequence[Person]


def where(
    rule: Rule, names: Names, kind: str, *, scopes: Sequence[str] = (), sender: Sender = None, prefix: str = "s"
) -> Compiled:
    """SQL that is true of contact `c` when the rule chooses her and she may get a letter of this kind (one of KINDS) at :now.

    `scopes`: slugs of chapters (known to `names`): she belongs to each or to one below it; '' bounds nothing. `sender`: the
    chapter that writes (HOME: each person's own); none: the root does. `prefix`: of the names of the values, for several in
    one statement.
    """
    binder = Binder(names, prefix)
    parts = [*_scope(names, scopes, binder), sql.condition(rule, binder), _mailable(kind, sender)]
    return Compiled(" AND ".join(parts), binder.values)


def people(
    rule: Rule,
    names: Names,
    kind: str,
    *,
    scopes: Sequence[str] = (),
    sender: Sender = None,
    prefix: str = "s",
    among: Sequence[str] = (),
) -> Compiled:
    """The same as the end of a query about all of them at once: "FROM … c WHERE …". Gifts are asked only of whom her own row
    does not rule out, and who may be written to comes last: left to itself the planner asks that of everybody, and takes no
    heed of how it finds the rows. `among`: conditions in SQL of contact `c`, of whom alone is asked."""
    binder = Binder(names, prefix)
    bounds = ["c.merged_into_id IS NULL", "c.erased_at IS NULL", *among, *_scope(names, scopes, binder)]
    chooses = sql.condition(rule, binder)
    source, wanted = "contact", [*bounds, chooses]
    if binder.gifts:
        first = " AND ".join([*bounds, *sql.narrowing(rule, binder)])
        source, wanted = f"(SELECT * FROM contact c WHERE {first} OFFSET 0)", [chooses]
    chosen = f"SELECT * FROM {source} c WHERE {' AND '.join(wanted)} OFFSET 0"
    return Compiled(f"FROM ({chosen}) c WHERE {_mailable(kind, sender)}", binder.values)


def count(
    session: Session, rule: Rule, now: datetime, *, kind: str, scopes: Sequence[str] = (), sender: Sender = None
) -> int:
    """How many people that is. Raises as `preview`."""
    found = people(rule, known(session, rule, scopes), kind, scopes=scopes, sender=sender)
    statement = text(f"SELECT count(*) {found.sql}")
    with bounded(session):
        return int(session.execute(statement, dict(found.values) | {"now": now}).scalar_one())


def preview(
    session: Session, rule: Rule, now: datetime, *, kind: str, scopes: Sequence[str] = (), sender: Sender = None
) -> Preview:
    """Whom the rule chooses at this moment. The arguments are those of `where`.

    Raises Invalid: it names what there is not, or takes longer than SECONDS.
    """
    names = known(session, rule, scopes)
    steps = in_order(rule)
    statement, values = _ladder(steps, names, kind, scopes, sender)
    with bounded(session):
        found = session.execute(text(statement), values | {"now": now}).one()
    fell = list(found.fell)
    fell[sum(map(_by_home, steps))] += found.everybody - found.scanned
    left, conditions = found.everybody, []
    for many, says in zip(fell, [*(words.english(step, names) for step in steps), "may be written to"], strict=True):
        left -= many
        conditions.append(Left(says, left))
    shown = session.execute(_PEOPLE, {"ids": found.shown or []})
    return Preview(left, conditions, [_person(row) for row in shown])


def judged(
    session: Session, rule: Rule, contact_id: int, now: datetime, *, kind: str, scopes: Sequence[str] = (),
    sender: Sender = None,
) -> list[Met]:  # fmt: skip
    """How the conditions stand with one person at this moment, one by one; she is chosen when she meets all. The other
    arguments are those of `where`. Raises as `preview`; NotFound when there is no such contact."""
    names = known(session, rule, scopes)
    steps = in_order(rule)
    binder = Binder(names, few=True)
    bounds = [(f"belongs to {names.title('chapter', scope)}", bound)
              for scope in scopes if scope for bound in _scope(names, [scope], binder)]  # fmt: skip
    asked = [*bounds, *((words.english(step, names), sql.condition(step, binder)) for step in steps)]
    columns = [f"({condition}) IS TRUE AS met_{place}" for place, (_, condition) in enumerate(asked)]
    why = refusal(f"'{_of_kinds(kind)}'", _chapter(sender))
    statement = f"SELECT {', '.join([*columns, f'{why} AS why'])} FROM contact c WHERE c.id = :contact_id"
    with bounded(session):
        row = session.execute(text(statement), binder.values | {"now": now, "contact_id": contact_id}).one_or_none()
    if row is None:
        raise NotFound("there is no such contact")
    found = [Met(says, row[place]) for place, (says, _) in enumerate(asked)]
    return [*found, Met("may be written to", not row.why, row.why)]


def known(session: Session, rule: Rule, scopes: Sequence[str] = ()) -> Names:
    """What the rule and the scopes name. Raises Invalid for what there is not."""
    names = naming.find(session, rule, chapters=[scope for scope in scopes if scope])
    missing = [says for _, says in naming.unknown(session, rule, names)]
    missing += [f"there is no chapter {scope}" for scope in scopes if scope and ("chapter", scope) not in names.found]
    if missing:
        raise Invalid("; ".join(missing))
    return names


def in_order(rule: Rule) -> list[Rule]:
    """The conditions that must all hold, one by one: homes first, for an index finds them; else as they are written."""
    if not isinstance(rule, rules.AllOf):
        return [rule]
    return sorted(rule.of, key=lambda each: not _by_home(each))


@contextmanager
def bounded(session: Session, most: float | None = None) -> Iterator[None]:
    """Questions of this block end after so many seconds (SECONDS), as Invalid; the transaction goes on. For questions only:
    what a block changes is undone with these terms."""
    seconds = SECONDS if most is None else most
    try:
        with session.begin_nested() as question:
            session.execute(_TERMS, {"most": f"{seconds * 1000:.0f}ms"})
            yield
            question.rollback()  # nothing but the terms
    except OperationalError as error:
        if isinstance(error.orig, psycopg.errors.QueryCanceled):
            raise Invalid(
                f"this takes longer than {seconds:g} seconds to count: narrow it down, by a chapter first"
            ) from None
        raise


def _ladder(
    steps: Sequence[Rule], names: Names, kind: str, scopes: Sequence[str], sender: Sender
) -> tuple[str, dict[str, Any]]:
    """One row: how many there are (`everybody`), how many of them were `scanned`, how many of these fall at each condition,
    and some of those whom the rule chooses, from all over the scan. Homes are looked up rather than asked of everybody; so is
    what the first condition after them needs of each person's own row: who was not scanned fell there."""
    bounded_by = [*scopes, *(step.chapter for step in steps if isinstance(step, rules.Chapter) and _by_home(step))]
    binder = Binder(names, few=any(slug and not names.whole(slug) for slug in bounded_by))
    conditions = sql.conditions(steps, binder)
    homes = [found for step, found in zip(steps, conditions, strict=True) if _by_home(step)]
    base = ["c.merged_into_id IS NULL", "c.erased_at IS NULL", *_scope(names, scopes, binder), *homes]
    narrow = sql.narrowing(steps[len(homes)], binder) if len(homes) < len(steps) else []
    falls = [f"WHEN ({each}) IS NOT TRUE THEN {place}" for place, each in enumerate([*conditions, _mailable(kind, sender)])
             if place >= len(homes)]  # fmt: skip
    everybody = f"(SELECT count(*) FROM contact c WHERE {' AND '.join(base)})"
    fell = [f"count(*) FILTER (WHERE fell = {place})" for place in range(len(steps) + 1)]
    chosen = len(steps) + 1
    statement = f"""
SELECT everybody, scanned, fell, (SELECT array_agg(ids[1 + (i * cardinality(ids)) / {SHOWN}])
    FROM generate_series(0, {SHOWN} - 1) i WHERE (i * cardinality(ids)) / {SHOWN} > ((i - 1) * cardinality(ids)) / {SHOWN}
        OR i = 0) AS shown
FROM (
    SELECT {everybody if narrow else "count(*)"} AS everybody, count(*) AS scanned, ARRAY[{", ".join(fell)}] AS fell,
        array_agg(id) FILTER (WHERE fell = {chosen}) AS ids
    FROM (SELECT c.id, CASE {" ".join(falls)} ELSE {chosen} END AS fell
        FROM contact c WHERE {" AND ".join([*base, *narrow])} OFFSET 0) each_one
) counted
"""
    return statement, binder.values


def _by_home(rule: Rule) -> bool:
    return isinstance(rule, rules.Chapter) and rule.relation == "home"


def _scope(names: Names, scopes: Sequence[str], binder: Binder) -> list[str]:
    bounds = [names.ids("chapter", scope) for scope in scopes if scope and not names.whole(scope)]
    return [f"c.chapter_id = {binder.ids(ids)}" for ids in bounds]


def _mailable(kind: str, sender: Sender) -> str:
    """Her words are looked up by her id: so that nothing but an index is read of whom her number speaks for."""
    asked = mailable(f"'{_of_kinds(kind)}'", _chapter(sender))
    return f"""(CASE {NUMBER} WHEN 1 THEN true WHEN 0 THEN false ELSE (
    SELECT {asked} FROM (SELECT c.id) her(whose) JOIN contact c ON c.id = her.whose) END)"""


def _of_kinds(kind: str) -> str:
    if kind not in KINDS:
        raise Invalid(f"letters are of one of these kinds: {', '.join(KINDS)}")
    return kind


def _chapter(sender: Sender) -> str:
    return "NULL" if sender is None else "c.chapter_id" if sender == HOME else str(int(sender))


def _person(row: Any) -> Person:
    name = " ".join(filter(None, (row.first_name, row.last_name)))
    return Person(
        row.id, row.email, name, row.city, row.chapter or "", row.gave_count, row.gave_cents, row.gave_last_at
    )
