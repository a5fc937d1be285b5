"""Campaigns begin, and people enter them: a stretch of contacts in each transaction, by one INSERT … SELECT.

How far it has come is kept in that same transaction, so that whatever is cut short goes on where it was, and nobody enters
twice. One worker at a time expands a campaign: it holds an advisory lock, not the campaign's row, so that people's steps are
counted meanwhile, and whoever pauses or cancels it need not wait.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid, NotFound
from engine.events import Event, HumanNeeded, MatterSettled, StepsDue
from engine.outreach import breakers, campaigns, contents, launching, preflight, repeating
from engine.outreach.campaigns import SCHEDULED, Standing
from engine.outreach.contents import Content
from engine.outreach.definitions import Definition
from engine.outreach.preflight import Checked
from engine.segments import audience
from engine.segments.sql import Compiled
from engine.settings import Settings

STRETCH = 50_000  # contacts looked at in one transaction
LOCKS = 0x67726E65 << 31  # and the campaign's id

FRESH = timedelta(minutes=1)  # for so long what was seen of its audience when it was launched is good enough

# SQL of campaign `k`: it begins, or people have still to enter it.
DUE = """
(k.paused_at IS NULL AND (k.state = 'expanding' OR k.state = 'scheduled' AND k.starts_at <= :now
    AND (k.held_until IS NULL OR k.held_until <= :now) AND (NOT k.needs_approval OR k.approved_at IS NOT NULL))
    AND NOT EXISTS (SELECT FROM sequence q WHERE q.id = k.sequence_id AND q.paused_at IS NOT NULL))
"""

_CLAIM = text(f"""
SELECT id FROM (SELECT id FROM campaign k WHERE {DUE} ORDER BY k.urgent = '', k.launched_at, k.id OFFSET 0) k
WHERE pg_try_advisory_xact_lock(:locks + id) LIMIT 1
""")
_STILL = text(f"SELECT changed_at FROM campaign k WHERE id = :id AND {DUE} FOR NO KEY UPDATE")
_STILL_DUE = text(f"SELECT EXISTS (SELECT FROM campaign k WHERE id = :id AND {DUE})")
_BEGIN = text("""
UPDATE campaign SET state = 'expanding', version_id = :version_id, run = :run, skipped = '', cursor = 0, enrolled = 0,
    finished = 0, left_early = 0, upto = (SELECT coalesce(max(id), 0) FROM contact) WHERE id = :id
""")
_HOLD = text("""
UPDATE campaign SET held_until = CAST(:now AS timestamptz) + CAST(:hold AS interval), expected = :people, changed_at = :now
WHERE id = :id
""")
_STOP = text("""
UPDATE campaign SET paused_at = :now, paused_because = :because, changed_at = :now WHERE id = :id AND paused_at IS NULL
""")
_UPTO = text("""
SELECT max(id) FROM (SELECT id FROM contact WHERE id > :after AND id <= :last ORDER BY id LIMIT :most) s
""")
# A plan made for these very people: those of one stretch are found by their ids, or by what chooses few of all.
TERMS = text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true)")
_ENTER = """
INSERT INTO enrollment (contact_id, version_id, sequence_id, campaign_id, rotation, step, due_at, entered_at)
SELECT c.id, :version_id, :sequence_id, :campaign_id, :run, :step, :now, :now {people}
ORDER BY c.id ON CONFLICT (contact_id, sequence_id, campaign_id, rotation) DO NOTHING
"""
_WENT_ON = text("""
UPDATE campaign SET cursor = :upto, enrolled = enrolled + :entered, state = CASE WHEN :last THEN 'running' ELSE state END
WHERE id = :id AND state = 'expanding' AND version_id = :version_id RETURNING id
""")


def expand(session: Session, now: datetime, settings: Settings, stretch: int = STRETCH) -> tuple[list[Event], bool]:
    """One turn with one campaign: it begins, or a stretch of contacts enters it. Returns what followed, and whether there may
    be more. Raises Conflict, so that all of it is undone, when it was cancelled meanwhile, or its people moved."""
    found: int | None = session.scalar(_CLAIM, {"now": now, "locks": LOCKS})
    if found is None:
        return [], False
    # Asked again, in a statement of its own: whoever had the lock before may have ended it.
    if not session.scalar(_STILL_DUE, {"id": found, "now": now}):
        return [], True
    campaign = campaigns.of_id(session, found)
    try:
        if campaign.state == SCHEDULED:
            return _begin(session, campaign, now, settings), True
        return _enter(session, campaign, now, stretch), True
    except (Invalid, NotFound) as error:  # what its rule names is gone, or its letter is no more what it was
        return _stop(session, campaign, str(error), now), True


def entering(campaign: Standing, definition: Definition, people: Compiled, now: datetime) -> tuple[str, dict[str, Any]]:
    """The statement by which these people enter, with what it binds. `people`: as `audience.people` has it."""
    values = {
        "version_id": campaign.version_id, "sequence_id": campaign.sequence_id or 0, "campaign_id": campaign.id,
        "run": campaign.run, "step": definition.steps[0].key, "now": now,
    }  # fmt: skip
    return _ENTER.format(people=people.sql), values | dict(people.values)


def _begin(session: Session, campaign: Standing, now: datetime, settings: Settings) -> list[Event]:
    """Its time has come: look once more whether it can leave, and is no larger than whoever launched it could know. What
    repeats takes its newest words, or waits for the next time when there is nothing new. Raises Invalid, NotFound: its letter
    was changed at this moment."""
    renews = bool(campaign.repeat) and not campaign.needs_approval
    content = contents.newest(session, campaign) if renews else contents.of(session, campaign)
    missed = repeating.missed(session, campaign, content, now, settings) if renews else ""
    checked = _checked(session, campaign, content, now, settings) if not missed else Checked(0, {})
    # Whoever pauses, undoes or cancels it need not wait while it is looked at; and is heeded.
    seen = session.scalar(_STILL, {"id": campaign.id, "now": now})
    if seen != campaign.changed_at:
        return []
    if missed:
        return repeating.skip(session, campaign, missed, now, settings)
    # That nobody is left in its audience does not stand against it: then it ends at once.
    if reasons := [reason for reason in checked.refusals if reason != preflight.EMPTY]:
        return _stop(session, campaign, "; ".join(reasons), now)
    if checked.hold_minutes and campaign.expected <= settings.hold_people:
        return _hold(session, campaign, checked, now)
    version_id = contents.pin(session, campaign, content, now) if renews else campaign.version_id
    run = repeating.run(session, campaign, settings) if campaign.repeat else campaign.run
    session.execute(_BEGIN, {"id": campaign.id, "version_id": version_id, "run": run})
    return [StepsDue(None), MatterSettled(None, launching.HELD, campaign.slug)]


def _checked(session: Session, campaign: Standing, content: Content, now: datetime, settings: Settings) -> Checked:
    """What stands against it by now, and how many people it has become, unless they have only just been counted."""
    if campaign.launched_at is not None and now - campaign.launched_at < FRESH:
        return Checked(campaign.expected, {}, preflight.against(session, campaign, content, now, settings))
    return preflight.check(session, campaign, content, now, settings)


def _hold(session: Session, campaign: Standing, checked: Checked, now: datetime) -> list[Event]:
    """It has become large since somebody looked at it: it can be undone for a while, as if it were launched now."""
    hold = timedelta(minutes=checked.hold_minutes)
    session.execute(_HOLD, {"id": campaign.id, "now": now, "hold": hold, "people": checked.people})
    advice = (
        f"{checked.people:,} people by now, and {campaign.expected:,} before: it begins at {now + hold:%Y-%m-%d %H:%M} UTC, "
        f"unless somebody says `groundswell campaigns undo {campaign.slug}`"
    )
    return [HumanNeeded(None, launching.HELD, campaign.slug, advice)]


def _enter(session: Session, campaign: Standing, now: datetime, stretch: int) -> list[Event]:
    """The next stretch of contacts; a smaller one, when that takes too long. Raises Invalid when even that does."""
    definition = contents.definition(session, campaign)
    rule, scopes = contents.audience(session, campaign, definition)
    names = audience.known(session, rule, scopes)
    among = ("c.id > :after", "c.id <= :upto")
    people = audience.people(rule, names, campaign.kind, scopes=scopes, sender=audience.HOME, among=among)
    statement, values = entering(campaign, definition, people, now)
    session.execute(TERMS)
    for most in (stretch, max(stretch // 20, 1)):
        between = {"after": campaign.cursor, "last": campaign.upto, "most": most}
        upto: int = session.scalar(_UPTO, between) or campaign.upto
        entered = _entered(session, statement, values | between | {"upto": upto})
        if entered is not None:
            break
    else:
        raise Invalid("its rule takes too long to be asked of even a few people: narrow it down")
    told = {"id": campaign.id, "upto": upto, "entered": entered, "last": upto >= campaign.upto}
    if session.scalar(_WENT_ON, told | {"version_id": campaign.version_id}) is None:
        raise Conflict(f"{campaign.slug} was cancelled meanwhile, or its people went on by another version")
    return [StepsDue(None)]


def _entered(session: Session, statement: str, values: Mapping[str, Any]) -> int | None:
    """How many people entered; None, and none did, when it took too long."""
    try:
        with session.begin_nested():
            made: Any = session.execute(text(statement), values)
            return int(made.rowcount)
    except OperationalError as error:
        if isinstance(error.orig, psycopg.errors.QueryCanceled):
            return None
        raise


def _stop(session: Session, campaign: Standing, because: str, now: datetime) -> list[Event]:
    """It stands still until a person has seen to it."""
    session.execute(_STOP, {"id": campaign.id, "because": because, "now": now})
    advice = f"{because}: see to it, then `groundswell campaigns resume {campaign.slug}`"
    return [HumanNeeded(None, breakers.CAMPAIGN, campaign.slug, advice)]
