"""Letters before they are sent: as any person would read them, as somebody at random would, and by mail to staff themselves.

No preview and no test carries a link that charges a card, or a code that a gift could be counted by.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.errors import Invalid, NotFound
from engine.events import Event, LettersComposed
from engine.languages import ENGLISH
from engine.letters import filling, senders, sheets, writing
from engine.letters.links import Links
from engine.letters.senders import Sender
from engine.letters.sheets import MONTHLY, Rendered, Words
from engine.letters.vocabulary import AMOUNTS, FLAG, READER, SAMPLE_DEADLINE, TEXT, fact, samples
from engine.outreach import ladders
from engine.sources.words import email_address

MOST_READERS = 200  # that a look for empty fields takes

_READER = """
SELECT c.id, c.language, c.chapter_id {fields} FROM contact c
WHERE c.id = :id AND c.email IS NOT NULL AND c.erased_at IS NULL AND c.merged_into_id IS NULL
"""
_SOMEBODY = text("""
SELECT c.id FROM contact c WHERE c.email IS NOT NULL AND c.erased_at IS NULL AND c.merged_into_id IS NULL
    AND c.id >= CASE WHEN :whoever THEN 0 ELSE (
        SELECT min(id) + floor(random() * (max(id) - min(id) + 1)) FROM contact) END
    AND (CAST(:chapters AS bigint[]) IS NULL OR c.chapter_id = ANY(:chapters))
ORDER BY c.id LIMIT :most
""")
_BLANK = """
SELECT count(*) AS readers {counts} FROM (SELECT c.* FROM contact c WHERE c.id = ANY(:ids)) c
"""
_LETTER = text("SELECT kind, facts FROM letter WHERE slug = :slug")
_CONTACT = text("""
INSERT INTO contact (email, details_at, chapter_id, routed_by, routed_on)
SELECT :email, 'epoch', (SELECT id FROM chapter WHERE parent_id IS NULL LIMIT 1), 'operator', 'test'
ON CONFLICT (email) DO NOTHING
""")
_SEND = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, expires_at, language, chapter_id, facts)
SELECT c.id, m.id, 'trial:' || CAST(:number AS text), :lane, :now, CAST(:now AS timestamptz) + interval '1 day', m.language,
    coalesce(:chapter_id, c.chapter_id), l.facts
FROM contact c, mailing m JOIN letter l ON l.id = m.letter_id WHERE c.email = :email AND m.id = ANY(:mailings)
RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Preview:
    """A letter as somebody reads it. `reader`: the contact; None: an invented one. `invented`: fields that are not hers."""

    reader: int | None
    language: str
    from_name: str
    letter: Rendered
    invented: Sequence[str] = ()


def preview(
    session: Session,
    slug: str,
    links: Links,
    *,
    contact_id: int | None = None,
    language: str = "",
    chapter_id: int | None = None,
    amounts: bool = True,
    zone: str = "UTC",
) -> Preview:
    """The newest words of this letter as this contact reads them, in her language and from her chapter unless it is said
    otherwise; without one, as an invented person reads them. Without `amounts`, what she gave is invented, and what she is
    offered is the form's own; `zone` is the organisation's, by which limits are counted. Raises NotFound, Invalid when it
    does not render."""
    words = writing.newest(session, slug)
    hers = _reader(session, contact_id, "") if contact_id is not None else None
    spoken = language or (hers["language"] if hers and hers["language"] in words else ENGLISH)
    if spoken not in words:
        raise NotFound(f"this letter is not written in {spoken[:10]}")
    told = session.execute(_LETTER, {"slug": slug}).one()
    from_chapter = chapter_id if chapter_id is not None else hers["chapter_id"] if hers else None
    mailing = words[spoken]
    key = (from_chapter, None, mailing.id)
    sender = senders.load(session, [key], links.base_url)[key]
    said = Words(mailing.subject, mailing.body_html, mailing.body_text)
    sheet = sheets.fold(said, sender.values(told.kind, "", offers=sheets.ladders(said), deadline=SAMPLE_DEADLINE))
    addresses = links.of(0, 0, {})  # nobody's: who looks must not be able to choose for whom she looks at
    if contact_id is None:
        made = _invented(sheet.names, told.facts, addresses, spoken)
    else:
        reader = _reader(session, contact_id, filling.columns(sheet.names))
        made = filling.values(sheet.names, reader, told.facts, addresses, sender)
    withheld = [] if amounts or contact_id is None else sorted(AMOUNTS & sheet.names)
    made |= {name: fact(READER[name].sample, spoken) for name in withheld}
    reader_id = contact_id if amounts and sheets.ladders(said) else None
    made |= _offered(session, sender, reader_id, links, zone, monthly=MONTHLY in sheet.names)
    return Preview(contact_id, spoken, sender.name, sheet.letter(made), withheld)


def somebody(session: Session, chapters: Collection[int] | None = None) -> int | None:
    """A contact at random, of these chapters if it is said which; None while there is nobody."""
    values = {"most": 1, "chapters": None if chapters is None else sorted(chapters)}
    found = session.scalars(_SOMEBODY, values | {"whoever": False}).first()
    return found if found is not None else session.scalars(_SOMEBODY, values | {"whoever": True}).first()


def blanks(session: Session, slug: str) -> list[str]:
    """Which fields of this letter that have no `default` are empty, for how many of some people at random, in sentences."""
    words = writing.newest(session, slug).values()
    bare = {found for each in words for found in sheets.bare_names(Words(each.subject, each.body_html, each.body_text))}
    named = sorted((name, sorted(where)) for name, where in bare if name in READER and READER[name].kind == TEXT)
    readers = {"most": MOST_READERS, "chapters": None}
    ids = session.scalars(_SOMEBODY, readers | {"whoever": False}).all()
    if len(ids) < MOST_READERS:  # there are few, or it began among the last
        ids = session.scalars(_SOMEBODY, readers | {"whoever": True}).all()
    if not named or not ids:
        return []
    counts = "".join(
        f", count(*) FILTER (WHERE {_empty(name, where)}) AS n_{place}" for place, (name, where) in enumerate(named)
    )
    found = session.execute(text(_BLANK.format(counts=counts)), {"ids": list(ids)}).one()
    empty = {name: 0 for name, _ in named}
    for place, (name, _) in enumerate(named):
        empty[name] = max(empty[name], getattr(found, f"n_{place}"))
    return [
        f'{name} is empty for {people:,} of {found.readers:,} people at random: say what then, | default("…").'
        for name, people in empty.items()
        if people
    ]


def _empty(name: str, where: Iterable[tuple[str, bool]]) -> str:
    """SQL: whether this says nothing of contact `c`, and she reads the place where it stands."""
    conditions = [
        f"coalesce({READER[flag].sql}, false) = {holds}"
        for flag, holds in where
        if flag in READER and READER[flag].kind == FLAG
    ]
    return " AND ".join([f"coalesce(CAST({READER[name].sql} AS text), '') IN ('', '0')", *conditions])


def send(session: Session, slug: str, address: str, now: datetime, *, chapter_id: int | None = None) -> list[Event]:
    """Send this letter, in each language it is written in, to an address of staff. Raises NotFound, Invalid."""
    email = email_address(address)
    if email is None:
        raise Invalid("this is not an email address")
    words = writing.newest(session, slug)
    session.execute(_CONTACT, {"email": email})
    values: dict[str, Any] = {"email": email, "lane": bell.RECEIPTS, "now": now, "chapter_id": chapter_id}
    for each in words.values():
        session.execute(_SEND, values | {"mailings": [each.id], "number": secrets.token_hex(6)})
    return [LettersComposed(None, bell.RECEIPTS)]


def _offered(
    session: Session, sender: Sender, contact_id: int | None, links: Links, zone: str, *, monthly: bool
) -> dict[str, Any]:
    """What a letter says of what this contact would be offered now, or nobody in particular."""
    once, each_month = ladders.sample(sender), ladders.sample(sender, monthly=True) if monthly else None
    if contact_id is not None:
        reader = {"id": 0, "contact_id": contact_id, "facts": {}}
        (hers,) = ladders.load(session, [(sender, [reader], monthly)], links.now, zone)
        once, each_month = hers.made[0], hers.monthly.get(0)
    return sender.offer(once, "", links.signer, express=False, monthly=each_month)


def _reader(session: Session, contact_id: int | None, fields: str) -> Mapping[str, Any]:
    found = session.execute(text(_READER.format(fields=fields)), {"id": contact_id}).mappings().one_or_none()
    if found is None:
        raise NotFound(f"contact {contact_id} is nobody who gets letters")
    return dict(found)


def _invented(
    names: Iterable[str], facts: Mapping[str, Any], addresses: Mapping[str, str], language: str
) -> dict[str, Any]:
    """What an invented reader is called, and all else that is asked of her."""
    known = samples(facts, language) | dict(addresses)
    return {name: known[name] for name in names if name in known}
