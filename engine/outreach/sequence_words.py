"""A sequence in English, to be read aloud: when it begins, when it ends, and its steps one by one. Pure.

begins when it is launched, for whoever is chosen then
1. write: the letter rent_vote_call
2. pause: wait until 2 days before the deadline, 9:00
3. ask: the ask rent_vote_ask, if she gave nothing in the last 30 days; more than 12 hours late it does not come
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

from engine.outreach.definitions import EVENTS, LAUNCH, TRIGGERS, Definition, Late, Step, Variant
from engine.outreach.waits import WEEKDAYS, Wait, day
from engine.segments import words
from engine.segments.names import Names
from engine.segments.rules import Rule

BEGINS = "begins when it is launched"
_AT_CAP = {
    "defer": "",
    "drop": "whoever has had enough letters for now does not get it",
    "exempt": "it comes however many letters she has had",
}


def english(definition: Definition, names: Names = Names()) -> list[str]:  # noqa: B008 frozen
    """All of it, line by line. What `names` does not know is called by its short name."""
    hers = replace(names, written=definition.letters)
    steps = [f"{at}. {_step(step, hers)}" for at, step in enumerate(definition.steps, 1)]
    return [*_around(definition, names, hers), *steps]


def _around(definition: Definition, names: Names, hers: Names) -> Iterator[str]:
    """`hers`: what names stand for once she is in it."""
    if definition.on == LAUNCH:
        yield BEGINS + _if(definition.when, names, ", for whoever")
    else:
        once = {"never": "once in her life", "always": "each time, one after the other"}
        again = once.get(definition.again, f"again after {definition.again} at the earliest")
        yield f"begins: {TRIGGERS[definition.on]}{_if(definition.when, names, ', if she')}; {again}"
    if definition.chapter:
        yield f"for people of {names.title('chapter', definition.chapter)} and of the chapters below it"
    if definition.goal is not None:
        goal = "gave to whom it asks for" if definition.goal == "gave" else words.english(definition.goal, hers)
        yield f"ends when its goal is reached: she {goal}"
    if definition.exit_when is not None:
        yield f"ends when she {words.english(definition.exit_when, hers)}"
    if definition.deadline is not None:
        yield f"its deadline: {_on(definition.deadline)}, at its beginning"
    if definition.expires is not None:
        over_on = day(definition.expires)
        after = f"{definition.expires} after she entered" if over_on is None else f"when {_on(over_on)} begins"
        yield f"is over {'at the deadline' if definition.expires == 'deadline' else after}"
    if definition.quiet_hours is not None:
        since, until = definition.quiet_hours
        yield f"nothing comes between {since}:00 and {until}:00 where she lives"


def _if(rule: Rule | None, names: Names, before: str) -> str:
    return f"{before} {words.english(rule, names)}" if rule is not None else ""


def _step(step: Step, names: Names) -> str:
    said = [_SAYS[step.kind](step) + _if(step.when, names, ", if she")]
    said += [f"{step.holdout} of a hundred do not get it, to compare with"] if step.holdout is not None else []
    said += [_late(step.late)] if step.late is not None else []
    said += [f"it leaves within {step.expires} or not at all"] if step.expires is not None else []
    said += [_AT_CAP[step.at_cap]] if _AT_CAP[step.at_cap] else []
    return f"{step.key}: " + "; ".join(said)


def _late(late: Late) -> str:
    return f"more than {late.after} late it " + ("does not come" if late.then == "skip" else "comes all the same")


def _letters(step: Step) -> str:
    called = "ask" if step.ask is not None else "letter"
    if not step.variants:
        return f"the {called} {step.letters['']}"
    return f"one of these {called}s: {_weighed(step.variants)}"


def _weighed(variants: Sequence[Variant]) -> str:
    parts = sum(each.weight for each in variants)
    return ", ".join(f"{each.letter} ({each.key}, {each.weight} of {parts})" for each in variants)


def _wait(step: Step) -> str:
    return f"wait {_until(step.wait)}" if step.wait is not None else ""


def _until(wait: Wait) -> str:
    at = f", {wait.at.hour}:{wait.at:%M}" if wait.at is not None else ""
    if wait.weekday is not None:
        return f"until the next {WEEKDAYS[wait.weekday].title()}{at}"
    if wait.day is not None:
        return f"until {_on(wait.day)}{at}"
    span = wait.said.partition(" at ")[0].partition(" before ")[0]
    if wait.anchor:
        return f"until {span} before the {wait.anchor}{at}"
    return f"{span}, until {at[2:]}" if at else span


def _wait_for(step: Step) -> str:
    if step.wait_for is None:
        return ""
    return f"wait until {EVENTS[step.wait_for.event]}, at most {step.wait_for.within}"


def _stop(step: Step) -> str:
    rests = step.stop is not None and step.stop.rest
    return "the end" + (", and she rests: no letter comes until she does something herself" if rests else "")


def _on(found: date) -> str:
    return f"{found:%B} {found.day}, {found.year}"


_SAYS: Mapping[str, Callable[[Step], str]] = {
    "email": _letters,
    "ask": _letters,
    "wait": _wait,
    "wait_for": _wait_for,
    "tag": lambda step: f'call her "{step.tag}"',
    "notify": lambda step: f"the leads of her chapter get the letter {step.notify}",
    "stop": _stop,
}
