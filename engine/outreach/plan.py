"""What happens next to one person in a sequence. Pure: a definition, her place in it, facts and times come in; letters to be
written and her next place come out.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Literal
from zoneinfo import ZoneInfo

from engine.outreach import timing
from engine.outreach.definitions import Definition, Step, Wait, WaitFor


@dataclass(frozen=True, slots=True)
class Place:
    """Where she stands: her enrollment. `step`: the key of what is next; `due_at`: when that is, or was, due."""

    contact_id: int
    step: str
    due_at: datetime
    entered_at: datetime
    waits_for: str = ""
    heard: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of her at this moment. `zone`: the IANA name of where she lives; `goal`, `leaves`: whether the goal is
    reached, the rule to leave by holds; `passes`: the keys of the steps whose `if` holds (a step without one is not in it)"""

    zone: str
    goal: bool = False
    leaves: bool = False
    passes: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for everybody in it: the moments that waits count from, each in the zone in which its days are meant (the
    organisation's: `timing.beginning`), and the full hours of her day in which nothing comes (none: it comes at any hour)."""

    deadline: datetime | None = None
    gathering: datetime | None = None
    quiet: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter to be written to her: of this step, in this variant ('': there are none). After `expires_at` it is dropped."""

    step: str
    variant: str
    due_at: datetime
    expires_at: datetime | None
    at_cap: str


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a step, for people to read: `outcome` is one word (written, skipped, held out, waited, heard, timed out,
    tagged, told, stopped), `reason` says why."""

    step: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """What follows. `step`, `due_at`, `waits_for`: her next place; in the states finished and left there is none. `tags`:
    words that she gets; `notifies`: keys of steps whose letter her chapter's leads get; `rests`: she gets no letters any more
    until she does something."""

    state: Literal["active", "finished", "left"]
    reason: str
    step: str
    due_at: datetime
    waits_for: str = ""
    letters: tuple[Letter, ...] = ()
    tags: tuple[str, ...] = ()
    notifies: tuple[str, ...] = ()
    rests: bool = False
    done: tuple[Done, ...] = ()


# Why a step did nothing, and why somebody is out of it.
NO_RULE = "its rule does not hold"
OVERTAKEN = "a later letter of the same sequence is due already"
TOO_LATE = "its time would have passed"
NOTHING_AFTER = "nothing comes after it"
GAVE, GOAL, BY_RULE, PASSED = "gave", "goal reached", "left by its rule", "its time has passed"


def plan(  # noqa: PLR0917 what is told, each of another kind
    definition: Definition, place: Place, facts: Facts, terms: Terms, now: datetime, salt: str
) -> Planned:
    """What follows for her now, up to the next wait that is not over, or the end.

    Rules are as `facts` has them, whatever the steps of this turn change. `salt`: what makes the draw of variants and of
    those held out another one in each version; for one salt each of her tries has the same.
    """
    expires_at = timing.expiry(definition, place.entered_at, terms.deadline, facts.zone)
    if facts.goal:
        return _left(GAVE if definition.goal == "gave" else GOAL, now)
    if facts.leaves:
        return _left(BY_RULE, now)
    if expires_at is not None and now >= expires_at:
        return _left(PASSED, now)
    if now < place.due_at and not place.heard:
        return Planned("active", "", place.step, place.due_at, place.waits_for)
    return _Turn(definition.steps, place, facts, terms, now, salt, expires_at, min(place.due_at, now)).planned()


def drawn(step: Step, salt: str, contact_id: int) -> str | None:
    """Which of this step's letters she gets ('': there is one); None: she is held out. Always the same for one salt."""
    if step.holdout is not None and _draw(step, "holdout", salt, contact_id) * 100 < step.holdout:
        return None
    if step.variants is None:
        return ""
    left = _draw(step, "variant", salt, contact_id) * sum(each.weight for each in step.variants)
    for each in step.variants:
        left -= each.weight
        if left < 0:
            return each.key
    return step.variants[-1].key


def _draw(step: Step, what: str, salt: str, contact_id: int) -> float:
    """Between 0 and 1."""
    said = f"{salt}:{step.key}:{what}:{contact_id}".encode()
    return int.from_bytes(blake2b(said, digest_size=6).digest()) / 2**48


def _left(reason: str, now: datetime) -> Planned:
    return Planned("left", reason, "", now)


@dataclass(slots=True)
class _Turn:
    """One turn through the steps that are next. `due`: when the present one was due. `letters`: each with its place in `done`
    and whether it goes whatever else is due; None: she was held out."""

    steps: Sequence[Step]
    place: Place
    facts: Facts
    terms: Terms
    now: datetime
    salt: str
    expires_at: datetime | None
    due: datetime
    done: list[Done] = field(default_factory=list)
    letters: list[tuple[int, Letter | None, bool]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    notifies: list[str] = field(default_factory=list)

    def planned(self) -> Planned:
        """Go on from her place."""
        at = next((number for number, step in enumerate(self.steps) if step.key == self.place.step), None)
        if at is None:
            return _left("its step is no more", self.now)
        if self.place.waits_for:
            self.say(self.steps[max(at - 1, 0)], "heard" if self.place.heard else "timed out", self.place.waits_for)
        for number in range(at, len(self.steps)):
            step = self.steps[number]
            if step.when is not None and step.key not in self.facts.passes:
                self.say(step, "skipped", NO_RULE)
            elif ended := self.take(step, self.steps[number + 1].key if number + 1 < len(self.steps) else ""):
                return ended
        return self.ends("finished", "")

    def take(self, step: Step, behind: str) -> Planned | None:
        """Do one step; the whole plan, when the turn is over with it."""
        if step.wait is not None:
            return self.wait(step, step.wait, behind)
        if step.wait_for is not None:
            return self.wait_for(step, step.wait_for, behind)
        if step.stop is not None:
            self.say(step, "stopped", "rests" if step.stop.rest else "")
            return self.ends("finished", "stopped", rests=step.stop.rest)
        if step.tag is not None:
            self.tags.append(step.tag)
            self.say(step, "tagged", step.tag)
        elif step.notify is not None:
            self.notifies.append(step.key)
            self.say(step, "told", step.notify)
        else:
            self.write(step)
        return None

    def wait(self, step: Step, wait: Wait, behind: str) -> Planned | None:
        if not behind:
            self.say(step, "skipped", NOTHING_AFTER)
            return None
        anchor = self.terms.gathering if wait.anchor == "gathering" else self.terms.deadline
        until = timing.end_of_wait(wait, self.now, self.facts.zone, anchor)
        if until is None:
            return self.ends("left", f"there is no {wait.anchor} to count from")
        self.say(step, "waited", f"until {until.astimezone(ZoneInfo(self.facts.zone)):%Y-%m-%d %H:%M}")
        if until > self.now:
            return self.stays(behind, until)
        self.due = until
        return None

    def wait_for(self, step: Step, wait: WaitFor, behind: str) -> Planned | None:
        if not behind:
            self.say(step, "skipped", NOTHING_AFTER)
            return None
        return self.stays(behind, timing.later(self.now, wait.within), wait.event)

    def write(self, step: Step) -> None:
        """A letter, unless she is held out, or it is too late for it."""
        late = step.late is not None and self.now > timing.later(self.due, step.late.after)
        if late and step.late is not None and step.late.then == "skip":
            self.say(step, "skipped", f"it was due {self.due:%Y-%m-%d %H:%M} UTC, more than {step.late.after} ago")
            return
        leaves_at = timing.awake(self.now, self.terms.quiet, self.facts.zone)
        ends = [self.expires_at] if self.expires_at is not None else []
        ends += [timing.later(self.due, step.expires)] if step.expires is not None else []
        expires_at = min(ends, default=None)
        if expires_at is not None and leaves_at >= expires_at:
            self.say(step, "skipped", TOO_LATE)
        elif (variant := drawn(step, self.salt, self.place.contact_id)) is None:
            self.letters.append((len(self.done), None, late))
            self.say(step, "held out", f"one of {step.holdout} in a hundred")
        else:
            letter = Letter(step.key, variant, leaves_at, expires_at, step.at_cap)
            self.letters.append((len(self.done), letter, late))
            self.say(step, "written", letter.variant)

    def say(self, step: Step, outcome: str, reason: str = "") -> None:
        self.done.append(Done(step.key, outcome, reason))

    def stays(self, step: str, due_at: datetime, waits_for: str = "") -> Planned:
        return self.whole("active", "", step, due_at, waits_for)

    def ends(self, state: Literal["finished", "left"], reason: str, *, rests: bool = False) -> Planned:
        return self.whole(state, reason, "", self.now, rests=rests)

    def whole(
        self,
        state: Literal["active", "finished", "left"],
        reason: str,
        step: str,
        due_at: datetime,
        waits_for: str = "",
        *,
        rests: bool = False,
    ) -> Planned:
        """Of several letters only the last is written, but for those that go however late they are."""
        letters = []
        for number, letter, always in self.letters:
            if always or (number, letter, always) == self.letters[-1]:
                letters += [letter] if letter is not None else []
            else:
                self.done[number] = replace(self.done[number], outcome="skipped", reason=OVERTAKEN)
        return Planned(
            state, reason, step, due_at, waits_for, tuple(letters), tuple(self.tags), tuple(self.notifies), rests,
            tuple(self.done),
        )  # fmt: skip
