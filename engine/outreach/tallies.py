"""What became of the letters of each step, and how many people left a campaign: counted as it happens.

Whoever learns of it says so by an event (`StepCounted`, `PlacesLeft`). It is written down last in the transaction, once all
else that followed is done (`reactions`), in the order of the rows' keys: others wait for these rows.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.events import Event, PlacesLeft, StepCounted
from engine.outreach import breakers
from engine.settings import Settings

COUNTS = (
    "composed", "handed", "skipped", "cancelled", "expired", "refused", "delivered", "bounced", "complained", "unsubscribed",
    "clicked",
)  # fmt: skip
ANNOYS = ("bounced", "complained", "unsubscribed")  # what breakers go by

# Who composes letters knows the variant; whoever comes first finds it where the version pinned its mailings.
_WRITE = text(f"""
INSERT INTO step_tally AS t (version_id, campaign_id, mailing_id, chapter_id, step, variant, {", ".join(COUNTS)})
SELECT version_id, campaign_id, mailing_id, chapter_id, step, coalesce((
        SELECT x.key FROM sequence_version s, jsonb_each(s.mailings -> v.step) x
        WHERE s.id = v.version_id AND jsonb_path_exists(x.value, '$.* ? (@ == $id)', jsonb_build_object('id', v.mailing_id))
        LIMIT 1), ''), {", ".join(f"greatest({name}, 0)" for name in COUNTS)}
FROM json_to_recordset(CAST(:rows AS json)) AS v(version_id bigint, campaign_id bigint, mailing_id bigint, chapter_id bigint,
    step text, {", ".join(f"{name} bigint" for name in COUNTS)})
ORDER BY version_id, campaign_id, mailing_id, chapter_id
ON CONFLICT (version_id, campaign_id, mailing_id, chapter_id) DO NOTHING
RETURNING version_id, campaign_id, mailing_id, chapter_id
""")
_ADD = text(f"""
WITH v AS MATERIALIZED (
    SELECT v.* FROM json_to_recordset(CAST(:rows AS json)) AS v(version_id bigint, campaign_id bigint, mailing_id bigint,
        chapter_id bigint, {", ".join(f"{name} bigint" for name in COUNTS)})
), own AS MATERIALIZED (
    SELECT t.version_id, t.campaign_id, t.mailing_id, t.chapter_id FROM step_tally t
    JOIN v USING (version_id, campaign_id, mailing_id, chapter_id)
    ORDER BY t.version_id, t.campaign_id, t.mailing_id, t.chapter_id FOR NO KEY UPDATE OF t
)
UPDATE step_tally t SET {", ".join(f"{name} = greatest(t.{name} + v.{name}, 0)" for name in COUNTS)}
FROM own JOIN v USING (version_id, campaign_id, mailing_id, chapter_id)
WHERE (t.version_id, t.campaign_id, t.mailing_id, t.chapter_id)
    = (own.version_id, own.campaign_id, own.mailing_id, own.chapter_id)
RETURNING t.version_id, t.campaign_id, t.mailing_id, t.chapter_id
""")
_LEFT = text("""
WITH own AS MATERIALIZED (
    SELECT k.id, v.people FROM json_to_recordset(CAST(:rows AS json)) AS v(id bigint, people bigint)
    JOIN campaign k ON k.id = v.id ORDER BY k.id FOR NO KEY UPDATE OF k
)
UPDATE campaign k SET left_early = k.left_early + own.people FROM own WHERE k.id = own.id
""")

Key = tuple[int, int, int, int]


def write(session: Session, counted: Iterable[StepCounted]) -> None:
    """Add these. One statement, and one more for steps that nothing was counted of yet."""
    sums: dict[Key, Counter[str]] = {}
    steps: dict[Key, str] = {}
    for each in counted:
        key = (each.version_id, each.campaign_id, each.mailing_id, each.chapter_id)
        sums.setdefault(key, Counter()).update(each.counts)
        steps[key] = each.step
    wanted = {key: _record(key, steps[key], sums[key]) for key in sorted(sums) if any(sums[key].values())}
    while wanted:
        there = session.execute(_ADD, {"rows": rows(wanted.values())})
        wanted = {key: wanted[key] for key in wanted.keys() - {tuple(row) for row in there}}
        if wanted:  # the first of their step; unless another has just been before us
            made = session.execute(_WRITE, {"rows": rows(wanted.values())})
            wanted = {key: wanted[key] for key in wanted.keys() - {tuple(row) for row in made}}


def letters(session: Session, counted: Sequence[StepCounted], now: datetime, settings: Settings) -> list[Event]:
    """Write these down; what annoys too many stands still from now on."""
    annoying = [each for each in counted if any(each.counts.get(name, 0) > 0 for name in ANNOYS)]
    breakers.hold(session, annoying)
    write(session, counted)
    return breakers.look(session, annoying, now, settings) if annoying else []


def places(session: Session, left: Sequence[PlacesLeft], _: datetime, __: Settings) -> list[Event]:
    """Count who left."""
    people: Counter[int] = Counter()
    for each in left:
        people[each.campaign_id] += each.people
    session.execute(_LEFT, {"rows": rows({"id": each, "people": people[each]} for each in sorted(people))})
    return []


def _record(key: Key, step: str, sums: Counter[str]) -> dict[str, object]:
    named = zip(("version_id", "campaign_id", "mailing_id", "chapter_id"), key, strict=True)
    return {**dict(named), "step": step, **{name: sums[name] for name in COUNTS}}
