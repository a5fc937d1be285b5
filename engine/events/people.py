"""People who signed up or acted somewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from engine.events.root import Event, Person


@dataclass(frozen=True, slots=True)
class SignUpReported(Event):
    """Someone signed up or acted elsewhere. `kind`: signup; of Action Network's: submission, signature, attendance,
    donation, outreach, action, upload.

    `mail` and `text` are consent to either: True given, False withdrawn, None not said. `place` is where (a page or the
    name of an action), `wording` what she agreed to, `detail` what else was told (JSON values).
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


@dataclass(frozen=True, slots=True)
class SignedUp(Event):
    """A sign-up is on record. `contact_id` is None when it came without an address we can write to."""

    word: ClassVar[str] = "sign-up"

    sign_up_id: int
    contact_id: int | None
