"""Letters: what their provider tells of them, and what that means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from engine.events.root import Event


@dataclass(frozen=True, slots=True)
class LetterReported(Event):
    """The provider says what became of a letter. `kind` is its word: processed delivered deferred bounce blocked dropped
    open click spamreport unsubscribe.

    `message_id` and `handover_id` are ours, given back; None when they were lost on the way. `provider_id` names the
    handover at the provider. `suppresses`: why the address must not be written to any more (a reason of `suppression`), or
    nothing. `machine`: told to be no person. `code`: whom the letter went to and for what (`engine.mail.codes`).
    """

    kind: str
    at: datetime
    email: str | None
    message_id: int | None = None
    handover_id: int | None = None
    provider_id: str = ""
    url: str = ""
    reason: str = ""
    suppresses: str = ""
    machine: bool = False
    code: str = ""


@dataclass(frozen=True, slots=True)
class AccountReported(Event):
    """The mail provider changed our account (`status`: suspended, or its own word for anything else)."""

    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LetterUnknown(Event):
    """What the provider told is about no letter of ours, or about one to somebody else: it changes nothing."""

    word: ClassVar[str] = "no letter of ours"
    idle: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class LetterDelivered(Event):
    """The recipient's server took a letter; a bounce may still follow."""

    word: ClassVar[str] = "delivered"

    message_id: int


@dataclass(frozen=True, slots=True)
class LetterDeferred(Event):
    """The recipient's server asked to come again; the provider does."""

    word: ClassVar[str] = "deferred"

    message_id: int


@dataclass(frozen=True, slots=True)
class LetterBounced(Event):
    """The recipient's server refused a letter for good; `suppressed` when the address is at fault."""

    word: ClassVar[str] = "bounced"

    message_id: int
    suppressed: bool


@dataclass(frozen=True, slots=True)
class LetterDropped(Event):
    """The provider did not send a letter."""

    word: ClassVar[str] = "dropped"

    message_id: int


@dataclass(frozen=True, slots=True)
class Complained(Event):
    """The recipient called a letter spam: nothing more to that address."""

    word: ClassVar[str] = "complained"

    message_id: int


@dataclass(frozen=True, slots=True)
class Unsubscribed(Event):
    """A person wants no more letters of ours."""

    word: ClassVar[str] = "unsubscribed"

    contact_id: int


@dataclass(frozen=True, slots=True)
class LetterOpened(Event):
    """A letter's picture was fetched, by a person as far as can be known when `machine` is False."""

    word: ClassVar[str] = "opened"

    message_id: int
    machine: bool


@dataclass(frozen=True, slots=True)
class LetterClicked(Event):
    """A link of a letter was followed, by a person as far as can be known when `machine` is False."""

    word: ClassVar[str] = "clicked"

    message_id: int
    machine: bool


@dataclass(frozen=True, slots=True)
class LetterTended(Event):
    """One of the links was followed by which a reader looks after her letters (stops them, chooses what she gets): a sign of
    life, and no click. By a person as far as can be known when `machine` is False."""

    word: ClassVar[str] = "looked after"

    message_id: int
    machine: bool


@dataclass(frozen=True, slots=True)
class MailStopped(Event):
    """The mail provider suspended our account: campaigns stand still until a person lifts the hold."""

    word: ClassVar[str] = "account suspended"


@dataclass(frozen=True, slots=True)
class StepCounted(Event):
    """So many more letters of one step of a sequence became what `counts` names (columns of step_tally; less: below zero).
    `told_of`: of those that are told later than they left (bounced, complained, unsubscribed), the handover of each."""

    version_id: int
    campaign_id: int
    mailing_id: int
    chapter_id: int
    step: str
    counts: Mapping[str, int]
    told_of: Mapping[str, Sequence[int]] = field(default_factory=dict)
