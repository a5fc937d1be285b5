"""What a file's header announces: which field stands in which columns, and what is assumed of people who are in it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.errors import Invalid
from engine.people_import.headings import FIELDS, MAILCHIMP, Tool, fold, recognised
from engine.sources.words import clean

MOST_COLUMNS = 1_000
LONGEST_NAME = 60  # of a custom field
SUBSCRIBED, UNSUBSCRIBED, CLEANED, COMPLAINED = "subscribed", "unsubscribed", "cleaned", "complained"
UNKNOWN = "unknown"  # nobody told whether she wants mail
UNREAD = "unread"  # her row could not be read: it may have said no
STRICTEST = (COMPLAINED, CLEANED, UNSUBSCRIBED, UNREAD, UNKNOWN, SUBSCRIBED)  # the first wins
_CUSTOM = "custom:"
_KIND_OF_FILE = re.compile(r"(unsubscribed|subscribed|cleaned)", re.IGNORECASE)
_OF_NO_SUBSCRIBERS = re.compile(
    r"(non[-_ ]?subscribed|archived)", re.IGNORECASE
)  # whose columns are those of subscribers


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operator said of a file: whose it is, fields of her own columns (heading -> field), what is assumed."""

    tool: Tool | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    assumed: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns by field (several: the first that says something), custom fields with their column, how many there are.

    `assumed`: the standing of who is in the file, where her row says nothing stricter.
    """

    tool: Tool
    places: Mapping[str, tuple[int, ...]]
    custom: tuple[tuple[str, int], ...]
    width: int
    assumed: str


def layout_of(header: Sequence[str], name: str, choices: Choices) -> Layout:
    """What this header of the file of this name announces. Raises Invalid, in one sentence, for what is no list of people."""
    if len(header) > MOST_COLUMNS:
        raise Invalid(f"{len(header):,} columns: a list of people has at most {MOST_COLUMNS:,}")
    said = [clean(heading) for heading in header]
    folded = [fold(heading) for heading in said]
    tool = choices.tool or recognised(frozenset(folded))
    asked = {fold(heading): field for heading, field in choices.mapping.items()}
    if missing := [heading for heading in choices.mapping if fold(heading) not in folded]:
        raise Invalid(f"there is no column {', '.join(missing)}")
    places: dict[str, list[int]] = {}
    custom: dict[str, int] = {}
    for place, heading in enumerate(folded):
        field = asked.get(heading) or tool.headings.get(heading) or _custom(tool, heading, said[place])
        if field.startswith(_CUSTOM):
            custom.setdefault(field[len(_CUSTOM) :].strip() or said[place][:LONGEST_NAME], place)
        elif field not in FIELDS:
            raise Invalid(f"there is no field {field}; fields are {', '.join(sorted(FIELDS))} and custom:NAME")
        else:
            places.setdefault(field, []).append(place)
    _check(places, folded)
    kept = {field: _in_order(found, folded, tool, field) for field, found in places.items() if field != "ignore"}
    return Layout(tool, kept, tuple(custom.items()), len(folded), choices.assumed or _assumed(tool, name, folded))


def _custom(tool: Tool, heading: str, said: str) -> str:
    """What becomes of a column that is no field."""
    if heading in tool.custom:
        return _CUSTOM + tool.custom[heading]
    if heading.startswith("custom:"):  # our own exports
        return _CUSTOM + said[len(_CUSTOM) :][:LONGEST_NAME]
    ours = heading.startswith("groundswell ")  # a file of refused rows, mended
    takes = tool.takes_all and not ours and heading and not heading.startswith(tool.leaves)
    return _CUSTOM + said[:LONGEST_NAME] if takes else "ignore"


def _check(places: Mapping[str, Sequence[int]], folded: Sequence[str]) -> None:
    if not {"email", "email1"} & places.keys():
        raise Invalid("this is no list of people: it has no column for email addresses (--map COLUMN=email names one)")
    counted = Counter(folded[place] for place in places.get("email", ()))
    if double := [heading for heading, count in counted.items() if count > 1]:
        raise Invalid(f"columns stand twice: {', '.join(double)}")


def _in_order(found: Sequence[int], folded: Sequence[str], tool: Tool, field: str) -> tuple[int, ...]:
    """Columns of one field in the order in which the tool's table names them: a confirmation before an opt-in."""
    order = {heading: rank for rank, (heading, each) in enumerate(tool.headings.items()) if each == field}
    return tuple(sorted(found, key=lambda place: (order.get(folded[place], -1), place)))


def _assumed(tool: Tool, name: str, folded: Sequence[str]) -> str:
    """Mailchimp tells by the name of a file who is in it, else by its columns; elsewhere a person's own row has to say."""
    if tool is not MAILCHIMP or "status" in folded:
        return UNKNOWN
    if _OF_NO_SUBSCRIBERS.search(name):
        return UNKNOWN
    if found := _KIND_OF_FILE.match(name):
        return found[1].lower()
    if "last changed" in folded:
        return SUBSCRIBED
    return CLEANED if "clean time" in folded else UNSUBSCRIBED if "unsub time" in folded else UNKNOWN
