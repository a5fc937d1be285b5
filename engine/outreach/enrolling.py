"""Who enters sequences by themselves: people to whom something happened (`on`), and once a day everybody whom `if` chooses.

Each sequence takes them by the version that is published then, once at a time and again as it says (`again`): each entry is
a rotation of hers. Who is let in by a campaign stands elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Event, HumanNeeded, StepsDue
from engine.outreach import guards
from engine.outreach.definitions import Definition, span
from engine.people.consent import mailable
from engine.people.unconfirmed import UNANSWERED
from engine.segments import names as naming
from engine.segments import sql
from engine.segments.names import Names
from engine.segments.sql import Binder

DAILY = "daily"
STRETCH = 20_000  # contacts looked at in one transaction

# `kinds`: the kind of each step's letter.
_OPEN = text("""
SELECT v.id AS version_id, q.id AS sequence_id, q.slug, h.slug AS chapter, v.definition::text AS definition, (
    SELECT jsonb_object_agg(s.key, l.kind)
    FROM jsonb_each(v.mailings) s CROSS JOIN LATERAL jsonb_path_query_first(s.value, '$.*.en') n(id)
    JOIN mailing m ON m.id = CAST(n.id AS bigint) JOIN letter l ON l.id = m.letter_id) AS kinds
FROM sequence q JOIN sequence_version v ON v.sequence_id = q.id AND v.version = q.version
LEFT JOIN chapter h ON h.id = q.chapter_id
WHERE q.trigger = :trigger AND q.paused_at IS NULL AND q.archived_at IS NULL ORDER BY q.id
""")
# Her newest entry of this sequence says whether she may enter once more. Nobody is in it twice at a time.
_ENTER = """
INSERT INTO enrollment (contact_id, version_id, sequence_id, rotation, step, due_at, entered_at, facts, inbound_event_id)
SELECT p.id, :version_id, :sequence_id, coalesce(hers.rotation + 1, 0), :step, :now, :now, p.facts, p.cause
FROM (
    SELECT c.id, v.facts, v.cause FROM {source} JOIN contact c ON c.id = v.contact_id
    WHERE c.email IS NOT NULL AND c.erased_at IS NULL AND c.merged_into_id IS NULL AND {chosen} OFFSET 0
) p CROSS JOIN LATERAL (
    SELECT max(e.rotation) AS rotation, max(e.entered_at) AS entered_at, bool_or(e.state = 'active') AS inside
    FROM enrollment e WHERE e.contact_id = p.id AND e.sequence_id = :sequence_id AND e.campaign_id = 0
) hers
WHERE hers.rotation IS NULL OR NOT hers.inside AND hers.entered_at <= CAST(:now AS timestamptz) - CAST(:again AS interval)
ORDER BY p.id
ON CONFLICT (contact_id, sequence_id, campaign_id, rotation) DO NOTHING
RETURNING id
"""
_TOLD = "json_to_recordset(CAST(:people AS json)) AS v(contact_id bigint, facts jsonb, cause bigint)"
_ALL = """(SELECT id AS contact_id, CAST('{}' AS jsonb) AS facts, CAST(NULL AS bigint) AS cause
    FROM contact WHERE id > :after AND id <= :upto) v"""
_UPTO = text("SELECT max(id) FROM (SELECT id FROM contact WHERE id > :after ORDER BY id LIMIT :most) s")


@dataclass(frozen=True, slots=True)
class Entrant:
    """Somebody to whom it happened. `facts`: what her letters are told of it; `cause`: the inbound event that told us."""

    contact_id: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    cause: int | None = None


def enter(session: Session, trigger: str, people: Sequence[Entrant], now: datetime) -> list[Event]:
    """Let these people into the sequences that this (one of TRIGGERS) opens; of somebody who is named twice, the last counts.
    One statement, two where there are such sequences, and one for each of them."""
    entering = {each.contact_id: each for each in people}
    if not entering:
        return []
    told = rows({"contact_id": each.contact_id, "facts": each.facts, "cause": each.cause} for each in entering.values())
    return _entered(session, _open(session, trigger), _TOLD, {"people": told}, now)


def look(session: Session, after: int, now: datetime, stretch: int = STRETCH) -> tuple[list[Event], int | None]:
    """One stretch of contacts behind this id: let those who may be written to into the sequences that open once a day.
    Returns what followed, and the id to go on after; None: that was the last, or there is no such sequence."""
    found = _open(session, DAILY)
    upto = session.scalar(_UPTO, {"after": after, "most": stretch}) if found else None
    if upto is None:
        return [], None
    return _entered(session, found, _ALL, {"after": after, "upto": upto}, now), int(upto)


def _open(session: Session, trigger: str) -> Sequence[Row[Any]]:
    return session.execute(_OPEN, {"trigger": trigger}).all()


def _entered(
    session: Session, found: Sequence[Row[Any]], source: str, values: Mapping[str, Any], now: datetime
) -> list[Event]:
    says = {one.version_id: guards.read(one.definition).definition for one in found}
    asked = [said.when for said in says.values() if said.when is not None]
    names = naming.find(session, *asked, chapters=[one.chapter for one in found if one.chapter])
    events: list[Event] = []
    entered = 0
    for one in found:
        said = says[one.version_id]
        if lacking := guards.lacking(names, [said.when] if said.when is not None else []):
            events.append(HumanNeeded(None, guards.LACKING, one.slug, f"nobody enters it: {lacking}"))
            continue
        binder = Binder(names, "w")
        chosen = [*_scope(one, names, binder), *([sql.condition(said.when, binder)] if said.when is not None else [])]
        chosen += [_mailable(said, one.kinds or {})] if source is _ALL else []
        terms = {
            "version_id": one.version_id, "sequence_id": one.sequence_id, "step": said.steps[0].key, "now": now,
            "again": None if said.again == "never" else timedelta() if said.again == "always" else span(said.again),
        }  # fmt: skip
        statement = _ENTER.format(source=source, chosen=" AND ".join(chosen or ["true"]))
        entered += len(session.execute(text(statement), binder.values | dict(values) | terms).all())
    return [*events, StepsDue(None)] if entered else events


def _scope(one: Row[Any], names: Names, binder: Binder) -> list[str]:
    """Of a chapter's sequence: she belongs to it, or to one below it."""
    if not one.chapter or names.whole(one.chapter):
        return []
    return [f"c.chapter_id = {binder.ids(names.ids('chapter', one.chapter))}"]


def _mailable(said: Definition, kinds: Mapping[str, str]) -> str:
    """That she may get one of its letters at all; where one needs nobody's leave, or there is none, that she is more to us
    than an address which was asked once and never answered."""
    wanted = sorted({kinds[step.key] for step in said.steps if step.mails and step.key in kinds})
    if "" in wanted or not wanted:
        return f"NOT ({UNANSWERED.replace(':before', 'CAST(:now AS timestamptz)')})"
    return f"({' OR '.join(mailable(repr(kind), 'c.chapter_id') for kind in wanted)})"
