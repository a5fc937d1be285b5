"""What lets people into sequences by itself: which event of ours opens which of `definitions.TRIGGERS`, for whom, and what
the letters of these sequences are told of it.

A gift, a plan or its end that is heard of later than the house allows (a report that is imported, a late burst) lets nobody
in. Words among the facts are told in every language there is: which one a letter speaks shows when it is written. While no
sequence listens, each kind of event costs one look.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine import languages
from engine.events import (
    ContributionRecorded,
    DonorLearned,
    Event,
    HelpOffered,
    InstalmentRecorded,
    Joined,
    PlanCancelled,
    PlanFailed,
)
from engine.giving import employers
from engine.money import amount, dollars
from engine.outreach import enrolling, neighbours
from engine.outreach.about_gifts import RHYTHMS, WE_TELL
from engine.outreach.enrolling import Entrant
from engine.outreach.receipts import OWN_PLANS
from engine.settings import Settings

JOINED, JOINED_FAR = "joined", "joined_far"
FIRST_GIFT, GAVE, MONTHLY_STARTED = "first_gift", "gave", "monthly_started"
FAILED, CANCELLED = "instalment_failed", "monthly_cancelled"
EMPLOYER, OFFERED = "employer_wanted", "offered_help"

_OF_GIFTS = frozenset({"amount", "given_on", "receiver", "rhythm"})
_OF_PLANS = frozenset({"amount", "rhythm", "receiver", "since", "ended_on", "own_plans_url"})
# What letters are told of what let their readers in: nobody can write one there that names anything else.
FACTS: Mapping[str, frozenset[str]] = {
    JOINED: frozenset({"first_name", "why"}),
    JOINED_FAR: frozenset({"first_name", "why", "offer"}),
    FIRST_GIFT: _OF_GIFTS,
    GAVE: _OF_GIFTS,
    MONTHLY_STARTED: _OF_GIFTS,
    FAILED: _OF_PLANS,
    CANCELLED: _OF_PLANS,
    EMPLOYER: frozenset({"receiver", "given", "year", "answer_by"}),
    OFFERED: frozenset({"ways"}),
    enrolling.DAILY: frozenset(),
}

_LISTENING = text("""
SELECT DISTINCT trigger FROM sequence
WHERE trigger = ANY(:triggers) AND version > 0 AND paused_at IS NULL AND archived_at IS NULL
""")
# A gift, or the first of a plan, to a fund of ours. `first`: of her whole life, as far as we know.
_GIFTS = text("""
SELECT g.contact_id, g.inbound_event_id, g.amount_cents, g.currency, g.paid_at, g.recurring_period, u.name AS receiver,
    NOT EXISTS (SELECT FROM contribution b WHERE b.contact_id = g.contact_id AND b.fund_id IS NOT NULL
        AND b.status <> 'duplicate' AND (b.paid_at, b.id) < (g.paid_at, g.id)) AS first
FROM contribution g JOIN contact c ON c.id = g.contact_id AND c.email IS NOT NULL JOIN fund u ON u.id = g.fund_id
WHERE g.id = ANY(:ids) AND g.sequence = 0 AND g.status NOT IN ('duplicate', 'refunded') AND g.paid_at > :since
ORDER BY g.contact_id, g.paid_at, g.id
""")
_PLANS = text("""
SELECT p.contact_id, p.inbound_event_id, p.amount_cents, p.currency, p.period, p.started_at, p.ended_at,
    coalesce(u.name, '') AS receiver
FROM recurring_plan p JOIN contact c ON c.id = p.contact_id AND c.email IS NOT NULL LEFT JOIN fund u ON u.id = p.fund_id
WHERE p.id = ANY(:ids) AND p.source = ANY(:we_tell) AND coalesce(p.ended_at, p.failed_at) > :since ORDER BY p.id
""")
_OFFERS = text("""
SELECT o.contact_id, w.name, w.names FROM volunteer_offer o JOIN way_to_help w ON w.id = o.way_to_help_id
WHERE o.contact_id = ANY(:ids) AND o.state = 'new' ORDER BY o.contact_id, w.position, w.name
""")


def joined(session: Session, happened: Sequence[Joined], now: datetime, _: Settings) -> list[Event]:
    """Their yes to letters begins to hold, with a chapter near them or without one."""
    wanted = listening(session, (JOINED, JOINED_FAR))
    if not wanted:
        return []
    causes = {event.contact_id: event.cause for event in happened}
    near, far = neighbours.told(session, causes)
    events: list[Event] = []
    for trigger, people in ((JOINED, near), (JOINED_FAR, far)):
        if trigger in wanted:
            events += _enter(session, trigger, [Entrant(who, facts, causes[who]) for who, facts in people.items()], now)
    return events


def gave(
    session: Session,
    recorded: Sequence[ContributionRecorded | DonorLearned],
    now: datetime,
    settings: Settings,
) -> list[Event]:
    """Gifts, and the first of plans; and who owes an answer by them."""
    known = {event.contribution_id: event.cause for event in recorded if event.contact_id is not None}
    wanted = listening(session, (FIRST_GIFT, GAVE, MONTHLY_STARTED, EMPLOYER)) if known else frozenset()
    events = _asked(session, known, now, settings) if EMPLOYER in wanted else []
    if not wanted - {EMPLOYER}:
        return events
    gifts = session.execute(_GIFTS, {"ids": list(known), "since": _since(now, settings)}).all()
    chosen: tuple[tuple[str, Callable[[Row[Any]], bool]], ...] = (
        (FIRST_GIFT, lambda gift: gift.first),
        (GAVE, lambda _: True),
        (MONTHLY_STARTED, lambda gift: gift.recurring_period != "once"),
    )
    for trigger, fits in chosen:
        if trigger in wanted:
            people = [Entrant(g.contact_id, _of_gift(g, settings), g.inbound_event_id) for g in gifts if fits(g)]
            events += _enter(session, trigger, people, now)
    return events


def paid(session: Session, recorded: Sequence[InstalmentRecorded], now: datetime, settings: Settings) -> list[Event]:
    """Later instalments of plans: who owes an answer by them."""
    known = {event.contribution_id: event.cause for event in recorded if event.contact_id is not None}
    return _asked(session, known, now, settings) if known and listening(session, (EMPLOYER,)) else []


def failed(session: Session, plans: Sequence[PlanFailed], now: datetime, settings: Settings) -> list[Event]:
    """A payment of a plan of ours failed, after one that had not."""
    return _of_plans(session, FAILED, [event.plan_id for event in plans], now, settings)


def ended(session: Session, plans: Sequence[PlanCancelled], now: datetime, settings: Settings) -> list[Event]:
    """A donor ended her plan; what ended by itself, or by us, opens nothing."""
    ids = [event.plan_id for event in plans if event.ended_by == "donor"]
    return _of_plans(session, CANCELLED, ids, now, settings)


def offered(session: Session, happened: Sequence[HelpOffered], now: datetime, _: Settings) -> list[Event]:
    """They offered to help."""
    causes = {event.contact_id: event.cause for event in happened}
    if not listening(session, (OFFERED,)):
        return []
    ways: dict[int, list[Row[Any]]] = {}
    for row in session.execute(_OFFERS, {"ids": list(causes)}):
        ways.setdefault(row.contact_id, []).append(row)
    return _enter(session, OFFERED, [Entrant(who, _of_offers(hers), causes[who]) for who, hers in ways.items()], now)


def listening(session: Session, triggers: Collection[str]) -> frozenset[str]:
    """Those of these that open a sequence now."""
    return frozenset(session.scalars(_LISTENING, {"triggers": list(triggers)}))


def _enter(session: Session, trigger: str, people: Sequence[Entrant], now: datetime) -> list[Event]:
    return enrolling.enter(session, trigger, people, now) if people else []


def _since(now: datetime, settings: Settings) -> datetime:
    """What is older than that was heard of late."""
    return now - timedelta(hours=settings.letter_age_hours)


def _asked(session: Session, known: Collection[int], now: datetime, settings: Settings) -> list[Event]:
    people = [
        Entrant(
            row.contact_id,
            {
                "receiver": row.receiver,
                "given": dollars(row.cents),
                "year": str(row.year),
                "answer_by": _day(row.answer_by),
            },
            row.inbound_event_id,
        )
        for row in employers.met(session, known, now, settings.time_zone)
    ]
    return _enter(session, EMPLOYER, people, now)


def _of_plans(
    session: Session, trigger: str, plan_ids: Sequence[int], now: datetime, settings: Settings
) -> list[Event]:
    if not plan_ids or not listening(session, (trigger,)):
        return []
    asked = {"ids": list(plan_ids), "we_tell": list(WE_TELL), "since": _since(now, settings)}
    plans = session.execute(_PLANS, asked)
    people = [Entrant(plan.contact_id, _of_plan(plan, settings), plan.inbound_event_id) for plan in plans]
    return _enter(session, trigger, people, now)


def _of_gift(gift: Row[Any], settings: Settings) -> dict[str, Any]:
    return {
        "amount": amount(gift.amount_cents, gift.currency),
        "given_on": _on(gift.paid_at, settings),
        "receiver": gift.receiver,
        "rhythm": _rhythm(gift.recurring_period),
    }


def _of_plan(plan: Row[Any], settings: Settings) -> dict[str, Any]:
    return {
        "amount": amount(plan.amount_cents, plan.currency),
        "rhythm": _rhythm(plan.period),
        "receiver": plan.receiver,
        "since": _on(plan.started_at, settings),
        "ended_on": _on(plan.ended_at, settings) if plan.ended_at else "",
        "own_plans_url": settings.base_url + OWN_PLANS,
    }


def _of_offers(hers: Iterable[Row[Any]]) -> dict[str, Any]:
    return {"ways": languages.in_each(lambda language: ", ".join(way.names.get(language) or way.name for way in hers))}


def _rhythm(period: str) -> dict[str, str] | str:
    said = RHYTHMS.get(period)
    return languages.in_each(lambda language: languages.catalogue(language).gettext(said)) if said else ""


def _on(at: datetime, settings: Settings) -> dict[str, str]:
    """The day of that moment by the organisation's clock on the wall."""
    return _day(at.astimezone(ZoneInfo(settings.time_zone)).date())


def _day(day: date) -> dict[str, str]:
    return languages.in_each(lambda language: languages.long_date(day, language))
