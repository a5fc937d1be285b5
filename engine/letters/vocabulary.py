"""What letters can name: the fields, each with its kind and a sample; and how they are read for a reader.

Values are plain text, numbers, yes or no, our own links, or lists of such. Nothing else ever reaches a template.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from babel.dates import format_skeleton
from markupsafe import Markup

from engine.languages import ENGLISH, long_date
from engine.money import dollars

# What a value is: TEXT and NUMBER are printed, a FLAG is asked for, a URL is a link that we made, HTML a piece that we made.
TEXT, NUMBER, FLAG, URL, HTML = "text", "number", "flag", "url", "html"


@dataclass(frozen=True, slots=True)
class Record:
    """A value with named parts: `rung.words`."""

    parts: Mapping[str, "Kind"]


@dataclass(frozen=True, slots=True)
class Rows:
    """A list of values with the same named parts: `ladder`."""

    parts: Mapping[str, "Kind"]


Kind = str | Record | Rows
Vocabulary = Mapping[str, Kind]

RUNG: Mapping[str, Kind] = MappingProxyType({"words": TEXT, "amount": TEXT, "url": URL})

# What the sender says, the same for all who get one mailing from one chapter, of one campaign: the deadline is the campaign's
# or the sequence's. The ladder's words are in its language.
SENDER: Mapping[str, tuple[Kind, Any]] = MappingProxyType({
    "sender_name": (TEXT, "Common Ground, Worcester"),
    "chapter": (TEXT, "Worcester"),
    "organisation": (TEXT, "Common Ground"),
    "postal_address": (TEXT, "41 Elm Street, Boston, MA 02110"),
    "disclaimer": (TEXT, "Paid for by Common Ground."),
    "deductibility": (TEXT, "Gifts are not tax-deductible."),
    "fine_print": (HTML, Markup("Paid for by Common Ground.<br />41 Elm Street, Boston, MA 02110")),
    "fine_print_text": (HTML, "Paid for by Common Ground.\n41 Elm Street, Boston, MA 02110"),
    "because_words": (TEXT, "You get this because you said yes to our news."),
    "stop_words": (TEXT, "Stop these letters"),
    "choose_words": (TEXT, "Choose what you get"),
    "other_words": (TEXT, "Another amount"),
    "deadline": (TEXT, "January 1"),
    "last_day": (TEXT, "December 31"),
    "stoppable": (FLAG, True),
    "chapter_wrote": (FLAG, True),
    "chapter_note": (HTML, Markup("We meet on Thursday.")),
    "chapter_note_text": (HTML, "We meet on Thursday."),
    "give_url": (URL, "https://secure.actblue.com/donate/common-ground"),
    "give_monthly_url": (URL, "https://secure.actblue.com/donate/common-ground?recurring=1"),
})  # fmt: skip

# What is made for each reader when her letter leaves.
MADE: Mapping[str, tuple[Kind, Any]] = MappingProxyType({
    "unsubscribe_url": (URL, "https://www.example.org/u/sample"),
    "preferences_url": (URL, "https://www.example.org/me/sample"),
    "ladder": (Rows(RUNG), ()),
    "monthly_ladder": (Rows(RUNG), ()),
})  # fmt: skip


SAMPLE_DEADLINE = datetime(2030, 1, 1, tzinfo=UTC)  # of letters that are shown or tested without a campaign
# What leads to the letter's donation form, and carries a refcode.
GIVES = ("give_url", "ladder", "give_monthly_url", "monthly_ladder")


@dataclass(frozen=True, slots=True)
class Field:
    """Something known of a reader: the SQL of it, of contact `c`; what it becomes in her language; a sample, like a
    fact."""

    kind: Kind
    sql: str
    sample: Any
    make: Callable[[Any, str], Any] | None = None


# Strangers can type names into forms, too: what is no plain name is not written to anybody.
_A_NAME = re.compile(r"[^\W\d_]+(?:[ '\u2019-][^\W\d_]+){0,3}")
LONGEST_NAME = 40
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
LONGEST_VALUE = 500


def greeted(name: str) -> str:
    """The name if it is one and nothing else, else nothing."""
    plain = len(name) <= LONGEST_NAME and _A_NAME.fullmatch(name)
    return name if plain else ""


def one_line(text: str) -> str:
    """Text fit for a header and for a template: no line break or other control, one space where there were several."""
    if not text.isprintable():
        text = _CONTROLS.sub(" ", text)
    elif "  " not in text:  # printable is no white space but the plain one
        return text.strip()
    return " ".join(text.split())


def plain(value: Any) -> str:
    """A value as a template may have it."""
    return one_line(str(value))[:LONGEST_VALUE] if value is not None else ""


def fact(value: Any, language: str) -> Any:
    """A fact as a template may have it; one that is told in several languages ({"en": …, "es": …}) in this, else in
    English."""
    if isinstance(value, dict):
        value = value.get(language, value.get(ENGLISH))
    if isinstance(value, list):
        return [{part: plain(said) for part, said in each.items()} for each in value]
    return value if isinstance(value, bool | int) else plain(value)


def _name(value: Any, _: str) -> str:
    return greeted(value or "")


@lru_cache(maxsize=4096)
def _money(value: int | None, _: str) -> str:
    return dollars(value) if value else ""


@lru_cache(maxsize=4096)
def _day(value: date | None, language: str) -> str:
    return long_date(value, language) if isinstance(value, date) else ""


def days_of(deadline: datetime | None, language: str) -> dict[str, str]:
    """What letters say of a deadline, told in the zone in which its days are meant: the day before which all is over
    ("January 1"), and the last one on which it is not; nothing where there is none."""
    if deadline is None:
        return {"deadline": "", "last_day": ""}
    days = {"deadline": deadline.date(), "last_day": (deadline - timedelta(microseconds=1)).date()}
    return {name: format_skeleton("MMMMd", day, locale=language) for name, day in days.items()}


class Said(dict[str, str]):
    """Custom fields: one that she does not have is empty."""

    def __missing__(self, _: str) -> str:
        return ""


@lru_cache(maxsize=4096)
def _custom(value: str, _: str) -> Said:
    told = json.loads(value)
    return Said({name: plain(said) for name, said in told.items() if isinstance(said, str | int | float)})


READER: Mapping[str, Field] = MappingProxyType({
    "first_name": Field(TEXT, "c.first_name", "Rosa", _name),
    "last_name": Field(TEXT, "c.last_name", "Delgado", _name),
    "email": Field(TEXT, "c.email", "rosa@example.org"),
    "city": Field(TEXT, "c.city", "Worcester"),
    "state": Field(TEXT, "c.state", "MA"),
    "zip": Field(TEXT, "c.zip", "01604"),
    "home_chapter": Field(TEXT, "(SELECT h.name FROM chapter h WHERE h.id = c.chapter_id)", "Worcester"),
    "has_given": Field(FLAG, "c.gave_count > 0", sample=True),
    "gives_monthly": Field(FLAG, "c.gives_monthly_cents > 0", sample=False),
    "last_gift": Field(TEXT, "c.gave_last_cents", "$27", _money),
    "last_gift_on": Field(TEXT, "CAST(c.gave_last_at AS date)", {"en": "June 7, 2026", "es": "7 de junio de 2026"}, _day),
    "given_in_all": Field(TEXT, "c.gave_cents", "$154", _money),
    "custom": Field(Record({}), "CAST(c.custom AS text)", Said(), _custom),
})  # fmt: skip

AMOUNTS = frozenset({"last_gift", "last_gift_on", "given_in_all"})  # what not everybody who works here may see


def samples(facts: Mapping[str, Any], language: str) -> dict[str, Any]:
    """What a letter says of an invented reader, in this language: each field of hers, and each of these facts."""
    told = {name: field.sample for name, field in READER.items() if name != "custom"} | dict(facts)
    return {"custom": Said()} | {name: fact(value, language) for name, value in told.items()}


def vocabulary(facts: Mapping[str, Any], custom: Sequence[str] = ()) -> dict[str, Kind]:
    """All that a letter can name: of its sender, its reader, and its own facts (samples show their kind)."""
    names = {name: kind for name, (kind, _) in (*SENDER.items(), *MADE.items())}
    names |= {name: field.kind for name, field in READER.items()}
    names["custom"] = Record(dict.fromkeys(custom, TEXT))
    return names | {name: kind_of(name, sample) for name, sample in facts.items()}


def kind_of(name: str, sample: Any) -> Kind:
    """The kind of a fact, by its sample."""
    if isinstance(sample, bool):
        return FLAG
    if isinstance(sample, int):
        return NUMBER
    if isinstance(sample, list):
        return Rows({part: kind_of(part, said) for part, said in (sample[0] if sample else {}).items()})
    return URL if name == "url" or name.endswith("_url") else TEXT
