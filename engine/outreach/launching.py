"""Launching a campaign, once: it is scheduled, held for a while when it is large, and waits for a second person where one is
needed. Undoing that while nothing has left."""

from datetime import datetime, timedelta

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Forbidden, Invalid
from engine.events import Event, HumanNeeded, MatterSettled, StepsDue
from engine.outreach import campaigns, contents, preflight, repeating
from engine.outreach.campaigns import CANCELLED, DRAFT, SCHEDULED, Done, Standing
from engine.segments import rules
from engine.settings import Settings
from engine.staff import audit

WAITS = "campaign waits for approval"  # kinds of notice
HELD = "campaign has grown"
LONGEST_KEY = 255

_SCHEDULE = text("""
UPDATE campaign SET state = 'scheduled', version_id = :version_id, rule = CAST(:rule AS jsonb), kind = :kind, run = 1,
    starts_at = greatest(starts_at, :now), held_until = CAST(:now AS timestamptz) + CAST(:hold AS interval),
    needs_approval = :needs_approval, approved_by = NULL, approved_at = NULL, launch_key = :key, launched_by = :who,
    launched_at = :now, expected = :expected, changed_at = :now
WHERE id = :id
""")
_APPROVE = text("UPDATE campaign SET approved_by = :who, approved_at = :now, changed_at = :now WHERE id = :id")
_REPIN = text("UPDATE campaign SET version_id = :version_id WHERE id = :id")
# The key is kept: that very launch, told again late, must not come back. Letters of earlier runs stand still if they did.
_UNDO = text("""
UPDATE campaign SET state = 'draft', version_id = NULL, held_until = NULL, needs_approval = false, approved_by = NULL,
    approved_at = NULL, launched_by = NULL, launched_at = NULL, expected = 0, run = 1,
    paused_at = CASE WHEN run <> 1 THEN paused_at END, paused_because = CASE WHEN run <> 1 THEN paused_because ELSE '' END,
    launch_key = '', undone_keys = array_append(undone_keys, launch_key),
    starts_at = CASE WHEN starts_at > launched_at THEN starts_at END, changed_at = :now
WHERE id = :id
""")


def launch(session: Session, slug: str, now: datetime, settings: Settings, *, key: str, who: int | None) -> Done:
    """Schedule it: it begins at `starts_at`, but not before it was held and approved. The same `key` again is the same launch
    and does nothing (`changed` is False).

    Raises NotFound; preflight.Refused with all reasons; Forbidden: a second person must approve it, and nobody knows who is
    the first (None); Conflict: launched already under another key, or that launch was undone, or it is archived; Invalid: no
    key, or one longer than LONGEST_KEY, or its letter was changed at this moment.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise Invalid(f"a launch has a key of 1 to {LONGEST_KEY} characters")
    seen = campaigns.one(session, slug)
    if _launched(seen, key):
        return Done(seen, changed=False)
    # The audience is counted before anything is locked; two at once both count, and one of them launches.
    content = contents.of(session, seen)
    checked = preflight.check(session, seen, content, now, settings)
    campaign = campaigns.locked(session, slug)
    if _launched(campaign, key):
        return Done(campaign, changed=False)
    if campaign.changed_at != seen.changed_at:
        raise Conflict(f"{slug} was changed at this moment: look at it again")
    if checked.refusals or checked.rule is None:
        raise preflight.Refused(checked.refusals)
    if checked.needs_approval and who is None:
        raise Forbidden("say who launches it: a second person must approve it, and be another one")
    values = {
        "id": campaign.id, "version_id": contents.pin(session, campaign, content, now), "kind": content.kind, "key": key,
        "rule": orjson.dumps(rules.said(checked.rule)).decode(), "who": who, "now": now, "expected": checked.people,
        "hold": timedelta(minutes=checked.hold_minutes) if checked.hold_minutes else None,
        "needs_approval": checked.needs_approval,
    }  # fmt: skip
    session.execute(_SCHEDULE, values)
    detail = {"campaign": slug, "people": checked.people, "version_id": values["version_id"], "urgent": campaign.urgent}
    audit.write(session, who, "campaign launched", "campaign", campaign.id, detail, now)
    happened: list[Event] = [StepsDue(None)]
    if checked.needs_approval:
        happened.append(waits(slug, checked.people))
    return Done(campaigns.of_id(session, campaign.id), happened)


def approve(session: Session, slug: str, now: datetime, settings: Settings, *, who: int | None) -> Done:
    """A second person agrees; of what repeats, to its next run in the newest words. Again by her: nothing is done.

    Raises NotFound; Forbidden: it is who launched it, or nobody knows who it is (None); Conflict: it is not scheduled, or
    needs no approval, or its next run has nothing new; preflight.Refused, when something stands against it by now.
    """
    campaign = campaigns.locked(session, slug)
    if campaign.state != SCHEDULED or not campaign.needs_approval:
        raise Conflict(
            f"{slug} is {campaign.state}" + ("" if campaign.state != SCHEDULED else " and needs no approval")
        )
    if who is None:
        raise Forbidden("say who approves: a second person must be known")
    if who == campaign.launched_by:
        raise Forbidden("whoever launched it cannot approve it: a second person does")
    if campaign.approved_at is not None:
        return Done(campaign, changed=False)
    if campaign.repeat:
        _renew(session, campaign, now, settings)
    session.execute(_APPROVE, {"id": campaign.id, "who": who, "now": now})
    audit.write(session, who, "campaign approved", "campaign", campaign.id, {"campaign": slug}, now)
    return Done(campaigns.of_id(session, campaign.id), [StepsDue(None), MatterSettled(None, WAITS, slug)])


def undo(session: Session, slug: str, now: datetime, *, who: int | None) -> Done:
    """Back to a draft, as long as it has not begun; what repeats, while a run is held. Of a draft nothing is done.
    Raises NotFound, Conflict."""
    campaign = campaigns.locked(session, slug)
    if campaign.state == DRAFT:
        return Done(campaign, changed=False)
    held = campaign.held_until is not None and campaign.held_until > now
    if campaign.state != SCHEDULED or (campaign.run != 1 and not held):
        raise Conflict(f"{slug} has begun: pause it, or cancel it with all that is queued")
    session.execute(_UNDO, {"id": campaign.id, "now": now})
    audit.write(session, who, "campaign undone", "campaign", campaign.id, {"campaign": slug}, now)
    return Done(campaigns.of_id(session, campaign.id), [MatterSettled(None, kind, slug) for kind in (WAITS, HELD)])


def waits(slug: str, people: int) -> Event:
    """That a second person is needed."""
    advice = (
        f"{people:,} people: a second person says `groundswell campaigns approve {slug} --as ADDRESS`, or cancels it"
    )
    return HumanNeeded(None, WAITS, slug, advice)


def _launched(campaign: Standing, key: str) -> bool:
    """Whether this very launch was done. Raises Conflict when it cannot be done any more."""
    if campaign.state == DRAFT:
        if campaign.archived_at is not None:
            raise Conflict(f"{campaign.slug} is archived: duplicate it")
        if key in campaign.undone_keys:
            raise Conflict(f"this launch of {campaign.slug} was undone: launch it anew, under another key")
        return False
    if campaign.launch_key == key:
        return True
    raise Conflict(
        f"{campaign.slug} was cancelled" if campaign.state == CANCELLED else f"{campaign.slug} is already launched"
    )


def _renew(session: Session, campaign: Standing, now: datetime, settings: Settings) -> None:
    """Pin the newest words of what repeats. Raises Refused."""
    newest = contents.newest(session, campaign)
    if not repeating.fresh(session, campaign, newest, settings):
        raise Conflict(f"{campaign.slug}: {repeating.NOTHING_NEW}")
    if checked := preflight.check(session, campaign, newest, now, settings).refusals:
        raise preflight.Refused(checked)
    session.execute(_REPIN, {"id": campaign.id, "version_id": contents.pin(session, campaign, newest, now)})
