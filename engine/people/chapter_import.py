"""Chapters from a file: checked as a whole against what is there, then written; their land is proposed.

Nothing is written when anything is wrong. Who a chapter is (name, parent, sender, leads, entities) holds at once; what land
it has waits for the root's approval, unless nobody lives anywhere yet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.documents import Fault
from engine.events import Person
from engine.people import contacts, entities, erasing, lands, territories
from engine.people.chapter_files import ChapterSaid
from engine.people.lands import Land, Proposal
from engine.people.territories import Change
from engine.tokens import Signer

WHY = "chapters were imported"
NOBODYS_WORD = datetime(1970, 1, 1, tzinfo=UTC)  # any word of her own is newer
LAND = {"zips": "zips", "counties": "counties", "states": "states", "radius_miles": "miles",
        "latitude": "latitude", "longitude": "longitude"}  # fmt: skip
WORDS = ("name", "kind", "sender_name", "sender_email", "reply_to", "postal_address", "opt_in")

_CHAPTERS = text("""
SELECT c.slug, c.kind, c.name, p.slug AS parent, c.sender_name, c.sender_email, c.reply_to, c.postal_address, c.opt_in
FROM chapter c LEFT JOIN chapter p ON p.id = c.parent_id
""")
_COUNTIES = text("SELECT DISTINCT state || ':' || county FROM zip WHERE county <> ''")
_FUNDS = text("SELECT slug FROM fund ORDER BY slug")
_ENTITIES = text("""
SELECT e.entity_id, c.slug FROM actblue_entity e LEFT JOIN chapter c ON c.id = e.chapter_id WHERE entity_id = ANY(:ids)
""")
_WRITE = text("""
INSERT INTO chapter AS c (slug, kind, name, parent_id, sender_name, sender_email, reply_to, postal_address, opt_in)
SELECT v.slug, v.kind, v.name, (SELECT min(id) FROM chapter WHERE kind = 'root'), v.sender_name, v.sender_email,
    v.reply_to, v.postal_address, v.opt_in
FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, kind text, name text, sender_name text, sender_email text,
    reply_to text, postal_address text, opt_in text)
ORDER BY v.slug
ON CONFLICT (slug) DO UPDATE SET kind = excluded.kind, name = excluded.name, sender_name = excluded.sender_name,
    sender_email = excluded.sender_email, reply_to = excluded.reply_to, postal_address = excluded.postal_address,
    opt_in = excluded.opt_in
""")
_PARENTS = text("""
UPDATE chapter c SET parent_id = p.id
FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, parent text) JOIN chapter p ON p.slug = v.parent
WHERE c.slug = v.slug AND c.parent_id IS DISTINCT FROM p.id
""")
_LEADS = text("""
WITH v AS (SELECT DISTINCT * FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, contact_id bigint)),
gone AS (
    DELETE FROM chapter_lead l USING chapter h
    WHERE h.id = l.chapter_id AND h.slug = ANY(:slugs) AND (h.slug, l.contact_id) NOT IN (SELECT slug, contact_id FROM v)
)
INSERT INTO chapter_lead (chapter_id, contact_id, since)
SELECT h.id, v.contact_id, :now FROM v JOIN chapter h ON h.slug = v.slug
ON CONFLICT DO NOTHING
""")
_SOMEBODY = text("SELECT EXISTS (SELECT FROM contact WHERE zip IS NOT NULL OR state <> '')")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import did, or in a dry run would do. `changed`: slug -> what of it; `change`: the land, if any is another.
    With `faults` nothing was done."""

    faults: Sequence[Fault] = ()
    made: Sequence[str] = ()
    changed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    change: Change | None = None
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class _There:
    """What is there already."""

    chapters: Mapping[str, Mapping[str, Any]]
    lands: Mapping[str, Land]
    root: str
    counties: Mapping[str, str]
    funds: Sequence[str]
    entities: Mapping[int, str | None]


def bring_in(
    session: Session, said: Sequence[ChapterSaid], staff_id: int | None, now: datetime, signer: Signer
) -> Outcome:
    """Check all of it; if nothing is wrong, write the chapters, and propose their land or (nobody lives anywhere yet) have it
    applied by the next `territories.step`. A dry run rolls back what this did."""
    there = _there(session, said)
    said = [_with_whole_counties(one, there) for one in said]
    faults = sorted(_faults(session, said, there), key=lambda fault: fault.line)
    if faults:
        return Outcome(faults)
    records = {one.slug: _record(one, there) for one in said}
    made = tuple(slug for slug in records if slug not in there.chapters)
    changed = {
        slug: fields
        for slug, record in records.items()
        if slug in there.chapters and (fields := [k for k, v in record.items() if v != there.chapters[slug][k]])
    }
    session.execute(_WRITE, {"rows": rows(records.values())})
    session.execute(_PARENTS, {"rows": rows(records.values())})
    _lead(session, said, now, signer)
    _claim_entities(session, said, now)
    proposed = {one.slug: land for one in said if (land := _land(one, there)) != there.lands.get(one.slug, Land())}
    if not proposed:
        return Outcome((), made, changed)
    at_once = not session.scalar(_SOMEBODY)
    settle = territories.decree if at_once else territories.propose
    return Outcome((), made, changed, settle(session, Proposal(chapters=proposed), WHY, staff_id, now), at_once)


def _there(session: Session, said: Sequence[ChapterSaid]) -> _There:
    chapters = {row.slug: dict(row._mapping) for row in session.execute(_CHAPTERS)}
    ids = sorted({number for one in said for number in one.said.get("actblue_entities", ())})
    return _There(
        chapters=chapters,
        lands=lands.held(session, [one.slug for one in said]),
        root=next((slug for slug, found in chapters.items() if found["kind"] == "root"), ""),
        counties={county.lower(): county for county in session.scalars(_COUNTIES)},
        funds=session.scalars(_FUNDS).all(),
        entities={row.entity_id: row.slug for row in session.execute(_ENTITIES, {"ids": ids})},
    )


def _with_whole_counties(one: ChapterSaid, there: _There) -> ChapterSaid:
    """Counties as we spell them: "MA:worcester" is "MA:Worcester County"."""
    if "counties" not in one.said:
        return one
    known = there.counties
    whole = (known.get(c.lower(), known.get(f"{c.lower()} county", c)) for c in one.said["counties"])
    return ChapterSaid(one.line, one.slug, {**one.said, "counties": tuple(sorted(set(whole)))})


def _record(one: ChapterSaid, there: _There) -> dict[str, Any]:
    """The chapter as it shall be: what is said of it, and the rest as it is."""
    empty = dict.fromkeys(WORDS, "") | {"slug": one.slug, "kind": "chapter", "parent": there.root}
    record = empty | dict(there.chapters.get(one.slug, {}))
    record |= {name: one.said[name] for name in WORDS if name in one.said}
    record["kind"] = record["kind"] or "chapter"
    if "parent" in one.said:
        record["parent"] = one.said["parent"] or there.root
    return record


def _land(one: ChapterSaid, there: _There) -> Land:
    """Its land as it shall be. Raises ValidationError when that is no land."""
    held = there.lands.get(one.slug, Land()).model_dump()
    return Land(**held | {LAND[name]: value for name, value in one.said.items() if name in LAND})


def _faults(session: Session, said: Sequence[ChapterSaid], there: _There) -> Iterator[Fault]:
    if not there.root:
        yield Fault(0, "there is no organisation to put chapters into: groundswell init")
        return
    first: dict[str, int] = {}
    for one in said:
        if one.slug in first:
            yield Fault(one.line, f"{one.slug} stands in line {first[one.slug]} already")
        first.setdefault(one.slug, one.line)
        yield from _own_faults(one, there)
    yield from _tree_faults(said, there)
    yield from _land_faults(session, said, there)
    yield from _entity_faults(said, there)


def _own_faults(one: ChapterSaid, there: _There) -> Iterator[Fault]:
    if one.slug == there.root:
        yield Fault(
            one.line, f"{one.slug} is the root; its territory is what no chapter has, and a file does not change it"
        )
    elif not _record(one, there)["name"]:
        yield Fault(one.line, f"{one.slug} has no name")
    if (fund := one.said.get("fund")) and fund not in there.funds:
        yield Fault(one.line, f"there is no fund {fund}; there are {', '.join(there.funds) or 'none'}")


def _tree_faults(said: Sequence[ChapterSaid], there: _There) -> Iterator[Fault]:
    """Parents that are not there, and chapters that would be above themselves."""
    parents = {slug: found["parent"] for slug, found in there.chapters.items()}
    parents |= {one.slug: _record(one, there)["parent"] for one in said}
    for one in said:
        parent = parents[one.slug]
        if one.slug == there.root:
            continue
        if parent not in parents:
            near = get_close_matches(parent, parents, 1)
            yield Fault(one.line, f"there is no chapter {parent} to be its parent" + (f"; {near[0]}?" if near else ""))
            continue
        above, seen = parent, {one.slug}
        while above is not None and above in parents and above not in seen:
            seen.add(above)
            above = parents[above]
        if above == one.slug:
            yield Fault(one.line, f"{one.slug} would be above itself: its parent is {parent}")


def _land_faults(session: Session, said: Sequence[ChapterSaid], there: _There) -> Iterator[Fault]:
    wanted: list[tuple[ChapterSaid, Land]] = []
    for one in said:
        try:
            wanted.append((one, _land(one, there)))
        except ValidationError as error:
            yield Fault(one.line, str(error.errors()[0]["msg"]).removeprefix("Value error, "))
    unknown = set(lands.unknown(session, [land for _, land in wanted]))
    kinds = {"zips": "ZIP", "counties": "county", "states": "state"}
    for one, land in wanted if unknown else ():
        for name, kind in kinds.items():
            for place in getattr(land, name):
                if (kind, place) in unknown:
                    near = get_close_matches(place.lower(), there.counties, 1) if kind == "county" else ()
                    more = f"; {there.counties[near[0]]}?" if near else ""
                    yield Fault(one.line, f"there is no {kind} {place[:60]}{more}")


def _entity_faults(said: Sequence[ChapterSaid], there: _There) -> Iterator[Fault]:
    first: dict[int, str] = {}
    for one in said:
        for number in one.said.get("actblue_entities", ()):
            if first.setdefault(number, one.slug) != one.slug:
                yield Fault(one.line, f"ActBlue's entity {number} cannot be of {first[number]} and of {one.slug}")
            if number not in there.entities and not one.said.get("fund") and len(there.funds) != 1:
                yield Fault(one.line, f"ActBlue's entity {number} is new: say in `fund` which fund its gifts go to")


def _lead(session: Session, said: Sequence[ChapterSaid], now: datetime, signer: Signer) -> None:
    told = [one for one in said if "leads" in one.said]
    if not told:
        return
    emails = {email for one in told for email in one.said["leads"]}
    erasing.recall(session, emails, signer)
    contacts.admit(session, [(Person(email=email), NOBODYS_WORD) for email in emails], now)
    who = contacts.known(session, emails)  # of one who was merged, whom she is now
    named = ({"slug": one.slug, "contact_id": who[email]} for one in told for email in one.said["leads"])
    session.execute(_LEADS, {"rows": rows(named), "slugs": [one.slug for one in told], "now": now})


def _claim_entities(session: Session, said: Sequence[ChapterSaid], now: datetime) -> None:
    told = [one for one in said if "actblue_entities" in one.said]
    named = (
        {"slug": one.slug, "entity_id": number, "fund": one.said.get("fund") or None}
        for one in told
        for number in one.said["actblue_entities"]
    )
    if told:
        entities.claim(session, named, [one.slug for one in told], now)
