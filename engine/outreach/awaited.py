"""What people in sequences wait for (`wait_for`) happens: they are due at once, and their sequence goes on. What happened
before they came to that step is not what they wait for."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from engine.events import (
    ContributionRecorded,
    DonorLearned,
    Event,
    HelpOffered,
    InstalmentRecorded,
    Joined,
    LetterClicked,
    PlanStarted,
    StepsDue,
)
from engine.outreach.enrolled import ACTIVE
from engine.settings import Settings

_HEAR = f"""
UPDATE enrollment e SET heard = true, due_at = least(e.due_at, :now)
WHERE {ACTIVE.format("e")} AND e.waits_for = :awaited AND NOT e.heard AND e.contact_id IN ({{who}}) RETURNING e.id
"""
_HER = text(_HEAR.format(who="SELECT unnest(CAST(:ids AS bigint[]))"))
_GAVE = text(_HEAR.format(who="""
    SELECT g.contact_id FROM contribution g WHERE g.id = ANY(:ids) AND g.fund_id IS NOT NULL
        AND (g.recurring_period = 'once' OR g.sequence = 0)"""))  # fmt: skip
_PAID = text(
    _HEAR.format(who="SELECT g.contact_id FROM contribution g WHERE g.id = ANY(:ids) AND g.fund_id IS NOT NULL")
)
_CLICKED = text(_HEAR.format(who="SELECT m.contact_id FROM message m WHERE m.id = ANY(:ids)"))
_BEGAN = text(_HEAR.format(who="SELECT p.contact_id FROM recurring_plan p WHERE p.id = ANY(:ids)"))


def happened(session: Session, awaited: str, contact_ids: Collection[int], now: datetime) -> list[Event]:
    """This (one of EVENTS) happened to these people."""
    return _heard(session, _HER, awaited, contact_ids, now)


def gave(
    session: Session, recorded: Sequence[ContributionRecorded | DonorLearned], now: datetime, _: Settings
) -> list[Event]:
    """A gift, or the first of a plan, to a fund of ours."""
    return _heard(session, _GAVE, "gave", [event.contribution_id for event in recorded], now)


def paid(session: Session, recorded: Sequence[InstalmentRecorded], now: datetime, _: Settings) -> list[Event]:
    """A later instalment of a plan."""
    return _heard(session, _PAID, "instalment_paid", [event.contribution_id for event in recorded], now)


def began(session: Session, started: Sequence[PlanStarted], now: datetime, _: Settings) -> list[Event]:
    """A plan."""
    return _heard(session, _BEGAN, "monthly_started", [event.plan_id for event in started], now)


def clicked(session: Session, followed: Sequence[LetterClicked], now: datetime, _: Settings) -> list[Event]:
    """A link in a letter; machines never count."""
    return _heard(session, _CLICKED, "clicked", [event.message_id for event in followed if not event.machine], now)


def joined(session: Session, people: Sequence[Joined], now: datetime, _: Settings) -> list[Event]:
    """Her yes to letters."""
    return happened(session, "joined", [event.contact_id for event in people], now)


def offered(session: Session, people: Sequence[HelpOffered], now: datetime, _: Settings) -> list[Event]:
    """Help."""
    return happened(session, "offered_help", [event.contact_id for event in people], now)


def _heard(session: Session, statement: TextClause, awaited: str, ids: Collection[int], now: datetime) -> list[Event]:
    if not ids:
        return []
    heard = session.execute(statement, {"ids": list(ids), "awaited": awaited, "now": now}).all()
    return [StepsDue(None)] if heard else []
