"""Pausing a campaign, letting it go on, and cancelling it with all that is queued.

A campaign that is paused lets nobody enter or step, and none of its letters is claimed; one that is cancelled stays paused,
so that nothing leaves from that commit on, while `clear` takes its people and letters out, a bounded number at a time.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import bell
from engine.db import rows
from engine.errors import Conflict
from engine.events import Event, LettersComposed, MatterSettled, StepsDue
from engine.outreach import campaigns, contents, expanding, launching
from engine.outreach.campaigns import CANCELLED, DRAFT, FINISHED, Done
from engine.staff import audit

BECAUSE = "campaign cancelled"  # of its people and its letters
AT_ONCE = 2_000  # people, and letters, that cancelling itself takes out
SHARE = 20_000  # and each turn after it

_PAUSE = text("""
UPDATE campaign SET paused_at = :now, paused_because = :because, changed_at = :now WHERE id = :id
""")
_RESUME = text("UPDATE campaign SET paused_at = NULL, paused_because = '', changed_at = :now WHERE id = :id")
_CANCEL = text("""
UPDATE campaign SET state = 'cancelled', ended_because = :because, paused_at = coalesce(paused_at, :now), changed_at = :now
WHERE id = :id
""")
_CANCELLED = text("""
SELECT id FROM campaign WHERE state = 'cancelled' AND ended_at IS NULL ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
""")
_VERSIONS = text("""
SELECT v.id FROM campaign k JOIN sequence_version v ON v.id = k.version_id OR v.sequence_id = k.sequence_id WHERE k.id = :id
""")
_LEAVE = text("""
WITH chosen AS MATERIALIZED (
    SELECT id FROM enrollment WHERE state = 'active' AND version_id = ANY(:versions) AND campaign_id = :id
    LIMIT :most FOR UPDATE SKIP LOCKED
), gone AS (
    UPDATE enrollment e SET state = 'left', reason = :because, ended_at = :now FROM chosen WHERE e.id = chosen.id
    RETURNING e.id
), counted AS (
    UPDATE campaign SET left_early = left_early + (SELECT count(*) FROM gone) WHERE id = :id
)
SELECT count(*) FROM gone
""")
_TAKE_BACK = text("""
WITH chosen AS MATERIALIZED (
    SELECT id FROM message WHERE state = 'ready' AND lane = 'delivery' AND mailing_id = ANY(:mailings)
        AND version_id = ANY(:versions) AND campaign_id = :id
    LIMIT :most FOR UPDATE SKIP LOCKED
)
UPDATE message m SET state = 'cancelled', reason = :because FROM chosen WHERE m.id = chosen.id
RETURNING m.version_id, m.mailing_id, coalesce(m.chapter_id, 0) AS chapter_id
""")
_COUNT = text("""
WITH told AS (
    SELECT * FROM json_to_recordset(CAST(:rows AS json))
        AS v(version_id bigint, mailing_id bigint, chapter_id bigint, many bigint)
), held AS MATERIALIZED (
    SELECT t.version_id, t.campaign_id, t.mailing_id, t.chapter_id, told.many FROM step_tally t
    JOIN told USING (version_id, mailing_id, chapter_id) WHERE t.campaign_id = :id
    ORDER BY t.version_id, t.campaign_id, t.mailing_id, t.chapter_id FOR NO KEY UPDATE OF t
)
UPDATE step_tally t SET cancelled = t.cancelled + held.many FROM held
WHERE (t.version_id, t.campaign_id, t.mailing_id, t.chapter_id)
    = (held.version_id, held.campaign_id, held.mailing_id, held.chapter_id)
""")
# Somebody is about to step, a letter is in a worker's hands, or with the provider and nobody knows: it may be ready again.
_LEFT = text("""
SELECT EXISTS (SELECT FROM enrollment WHERE state = 'active' AND version_id = ANY(:versions) AND campaign_id = :id)
    OR EXISTS (SELECT FROM message WHERE state = 'ready' AND lane = 'delivery' AND mailing_id = ANY(:mailings)
        AND version_id = ANY(:versions) AND campaign_id = :id)
    OR EXISTS (SELECT FROM handover h JOIN message m ON m.handover_id = h.id
        WHERE h.state IN ('submitting', 'uncertain') AND m.campaign_id = :id)
""")
_ENDED = text("UPDATE campaign SET ended_at = :now WHERE id = :id")


def pause(session: Session, slug: str, now: datetime, *, who: int | None, because: str = "") -> Done:
    """Nobody enters it or steps in it, none of its letters leaves, until `resume`. Paused already: nothing is done. Raises
    NotFound; Conflict for a draft and for one that ended."""
    campaign = campaigns.locked(session, slug)
    if campaign.state in (DRAFT, FINISHED, CANCELLED):
        raise Conflict(f"{slug} is {campaign.state}: there is nothing to pause")
    if campaign.paused_at is not None:
        return Done(campaign, changed=False)
    session.execute(_PAUSE, {"id": campaign.id, "because": because, "now": now})
    audit.write(session, who, "campaign paused", "campaign", campaign.id, {"campaign": slug, "because": because}, now)
    return Done(campaigns.of_id(session, campaign.id))


def resume(session: Session, slug: str, now: datetime, *, who: int | None) -> Done:
    """It goes on. Not paused: nothing is done. Raises NotFound, Conflict for one that ended."""
    campaign = campaigns.locked(session, slug)
    if campaign.state in (FINISHED, CANCELLED):
        raise Conflict(f"{slug} is {campaign.state}: duplicate it")
    if campaign.paused_at is None:
        return Done(campaign, changed=False)
    session.execute(_RESUME, {"id": campaign.id, "now": now})
    audit.write(session, who, "campaign resumed", "campaign", campaign.id, {"campaign": slug}, now)
    happened = [StepsDue(None), LettersComposed(None, bell.DELIVERY), MatterSettled(None, expanding.STOPPED, slug)]
    return Done(campaigns.of_id(session, campaign.id), happened)


def cancel(session: Session, slug: str, now: datetime, *, who: int | None, because: str = "") -> Done:
    """For good: from this commit on nothing of it leaves; its people leave it and its queued letters read `cancelled:
    campaign cancelled`, of a large one within moments (`clear`). Cancelled already: nothing is done. Raises NotFound, and
    Conflict for one that has finished."""
    campaign = campaigns.locked(session, slug)
    if campaign.state == FINISHED:
        raise Conflict(f"{slug} has finished: all of it has left")
    if campaign.state == CANCELLED:
        return Done(campaign, changed=False)
    session.execute(_CANCEL, {"id": campaign.id, "because": because, "now": now})
    audit.write(
        session, who, "campaign cancelled", "campaign", campaign.id, {"campaign": slug, "because": because}, now
    )
    happened: list[Event] = [MatterSettled(None, kind, slug) for kind in (launching.WAITS, expanding.STOPPED)]
    more = _clear(session, campaign.id, now, AT_ONCE)
    return Done(campaigns.of_id(session, campaign.id), happened + ([StepsDue(None)] if more else []))


def clear(session: Session, now: datetime, most: int = SHARE) -> bool:
    """Take people and queued letters out of one cancelled campaign, so many at most. Whether there may be more."""
    found: int | None = session.scalar(_CANCELLED)
    return found is not None and _clear(session, found, now, most)


def _clear(session: Session, campaign_id: int, now: datetime, most: int) -> bool:
    versions = list(session.scalars(_VERSIONS, {"id": campaign_id}))
    mailings = contents.mailings(session, campaign_id)
    of = {"id": campaign_id, "versions": versions, "mailings": mailings, "because": BECAUSE, "now": now, "most": most}
    people: int = session.execute(_LEAVE, of).scalar_one()
    taken = session.execute(_TAKE_BACK, of).all()
    _count(session, campaign_id, taken)
    if people < most and len(taken) < most and not session.scalar(_LEFT, of):
        session.execute(_ENDED, of)
        return False
    return True


def _count(session: Session, campaign_id: int, taken: Sequence[Row[Any]]) -> None:
    many = Counter((row.version_id, row.mailing_id, row.chapter_id) for row in taken)
    if many:
        names = ("version_id", "mailing_id", "chapter_id")
        told = [dict(zip(names, key, strict=True)) | {"many": many[key]} for key in sorted(many)]
        session.execute(_COUNT, {"rows": rows(told), "id": campaign_id})
