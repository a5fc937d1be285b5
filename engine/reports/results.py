"""What a campaign or sequence came to: its people, its letters, and the gifts that are owed to them.

Letters are counted as they happen (`step_tally`); gifts are what `attribution` says, their cents what the ledger has left of
them. Of people who were held out of a step it is shown what they gave beside those who got it: of what somebody gives a week
after a letter, much would have come without it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Invalid, NotFound
from engine.outreach import definitions
from engine.outreach.definitions import Definition
from engine.segments import audience
from engine.segments.sql import LEFT

COMPARED_DAYS = 7  # of gifts, after a step that some were held out of
CERTAIN = 1.96  # standard errors to each side: 95 of 100

# What repeats may have had other words, and so another version, in each of its runs; its people are counted anew in each.
_CAMPAIGN = text("""
SELECT k.id AS campaign_id, k.slug, k.name, k.state, k.chapter_id,
    k.version_id || ARRAY(SELECT DISTINCT t.version_id FROM step_tally t WHERE t.campaign_id = k.id
        AND t.version_id IS DISTINCT FROM k.version_id ORDER BY 1) AS version_ids,
    CASE k.repeat WHEN '' THEN k.enrolled END AS enrolled, k.finished, k.left_early,
    CAST('{}' AS text[]) AS campaigns
FROM campaign k WHERE k.slug = :slug
""")
_SEQUENCE = text("""
SELECT 0 AS campaign_id, s.slug, s.name, CASE WHEN s.paused_at IS NOT NULL THEN 'paused' WHEN s.version = 0 THEN 'unpublished'
        ELSE 'running' END AS state, s.chapter_id, array_agg(v.id ORDER BY v.version) AS version_ids,
    CAST(NULL AS bigint) AS enrolled, CAST(NULL AS bigint) AS finished, CAST(NULL AS bigint) AS left_early,
    ARRAY(SELECT k.slug FROM campaign k WHERE k.sequence_id = s.id AND k.launched_at IS NOT NULL ORDER BY k.id) AS campaigns
FROM sequence s LEFT JOIN sequence_version v ON v.sequence_id = s.id WHERE s.slug = :slug GROUP BY s.id
""")
_VERSIONS = text(
    "SELECT id, definition, mailings, fund_ids FROM sequence_version WHERE id = ANY(:versions) ORDER BY id"
)
_OF_IT = "version_id = ANY(:versions) AND campaign_id = :campaign"
# Wherever they lie: those of campaigns that are long over are in the archive.
_PLACES = f"""(SELECT contact_id, state, reason, history FROM enrollment WHERE {_OF_IT}
    UNION ALL SELECT contact_id, state, reason, history FROM past_place WHERE :campaign <> 0 AND {_OF_IT})"""
_PEOPLE = text(f"""
SELECT e.state, e.reason, count(*) AS people FROM {_PLACES} e GROUP BY e.state, e.reason
ORDER BY people DESC, e.reason
""")
_TALLY = text(f"SELECT * FROM step_tally WHERE {_OF_IT}")
# One payment that was booked twice is one gift; what went to somebody else's committee is none of ours.
_GIFTS = text(f"""
SELECT a.version_id, a.mailing_id, coalesce(a.chapter_id, 0) AS chapter_id,
    count(*) FILTER (WHERE g.sequence = 0) AS gifts, count(*) FILTER (WHERE g.sequence > 0) AS instalments,
    count(*) FILTER (WHERE a.by = 'click') AS by_click,
    sum(g.amount_cents) AS gross_cents, sum(was.left_cents) AS net_cents
FROM attribution a JOIN contribution g ON g.id = a.contribution_id CROSS JOIN LATERAL (SELECT {LEFT} AS left_cents) was
WHERE a.version_id = ANY(:versions) AND a.campaign_id = :campaign
    AND g.status <> 'duplicate' AND g.fund_id IS NOT NULL AND g.currency = 'usd'
GROUP BY 1, 2, 3
""")
_MAILINGS = text("SELECT id, slug, language FROM mailing WHERE id = ANY(:ids)")
_CHAPTERS = text("SELECT id, name FROM chapter")
# What those gave who got a step's letter, and those who were held out of it, within days of that moment.
_COMPARED = text(f"""
WITH reached AS MATERIALIZED (
    SELECT e.contact_id, told ->> 0 AS step, told ->> 1 = 'held out' AS held_out,
        to_timestamp(CAST(told ->> 3 AS float8)) AS at
    FROM {_PLACES} e CROSS JOIN LATERAL jsonb_array_elements(e.history) told
    WHERE told ->> 0 = ANY(:steps) AND told ->> 1 IN ('written', 'held out')
), given AS MATERIALIZED (
    SELECT g.contact_id, g.paid_at, {LEFT} AS cents FROM contribution g
    WHERE g.paid_at >= (SELECT min(at) FROM reached) AND g.sequence = 0 AND g.currency = 'usd'
        AND CASE WHEN cardinality(CAST(:funds AS bigint[])) = 0 THEN g.fund_id IS NOT NULL ELSE g.fund_id = ANY(:funds) END
)
SELECT step, held_out, count(*) AS people, count(*) FILTER (WHERE cents > 0) AS donors, coalesce(sum(cents), 0) AS cents
FROM (
    SELECT r.contact_id, r.step, r.held_out, sum(g.cents) AS cents FROM reached r LEFT JOIN given g
        ON g.contact_id = r.contact_id AND g.paid_at BETWEEN r.at AND r.at + interval '{COMPARED_DAYS} days'
    GROUP BY r.contact_id, r.step, r.held_out, r.at
) each_one GROUP BY step, held_out
""")


@dataclass(frozen=True, slots=True)
class Numbers:
    """What some letters came to. `composed`: written; `handed`: to the provider; `gross_cents`: as given, `net_cents`: what
    refunds, disputes and duplicates left of it. `instalments`: after the first of a plan; `by_click`: gifts that no refcode
    proves."""

    composed: int = 0
    handed: int = 0
    skipped: int = 0
    cancelled: int = 0
    expired: int = 0
    refused: int = 0
    delivered: int = 0
    bounced: int = 0
    complained: int = 0
    unsubscribed: int = 0
    clicked: int = 0
    gifts: int = 0
    instalments: int = 0
    by_click: int = 0
    gross_cents: int = 0
    net_cents: int = 0

    def __add__(self, other: "Numbers") -> "Numbers":
        return Numbers(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Numbers)))


NAMES = tuple(each.name for each in fields(Numbers))


@dataclass(frozen=True, slots=True)
class Line:
    """The letters of one step, variant ('': there are none), language and chapter ('': the root), and what they came to."""

    step: str
    variant: str
    language: str
    mailing: str
    chapter: str
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Group:
    """People who got a letter, or were held out of it; who of them gave within COMPARED_DAYS, and how much is left of it."""

    people: int
    donors: int
    cents: int

    @property
    def share(self) -> float:
        """The part of them that gave."""
        return self.donors / self.people if self.people else 0.0


@dataclass(frozen=True, slots=True)
class Compared:
    """A step that some were held out of."""

    step: str
    written: Group
    held_out: Group

    @property
    def more(self) -> float:
        """By how much the part of donors is larger among those who got the letter."""
        return self.written.share - self.held_out.share

    @property
    def margin(self) -> float:
        """To each side of `more`, with a certainty of 95 in 100. As if one more of each group had given and one more had
        not (Agresti and Caffo): of few people it is wide, never nothing."""
        parts = [((each.donors + 1) / (each.people + 2), each.people + 2) for each in (self.written, self.held_out)]
        return CERTAIN * sqrt(sum(part * (1 - part) / people for part, people in parts))


@dataclass(frozen=True, slots=True)
class Results:
    """What it came to. `chapter_id`: whose it is, none: the root's; `left`: why people left before the end, with how many;
    `compared`: None when that takes too long; `campaigns`: of a sequence, those that launched it, each with results of its
    own."""

    slug: str
    name: str
    state: str
    chapter_id: int | None
    enrolled: int
    finished: int
    left_early: int
    left: Sequence[tuple[str, int]]
    lines: Sequence[Line]
    compared: Sequence[Compared] | None
    campaigns: Sequence[str] = ()

    @property
    def whole(self) -> Numbers:
        """All of it together."""
        return sum((line.numbers for line in self.lines), Numbers())

    def by(self, *names: str) -> dict[tuple[str, ...], Numbers]:
        """The same by some of `step`, `variant`, `language`, `mailing`, `chapter`; in the order of steps."""
        found: dict[tuple[str, ...], Numbers] = {}
        for line in self.lines:
            key = tuple(str(getattr(line, name)) for name in names)
            found[key] = found.get(key, Numbers()) + line.numbers
        return found


def of_campaign(session: Session, slug: str) -> Results:
    """What a campaign came to so far, all its runs together. Raises NotFound."""
    return _results(session, session.execute(_CAMPAIGN, {"slug": slug}).one_or_none(), f"campaign {slug}")


def of_sequence(session: Session, slug: str) -> Results:
    """What a sequence came to by the people who entered it by themselves, all its versions together. Raises NotFound."""
    return _results(session, session.execute(_SEQUENCE, {"slug": slug}).one_or_none(), f"sequence {slug}")


def _results(session: Session, found: Row[Any] | None, called: str) -> Results:
    if found is None:
        raise NotFound(f"there is no {called}")
    versions = {"versions": [each for each in found.version_ids if each is not None], "campaign": found.campaign_id}
    written = session.execute(_VERSIONS, versions).all()
    places = _places(written)
    people = _people(session, versions)
    if found.enrolled is not None:
        counted = (found.enrolled, found.finished, found.left_early)
    else:
        counted = (_many(people), _many(people, "finished"), _many(people, "left"))
    left = [(reason, many) for state, reason, many in people or () if state == "left"]
    lines = _lines(session, versions, places)
    compared = _compared(session, versions, written)
    return Results(
        found.slug, found.name, found.state, found.chapter_id, *counted, left, lines, compared, found.campaigns
    )


def _places(written: Iterable[Row[Any]]) -> dict[tuple[int, int], tuple[int, str, str]]:
    """By version and mailing: the place of its step, the step, the variant. Of one that several steps send, the first."""
    found: dict[tuple[int, int], tuple[int, str, str]] = {}
    for version in written:
        order = [step.key for step in _definition(version).steps]
        for step in sorted(version.mailings, key=lambda key: order.index(key) if key in order else len(order)):
            for variant, languages in version.mailings[step].items():
                for mailing_id in languages.values():
                    found.setdefault(
                        (version.id, mailing_id), (order.index(step) if step in order else len(order), step, variant)
                    )
    return found


def _definition(version: Row[Any]) -> Definition:
    return definitions.read(version.definition)


def _people(session: Session, of_it: Mapping[str, Any]) -> list[tuple[str, str, int]] | None:
    try:
        with audience.bounded(session):
            return [tuple(row) for row in session.execute(_PEOPLE, of_it)]
    except Invalid:
        return None


def _many(people: Sequence[tuple[str, str, int]] | None, *states: str) -> int:
    return sum(many for state, _, many in people or () if not states or state in states)


def _lines(
    session: Session, of_it: Mapping[str, Any], places: Mapping[tuple[int, int], tuple[int, str, str]]
) -> list[Line]:
    tallied = {_key(row): row for row in session.execute(_TALLY, of_it)}
    given = {_key(row): row for row in session.execute(_GIFTS, of_it)}
    ids = sorted({mailing_id for _, mailing_id, _ in (*tallied, *given)})
    mailings = {row.id: row for row in session.execute(_MAILINGS, {"ids": ids})}
    chapters = {row.id: row.name for row in session.execute(_CHAPTERS)}
    found = []
    for key in {**tallied, **given}:
        version_id, mailing_id, chapter_id = key
        place, step, variant = places.get((version_id, mailing_id), (len(places), "", ""))
        if tally := tallied.get(key):
            step, variant = tally.step, tally.variant
        mailing, chapter = mailings[mailing_id], chapters.get(chapter_id, "")
        numbers = Numbers(**_told(tallied.get(key)) | _told(given.get(key)))
        found.append((place, Line(step, variant, mailing.language, mailing.slug, chapter, numbers)))
    found.sort(key=lambda each: (each[0], each[1].step, each[1].variant, each[1].language, each[1].chapter))
    return [line for _, line in found]


def _key(row: Row[Any]) -> tuple[int, int, int]:
    return row.version_id, row.mailing_id, row.chapter_id


def _told(row: Row[Any] | None) -> dict[str, int]:
    return {} if row is None else {name: int(row._mapping[name]) for name in NAMES if name in row._fields}


def _compared(session: Session, of_it: Mapping[str, Any], written: Iterable[Row[Any]]) -> list[Compared] | None:
    steps: dict[str, None] = {}
    funds: set[int] = set()
    for version in written:
        steps |= dict.fromkeys(step.key for step in _definition(version).steps if step.holdout is not None)
        funds |= set(version.fund_ids)
    if not steps:
        return []
    try:
        with audience.bounded(session):
            rows = session.execute(_COMPARED, {**of_it, "steps": list(steps), "funds": sorted(funds)}).all()
    except Invalid:
        return None
    groups = {(row.step, row.held_out): Group(row.people, row.donors, int(row.cents)) for row in rows}
    none = Group(0, 0, 0)
    return [Compared(step, groups.get((step, False), none), groups.get((step, True), none)) for step in steps]
