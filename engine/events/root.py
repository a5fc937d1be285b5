"""What all events have in common, and the words they are made of.

`cause` is the id of the inbound event from which a fact followed: log lines and letters carry it from request to mailbox.
`word` says in one word what an event put on record, or of an `idle` one why nothing was; an inbound event of which no word
came was told before.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class RawEvent:
    """What an outsider sent, as the inbox keeps it: not an event of ours yet. `kind`: what the receiver knows of it."""

    id: int
    source: str
    key: str
    kind: str
    body: bytes
    attempts: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Event:
    """Root of all events."""

    word: ClassVar[str] = ""
    idle: ClassVar[bool] = False

    cause: int | None


@dataclass(frozen=True, slots=True)
class Person:
    """Who gave or signed up, as the source said it. `email` is normalised, or None when hidden or unusable.

    `zip` is five digits or None; the rest is verbatim. Of a gift it is kept whole: the treasurer's snapshot.
    """

    email: str | None = None
    first_name: str = ""
    last_name: str = ""
    street: str = ""
    city: str = ""
    state: str = ""
    zip: str | None = None
    country: str = ""
    phone: str = ""
    employer: str = ""
    occupation: str = ""


@dataclass(frozen=True, slots=True)
class LettersComposed(Event):
    """Letters are ready to leave in this lane (see `engine.bell`)."""

    lane: str


@dataclass(frozen=True, slots=True)
class StepsDue(Event):
    """People have a step of a sequence to be done at once, or a campaign begins."""


@dataclass(frozen=True, slots=True)
class HumanNeeded(Event):
    """Something needs a person. Same `kind` and `subject`: the same open matter. No personal data in either."""

    kind: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class MatterSettled(Event):
    """What needed a person needs one no more."""

    kind: str
    subject: str
