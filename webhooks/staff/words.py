"""How the pages of staff say what rows hold: days, reasons, kinds of letters, states. English only."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup
from sqlalchemy import Row

from engine.giving.ledger import STATUS_WORDS
from engine.money import amount
from engine.states import STATES

KINDS = {
    "": "letters", "asks": "requests for gifts", "news": "news", "gatherings": "word of gatherings",
    "actions": "calls to act",
    "chapter": "chapter letters", "many": "as many letters as there are", "pause": "letters for a while",
}  # fmt: skip
OF_LETTERS = {
    "": "Transactional", "asks": "A request for gifts", "news": "News", "gatherings": "Word of a gathering",
    "actions": "A call to act",
}  # fmt: skip
STOPPED = {
    "bounce": "letters to this address come back", "complaint": "marked a letter as junk", "unsubscribe": "unsubscribed",
    "invalid": "the address does not exist", "manual": "stopped by staff", "erased": "erased",
}  # fmt: skip
LISTS = {"open": "Open", "placed": "Placed", "withdrawn": "Withdrawn"}
OFFERS = {
    "contacted": "We have talked", "placed": "Has a place now", "new": "Back to new", "withdrawn": "Withdraw",
}  # fmt: skip
DONE = {
    "placed": "The home chapter is set.", "stopped": "No letter goes to this address any more.",
    "noted": "The note is kept.", "moved": "The offer has moved on.",
    "merged": "The two records are one now.", "approved": "Approved. People move within minutes.", "declined": "Declined.",
    "sparked": "Approved: the forming chapter is there.", "erased": "Erased for good.",
    "kept": "Kept, as a new version.", "same": "Nothing was changed.", "tested": "The test is on its way to you.",
    "note": "The note is kept.", "unnoted": "The note is taken out.", "resumed": "It goes on.",
}  # fmt: skip
_FIELD = re.compile(r"\{[{%].*?[%}]\}")
_THROUGH = {
    "join": "on our own form", "confirm": "by the button of our letter", "preferences": "on their own page",
    "one-click": "by the button of a mail program", "unsubscribe page": "by the link in a letter",
    "signup": "told by another system", "actionnetwork": "told by Action Network", "sendgrid": "told by SendGrid",
    "gift": "with a gift", "merge": "from a record that was merged into this one",
}  # fmt: skip
_WHY = {
    "staff": "Placed here by staff", "choice": "Chose this chapter", "entity": "Gave to this chapter's own committee",
    "choice gathering": "Signed up at a gathering of this chapter", "unconfirmed": "Has not confirmed the sign-up yet",
    "zip": "Lives in ZIP {on}", "county": "Lives in {on}", "radius": "Lives {on} away", "state": "Lives in {on}",
    "root": "No chapter is near: {on}", "operator": "On the staff",
}  # fmt: skip
_SNAPSHOT = (
    ("first_name", "last_name"), ("street", "city", "state", "zip", "country"), ("occupation",), ("employer",),
    ("email",), ("phone",),
)  # fmt: skip


def day(at: datetime) -> str:
    """An instant's day, spelled out: "21 November 2026"."""
    return f"{at.day} {at:%B %Y}"


def bare(subject: str) -> str:
    """A subject with a mark where each of its fields stands."""
    return _FIELD.sub("…", subject)


def marked(said: str) -> Markup:
    """A sentence whose `words in backticks` are code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(said.split("`"))
    )


def until(at: datetime, zone: str) -> str:
    """A deadline where the house is: "1 January 2030, 18:00 (America/New_York)"."""
    there = at.astimezone(ZoneInfo(zone))
    return f"{day(there)}, {there:%H:%M} ({zone})"


def people(number: int) -> str:
    """How many: "1 person", "4,812 people"."""
    return "1 person" if number == 1 else f"{number:,} people"


def why(person: Row[Any]) -> str:
    """Why someone's chapter is her home, in a sentence."""
    by, on = str(person.routed_by), place(str(person.routed_on))
    return _WHY.get(f"{by} {on}", _WHY.get(by, by)).format(on=on)


def through(source: str, place: str) -> str:
    """Through what someone spoke, and where: "on our own form (join/worcester)"."""
    if source.startswith("import:"):
        said = "in a list from " + source.removeprefix("import:").capitalize()
    elif place.startswith("sheet/"):
        said, place = "on a paper sheet", place.removeprefix("sheet/")
    else:
        said = _THROUGH.get(source, source)
    return f"{said} ({place})" if place not in ("", source) else said


def place(told: str) -> str:
    """A county as one says it: "MA:Worcester County" -> "Worcester County, MA"."""
    state, mark, county = told.partition(":")
    return f"{county}, {state}" if mark else told


def gift(row: Row[Any]) -> str:
    """The amount of a gift."""
    rhythm = "" if row.recurring_period in ("", "once") else f", {row.recurring_period}"
    return amount(row.amount_cents, row.currency) + rhythm


def status(row: Row[Any]) -> str:
    """How a gift stands, and how much of it is ordered back and not booked yet: "partly given back, $5 ordered back"."""
    stands = STATUS_WORDS.get(row.status, row.status)
    back = row.ordered_back_cents
    return f"{stands}, {amount(back, row.currency)} ordered back" if back else stands


def snapshot(donor: Mapping[str, Any] | None) -> str:
    """Who gave, as it was told: the treasurer's record, a line for each of name, home, work and how to reach them."""
    told = donor or {}
    lines = (" ".join(str(told[name]) for name in names if told.get(name)) for names in _SNAPSHOT)
    return "; ".join(line for line in lines if line)


def donor(told: Mapping[str, Any]) -> str:
    """What to call who gave, of whom nothing but the treasurer's record is left: her name, else her address."""
    name = " ".join(str(told[part]) for part in _SNAPSHOT[0] if told.get(part))
    return name or str(told.get("email") or "without a name")


def following(state: str) -> Sequence[str]:
    """What an offer in this state may become."""
    return STATES["volunteer_offer"].get(state, ())


def changes(detail: Mapping[str, Any]) -> str:
    """What the audit names, in one line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in detail.items() if value not in (None, ""))
