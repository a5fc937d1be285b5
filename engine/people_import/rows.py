"""One record as the rows that are staged: who she is, and what she said about mail. Pure.

Strict about consent: of all that a row says the strictest counts, and a row that cannot be read may have said no: every
address in it is staged as UNREAD. Lenient about the rest: a date that is none is no date, a ZIP that is none is told and
left out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

import orjson

from engine.errors import Invalid
from engine.people.contacts import spoken
from engine.people_import.headings import ADDRESSES, BAD, FIELDS
from engine.people_import.layout import (
    CLEANED,
    COMPLAINED,
    STRICTEST,
    SUBSCRIBED,
    UNKNOWN,
    UNREAD,
    UNSUBSCRIBED,
    Layout,
)
from engine.people_import.reading import Record
from engine.sources.addresses import state_code
from engine.sources.words import clean, email_address, in_united_states, zero_put_back, zip_code

EARLIEST = 1990
LONGEST, MOST_TAGS = 1_000, 100
LONGEST_UNREAD = 40  # so much of a ZIP that is none is shown
# As a spreadsheet writes it when somebody opened the file and saved it.
_FORMS = ("%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y", "%m/%d/%y %H:%M", "%m/%d/%y")
_OFFSET = re.compile(r"^(.*\d) ?([+-]\d\d):?(\d\d)$")
_ADDRESS = re.compile(r"[^\s,;:<>()\"|]+@[^\s,;:<>()\"|]+")
_DISARMED = re.compile(r"'[=+\-@\t\r\n]")  # as exports write a cell that a spreadsheet would take for a formula
_DIGIT = re.compile(r"\d")
_YES = frozenset({"true", "t", "yes", "y", "1"})
_NO = frozenset({"false", "f", "no", "n", "0"})
_ABUSE = re.compile(r"spam|abuse", re.IGNORECASE)
_LANGUAGES: Mapping[str, str] = MappingProxyType(
    {"english": "en", "spanish": "es", "espa\u00f1ol": "es", "portuguese": "pt", "french": "fr", "chinese": "zh"}
)
_WORDS = {
    SUBSCRIBED: "subscribed, active, yes, y, true, t, 1, opted in, opt in, confirmed",
    UNSUBSCRIBED: "unsubscribed, opted out, opt out, no, n, false, f, 0, removed, do not contact",
    CLEANED: "cleaned, bouncing, bounced, bounce, hard bounce, invalid",
    COMPLAINED: "spam complaint, complained, complaint, abuse, spam",
}
STATUSES = MappingProxyType({word: standing for standing, said in _WORDS.items() for word in said.split(", ")})
# Words of a house's own, by what they hold; whatever else we do not know is no yes.
_NOES = (
    (COMPLAINED, re.compile(r"spam|abuse|complain")),
    (CLEANED, re.compile(r"bounc|undeliver")),
    (UNSUBSCRIBED, re.compile(r"unsub|un subscribed|\bopt(ed)? ?out|do not|don't|remove|suppress|blocked")),
)
_EACH_COUNTS = ("status", "opt_in", "stop")  # several columns of one of these: all of them


class Staged(NamedTuple):
    """A row of `import_row`, in the order of its columns. Without `person` it says something of the address alone."""

    file: int
    line: int
    email: str
    person: bool
    standing: str
    at: datetime | None = None
    text_given: bool | None = None
    told_at: datetime | None = None
    engaged_at: datetime | None = None
    first_name: str = ""
    last_name: str = ""
    street: str = ""
    city: str = ""
    state: str = ""
    zip: str | None = None
    country: str = ""
    phone: str = ""
    language: str = ""
    tags: list[str] | None = None
    custom: str | None = None
    wording: str = ""
    zip_repaired: bool = False
    zip_unread: str = ""


class Reader:
    """Reads the records of one file; `now`: nothing was said later than that."""

    def __init__(self, layout: Layout, file: int, now: datetime) -> None:
        self._layout, self._file, self._now = layout, file, now
        self._places = tuple(layout.places.items())
        self._several = tuple(
            (field, layout.places[field]) for field in _EACH_COUNTS if len(layout.places.get(field, ())) > 1
        )
        self._one_of_several = any(bad in layout.places for bad in BAD)

    def staged(self, record: Record) -> list[Staged]:
        """The rows of this record, the person first. Raises Invalid for one that cannot be read: see `unread`."""
        if record.fault:
            raise Invalid(record.fault)
        if len(record.cells) != self._layout.width:
            if not any(record.cells):
                return []
            raise Invalid(f"{len(record.cells)} columns where the header has {self._layout.width}")
        told = self._told(record.cells)
        raw = told["email"] or next((told[each] for each in ADDRESSES if told[each]), "")
        email = email_address(raw)
        if email is None:
            if not any(told.values()):
                return []
            raise Invalid("not an email address" if raw else "no email address")
        standing = self._standing(told, raw)
        return [self._person(record, told, email, standing), *self._others(record, told, email, standing)]

    def unread(self, record: Record) -> list[Staged]:
        """The addresses in a record that cannot be read: whoever they are of may have said no in it."""
        found = {email_address(each.strip(".'")) for cell in record.cells for each in _ADDRESS.findall(cell)}
        return [Staged(self._file, record.line, email, False, UNREAD) for email in sorted(filter(None, found))]

    def _told(self, cells: Sequence[str]) -> dict[str, str]:
        """What the row says, by field; "" where it says nothing. Of _EACH_COUNTS all that its columns say, line by line."""
        told = _NOTHING.copy()
        for field, places in self._places:
            for place in places:
                raw = cells[place]
                if raw and (found := _cell(raw)):
                    told[field] = found
                    break
        for field, places in self._several:
            told[field] = "\n".join(found for place in places if cells[place] and (found := _cell(cells[place])))
        return told

    def _standing(self, told: Mapping[str, str], raw: str) -> str:
        said = set(self._stated(told))
        if self._one_of_several and any(
            told[bad].lower() in _YES and self._is_hers(told, raw, number) for number, bad in enumerate(BAD)
        ):
            said.add(CLEANED)
        if not said or self._layout.assumed != UNKNOWN:
            said.add(self._layout.assumed)
        return next(each for each in STRICTEST if each in said)

    @staticmethod
    def _is_hers(told: Mapping[str, str], raw: str, number: int) -> bool:
        """Whether this one of several addresses is the one she is known by; where they are not listed, the first is."""
        return told[ADDRESSES[number]].lower() == raw.lower() or (number == 0 and not told[ADDRESSES[0]])

    def _stated(self, told: Mapping[str, str]) -> Iterator[str]:
        """All that the row says about mail."""
        if told["complained_at"] or (told["reason"] and _ABUSE.search(told["reason"])):
            yield COMPLAINED
        if told["cleaned_at"]:
            yield CLEANED
        if told["opted_out_at"] or (told["stop"] and not _NO.issuperset(told["stop"].lower().split("\n"))):
            yield UNSUBSCRIBED
        if status := told["status"]:
            yield from map(_status, status.lower().split("\n"))
        if opted := told["opt_in"].lower():
            yield SUBSCRIBED if _YES.issuperset(opted.split("\n")) else UNSUBSCRIBED

    def _person(self, record: Record, told: Mapping[str, str], email: str, standing: str) -> Staged:
        opted_in, changed = self._moment(told["opted_in_at"]), self._moment(told["changed_at"])
        at = self._said_at(standing, told, opted_in, changed)
        engaged = self._moment(told["engaged_at"])
        if opted_in and (engaged is None or opted_in > engaged):
            engaged = opted_in
        told = told if told["zip"] or not told["full_address"] else {**told, **_parts(told["full_address"])}
        zip_told, country = told["zip"], told["country"]
        found_zip = zip_code(zip_told, country)
        first, last, street = told["first_name"], told["last_name"], told["street"]
        if not (first or last) and told["name"]:
            first, _, last = told["name"].rpartition(" ")
        return Staged(
            self._file, record.line, email, True, standing, at, self._text(told), changed or opted_in,
            engaged, spoken(first), spoken(last),
            f"{street} {told['street2']}" if told["street2"] else street,
            told["city"], state_code(told["state"], country), found_zip, country, told["phone"], _language(told["language"]),
            _tags(told["tags"]), self._custom(record.cells), told["wording"],
            bool(found_zip and zero_put_back(zip_told, found_zip)),
            _unread(zip_told, country) if zip_told and not found_zip else "",
        )  # fmt: skip

    def _said_at(
        self, standing: str, told: Mapping[str, str], opted_in: datetime | None, changed: datetime | None
    ) -> datetime | None:
        """When she said it; None where nobody knows."""
        if standing == SUBSCRIBED:
            return opted_in or changed
        fields = {
            CLEANED: ("cleaned_at",),
            COMPLAINED: ("complained_at", "opted_out_at"),
            UNSUBSCRIBED: ("opted_out_at",),
        }
        times = (self._moment(told[field]) for field in fields.get(standing, ()))
        return next((time for time in times if time), changed if standing in fields else None)

    def _others(self, record: Record, told: Mapping[str, str], email: str, standing: str) -> Iterator[Staged]:
        """Her other addresses: a no holds for all of them; one that is bad, by itself."""
        said: dict[str, str] = {}
        for field, bad in zip(ADDRESSES, BAD, strict=True):
            other = email_address(told[field]) if told[field] else None
            if other is None or other == email:
                continue
            if standing in {UNSUBSCRIBED, COMPLAINED}:
                said[other] = standing
            elif told[bad].lower() in _YES:
                said[other] = CLEANED
        at = self._said_at(standing, told, None, self._moment(told["changed_at"])) if said else None
        for other, why in said.items():
            yield Staged(self._file, record.line, other, False, why, None if why == CLEANED else at)

    @staticmethod
    def _text(told: Mapping[str, str]) -> bool | None:
        """What she said about text messages."""
        standing = STATUSES.get(told["text_status"].lower()) if told["text_status"] else None
        return None if standing is None else standing == SUBSCRIBED

    def _custom(self, cells: Sequence[str]) -> str | None:
        said = {name: found for name, place in self._layout.custom if cells[place] and (found := _cell(cells[place]))}
        return orjson.dumps(said).decode() if said else None

    def _moment(self, raw: str) -> datetime | None:
        found = moment(raw) if raw else None
        return None if found is None else min(found, self._now)


_NOTHING: dict[str, str] = dict.fromkeys(FIELDS, "")


def moment(raw: str) -> datetime | None:
    """An instant, as tools and spreadsheets write it; without an offset it is UTC. None for what is none of our time."""
    try:
        found = datetime.fromisoformat(raw)
    except ValueError:
        tidy = _OFFSET.sub(r"\1\2:\3", raw.removesuffix("UTC").strip())
        found_or_none = _read(tidy)
        if found_or_none is None:
            return None
        found = found_or_none
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return found if EARLIEST <= found.year < 9999 else None


def _status(said: str) -> str:
    """The standing that a word of a column of statuses, in small letters, means; UNKNOWN for one that nobody knows."""
    word = " ".join(said.replace("_", " ").replace("-", " ").split())
    if word in STATUSES:
        return STATUSES[word]
    return next((standing for standing, holds in _NOES if holds.search(word)), UNKNOWN)


def _read(tidy: str) -> datetime | None:
    try:
        return datetime.fromisoformat(tidy)
    except ValueError:
        pass
    for form in _FORMS:
        try:
            return datetime.strptime(tidy, form)  # noqa: DTZ007 UTC, and the caller says so
        except ValueError:
            continue
    return None


def _cell(raw: str) -> str:
    """A cell on one line, without controls, not without end, and as it was before an export disarmed it."""
    if raw[0] == "'" and _DISARMED.match(raw):
        raw = raw[1:]
    said = raw.strip() if raw.isprintable() else " ".join(clean(raw).split())
    return said if len(said) <= LONGEST else said[:LONGEST]


def _parts(address: str) -> dict[str, str]:
    """Mailchimp's address in one cell: street, city, state, ZIP and country, two spaces apart. {} when it is not so."""
    parts = [tidy for part in address.split("  ") if (tidy := part.strip())]
    if len(parts) < 4:
        return {"street": address}
    country = "" if _DIGIT.search(parts[-1]) else parts.pop()
    if len(parts) < 4:
        return {"street": address}
    *street, city, state, found_zip = parts
    return {"street": " ".join(street), "city": city, "state": state, "zip": found_zip, "country": country}


def _unread(zip_told: str, country: str) -> str:
    """What stood where a ZIP was expected and is none, as the report shows it: with the country if it is another one."""
    shown = zip_told[:LONGEST_UNREAD]
    return shown if in_united_states(country) else f"{shown} ({country[:LONGEST_UNREAD]})"


def _language(raw: str) -> str:
    """Two letters, or ""."""
    said = raw.lower()
    if said in _LANGUAGES:
        return _LANGUAGES[said]
    code = said[:2]
    return code if len(code) == 2 and code.isascii() and code.isalpha() and said[2:3] in {"", "-", "_"} else ""


def _tags(raw: str) -> list[str] | None:
    if not raw:
        return None
    return sorted({tag for each in raw.split(",") if (tag := each.strip(' "'))})[:MOST_TAGS] or None
