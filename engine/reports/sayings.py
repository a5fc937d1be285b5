"""What became of steps and letters, in plain sentences about her. Pure: rows come in, sentences go out.

A moment that stands within a sentence is told where she lives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from engine.outreach.definitions import EVENTS, LAUNCH, TRIGGERS, Definition


@dataclass(frozen=True, slots=True)
class Said:
    """One decision, or what lies ahead. `at`: when it was, or will be; `about`: of what ("welcome", "letter supper")."""

    at: datetime
    about: str
    says: str


class Place(Protocol):
    """An enrollment, with the names of what it is of (`sequence`, `campaign`: slugs or '')."""

    sequence: str
    campaign: str
    version: int
    run: int
    rotation: int
    state: str
    reason: str
    step: str
    due_at: datetime
    entered_at: datetime
    ended_at: datetime | None
    waits_for: str
    heard: bool
    history: Sequence[Sequence[Any]]
    stands_still: str
    gave_at: datetime | None


class Letter(Protocol):
    """A letter, with its slug (`letter`), and what is known of why it is as it is. `refusal`, `rests`: as it stands now."""

    letter: str
    mailing: str
    step: str
    state: str
    reason: str
    at_cap: str
    due_at: datetime
    expires_at: datetime | None
    created_at: datetime
    handed_at: datetime | None
    delivered_at: datetime | None
    clicked_at: datetime | None
    gave_at: datetime | None
    refusal: str
    rests: str | None
    stands_still: str


@dataclass(slots=True)
class Account:
    """The sentences about one person: what was decided, and what lies ahead. `zone`: hers."""

    zone: str
    decided: list[Said] = field(default_factory=list)
    ahead: list[Said] = field(default_factory=list)

    def place(self, place: Place, definition: Definition) -> None:
        """Her way through a sequence or campaign so far, and what comes next."""
        about = place.campaign or place.sequence
        # Steps are kept by the second: she has entered before the first of them.
        entered_at = place.entered_at.replace(microsecond=0)
        self.decided.append(Said(entered_at, about, _entered(place, definition)))
        for step, outcome, reason, seconds in place.history:
            self.decided.append(Said(datetime.fromtimestamp(seconds, UTC), about, _step(step, outcome, reason)))
        if place.state == "active":
            self.ahead.append(Said(place.due_at, about, self._next(place)))
        elif place.ended_at is not None:
            self.decided.append(Said(place.ended_at, about, self._ended(place)))

    def letter(self, letter: Letter) -> None:
        """What became of a letter, or what it waits for."""
        about = f"letter {letter.mailing}"
        step = f" for the step {letter.step}" if letter.step else ""
        self.decided.append(Said(letter.created_at, about, f"was written{step}, due {self.moment(letter.due_at)}"))
        if letter.state == "ready":
            self.ahead.append(Said(letter.due_at, about, self._waits(letter)))
            return
        if letter.handed_at is not None:
            self.decided.append(Said(letter.handed_at, about, "was handed to the mail provider"))
        if letter.delivered_at is not None:
            self.decided.append(Said(letter.delivered_at, about, "arrived"))
        if letter.clicked_at is not None:
            self.decided.append(Said(letter.clicked_at, about, "she followed a link in it"))
        if says := self._became(letter):
            self.decided.append(Said(_last(letter), about, says))

    def rest(self, since: datetime, until: datetime, says: str, fund: str | None, now: datetime) -> None:
        """Why she is not asked for money, and until when."""
        of = f" of {fund}" if fund else ""
        if until > now:
            self.ahead.append(Said(until, "asks", f"asks{of} rest until then: {says}"))
        self.decided.append(Said(since, "asks", f"asks{of} rest until {self.moment(until)}: {says}"))

    def moment(self, at: datetime) -> str:
        """A moment where she lives: "3 November 2026, 12:00"."""
        here = at.astimezone(ZoneInfo(self.zone))
        return f"{here.day} {here:%B %Y, %H:%M}"

    def day(self, at: datetime) -> str:
        """The same without the hour."""
        here = at.astimezone(ZoneInfo(self.zone))
        return f"{here.day} {here:%B %Y}"

    def _next(self, place: Place) -> str:
        waits = EVENTS.get(place.waits_for, place.waits_for)
        if place.waits_for and not place.heard:
            says = f"she waits at most until then for this: {waits}; after that comes the step {place.step}"
        else:
            says = f"the step {place.step} is next"
        return f"{says}; it stands still: {place.stands_still}" if place.stands_still else says

    def _ended(self, place: Place) -> str:
        if place.state == "finished":
            return "came to its end" + (": stopped" if place.reason == "stopped" else "")
        return f"left: {self._with_gift(place.reason, place.gave_at)}"

    def _became(self, letter: Letter) -> str:
        reason = self._with_gift(letter.reason, letter.gave_at)
        because = f": {reason}" if reason else ""
        return {
            "skipped": f"was not sent{because}",
            "cancelled": f"was cancelled{because}",
            "expired": f"was dropped{because}",
            "failed": f"could not be sent{because}",
            "bounced": f"came back{because}",
            "dropped": f"was not taken on by the mail provider{because}",
            "complained": "she called it spam",
        }.get(letter.state, "")

    def _with_gift(self, reason: str, gave_at: datetime | None) -> str:
        return f"{reason} (on {self.day(gave_at)})" if reason == "gave" and gave_at is not None else reason

    def _waits(self, letter: Letter) -> str:
        says = "leaves then at the earliest"
        if letter.reason:
            says = f"was put off until then: {letter.reason}"
        now = letter.refusal or letter.rests or ""
        if letter.stands_still:
            says += f"; it stands still: {letter.stands_still}"
        elif now:
            says += f"; as it stands it would not be sent: {now}"
        if letter.expires_at is not None:
            says += f"; it is dropped after {self.moment(letter.expires_at)}"
        return says


def _last(letter: Letter) -> datetime:
    return max(at for at in (letter.due_at, letter.handed_at, letter.delivered_at) if at is not None)


def _entered(place: Place, definition: Definition) -> str:
    if place.campaign:
        run = f", its run {place.run}" if place.run > 1 else ""
        return f"entered the campaign {place.campaign}{run}: it chose her"
    again = f", for the {place.rotation + 1}. time" if place.rotation else ""
    why = "it was launched" if definition.on == LAUNCH else TRIGGERS.get(definition.on, definition.on)
    return f"entered the sequence {place.sequence} (version {place.version}){again}: {why}"


def _step(step: str, outcome: str, reason: str) -> str:
    because = f": {reason}" if reason else ""
    says: Mapping[str, str] = {
        "written": "its letter was written" + (f", in the variant {reason}" if reason else ""),
        "skipped": f"was passed over{because}",
        "held out": f"she gets no letter, to compare with those who do{because}",
        "waited": f"a wait{f' {reason}' if reason else ''}",
        "heard": f"what it waited for came: {EVENTS.get(reason, reason)}",
        "timed out": f"it waited in vain for this: {EVENTS.get(reason, reason)}",
        "tagged": f"she is called {reason} from now on",
        "told": f"the leads of her chapter were told, by the letter {reason}",
        "stopped": "the end" + (": no more letters until she does something herself" if reason else ""),
    }
    return f"step {step}: {says.get(outcome, outcome + because)}"
