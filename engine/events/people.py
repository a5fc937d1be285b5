"""People who signed up or acted somewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from engine.events.root import Event, Person


@dataclass(frozen=True, slots=True)
class Wishes:
    """What someone said on a form of ours beside who she is. Codes are those of interests and ways to help.

    `form`: "join", or "join/" and a chapter's slug: she chose that chapter. `gathering`: the code of that she signed up at.
    `confirm`: her yes counts only once she has confirmed it by letter. `introduce`: she agreed to be introduced to others of
    her place, so that a chapter may begin there.
    """

    form: str
    language: str = "en"
    interests: tuple[str, ...] = ()
    ways_to_help: tuple[str, ...] = ()
    chapter: str = ""
    gathering: str = ""
    confirm: bool = False
    introduce: bool = False


@dataclass(frozen=True, slots=True)
class SignUpReported(Event):
    """Someone signed up or acted elsewhere. `kind`: signup; of Action Network's: submission, signature, attendance,
    donation, outreach, action, upload.

    `mail` and `text` are consent to either: True given, False withdrawn, None not said. `place` is where (a page or the
    name of an action), `wording` what she agreed to, `detail` what else was told (JSON values). `wishes`: of a form of ours.
    """

    source: str
    source_key: str
    kind: str
    person: Person
    at: datetime
    mail: bool | None = None
    text: bool | None = None
    place: str = ""
    wording: str = ""
    tags: tuple[str, ...] = ()
    detail: Mapping[str, object] = field(default_factory=dict)
    wishes: Wishes | None = None


@dataclass(frozen=True, slots=True)
class SignedUp(Event):
    """A sign-up is on record. `contact_id` is None when it came without an address we can write to."""

    word: ClassVar[str] = "sign-up"

    sign_up_id: int
    contact_id: int | None


@dataclass(frozen=True, slots=True)
class ConfirmationAsked(Event):
    """Someone is to say by letter whether it was she who signed up."""

    word: ClassVar[str] = "confirmation"

    confirmation_id: int


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """A person's yes to mail, given on a form of ours or on a website that posts it to us, or confirmed by letter, holds from
    now on: she is to be welcomed."""

    contact_id: int


@dataclass(frozen=True, slots=True)
class HelpOffered(Event):
    """A person offers to help in a way in which she did not before: somebody is to get in touch with her."""

    contact_id: int


@dataclass(frozen=True, slots=True)
class ChapterChanged(Event):
    """A contact has another home chapter. `by`: how it was chosen, as `contact.routed_by` says it."""

    contact_id: int
    from_chapter_id: int | None
    to_chapter_id: int | None
    by: str


@dataclass(frozen=True, slots=True)
class ContactMerged(Event):
    """Two contacts were one person: all that was the first's is the second's from now on."""

    contact_id: int
    into_id: int


@dataclass(frozen=True, slots=True)
class ContactErased(Event):
    """A person is to be forgotten: each area takes out what it knows of her. `email`: what it was, not to be kept."""

    contact_id: int
    email: str | None


@dataclass(frozen=True, slots=True)
class PlacesLeft(Event):
    """So many people left the sequence of a campaign before its end."""

    campaign_id: int
    people: int
