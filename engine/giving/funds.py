"""Funds: what the file of one says becomes what it is. Checked as a whole, then written; the same file once more changes
nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.documents import Fault, in_order
from engine.errors import NotFound
from engine.events import Event
from engine.giving.fund_files import NEEDED, FundSaid, Threshold, Told, WordsSaid
from engine.people import entities

LOCK = 0x67726675  # one writer of funds at a time

_ALONE = text("SELECT pg_advisory_xact_lock(:lock)")
_EVERY = text("""
SELECT f.*, (SELECT coalesce(array_agg(e.entity_id ORDER BY e.entity_id), '{}') FROM actblue_entity e
        WHERE e.fund_id = f.id AND e.chapter_id IS NULL) AS entities,
    (SELECT coalesce(jsonb_object_agg(of.slug, of.ids), '{}') FROM (
        SELECT h.slug, array_agg(e.entity_id ORDER BY e.entity_id) AS ids
        FROM actblue_entity e JOIN chapter h ON h.id = e.chapter_id WHERE e.fund_id = f.id GROUP BY h.slug) of
    ) AS chapters
FROM fund f ORDER BY f.id
""")
_CHAPTERS = text("SELECT slug FROM chapter WHERE slug = ANY(:slugs)")
_PUT = text("""
INSERT INTO fund (slug, name, disclaimer, deductibility, limit_cents, limit_clock, election_days, employer_cents,
    employer_from, employer_days, retention_years, stripe_account, others)
SELECT v.slug, v.name, v.disclaimer, v.deductibility, v.limit_cents, v.clock,
    ARRAY(SELECT json_array_elements_text(v.election_days)::date), v.employer_cents, v.employer_from, v.employer_days,
    v.retention_years, v.stripe_account, v.others
FROM json_to_recordset(CAST(:rows AS json)) AS v(slug text, name text, disclaimer text, deductibility text,
    limit_cents bigint, clock text, election_days json, employer_cents bigint, employer_from boolean, employer_days int,
    retention_years int, stripe_account text, others jsonb)
ON CONFLICT (slug) DO UPDATE SET name = excluded.name, disclaimer = excluded.disclaimer,
    deductibility = excluded.deductibility, limit_cents = excluded.limit_cents, limit_clock = excluded.limit_clock,
    election_days = excluded.election_days, employer_cents = excluded.employer_cents,
    employer_from = excluded.employer_from, employer_days = excluded.employer_days,
    retention_years = excluded.retention_years, stripe_account = excluded.stripe_account, others = excluded.others
RETURNING id, slug
""")
_GONE = text("""
DELETE FROM actblue_entity e USING fund f
WHERE f.id = e.fund_id AND f.slug = ANY(:funds) AND e.chapter_id IS NULL AND e.entity_id <> ALL(CAST(:kept AS bigint[]))
""")
_OWN = text("""
INSERT INTO actblue_entity (entity_id, fund_id)
SELECT v.entity_id, f.id FROM json_to_recordset(CAST(:rows AS json)) AS v(entity_id bigint, fund text)
JOIN fund f ON f.slug = v.fund ON CONFLICT (entity_id) DO NOTHING
""")
_EXPRESS = text("UPDATE fund SET express_lane = :on WHERE slug = :slug RETURNING id")


@dataclass(frozen=True, slots=True)
class Changed:
    """One fund that a file changed, or began: the fields, as files name them."""

    id: int
    slug: str
    fields: Sequence[str]
    new: bool


@dataclass(slots=True)
class Outcome:
    """What came of a file: what is wrong, or what changed, and what follows from it."""

    faults: list[Fault] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def every(session: Session) -> Sequence[Row[Any]]:
    """All funds, the oldest first: rows of `fund`, with `entities` of their own and `chapters` with theirs."""
    return session.execute(_EVERY).all()


def one(session: Session, slug: str) -> FundSaid:
    """What a file of this fund says. Raises NotFound."""
    found = {row.slug: row for row in every(session)}
    if slug not in found:
        raise NotFound(f"there is no fund {slug[:60]}; there are {', '.join(found) or 'none'}")
    return _said(found[slug])


def switch_express(session: Session, slug: str, *, on: bool) -> int:
    """Let its links charge saved cards at ActBlue, or no more; returns its id. Raises NotFound."""
    found: int | None = session.scalar(_EXPRESS, {"slug": slug, "on": on})
    if found is None:
        raise NotFound(f"there is no fund {slug[:60]}")
    return found


def bring_in(session: Session, told: Told, now: datetime) -> Outcome:
    """Make the funds of this file what it says of them. With a fault nothing is written; all of them are told, those of the
    file, too. Two writers take turns."""
    session.execute(_ALONE, {"lock": LOCK})
    there = {row.slug: _said(row) for row in every(session)}
    outcome = Outcome(in_order([*told.faults, *_faults(session, told, there)]))
    if outcome.faults:
        return outcome
    after = {one.slug: _merged(there.get(one.slug), one) for one in told.funds}
    changes = {slug: _changed(there.get(slug), fund) for slug, fund in after.items()}
    if not any(changes.values()):
        return outcome
    wanted = [after[slug] for slug, fields in changes.items() if fields]
    ids = {row.slug: row.id for row in session.execute(_PUT, {"rows": rows(_row(fund) for fund in wanted)})}
    outcome.changed = [Changed(ids[one.slug], one.slug, changes[one.slug], one.slug not in there) for one in wanted]
    if any({"actblue_entities", "chapter_entities"} & set(fields) for fields in changes.values()):
        outcome.events = _entities(session, there, wanted, now)
    return outcome


def _said(row: Row[Any]) -> FundSaid:
    """A fund as a file would say it."""
    employer = None if row.employer_cents is None else Threshold(row.employer_cents, row.employer_from)
    return FundSaid.model_construct(
        slug=row.slug, name=row.name, disclaimer=row.disclaimer, deductibility=row.deductibility, limit=row.limit_cents,
        clock=row.limit_clock, election_days=tuple(row.election_days), employer=employer,
        employer_days=row.employer_days, retention_years=row.retention_years, actblue_entities=tuple(row.entities),
        chapter_entities={slug: tuple(ids) for slug, ids in row.chapters.items()}, stripe_account=row.stripe_account,
        others={code: WordsSaid.model_construct(**words) for code, words in row.others.items()},
    )  # fmt: skip


def _row(fund: FundSaid) -> dict[str, Any]:
    """A fund as it is kept."""
    employer = fund.employer
    return fund.model_dump(exclude={"employer", "limit", "actblue_entities", "chapter_entities", "others"}) | {
        "others": {code: words.model_dump(exclude_defaults=True) for code, words in fund.others.items()},
        "limit_cents": fund.limit,
        "employer_cents": employer.cents if employer else None,
        "employer_from": employer.at if employer else False,
    }


def _merged(there: FundSaid | None, said: FundSaid) -> FundSaid:
    """What it will be: what the file does not speak of stays."""
    spoken = {name: getattr(said, name) for name in said.model_fields_set}
    spoken |= {name: tuple(sorted(spoken[name])) for name in ("actblue_entities", "election_days") if name in spoken}
    if "chapter_entities" in spoken:
        spoken["chapter_entities"] = {slug: tuple(sorted(ids)) for slug, ids in said.chapter_entities.items() if ids}
    return (there or said).model_copy(update=spoken)


def _changed(before: FundSaid | None, after: FundSaid) -> list[str]:
    names = [name for name in FundSaid.model_fields if name != "slug"]
    if before is None:
        return [name for name in names if name in after.model_fields_set]
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def _faults(session: Session, told: Told, there: Mapping[str, FundSaid]) -> Iterator[Fault]:
    """What only the house can know, of all that can be read."""
    named = {slug for fund in told.funds for slug in fund.chapter_entities}
    chapters = set(session.scalars(_CHAPTERS, {"slugs": sorted(named)})) if named else set()
    owners = {number: fund.slug for fund in there.values() for number in _numbers(fund)}
    for n, said in enumerate(told.funds):
        unread: frozenset[str] = told.unread.get(n, frozenset())
        for of, name, says in _gaps(said, there.get(said.slug)):
            if not unread & {"slug", *of}:
                yield told.document.fault(("funds", n, name), says)
        for slug in sorted(set(said.chapter_entities) - chapters):
            yield told.document.fault(("funds", n, "chapter_entities", slug), "there is no chapter of this name")
        for says in () if "slug" in unread else _entity_faults(_merged(there.get(said.slug), said), owners):
            yield told.document.fault(("funds", n), says)


def _gaps(said: FundSaid, there: FundSaid | None) -> Iterator[tuple[set[str], str, str]]:
    """What it lacks: the fields that this follows from, the one that it is told of, and why it is needed."""
    for name in NEEDED if there is None else ():
        if not getattr(said, name):
            yield {name}, name, "is missing: the fund is new"
    fund = _merged(there, said)
    if fund.clock == "election" and fund.limit is not None and not fund.election_days:
        yield {"clock", "limit", "election_days"}, "clock", "election: say in election_days when these are"


def _entity_faults(fund: FundSaid, owners: Mapping[int, str]) -> Iterator[str]:
    of_chapters = {number for ids in fund.chapter_entities.values() for number in ids}
    for number in _numbers(fund):
        if owners.get(number, fund.slug) != fund.slug:
            yield f"ActBlue's entity {number} is of the fund {owners[number]}"
    for number in sorted(of_chapters.intersection(fund.actblue_entities)):
        yield f"ActBlue's entity {number} is a chapter's own: see chapter_entities"


def _numbers(fund: FundSaid) -> list[int]:
    return [*fund.actblue_entities, *(number for ids in fund.chapter_entities.values() for number in ids)]


def _entities(session: Session, there: Mapping[str, FundSaid], funds: Sequence[FundSaid], now: datetime) -> list[Event]:
    """Give these funds their numbers at ActBlue. Of a chapter that has a number of its own, past donors may belong to it."""
    after = dict(there) | {fund.slug: fund for fund in funds}
    touched: set[str] = set()
    for fund in funds:
        before = there[fund.slug].chapter_entities if fund.slug in there else {}
        slugs = {*fund.chapter_entities, *before}
        touched |= {slug for slug in slugs if fund.chapter_entities.get(slug) != before.get(slug)}
    named = [
        {"slug": slug, "entity_id": number, "fund": fund.slug}
        for fund in after.values()
        for slug, numbers in fund.chapter_entities.items()
        if slug in touched
        for number in numbers
    ]
    events: list[Event] = list(entities.claim(session, named, touched, now)) if touched else []
    own = [{"fund": fund.slug, "entity_id": number} for fund in funds for number in fund.actblue_entities]
    kept = [row["entity_id"] for row in own]
    session.execute(_GONE, {"funds": [fund.slug for fund in funds], "kept": kept})
    session.execute(_OWN, {"rows": rows(own)})
    return events
