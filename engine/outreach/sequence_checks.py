"""What is wrong with a sequence that can be read, and what one should look at: steps that contradict each other, days that
have passed, names that there are not, letters that do not fit their steps. Nothing is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from typing import Any

from babel import Locale
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.documents import Document, Fault
from engine.languages import ENGLISH
from engine.letters.links import Links
from engine.letters.vocabulary import vocabulary
from engine.outreach import triggers, waits
from engine.outreach.definitions import LAUNCH, Definition, Step
from engine.segments import names as naming
from engine.segments.names import Names

ASKS = "asks"  # the kind of letters that ask for money
TO_LEADS = frozenset({"home", "staff_url"})  # what `steps_taken` tells their letters

# Where in the sequence something is wrong, and what to say of it.
Found = tuple[Sequence[str | int], str]

# `spoken`: its newest words by language.
_LETTERS = text("""
SELECT l.slug, l.kind, l.fund_id, l.facts, (
    SELECT jsonb_object_agg(m.language, m.id) FROM mailing m
    WHERE m.letter_id = l.id AND m.version = (SELECT max(version) FROM mailing WHERE letter_id = l.id)) AS spoken
FROM letter l WHERE l.slug = ANY(:slugs)
""")
_SLUGS = text("SELECT slug FROM letter")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found. `pinned`: the words of each step: step -> variant -> language -> mailing; `fund_ids`: whom its asks
    ask for; `names`: what its rules name."""

    faults: Sequence[Found]
    remarks: Sequence[str] = ()
    pinned: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    fund_ids: Sequence[int] = ()
    names: Names = field(default_factory=Names)

    def faults_in(self, document: Document) -> list[Fault]:
        """The faults, each in its line."""
        return sorted((document.fault(at, says) for at, says in self.faults), key=lambda fault: fault.line)

    @property
    def said(self) -> list[str]:
        """The faults without lines: "steps 2, ask: there is no letter rent"."""
        return [str(Document().fault(at, says)).removeprefix("line 1: ") for at, says in self.faults]


def check(session: Session, definition: Definition, today: date, within: Sequence[int] | None = None) -> Checked:
    """Look at all of it. Nothing is pinned while there are faults. `within`: as of `names.find`."""
    chapters = [definition.chapter] if definition.chapter else []
    asked = list(definition.rules())
    names = naming.find(session, *(rule for _, rule in asked), chapters=chapters, within=within)
    letters = _letters(session, definition)
    faults: list[Found] = [*contradictions(definition), *_bygone(definition, today)]
    if definition.chapter and ("chapter", definition.chapter) not in names.found:
        faults.append((["chapter"], f"there is no chapter {definition.chapter}"))
    for at, rule in asked:
        faults += [([*at, *inside], says) for inside, says in naming.unknown(session, rule, names)]
    faults += _of_letters(session, definition, letters)
    if faults:
        return Checked(faults, names=names)
    funds = {letters[slug].fund_id for step in definition.steps if step.ask for slug in step.letters.values()}
    pinned = {
        step.key: {variant: letters[slug].spoken for variant, slug in named(step).items()}
        for step in definition.steps
        if named(step)
    }
    remarks = [*_idle(definition, today), *_tongues(letters)]
    return Checked((), remarks, pinned, sorted(funds), names)


def named(step: Step) -> Mapping[str, str]:
    """The letters that a step writes to anybody, by variant ('': there are none)."""
    return {"": step.notify} if step.notify is not None else step.letters


def contradictions(definition: Definition) -> Iterator[Found]:
    """What cannot be meant, whatever letters and names there are."""
    yield from _crowded(definition)
    for at, step in enumerate(definition.steps[:-1]):
        if step.stop is not None and step.when is None:
            yield ["steps", at + 1], f"nobody comes here: {step.key} ends it for everybody"
            break
    launched = definition.on == LAUNCH
    for at, step in enumerate(definition.steps):
        anchor = step.wait.anchor if step.wait is not None else ""
        if anchor == "gathering" and not launched:
            yield ["steps", at, "wait"], "counts from a gathering, which only a campaign has: on must be launch"
        elif anchor and not launched and definition.deadline is None:
            yield ["steps", at, "wait"], "counts from a deadline, and there is none: say it, as deadline"
    if definition.expires == "deadline" and not launched and definition.deadline is None:
        yield ["expires"], "there is no deadline: say it, as deadline"


def _crowded(definition: Definition) -> Iterator[Found]:
    """Letters of which nothing keeps the next one apart. A wait that has an `if` lets some people pass at once."""
    together: list[Step] = []
    for at, step in enumerate(definition.steps):
        if step.mails:
            near = next((each for each in together if each.when is None or step.when is None), None)
            if near is not None:
                says = f"would come at once with {near.key}: put a wait between them, or an `if` to each of them"
                yield ["steps", at, step.kind], says
            together.append(step)
        elif step.when is None and (step.wait or step.wait_for or step.stop):
            together = []


def _bygone(definition: Definition, today: date) -> Iterator[Found]:
    """Days that are too far away, or after which nothing could happen any more."""
    said: list[tuple[Sequence[str | int], date | None]] = [
        (["steps", at, "wait"], step.wait.day if step.wait else None) for at, step in enumerate(definition.steps)
    ]
    over_on = waits.day(definition.expires)
    for where, day in [(["expires"], over_on), (["deadline"], definition.deadline), *said]:
        if day is not None and day > today + waits.LONGEST_WAIT:
            yield where, f"is more than {waits.LONGEST_WAIT.days} days away"
    if over_on is not None and over_on <= today:
        yield ["expires"], "has passed: nothing of it would happen any more"
    if definition.deadline is not None and definition.deadline <= today and definition.on != LAUNCH:
        yield ["deadline"], "has passed"


def _letters(session: Session, definition: Definition) -> dict[str, Row[Any]]:
    slugs = {slug for step in definition.steps for slug in named(step).values()}
    return {row.slug: row for row in session.execute(_LETTERS, {"slugs": sorted(slugs)})} if slugs else {}


def _of_letters(session: Session, definition: Definition, letters: Mapping[str, Row[Any]]) -> Iterator[Found]:
    for at, step in enumerate(definition.steps):
        for place, (variant, slug) in enumerate(named(step).items()):
            where = ["variants", place, "letter"] if variant else [step.kind]
            if says := _misfit(session, definition, step, slug, letters.get(slug)):
                yield ["steps", at, *where], says


def _misfit(session: Session, definition: Definition, step: Step, slug: str, letter: Row[Any] | None) -> str:
    """Why this step cannot write this letter; '': it can."""
    if letter is None:
        near = get_close_matches(slug, session.scalars(_SLUGS).all(), 1)
        return f"there is no letter {slug}" + (f"; {near[0]}?" if near else "")
    if ENGLISH not in (letter.spoken or {}):
        return f"{slug} has no words"
    return (_no_ask(letter) if step.ask is not None else _no_email(definition, step, letter)) or _untold(
        definition, step, letter
    )


def _no_email(definition: Definition, step: Step, letter: Row[Any]) -> str:
    if letter.kind == ASKS:
        return f"{letter.slug} asks for money: " + ("that is no notice" if step.notify else "write it as ask")
    if not letter.kind and step.email is not None and definition.on in (LAUNCH, "daily"):
        return f"{letter.slug} needs nobody's leave, so it comes only after something that its reader did"
    return ""


def _no_ask(letter: Row[Any]) -> str:
    if letter.kind != ASKS:
        return f"{letter.slug} does not ask for money (its kind is {letter.kind or 'none'}): write it as email"
    if letter.fund_id is None:
        return f"{letter.slug} asks for no fund: give it a form or a fund, and save it again"
    return ""


def _untold(definition: Definition, step: Step, letter: Row[Any]) -> str:
    """What the letter is told elsewhere, and here by nobody. A campaign says facts of its own, and is looked at for that."""
    if definition.on == LAUNCH and step.notify is None:
        return ""
    told = TO_LEADS if step.notify is not None else triggers.FACTS[definition.on]
    lacking = sorted(letter.facts.keys() - told - vocabulary({}).keys() - Links.ALWAYS)
    whom = "to leads" if step.notify is not None else f"on {definition.on}"
    return f"{letter.slug} names {', '.join(lacking)}: no letter {whom} is told that" if lacking else ""


def _idle(definition: Definition, today: date) -> Iterator[str]:
    """What does nothing, or would be late from the beginning."""
    last = definition.steps[-1]
    if last.wait is not None or last.wait_for is not None:
        yield f"{last.key} is the last step: nobody waits there, the sequence ends before it"
    for step in definition.steps:
        if step.wait is not None and step.wait.day is not None and step.wait.day < today:
            yield f"{step.key}: {step.wait.day} has passed, nobody waits there"
    if definition.deadline is not None and definition.deadline <= today:
        yield f"its deadline, {definition.deadline}, has passed: a campaign must say one of its own"


def _tongues(letters: Mapping[str, Row[Any]]) -> Iterator[str]:
    """Letters that lack a language which others of them speak."""
    for spoken in sorted({each for letter in letters.values() for each in letter.spoken}):
        lacking = sorted(slug for slug, letter in letters.items() if spoken not in letter.spoken)
        if lacking:
            language = Locale.parse(spoken).get_display_name("en")
            says = "is not in" if len(lacking) == 1 else "are not in"
            yield f"{' and '.join(lacking)} {says} {language}, as others are: whoever reads that gets it in English"
