"""From claimed letters to what is handed to the provider: one sheet for all under one handover, and a copy for each.

What that needs is loaded once the claim is committed; the rendering happens outside of any transaction.
"""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from jinja2 import TemplateError
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell
from engine.errors import Invalid
from engine.letters import filling, refcodes, senders, sheets
from engine.letters.links import Links
from engine.letters.senders import Sender
from engine.letters.sheets import MONTHLY, OFFERED, Words
from engine.letters.vocabulary import GIVES, SAMPLE_DEADLINE, one_line
from engine.mail import codes, handovers, lost
from engine.mail.handovers import Outcome
from engine.outreach import ladders
from engine.outreach.ladders import Offers
from engine.ports import Copy, Sheet
from engine.tokens import Signer

# What words and values raise that do not fit each other, and JSON of half a character.
UNFIT = (Invalid, TemplateError, TypeError, ValueError)
TOO_LONG, MOVED = "too long to travel with others", "her reader is another since the last look"
TEST = "[Test] "  # before the subject of a letter that staff sent themselves
ASKS = "asks"  # the kind of letters that are not sent when there is nothing to ask for

# The deadline of a campaign is meant in the zone of its chapter, the nearest one upwards that says it.
_PARCELS = text(f"""
SELECT m.id, m.mailing_id, m.chapter_id, m.fund_id, m.version_id, m.campaign_id, m.lane,
    CASE WHEN trial THEN l.kind ELSE m.kind END AS kind, trial, k.slug AS campaign, q.slug AS sequence, {lost.KNOWN} AS lost,
    w.subject, w.body_html, w.body_text, coalesce(k.facts, '{{}}') AS facts, coalesce(z.time_zone, :zone) AS zone,
    coalesce(k.deadline, CAST(v.definition ->> 'deadline' AS timestamp) AT TIME ZONE :zone) AS deadline
FROM message m CROSS JOIN LATERAL (SELECT m.occasion LIKE 'trial:%' AS trial) of_staff
JOIN mailing w ON w.id = m.mailing_id JOIN letter l ON l.id = w.letter_id
LEFT JOIN campaign k ON k.id = m.campaign_id LEFT JOIN sequence_version v ON v.id = m.version_id
LEFT JOIN sequence q ON q.id = v.sequence_id
LEFT JOIN LATERAL (
    WITH RECURSIVE up AS (
        SELECT parent_id, time_zone, 0 AS level FROM chapter WHERE id = k.chapter_id
        UNION ALL SELECT h.parent_id, h.time_zone, up.level + 1 FROM chapter h JOIN up ON h.id = up.parent_id
    ) SELECT time_zone FROM up WHERE time_zone <> '' ORDER BY level LIMIT 1
) z ON true
WHERE m.id = ANY(:ids)
""")
_READERS = """
SELECT m.id, m.occasion, {named} AS named, m.contact_id, CAST(m.facts AS text) AS facts, m.attempts,
    m.inbound_event_id, c.email, c.first_name, c.last_name, {express} AS express {fields}
FROM message m JOIN contact c ON c.id = m.contact_id WHERE m.id = ANY(:ids) ORDER BY m.id
"""
# She is known to have saved a card at ActBlue; asked only where that matters.
_EXPRESS = "EXISTS (SELECT FROM contribution g WHERE g.contact_id = c.id AND g.express)"


@dataclass(frozen=True, slots=True)
class Parcel:
    """Letters under one handover, with all that their rendering needs. `moved`: those that are another's since the claim,
    whom the last look did not look at; `offers`: the amounts of each; `fault`: why none of them can be rendered; `campaign`,
    `sequence`: the slugs of what they are of; `lost`: letters of lost hours are known, and one of these may be one."""

    handover_id: int
    mailing_id: int
    lane: str
    kind: str
    sender: Sender
    refcode: str
    sheet: sheets.Sheet
    readers: Sequence[Mapping[str, Any]]
    moved: Set[int] = frozenset()
    offers: Offers = ladders.NOTHING
    fault: str = ""
    campaign: str | None = None
    sequence: str | None = None
    lost: bool = False

    def codes(self, reader: Mapping[str, Any], signer: Signer) -> tuple[str, ...]:
        """What the letter of one reader is called outside (`engine.mail.codes`)."""
        name = reader["named"] or codes.named(reader["occasion"], self.campaign, self.sequence)
        return codes.codes(signer, reader["email"] or "", name)

    def without(self, message_ids: Set[int]) -> "Parcel":
        """The same without these letters."""
        return replace(self, readers=[reader for reader in self.readers if reader["id"] not in message_ids])

    @property
    def causes(self) -> dict[int, int | None]:
        """The inbound event that each letter followed from."""
        return {reader["id"]: reader["inbound_event_id"] for reader in self.readers}

    def message_ids(self) -> list[int]:
        """Its letters, in the order of their copies."""
        return [reader["id"] for reader in self.readers]


@dataclass(slots=True)
class Request:
    """What is handed over. `failing`: letters that do not render, and why; `alone`: those that go in a request of their own,
    and why: they are too large to travel with others, or have to be looked at again; `pointless`: asks that have nothing to
    ask for, and why."""

    sheet: Sheet
    copies: list[Copy] = field(default_factory=list)
    failing: dict[int, str] = field(default_factory=dict)
    alone: dict[int, str] = field(default_factory=dict)
    pointless: dict[int, str] = field(default_factory=dict)


def load(
    session: Session, letters: Mapping[int, Sequence[int]], links: Links, zone: str,
    looked_at: Mapping[int, int] | None = None,
) -> list[Parcel]:  # fmt: skip
    """The parcels of these claimed letters, told by their handovers: each is of one mailing, sender and fund. `zone`: of the
    organisation, by which limits are counted; `looked_at`: whose each was at the last look."""
    found = session.execute(_PARCELS, {"ids": [ids[0] for ids in letters.values()], "zone": zone}).all()
    known = senders.load(session, [(row.chapter_id, row.fund_id, row.mailing_id) for row in found], links.base_url)
    opened = [_opened(session, row, known[row.chapter_id, row.fund_id, row.mailing_id]) for row in found]
    names = {name for each in opened for name in each.sheet.names}
    express = _EXPRESS if any(each.sender.express for each in opened) else "false"
    readers = _readers(session, [each for ids in letters.values() for each in ids], names, express)
    of = {ids[0]: (handover_id, ids) for handover_id, ids in letters.items()}
    moved = {each for each, whose in (looked_at or {}).items() if readers[each]["contact_id"] != whose}
    together = list(zip(found, opened, strict=True))
    asked = [  # a test shows staff a sample
        (one.sender, [readers[each] for each in of[row.id][1]] if one.offers and not row.trial else (), one.monthly)
        for row, one in together
    ]
    offered = ladders.load(session, asked, links.now, zone)
    return [
        Parcel(
            of[row.id][0],
            row.mailing_id,
            row.lane,
            row.kind,
            each.sender,
            each.refcode,
            each.sheet,
            [readers[each] for each in of[row.id][1]],
            moved.intersection(of[row.id][1]) if moved else moved,
            hers,
            each.fault,
            row.campaign,
            row.sequence,
            row.lost,
        )
        for (row, each), hers in zip(together, offered, strict=True)
    ]


def unrepeated(session: Session, parcels: Sequence[Parcel], links: Links) -> Sequence[Parcel]:
    """The same without letters that left before, in hours which a restore lost. One statement, and only if any are known."""
    if not any(parcel.lost for parcel in parcels):
        return parcels
    told = [
        (reader["id"], code)
        for parcel in parcels for reader in parcel.readers for code in parcel.codes(reader, links.signer)
    ]  # fmt: skip
    gone = set(lost.repeated(session, told))
    left = [parcel.without(gone) for parcel in parcels]
    if empty := [Outcome(parcel.handover_id, "abandoned", reason=lost.WHY) for parcel in left if not parcel.readers]:
        handovers.record(session, empty, links.now)
    return [parcel for parcel in left if parcel.readers]


def request(parcel: Parcel, links: Links, most_substitution_bytes: int) -> Request:
    """Render a parcel. One letter alone is a whole one; of several the sheet has tokens, and each copy fills them in."""
    sender, track = parcel.sender, parcel.kind != ""
    made = Request(Sheet(sender.email, one_line(sender.name), sender.reply_to, *_static(parcel.sheet), track=track))
    if fault := parcel.fault or _lacking(sender):
        made.failing = dict.fromkeys(parcel.message_ids(), fault)
        return made
    alone = len(parcel.readers) == 1
    for reader in parcel.readers:
        if reader["id"] in parcel.moved:
            made.alone[reader["id"]] = MOVED
            continue
        if parcel.kind == ASKS and (why := parcel.offers.pointless.get(reader["id"])):
            made.pointless[reader["id"]] = why
            continue
        try:
            copy, whole = _copy(parcel, reader, links, alone=alone)
            size = _size(copy.substitutions if whole is None else asdict(whole))
        except UNFIT as error:
            made.failing[reader["id"]] = _why(error)
            continue
        if whole is not None:
            made.sheet = replace(made.sheet, subject=whole.subject, html=whole.html, text=whole.text)
        elif size > most_substitution_bytes:
            made.alone[reader["id"]] = TOO_LONG
            continue
        made.copies.append(copy)
    return made


def _lacking(sender: Sender) -> str:
    if sender.email and sender.postal_address:
        return ""
    return "no sender: neither the chapter nor those above it say an address to write from, or a postal one"


def _why(error: Exception) -> str:
    """Why a letter does not render; no word of its reader's."""
    return str(error) if isinstance(error, Invalid) else f"it does not render ({type(error).__name__})"


_EMPTY = sheets.Sheet("", "", "", frozenset(), (), {})


@dataclass(frozen=True, slots=True)
class _Opened:
    sender: Sender
    refcode: str
    sheet: sheets.Sheet = _EMPTY
    fault: str = ""

    @property
    def offers(self) -> bool:
        """Whether its words name what each reader is offered."""
        return bool(OFFERED & self.sheet.names)

    @property
    def monthly(self) -> bool:
        """Whether that is gifts that come each month."""
        return MONTHLY in self.sheet.names


def _opened(session: Session, row: Row[Any], sender: Sender) -> _Opened:
    words = Words(TEST + row.subject if row.trial else row.subject, row.body_html, row.body_text)
    gives = any(name in part for part in (words.html, words.text) for name in GIVES)
    refcode = ""
    if gives and row.lane == bell.DELIVERY:
        of = {"version_id": row.version_id, "campaign_id": row.campaign_id}
        refcode = refcodes.code(session, row.mailing_id, row.chapter_id, **of)
    deadline = row.deadline.astimezone(ZoneInfo(row.zone)) if row.deadline else SAMPLE_DEADLINE if row.trial else None
    try:
        said = sender.values(row.kind, refcode, offers=sheets.ladders(words), deadline=deadline, facts=row.facts)
        return _Opened(sender, refcode, sheets.fold(words, said))
    except UNFIT as error:
        return _Opened(sender, refcode, fault=_why(error))


def _readers(
    session: Session, message_ids: Sequence[int], names: Iterable[str], express: str
) -> dict[int, Mapping[str, Any]]:
    """Each reader as a row: what every letter needs, and what these name of her, as `reader_first_name`."""
    query = text(_READERS.format(fields=filling.columns(names), express=express, named=codes.NAMED))
    found = session.execute(query, {"ids": list(message_ids)})
    columns = tuple(found.keys())
    readers = [dict(zip(columns, row, strict=True)) for row in found.all()]
    for reader in readers:
        reader["facts"] = _facts(reader["facts"])
    return {reader["id"]: reader for reader in readers}


@lru_cache(maxsize=4096)
def _facts(said: str) -> Mapping[str, Any]:
    """A message's facts; many have the same."""
    return MappingProxyType(json.loads(said))


def _copy(
    parcel: Parcel, reader: Mapping[str, Any], links: Links, *, alone: bool
) -> tuple[Copy, sheets.Rendered | None]:
    """Her copy; of a letter alone, the whole of it, with nothing to fill in. Raises Invalid when it does not render."""
    if not reader["email"]:
        raise Invalid("she has no address any more")  # erased, since the claim
    addresses = links.of(reader["contact_id"], reader["id"], reader["facts"])
    values = filling.values(parcel.sheet.names, reader, reader["facts"], addresses, parcel.sender)
    if OFFERED & parcel.sheet.names:
        express = reader["express"] and parcel.lane == bell.DELIVERY  # never in a test
        offered = parcel.offers.made.get(reader["id"]) or ladders.sample(parcel.sender)
        monthly = parcel.offers.monthly.get(reader["id"])
        if MONTHLY in parcel.sheet.names and monthly is None:
            monthly = ladders.sample(parcel.sender, monthly=True)
        values |= parcel.sender.offer(offered, parcel.refcode, links.signer, express=express, monthly=monthly)
    headers = {"X-Entity-Ref-ID": f"{reader['id']}.{reader['attempts']}"} | _one_click(parcel.kind, addresses)
    name = one_line(f"{reader['first_name']} {reader['last_name']}")
    whole = parcel.sheet.letter(values) if alone else None
    substitutions = {} if alone else parcel.sheet.substitutions(values)
    code = parcel.codes(reader, links.signer)[-1:]
    return Copy(reader["id"], reader["email"], name, substitutions, headers, *code), whole


def _one_click(kind: str, addresses: Mapping[str, str]) -> dict[str, str]:
    """RFC 8058: her mail program shows a button, and its provider posts to the address without asking anything."""
    if kind == "":
        return {}
    said = {"List-Unsubscribe": f"<{addresses['unsubscribe_url']}>"}
    return said | {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def _static(said: sheets.Sheet | sheets.Rendered) -> tuple[str, str, str]:
    return said.subject, said.html, said.text


def _size(substitutions: Mapping[str, str]) -> int:
    """Bytes of them in a request."""
    return len(orjson.dumps(substitutions))
