"""What ends a sequence for somebody before its last step: its goal, or the rule to leave by; as SQL over contact `c`.

Asked at three moments: when something happens to her that a rule names (`reached`), at every step (`guards`), and in the
claim of each letter (`claims`). Versions are never changed; what their rules name may be (a chapter that got a town), so
that names are looked up each time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.outreach import guards
from engine.outreach.plan import BY_RULE, GAVE, GOAL
from engine.segments import names as naming
from engine.segments import rules, sql
from engine.segments.rules import Rule
from engine.segments.sql import Binder, Compiled, Through

REACHED = (GAVE, GOAL, BY_RULE)

_VERSIONS = text("""
SELECT id, CAST(definition AS text) AS definition, fund_ids, quiet_from, quiet_until, coalesce(sequence_id, 0) AS sequence_id
FROM sequence_version WHERE id = ANY(:ids)
""")


@dataclass(frozen=True, slots=True)
class Ends:
    """What ends one version. `gave`: a gift to one of its funds; `goal` and `leave`: rules; `letters`: all that it writes."""

    version_id: int
    gave: bool
    goal: Rule | None
    leave: Rule | None
    fund_ids: tuple[int, ...] = ()
    letters: frozenset[str] = frozenset()
    quiet: tuple[int, int] | None = None
    sequence_id: int = 0  # 0: a single letter's

    @property
    def rules(self) -> Sequence[Rule]:
        """Those that there are."""
        return [rule for rule in (self.goal, self.leave) if rule is not None]

    @property
    def operators(self) -> frozenset[str]:
        """Those that its rules are made of."""
        return frozenset(each.op for rule in self.rules for each in rules.every(rule))


def load(session: Session, version_ids: Iterable[int]) -> list[Ends]:
    """What ends these versions, in the order of their ids."""
    found = session.execute(_VERSIONS, {"ids": sorted(version_ids)})
    return sorted((_ends(row) for row in found), key=lambda each: each.version_id)


def read(
    version_id: int,
    definition: str,
    fund_ids: Sequence[int],
    quiet: tuple[int, int] | None = None,
    sequence_id: int = 0,
) -> Ends:
    """The same of a version whose row is at hand; `definition`: its JSON."""
    said = guards.read(definition, tuple(fund_ids)).definition
    goal = None if said.goal is None or said.goal == "gave" else said.goal
    return Ends(
        version_id, said.goal == "gave", goal, said.exit_when, tuple(fund_ids), said.letters, quiet, sequence_id
    )


def compiled(session: Session, versions: Sequence[Ends], version_id: str, through: Through) -> Compiled:
    """SQL that says why contact `c` is done with a version of these (`version_id`: SQL of its id; `through`: of her place in
    it): GOAL, BY_RULE, or NULL. One statement, however many rules; that she gave is not among them. A rule that names what
    there is no more says nothing."""
    names = naming.find(session, *(rule for each in versions for rule in each.rules))
    binder = Binder(names, prefix="e", few=True, through=through)
    cases = []
    for each in versions:
        binder.names = replace(names, written=each.letters)
        whens = [
            f"WHEN {condition} THEN '{reason}'"
            for rule, reason in ((each.goal, GOAL), (each.leave, BY_RULE))
            if rule is not None and (condition := _condition(rule, binder))
        ]
        if whens:
            cases.append(f"WHEN {binder.bind(each.version_id, 'bigint')} THEN CASE {' '.join(whens)} END")
    return Compiled(f"CASE {version_id} {' '.join(cases)} END" if cases else "CAST(NULL AS text)", binder.values)


def _condition(rule: Rule, binder: Binder) -> str:
    try:
        return sql.condition(rule, binder)
    except KeyError:
        return ""


def _ends(row: Any) -> Ends:
    quiet = None if row.quiet_from is None or row.quiet_until is None else (row.quiet_from, row.quiet_until)
    return read(row.id, row.definition, row.fund_ids, quiet, row.sequence_id)
