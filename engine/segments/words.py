"""Rules in English, as a sentence that begins with the people: "lives in Worcester or its towns, gave at least $25 in the
last 12 months, not in the last 30 days". Pure. Each operator says what it means and what its contrary means."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.money import dollars
from engine.segments import rules
from engine.segments.names import Names
from engine.segments.rules import AnyRule, Rule

# What is said of somebody whom it holds for, and of somebody whom it does not hold for.
Said = tuple[str, str]


def english(rule: Rule, names: Names = Names()) -> str:  # noqa: B008 frozen
    """One rule. What `names` does not know is called by its short name."""
    if not isinstance(rule, rules.AllOf):
        return _said(rule, names)[0]
    parts: list[str] = []
    for before, each in zip((None, *rule.of), rule.of, strict=False):
        parts.append(_no_longer(each) if isinstance(before, rules.Gave) else "")
        parts[-1] = parts[-1] or _said(each, names)[0]
    return ", ".join(parts)


def _no_longer(rule: Rule) -> str:
    """After "gave …": a "gave nothing in the last 30 days" in fewer words."""
    inner = rule.of if isinstance(rule, rules.Not) else None
    if isinstance(inner, rules.Gave) and inner.model_fields_set <= {"op", "within"} and inner.within:
        return f"not {_lately(inner.within)}"
    return ""


def _said(rule: AnyRule, names: Names) -> Said:
    return OPERATORS[type(rule)](rule, names)


def _lately(span: str | None) -> str:
    if not span:
        return ""
    number, unit = span.split()
    return f"in the last {unit.rstrip('s')}" if number == "1" else f"in the last {number} {unit.rstrip('s')}s"


def _joined(parts: Sequence[str], word: str) -> str:
    return f" {word} ".join(f"({part})" if f" {_OTHER[word]} " in part else part for part in parts)


_OTHER = {"and": "or", "or": "and"}


def _all(rule: rules.AllOf, names: Names) -> Said:
    yes = _joined([_said(each, names)[0] for each in rule.of], "and")
    return yes, f"not both ({yes})" if len(rule.of) == 2 else f"not all of this ({yes})"


def _any(rule: rules.AnyOf, names: Names) -> Said:
    said = [_said(each, names) for each in rule.of]
    return _joined([yes for yes, _ in said], "or"), _joined([no for _, no in said], "and")


def _not(rule: rules.Not, names: Names) -> Said:
    yes, no = _said(rule.of, names)
    return no, yes


def _chapter(rule: rules.Chapter, names: Names) -> Said:
    title = names.title("chapter", rule.chapter)
    towns = " or its towns" if rule.children and not names.alone(rule.chapter) else ""
    yes, no = {
        "home": ("lives in", "does not live in"),
        "followed": ("follows", "does not follow"),
        "either": ("lives in or follows", "neither lives in nor follows"),
    }[rule.relation]
    return f"{yes} {title}{towns}", f"{no} {title}{towns}"


def _territory(rule: rules.Territory, names: Names) -> Said:
    places = [f"ZIP {', '.join(rule.zips)}"] if rule.zips else []
    places += [f"{county[3:]}, {county[:2]}" for county in rule.counties]
    places += list(rule.states)
    places += [f"the land of {names.title('chapter', slug)}" for slug in rule.chapters]
    where = " or ".join(places)
    return f"has her address in {where}", f"does not have her address in {where}"


def _gave(rule: rules.Gave, names: Names) -> Said:
    amount = ""
    if rule.at_least and rule.at_most:
        amount = f"{dollars(rule.at_least)} to {dollars(rule.at_most)}"
    elif rule.at_least:
        amount = f"at least {dollars(rule.at_least)}"
    elif rule.at_most:
        amount = f"at most {dollars(rule.at_most)}"
    details = [
        f"to {names.title('fund', rule.fund)}" if rule.fund else "",
        f"by the form {names.title('form', rule.form)}" if rule.form else "",
        f"with the refcode {rule.refcode}" if rule.refcode else "",
        _lately(rule.within),
    ]
    rest = "".join(f" {each}" for each in details if each)
    if rule.count > 1:
        each = f", {amount} each," if amount else ""
        return f"gave {rule.count} times or more{each}{rest}", f"gave fewer than {rule.count} times{each}{rest}"
    if amount:
        return f"gave {amount}{rest}", f"did not give {amount}{rest}"
    return f"gave{rest}", f"gave nothing{rest}"


def _lapsed(rule: rules.Lapsed, _: Names) -> Said:
    gap = _lately(rule.after)
    return f"gave, but nothing {gap}", f"never gave, or gave {gap}"


def _recurring(rule: rules.Recurring, names: Names) -> Said:
    if rule.at_least is not None:
        amount = f"{dollars(rule.at_least)} or more a month by active plans"
        return f"gives {amount}", f"does not give {amount}"
    to = f" to {names.title('fund', rule.fund)}" if rule.fund else ""
    states = {"active": "an active", "paused": "a paused", "failing": "a failing", "cancelled": "a cancelled",
              "lapsed": "a lapsed"}  # fmt: skip
    yes = f"has {states[rule.state]} recurring plan{to}"
    return yes, f"has no {rule.state} recurring plan{to}"


def _never_gave(_: rules.NeverGave, __: Names) -> Said:
    return "never gave", "gave"


def _interest(rule: rules.Interest, names: Names) -> Said:
    title = names.title("interest", rule.code)
    return f"cares about {title}", f"has not said that she cares about {title}"


def _volunteer(rule: rules.Volunteer, names: Names) -> Said:
    way = f": {names.title('way', rule.way)}" if rule.way else ""
    state = f" (still {rule.state})" if rule.state == "new" else f" (already {rule.state})" if rule.state else ""
    return f"offers to help{way}{state}", f"does not offer to help{way}{state}"


def _signed_up(rule: rules.SignedUp, _: Names) -> Said:
    doors = {"join": "by our own form", "signup": "on another website of ours", "actionnetwork": "at Action Network"}
    details = [doors[rule.via] if rule.via else "", f"at {rule.place}" if rule.place else "", _lately(rule.within)]
    rest = "".join(f" {each}" for each in details if each)
    return f"signed up{rest}", f"did not sign up{rest}"


def _received(rule: rules.Received, names: Names) -> Said:
    rest = f"{_letter(rule, names)} {_lately(rule.within)}".rstrip()
    return f"got {rest}", f"did not get {rest}"


def _clicked(rule: rules.Clicked, names: Names) -> Said:
    rest = f"{_letter(rule, names)} {_lately(rule.within)}".rstrip()
    return f"clicked in {rest}", f"did not click in {rest}"


def _letter(rule: rules.Received | rules.Clicked, names: Names) -> str:
    if rule.letter and rule.letter in names.written:
        return f"the letter {names.title('letter', rule.letter)} since she entered"
    if rule.letter:
        return f"the letter {names.title('letter', rule.letter)}"
    return f"the mailing {rule.mailing}" if rule.mailing else "a letter"


def _in_sequence(rule: rules.InSequence, names: Names) -> Said:
    title, gap = names.title("sequence", rule.sequence), f" {_lately(rule.within)}".rstrip()
    entered = f" (entered{gap})" if gap else ""
    return {
        "active": (f"is in the sequence {title}{entered}", f"is not in the sequence {title}{entered}"),
        "finished": (f"came to the end of {title}{gap}", f"did not come to the end of {title}{gap}"),
        "left": (f"left the sequence {title}{gap}", f"did not leave the sequence {title}{gap}"),
        "any": (f"entered the sequence {title}{gap}", f"did not enter the sequence {title}{gap}"),
    }[rule.state]


def _last_engaged(rule: rules.LastEngaged, _: Names) -> Said:
    gap = _lately(rule.within)
    return f"did something {gap}", f"was silent {gap}"


def _silent(rule: rules.Silent, _: Names) -> Said:
    number, unit = rule.after.split()
    gap = f"a {unit}" if number == "1" else f"{number} {unit.rstrip('s')}s"
    letters = f" and got {rule.letters} letters or more in that time" if rule.letters else ""
    return f"was silent for {gap}{letters}", f"was not silent for {gap}{' with so many letters' if letters else ''}"


def _employer_known(rule: rules.EmployerKnown, _: Names) -> Said:
    rest = f" with a gift {_lately(rule.within)}".rstrip()
    return f"said where she works{rest}", f"did not say where she works{rest}"


def _language(rule: rules.Language, _: Names) -> Said:
    return f"reads {rule.language}", f"does not read {rule.language}"


def _custom(rule: rules.Custom, _: Names) -> Said:
    if rule.known:
        return f"has a field {rule.field}", f"has no field {rule.field}"
    if rule.equals is not None:
        return f'has "{rule.equals}" for {rule.field}', f'does not have "{rule.equals}" for {rule.field}'
    if rule.has is not None:
        return f'has "{rule.has}" among {rule.field}', f'does not have "{rule.has}" among {rule.field}'
    bounds = [f"{said} {bound:,g}" for said, bound in (("at least", rule.at_least), ("at most", rule.at_most))
              if bound is not None]  # fmt: skip
    return f"has {' and '.join(bounds)} for {rule.field}", f"does not have {' and '.join(bounds)} for {rule.field}"


def _random(rule: rules.Random, _: Names) -> Said:
    share = f"a random {rule.percent:g} in a hundred ({rule.salt})"
    return f"is among {share}", f"is not among {share}"


OPERATORS: Mapping[type[AnyRule], Callable[[Any, Names], Said]] = {
    rules.AllOf: _all,
    rules.AnyOf: _any,
    rules.Not: _not,
    rules.Chapter: _chapter,
    rules.Territory: _territory,
    rules.Gave: _gave,
    rules.Lapsed: _lapsed,
    rules.Recurring: _recurring,
    rules.NeverGave: _never_gave,
    rules.Interest: _interest,
    rules.Volunteer: _volunteer,
    rules.SignedUp: _signed_up,
    rules.Received: _received,
    rules.Clicked: _clicked,
    rules.InSequence: _in_sequence,
    rules.LastEngaged: _last_engaged,
    rules.Silent: _silent,
    rules.EmployerKnown: _employer_known,
    rules.Language: _language,
    rules.Custom: _custom,
    rules.Random: _random,
}
