"""What came of a simulation, read from the clone in which it ran: letters by day, chapter and step, how people ended, what
was not sent, and what caps put off; scaled up from those who were looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.reports import explain
from engine.reports.clockwork import Clockwork
from engine.reports.estimates import Estimate, Sample
from engine.reports.explain import About, Explained
from engine.reports.sayings import Account, Said
from engine.reports.world import FIRST_ID

# The letters of the version and campaign that are looked at, those that were written in the clone alone.
_MINE = "m.version_id = :version_id AND m.campaign_id = :campaign_id AND m.id > :first"
_SENT = f"""
SELECT {{keys}}, CAST(sum(letters) AS bigint) AS letters, CAST(sum(letters * letters) AS bigint) AS squares FROM (
    SELECT {{keys}}, contact_id, count(*) AS letters FROM (
        SELECT m.contact_id, CAST(m.handed_at AT TIME ZONE :zone AS date) AS day, coalesce(h.name, '') AS chapter, m.step,
            coalesce(pinned.variant, '') AS variant, true AS everything
        FROM message m LEFT JOIN chapter h ON h.id = m.chapter_id LEFT JOIN pinned ON pinned.mailing_id = m.mailing_id
        WHERE {_MINE} AND m.handed_at IS NOT NULL
    ) sent GROUP BY {{keys}}, contact_id
) each_one GROUP BY {{keys}} ORDER BY {{keys}}
"""
# Which variant a mailing is.
_PINNED = """WITH pinned AS (
    SELECT DISTINCT ON (mailing_id) variant.key AS variant, CAST(CAST(said.value AS text) AS bigint) AS mailing_id
    FROM sequence_version v CROSS JOIN LATERAL jsonb_each(v.mailings) step
    CROSS JOIN LATERAL jsonb_each(step.value) variant CROSS JOIN LATERAL jsonb_each(variant.value) said
    CROSS JOIN LATERAL (SELECT CAST(CAST(said.value AS text) AS bigint) AS mailing_id) known
    WHERE v.id = :version_id ORDER BY mailing_id, variant.key
)"""
_STEPS = text("""
SELECT step.said ->> 'key' FROM sequence_version v
CROSS JOIN LATERAL jsonb_array_elements(v.definition -> 'steps') WITH ORDINALITY step(said, place)
WHERE v.id = :version_id ORDER BY step.place
""")
_ENDS = text("""
SELECT state, reason, count(*) AS people FROM enrollment m
WHERE m.version_id = :version_id AND m.campaign_id = :campaign_id AND m.id > :first
GROUP BY state, reason ORDER BY count(*) DESC, state, reason
""")
_PASSED = text("""
SELECT told ->> 0 AS step, told ->> 1 AS outcome, told ->> 2 AS reason, count(*) AS people
FROM enrollment m CROSS JOIN LATERAL jsonb_array_elements(m.history) told
WHERE m.version_id = :version_id AND m.campaign_id = :campaign_id AND m.id > :first AND told ->> 1 IN ('skipped', 'held out')
GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3
""")
_UNSENT = text(f"""
SELECT m.step, m.state, m.reason, count(*) AS letters FROM message m WHERE {_MINE} AND m.handed_at IS NULL
GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3
""")
_PUT_OFF = text(f"""
SELECT p.reason, count(DISTINCT p.message_id) AS letters FROM put_off p JOIN message m ON m.id = p.message_id WHERE {_MINE}
GROUP BY 1 ORDER BY 2 DESC, 1
""")
_HERS_PUT_OFF = text("""
SELECT p.at, p.until, p.reason, w.slug FROM put_off p JOIN message m ON m.id = p.message_id
JOIN mailing w ON w.id = m.mailing_id WHERE m.contact_id = :contact_id AND p.until > p.at ORDER BY p.at, p.until
""")


@dataclass(frozen=True, slots=True)
class Counted:
    """One line: what it is about (a day, a chapter, a step …), and how much of it there is."""

    what: tuple[Any, ...]
    how_much: Estimate


@dataclass(frozen=True, slots=True)
class Simulated:
    """What would happen to all of them. `since`, `until`: when people enter, and the last moment at which anything was due;
    `ends`: (state, reason); `passed`: (step, outcome, reason); `unsent`: (step, state, reason); `put_off`: (reason,), letters
    that waited for it; `needed`: what staff would be told; `paused`: it stands still, this is as if it went on. Days
    are the organisation's."""

    name: str
    sample: Sample
    since: datetime
    until: datetime
    zone: str
    letters: Estimate
    by_day: Sequence[Counted]
    by_chapter: Sequence[Counted]
    by_step: Sequence[Counted]
    by_day_and_chapter: Sequence[Counted]
    by_day_and_step: Sequence[Counted]
    ends: Sequence[Counted]
    passed: Sequence[Counted]
    unsent: Sequence[Counted]
    put_off: Sequence[Counted]
    needed: Sequence[str]
    paused: bool = False

    @property
    def days(self) -> list[date]:
        """The days on which letters leave."""
        return [each.what[0] for each in self.by_day]


def tell(  # noqa: PLR0917 all of one simulation
    session: Session, name: str, version_id: int, campaign_id: int, sample: Sample, clock: Clockwork, since: datetime
) -> Simulated:
    """What came of this version and campaign (0: people entered by themselves)."""
    zone = clock.settings.time_zone
    mine = {"version_id": version_id, "campaign_id": campaign_id, "first": FIRST_ID, "zone": zone}

    def sent(*keys: str) -> list[Counted]:
        statement = text(_PINNED + _SENT.format(keys=", ".join(keys)))
        rows = session.execute(statement, mine)
        return [Counted(tuple(row[: len(keys)]), sample.of(row.letters, row.squares)) for row in rows]

    def counted(rows: Sequence[Row[Any]]) -> list[Counted]:
        return [Counted(tuple(row[:-1]), sample.of(row[-1])) for row in rows]

    def of_step(each: Counted) -> int:
        return order.index(each.what[0])

    order = session.scalars(_STEPS, mine).all()
    everything = sent("everything")
    return Simulated(
        name, sample, since, clock.now, zone, everything[0].how_much if everything else sample.of(0),
        sent("day"), sent("chapter"), sorted(sent("step", "variant"), key=of_step), sent("day", "chapter"),
        sorted(sent("day", "step"), key=lambda each: (each.what[0], order.index(each.what[1]))),
        counted(session.execute(_ENDS, mine).all()), sorted(counted(session.execute(_PASSED, mine).all()), key=of_step),
        sorted(counted(session.execute(_UNSENT, mine).all()), key=of_step), counted(session.execute(_PUT_OFF, mine).all()),
        sorted(set(clock.needed)),
    )  # fmt: skip


def of_person(session: Session, contact_id: int, clock: Clockwork, asked: About, since: datetime) -> Explained:
    """The same of one person: every decision about whatever she gets from `since` on, with its date and reason; how the
    conditions of what is asked about stand with her."""
    zone = clock.settings.time_zone
    found = explain.explain(session, contact_id, clock.now, zone)
    if asked.what:
        of_it = explain.explain(session, contact_id, clock.now, zone, asked=asked)
        found = replace(found, about=asked, chosen=of_it.chosen, conditions=of_it.conditions)
    account = Account(found.zone)
    later = [
        Said(row.at, f"letter {row.slug}", f"is put off until {account.moment(row.until)}: {row.reason}")
        for row in session.execute(_HERS_PUT_OFF, {"contact_id": contact_id})
    ]
    began = since.replace(microsecond=0)  # steps are kept by the second
    decided = [said for said in (*found.decided, *later) if said.at >= began]
    return replace(found, decided=sorted(decided, key=lambda said: said.at))
