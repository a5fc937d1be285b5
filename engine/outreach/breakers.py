"""The circuit breaker of campaigns and sequences: what bounces, annoys or is left by too many stands still, and a person is
told.

Of a campaign the letters of all its steps are looked at together; of a sequence that people enter by themselves those of
all its versions. Mailings have a breaker of their own (`mail.breaker`). What counts is what happened since a person last
let it go on; what is told after that of letters that had left before is excused.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Event, HumanNeeded, StepCounted
from engine.settings import Settings

CAMPAIGN, SEQUENCE = "campaign paused", "sequence paused"  # kinds of notice
FEW = 10  # so many bounces or unsubscribes may always be; of complaints three
COUNTED = ("handed", "bounced", "complained", "unsubscribed")

# Whose letters those are: rows of step_tally `t` by the row `w` that can stand still; its id by version and campaign of row
# `v`.
_OF = {
    "campaign": ("t.campaign_id = w.id", "v.campaign_id"),
    "sequence": (
        "t.campaign_id = 0 AND t.version_id IN (SELECT id FROM sequence_version s WHERE s.sequence_id = w.id)",
        "CASE v.campaign_id WHEN 0 THEN (SELECT s.sequence_id FROM sequence_version s WHERE s.id = v.version_id) END",
    ),
}
_SUMS = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in COUNTED)
_SINCE = ", ".join(f"sums.{name} - coalesce(CAST(w.excused ->> '{name}' AS bigint), 0) AS {name}" for name in COUNTED)
_LATE = """
WITH late AS (
    SELECT {whose} AS id, v.what, count(*) AS letters
    FROM json_to_recordset(CAST(:rows AS json)) AS v(version_id bigint, campaign_id bigint, what text, handover_id bigint)
    JOIN {table} w ON w.id = {whose} AND v.handover_id <= CAST(w.excused ->> 'upto' AS bigint) GROUP BY 1, 2
), each AS (
    SELECT w.id, w.excused || jsonb_object_agg(late.what, CAST(w.excused ->> late.what AS bigint) + late.letters) AS excused
    FROM late JOIN {table} w ON w.id = late.id GROUP BY w.id
)
UPDATE {table} w SET excused = each.excused FROM each WHERE w.id = each.id
"""
_BREAK = f"""
WITH asked AS (
    SELECT DISTINCT {{whose}} AS id FROM json_to_recordset(CAST(:rows AS json)) AS v(version_id bigint, campaign_id bigint)
), since AS MATERIALIZED (
    SELECT w.id, {_SINCE} FROM {{table}} w CROSS JOIN LATERAL (SELECT {_SUMS} FROM step_tally t WHERE {{tallies}}) sums
    WHERE w.id IN (SELECT id FROM asked) AND w.paused_at IS NULL
), verdict AS (
    SELECT id, CASE
        WHEN complained > :few_complaints AND complained > handed * CAST(:complaints AS float) / 100
            THEN complained || ' of ' || handed || ' called it spam'
        WHEN bounced > :few AND bounced > handed * CAST(:bounces AS float) / 100
            THEN bounced || ' of ' || handed || ' came back'
        WHEN unsubscribed > :few AND unsubscribed > handed * CAST(:unsubscribes AS float) / 100
            THEN unsubscribed || ' of ' || handed || ' were stopped by their readers' END AS because
    FROM since
)
UPDATE {{table}} w SET paused_at = :now, paused_because = v.because FROM verdict v WHERE w.id = v.id AND v.because IS NOT NULL
RETURNING w.slug, w.paused_because
"""
_EXCUSE = """
UPDATE {table} w SET excused = (SELECT jsonb_build_object({pairs}, 'upto', (SELECT coalesce(max(id), 0) FROM handover))
    FROM step_tally t WHERE {tallies}) WHERE w.id = :id
"""


def _each(statement: str) -> Mapping[str, TextClause]:
    pairs = ", ".join(f"'{name}', coalesce(sum(t.{name}), 0)" for name in COUNTED)
    return {
        table: text(statement.format(table=table, tallies=tallies, whose=whose, pairs=pairs))
        for table, (tallies, whose) in _OF.items()
    }


_LATES, _BREAKS, _EXCUSES = _each(_LATE), _each(_BREAK), _each(_EXCUSE)
_KINDS = {"campaign": CAMPAIGN, "sequence": SEQUENCE}
_HOLD = text("SELECT id FROM campaign WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")


def hold(session: Session, counted: Sequence[StepCounted]) -> None:
    """Lock the campaigns that `look` may pause: before their tallies, the order in which stepping counts."""
    if ids := sorted({each.campaign_id for each in counted if each.campaign_id}):
        session.execute(_HOLD, {"ids": ids})


def look(session: Session, counted: Sequence[StepCounted], now: datetime, settings: Settings) -> list[Event]:
    """Let those stand still of which too many letters were counted (they are, by now) that annoyed somebody."""
    told = rows(
        {"version_id": each.version_id, "campaign_id": each.campaign_id, "what": what, "handover_id": handover_id}
        for each in counted
        for what, handovers in each.told_of.items()
        for handover_id in handovers
    )
    values: dict[str, Any] = {
        "rows": told, "now": now, "few": FEW, "few_complaints": FEW // 3, "bounces": settings.most_bounces_percent,
        "complaints": settings.most_complaints_percent, "unsubscribes": settings.most_unsubscribes_percent,
    }  # fmt: skip
    happened: list[Event] = []
    for table in _OF:
        if any((each.campaign_id != 0) == (table == "campaign") for each in counted):
            session.execute(_LATES[table], {"rows": told})
            happened += [
                HumanNeeded(None, _KINDS[table], row.slug, f"{row.paused_because}: `groundswell {table}s resume {row.slug}` "
                            "lets it go on")
                for row in session.execute(_BREAKS[table], values)
            ]  # fmt: skip
    return happened


def excuse_campaign(session: Session, campaign_id: int) -> None:
    """A person lets it go on: what was counted until now is not held against it any more."""
    session.execute(_EXCUSES["campaign"], {"id": campaign_id})


def excuse_sequence(session: Session, sequence_id: int) -> None:
    """The same of a sequence."""
    session.execute(_EXCUSES["sequence"], {"id": sequence_id})
