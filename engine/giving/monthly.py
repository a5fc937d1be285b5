"""A donor's own recurring plans, as she sees them, and which amounts she is offered for one.

Read only: a plan is changed at its processor, and stands otherwise here as soon as that has told us.
"""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.giving.forms import MOST_CENTS
from engine.languages import ENGLISH
from engine.people.preferences import masked

FLOOR_CENTS = 500
PAUSES = (1, 2, 3)  # months
ENDED_SHOWN = timedelta(days=60)
# Amounts that people like to give every month.
LIKED = (500, 1000, 1500, 2000, 2700, 3500, 5000, 7500, 10000, 15000, 25000, 50000, 100000)
BELOW, ABOVE = 2, 3
MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
DAYS = {"daily": 1, "weekly": 7}
ZONES_APART = timedelta(days=2)  # an instalment may be taken on the evening before, by our clock on the wall

_ORGANISATION = text("SELECT name FROM chapter WHERE parent_id IS NULL LIMIT 1")
_HER = text("""
SELECT c.id, c.email, c.language, (SELECT name FROM chapter WHERE parent_id IS NULL LIMIT 1) AS organisation
FROM contact named JOIN contact c ON c.id = coalesce(named.merged_into_id, named.id)
WHERE named.id = :id AND c.erased_at IS NULL
""")
# The form that began it says floor and cap of its amounts.
_PLANS = text("""
SELECT p.id, p.source, p.source_key, p.amount_cents, p.currency, p.period, p.state, p.paused_until, p.started_at, p.paid_at,
    p.ended_at, coalesce(f.name, '') AS fund, p.account, d.floor_cents, d.cap_cents, d.title, d.others
FROM recurring_plan p LEFT JOIN fund f ON f.id = p.fund_id
LEFT JOIN LATERAL (
    SELECT d.floor_cents, d.cap_cents, d.title, v.definition -> 'others' AS others
    FROM contribution g JOIN donation_form d ON d.id = g.donation_form_id
    LEFT JOIN donation_form_version v ON v.donation_form_id = d.id AND v.version = d.version
    WHERE g.source = p.source AND g.plan_key = p.source_key AND g.plan_key <> '' ORDER BY g.paid_at, g.id LIMIT 1
) d ON true
WHERE p.contact_id = :id AND (p.state IN ('active', 'paused', 'failing') OR p.ended_at > :since)
ORDER BY p.ended_at IS NOT NULL, p.started_at DESC, p.id
""")


@dataclass(frozen=True, slots=True)
class Plan:
    """One of them. Days are those of the house's zone; `next`: when the next instalment is due, where that can be said.

    `floor_cents`, `cap_cents`: the least and the most that she may change it to. `account`: the processor's, in which
    it lives. `titles`: of the form that began it, by language.
    """

    id: int
    source: str
    key: str
    amount_cents: int
    currency: str
    period: str
    state: str
    fund: str
    account: str
    since: date
    last: date | None
    next: date | None
    paused_until: date | None
    ended: date | None
    floor_cents: int
    cap_cents: int
    titles: Mapping[str, str]

    def called(self, language: str) -> str:
        """What its form is called in this language, or else in English; "" where no form of ours is known."""
        return self.titles.get(language) or self.titles.get(ENGLISH, "")

    @property
    def over(self) -> bool:
        """Whether it takes nothing any more."""
        return self.state in ("cancelled", "lapsed")

    @property
    def changeable(self) -> bool:
        """Whether it can be changed from here: its processor takes our word."""
        return self.source == "stripe" and not self.over

    @property
    def offered(self) -> tuple[int, ...]:
        """Amounts in cents to choose from, rising: what it is, a few below, a few above; none where we cannot change it."""
        return offers(self.amount_cents, self.floor_cents, self.cap_cents) if self.currency == "usd" else ()

    def takes(self, cents: int) -> bool:
        """Whether it may be changed to this amount."""
        return self.floor_cents <= cents <= self.cap_cents


@dataclass(frozen=True, slots=True)
class Hers:
    """Whose plans they are, and the plans: those that go on first. `address` is masked."""

    contact_id: int
    address: str
    language: str
    organisation: str
    plans: Sequence[Plan]

    def plan(self, plan_id: int) -> Plan | None:
        """The one of hers with this id."""
        return next((plan for plan in self.plans if plan.id == plan_id), None)


def organisation(session: Session) -> str:
    """Whose house it is; "" before one is loaded."""
    return session.scalar(_ORGANISATION) or ""


def load(session: Session, contact_id: int, now: datetime, zone: str) -> Hers | None:
    """The plans of this person; of one who was merged, of whom she is now; None when she is nobody (any more)."""
    her = session.execute(_HER, {"id": contact_id}).one_or_none()
    if her is None:
        return None
    found = session.execute(_PLANS, {"id": her.id, "since": now - ENDED_SHOWN})
    plans = [_plan(row, now, ZoneInfo(zone)) for row in found]
    return Hers(her.id, masked(her.email or ""), her.language, her.organisation or "", plans)


def offers(amount_cents: int, floor_cents: int, cap_cents: int) -> tuple[int, ...]:
    """Amounts to choose from beside her own, which is one of them; all but her own between floor and cap."""
    within = [cents for cents in LIKED if floor_cents <= cents <= cap_cents]
    below = [cents for cents in within if cents < amount_cents][-BELOW:]
    above = [cents for cents in within if cents > amount_cents][:ABOVE]
    return (*below, amount_cents, *above)


def following(started: date, last: date | None, period: str) -> date | None:
    """When the next instalment is due after the last one: on the day of the month on which it began, or a month's last.

    None for a rhythm that has no such day, or before the first.
    """
    if last is None:
        return None
    if period in DAYS:
        return last + timedelta(days=DAYS[period])
    step = MONTHS.get(period)
    if step is None:
        return None
    turns = ((last.year - started.year) * 12 + last.month - started.month) // step
    while (due := _months_on(started, turns * step)) <= last + ZONES_APART:
        turns += 1
    return due


def pause_ends(at: datetime, months: int) -> datetime:
    """The end of a pause of so many months that begins at this instant."""
    day = _months_on(at.date(), months)
    return at.replace(year=day.year, month=day.month, day=day.day)


def _months_on(start: date, months: int) -> date:
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def _plan(row: Row[tuple[object, ...]], now: datetime, zone: ZoneInfo) -> Plan:
    def day(at: datetime | None) -> date | None:
        return at.astimezone(zone).date() if at else None

    since, last, today = row.started_at.astimezone(zone).date(), day(row.paid_at), now.astimezone(zone).date()
    due = following(since, last, row.period) if row.state == "active" else None
    return Plan(
        id=row.id, source=row.source, key=row.source_key, amount_cents=row.amount_cents, currency=row.currency,
        period=row.period, state=row.state, fund=row.fund, account=row.account, since=since, last=last,
        next=due if due and due >= today else None,
        paused_until=day(row.paused_until) if row.state == "paused" else None, ended=day(row.ended_at),
        floor_cents=row.floor_cents or FLOOR_CENTS, cap_cents=row.cap_cents or MOST_CENTS,
        titles={ENGLISH: row.title or ""} | {code: said["title"] for code, said in (row.others or {}).items()},
    )  # fmt: skip
