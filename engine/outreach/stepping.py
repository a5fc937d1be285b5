"""People take their next steps: those who are due in one version and campaign at a time, a batch in one transaction.

One statement chooses a line (a version and a campaign), one claims people of it who are due, one asks what is known of them;
the planner says what follows for each, and a few statements write it down (`steps_taken`). Whoever is locked by others is
passed over: stepping waits for nobody while it holds somebody. She is locked before she is looked at, so that a gift is
either seen here or finds the letter that was written here.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.events import Event, HumanNeeded
from engine.outreach import arbitration, enrolled, guards, plan, steps_taken, timing, zones
from engine.outreach.guards import Alike, Asked, Reading
from engine.outreach.plan import Place, Planned, Terms
from engine.outreach.steps_taken import Line, Taken
from engine.settings import Settings

MOST = 1000  # people in one transaction
# The first of each line: one look into the index each. A line that stands still is passed over; of the others one is drawn,
# so that neither a large campaign nor a busy sequence makes the others wait.
LINES = """
RECURSIVE line AS (
    (SELECT version_id, campaign_id, due_at, id FROM enrollment WHERE state = 'active'
     ORDER BY version_id, campaign_id, due_at, id LIMIT 1)
    UNION ALL
    SELECT n.* FROM line CROSS JOIN LATERAL (
        SELECT version_id, campaign_id, due_at, id FROM enrollment
        WHERE state = 'active' AND (version_id, campaign_id) > (line.version_id, line.campaign_id)
        ORDER BY version_id, campaign_id, due_at, id LIMIT 1) n
), due AS MATERIALIZED (
    SELECT line.*, v.sequence_id FROM line JOIN sequence_version v ON v.id = line.version_id
    LEFT JOIN sequence q ON q.id = v.sequence_id LEFT JOIN campaign k ON k.id = line.campaign_id
    WHERE line.due_at <= :now AND q.paused_at IS NULL
        AND (line.campaign_id = 0 OR k.paused_at IS NULL AND k.state NOT IN ('draft', 'cancelled'))
)
"""
# Whoever pauses or cancels a campaign does not wait for those who step: what they write is not claimed, and taken back.
_CHOOSE = text(f"""
WITH {LINES}, chosen AS MATERIALIZED (
    SELECT * FROM due ORDER BY random() LIMIT 1
), its_sequence AS MATERIALIZED (
    SELECT q.id FROM sequence q WHERE q.id = (SELECT sequence_id FROM chosen) AND q.paused_at IS NULL
    FOR KEY SHARE SKIP LOCKED
), its_campaign AS MATERIALIZED (
    SELECT k.id, k.run, k.deadline, k.gathering_id, k.chapter_id, k.urgent FROM campaign k
    WHERE k.id = (SELECT campaign_id FROM chosen) AND k.paused_at IS NULL AND k.state NOT IN ('draft', 'cancelled')
    FOR KEY SHARE SKIP LOCKED
)
SELECT v.id AS version_id, chosen.campaign_id, coalesce(v.sequence_id, 0) AS sequence_id, chosen.due_at, chosen.id,
    v.definition::text AS definition, v.mailings, v.fund_ids, v.quiet_from, v.quiet_until, k.run, k.deadline, k.urgent,
    k.chapter_id, g.starts_at AS gathering, (SELECT count(*) FROM due) > 1 AS others,
    (v.sequence_id IS NULL OR q.id IS NOT NULL) AND (chosen.campaign_id = 0 OR k.id IS NOT NULL) AS ours
FROM chosen JOIN sequence_version v ON v.id = chosen.version_id
LEFT JOIN its_sequence q ON true LEFT JOIN its_campaign k ON true LEFT JOIN gathering g ON g.id = k.gathering_id
""")
# In the order of the index, from the first on that is due; whom somebody else holds is passed over.
_CLAIM = text("""
SELECT count(*) AS people, CAST(array_agg(id) AS text) AS ids, array_agg(DISTINCT step) AS steps,
    array_agg(DISTINCT chapter_id) FILTER (WHERE time_zone = '' AND chapter_id IS NOT NULL) AS chapters
FROM (
    SELECT e.id, e.step, c.chapter_id, c.time_zone FROM enrollment e JOIN contact c ON c.id = e.contact_id
    WHERE e.state = 'active' AND e.version_id = :version_id AND e.campaign_id = :campaign_id AND e.due_at <= :now
        AND (e.due_at, e.id) >= (:since, :first)
    ORDER BY e.due_at, e.id LIMIT :most FOR NO KEY UPDATE OF c SKIP LOCKED FOR UPDATE OF e SKIP LOCKED
) claimed
""")
_STAND_STILL = {
    table: text(f"UPDATE {table} SET paused_at = :now, paused_because = :because WHERE id = :id RETURNING slug")
    for table in ("campaign", "sequence")
}


def step(session: Session, now: datetime, settings: Settings, most: int = MOST) -> tuple[list[Event], bool]:
    """Let up to `most` people of one line take what steps are due. Returns what followed, and whether there may be more that
    nobody else is at."""
    chosen = session.execute(_CHOOSE, {"now": now}).one_or_none()
    if chosen is None or not chosen.ours:
        return [], False
    names = ("version_id", "campaign_id")
    values = {name: getattr(chosen, name) for name in names} | {"since": chosen.due_at, "first": chosen.id}
    claimed = session.execute(_CLAIM, values | {"now": now, "most": most}).one()
    if not claimed.people:
        return enrolled.lose(session, chosen.version_id, chosen.campaign_id, now), False
    reading = guards.read(chosen.definition, tuple(chosen.fund_ids))
    asked = Asked(claimed.ids, claimed.steps, claimed.chapters or ())
    try:
        known = guards.known(session, reading, asked, now, settings.time_zone)
    except Invalid as error:
        return _stand_still(session, chosen, str(error), now), chosen.others
    here = zones.zone_of(session, chosen.chapter_id, settings) if chosen.deadline else ZoneInfo(settings.time_zone)
    turn = _Turn(reading, _terms(chosen, reading, here), now, salt(chosen.version_id))
    line = Line(
        chosen.version_id, chosen.campaign_id, chosen.sequence_id, chosen.run or 0, chosen.mailings,
        now.astimezone(ZoneInfo(settings.time_zone)).date(), settings.base_url,
    )  # fmt: skip
    known, handed_on = _handed_on(session, known)
    taken = [each for alike in known for each in turn.taken(alike)]
    happened = steps_taken.write(session, line, taken, now) if taken else []
    return happened, claimed.people == most or handed_on or chosen.others


def _handed_on(session: Session, known: list[Alike]) -> tuple[list[Alike], bool]:
    """Those who step; and whether there are others: who was being merged while she was let in, whose place is now due again
    as that of whom she is."""
    merged = [who for alike in known if alike.gone == guards.MERGED for who in alike.people.contacts]
    moved = enrolled.hand_on(session, merged) if merged else frozenset()
    if not moved:
        return known, False
    left = [(alike, [at for at, place in enumerate(alike.people.ids) if place not in moved]) for alike in known]
    return [replace(alike, people=alike.people.only(chosen)) for alike, chosen in left if chosen], True


def _stand_still(session: Session, chosen: Row[Any], because: str, now: datetime) -> list[Event]:
    """Nobody can step in it: let it wait for a person."""
    table = "campaign" if chosen.campaign_id else "sequence"
    values = {"id": chosen.campaign_id or chosen.sequence_id, "because": because, "now": now}
    slug = session.scalars(_STAND_STILL[table], values).one()
    advice = f"when that is put right: `groundswell {table}s resume {slug}`"
    return [HumanNeeded(None, f"{table} paused", slug, f"{because}; {advice}")]


def salt(version_id: int) -> str:
    """What the draws of variants and holdouts of a version go by."""
    return str(version_id)


def _terms(chosen: Row[Any], reading: Reading, here: ZoneInfo) -> Terms:
    """`here`: where the days before a deadline are counted: of a campaign's, where its chapter is."""
    day = reading.definition.deadline
    deadline = chosen.deadline or (timing.beginning(day, here.key) if day else None)
    quiet = None if chosen.quiet_from is None else (chosen.quiet_from, chosen.quiet_until)
    return Terms(
        deadline and deadline.astimezone(here),
        chosen.gathering and chosen.gathering.astimezone(here),
        arbitration.quiet_hours(quiet, urgent=bool(chosen.urgent)),
    )


@dataclass(frozen=True, slots=True)
class _Turn:
    """What is the same for all who step together."""

    reading: Reading
    terms: Terms
    now: datetime
    salt: str

    def taken(self, alike: Alike) -> list[Taken]:
        """What follows for people who are alike; one by one only where lots are drawn."""
        steps = self.reading.drawn(alike.place.step)
        if alike.gone or not steps:
            return [Taken(self.planned(alike, alike.place), alike.language, alike.people)]
        groups: dict[tuple[str | None, ...], list[int]] = {}
        for at, contact_id in enumerate(alike.people.contacts):
            drawn = tuple([plan.drawn(step, self.salt, contact_id) for step in steps])
            groups.setdefault(drawn, []).append(at)
        some = [alike.people.only(chosen) for chosen in groups.values()]
        return [
            Taken(self.planned(alike, replace(alike.place, contact_id=people.contacts[0])), alike.language, people)
            for people in some
        ]

    def planned(self, alike: Alike, place: Place) -> Planned:
        """For one of them, and for all for whom the same is drawn."""
        if alike.gone:
            return Planned("left", alike.gone, "", self.now)
        return plan.plan(self.reading.definition, place, alike.facts, self.terms, self.now, self.salt)
