"""Our events: facts in the past tense. Parsers make them of outsiders' words, areas make them of each other's.

`cause` is the id of the inbound event from which a fact followed: log lines and letters carry it from request to mailbox.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Event:
    """Root of all events."""

    cause: int | None


@dataclass(frozen=True, slots=True)
class Donor:
    """Who gave, as the source said it. `email` is normalised, or None when hidden or unusable; the rest is verbatim.

    `zip` is five digits or None. Kept whole on the contribution as the treasurer's snapshot.
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
class ContributionReported(Event):
    """A source says that money was given. `paid_at` is aware and keeps the source's own offset."""

    source: str
    source_key: str
    amount_cents: int
    paid_at: datetime
    donor: Donor
    currency: str = "usd"
    order_number: str = ""
    form_slug: str = ""
    refcode: str = ""
    refcode2: str = ""
    entity_id: int | None = None
    entity_name: str = ""
    recurring_period: str = "once"
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class ContributionRecorded(Event):
    """A contribution is on the books, for the first time. `contact_id` is None when the form hid the address."""

    contribution_id: int
    contact_id: int | None


@dataclass(frozen=True, slots=True)
class LettersComposed(Event):
    """Letters are ready to leave in this lane (see `engine.bell`)."""

    lane: str


@dataclass(frozen=True, slots=True)
class HumanNeeded(Event):
    """Something needs a person. Same `kind` and `subject`: the same open matter. No personal data in either."""

    kind: str
    subject: str
    detail: str
