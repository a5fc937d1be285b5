"""What the treasurer answers for, as lists: contributions, what went back, sums of each person, who is owed a question, gifts
above a limit. Each a `COPY … TO STDOUT`, so that a million rows pass through us in flat memory.

Who gave is told as she said it with the gift, which no merge, edit or erasure changes; of somebody who was erased only as
long as her fund's law keeps it. Days and times are the organisation's, amounts decimals of the currency, and no spreadsheet
takes a cell for a formula. Gifts to somebody else's committee are that treasurer's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid, NotFound
from engine.giving import excesses, periods
from engine.giving.contributions import NUMBER
from engine.money import CURRENCIES
from engine.people.csv_lists import DISARMED

_FUND = text("SELECT id FROM fund WHERE slug = :slug")

_PAID = periods.DAY.format(at="g.paid_at", zone="{zone}")
_BACK = periods.DAY.format(at="l.occurred_at", zone="{zone}")
_WHOLE, _THOUSANDTHS = (
    ", ".join(f"'{code}'" for code, decimals in CURRENCIES.items() if decimals == many) for many in (0, 3)
)
_PERIOD = periods.NAME.format(day=_PAID)


def _amount(cents: str, currency: str) -> str:
    """Minor units as a decimal."""
    return (
        f"CASE WHEN {currency} IN ({_WHOLE}) THEN {cents}::text"
        f" WHEN {currency} IN ({_THOUSANDTHS}) THEN ({cents} / 1000.0)::numeric(22, 3)::text ELSE {_dollars(cents)}::text END"
    )


def _dollars(cents: str) -> str:
    return f"({cents} / 100.0)::numeric(22, 2)"


def _cells(names: str, of: str) -> str:
    """Columns of texts, disarmed; `of` with a place for the name."""
    return ", ".join(f"{DISARMED.format(of.format(name))} AS {name}" for name in names.split())


_NAME = "first_name last_name"
_DONOR = f"{_NAME} street city state zip country employer occupation"
_CHOSEN = "({fund}::bigint IS NULL OR f.id = {fund})"
_BETWEEN = "({day} >= coalesce({{since}}::date, '-infinity') AND {day} <= coalesce({{until}}::date, 'infinity'))"

_CONTRIBUTIONS = f"""
SELECT g.id AS contribution, {_PAID} AS day, to_char(g.paid_at AT TIME ZONE {{zone}}, 'HH24:MI') AS time, f.slug AS fund,
    {DISARMED.format("coalesce(d.slug, g.form_slug)")} AS form, {_amount("g.amount_cents", "g.currency")} AS amount,
    {_amount("kept.cents", "g.currency")} AS kept, upper(g.currency) AS currency, g.status, g.recurring_period AS rhythm,
    g.sequence AS instalment, g.contact_id AS contact, {_cells(_DONOR, "(g.donor ->> '{}')")}, g.source,
    {DISARMED.format("g.order_number")} AS order_number, {DISARMED.format("g.source_key")} AS number_at_source,
    {DISARMED.format(NUMBER)} AS payment
FROM contribution g JOIN fund f ON f.id = g.fund_id LEFT JOIN donation_form d ON d.id = g.donation_form_id
CROSS JOIN LATERAL (SELECT coalesce(sum(l.amount_cents), 0) AS cents FROM ledger_entry l WHERE l.contribution_id = g.id) kept
WHERE {_CHOSEN} AND {_BETWEEN.format(day=_PAID)} ORDER BY g.paid_at, g.id
"""

_REFUNDS = f"""
SELECT l.id AS entry, l.contribution_id AS contribution, {_BACK} AS day, f.slug AS fund, l.kind,
    {_amount("l.amount_cents", "l.currency")} AS amount, upper(l.currency) AS currency, {_PAID} AS given_on,
    {_amount("g.amount_cents", "g.currency")} AS given, g.contact_id AS contact, {_cells(_NAME, "(g.donor ->> '{}')")},
    l.source, {DISARMED.format("l.source_key")} AS number_at_source
FROM ledger_entry l JOIN contribution g ON g.id = l.contribution_id JOIN fund f ON f.id = g.fund_id
WHERE l.kind <> 'gift' AND {_CHOSEN} AND {_BETWEEN.format(day=_BACK)} ORDER BY l.occurred_at, l.id
"""

# What is left of each gift in dollars of somebody we can tell from others.
_KEPT = f"""
    SELECT g.id, g.contact_id, g.fund_id, g.paid_at, {_PAID} AS day, g.donor, {{period}} AS period,
        sum(l.amount_cents) AS cents
    FROM contribution g JOIN fund f ON f.id = g.fund_id JOIN ledger_entry l ON l.contribution_id = g.id
    WHERE g.contact_id IS NOT NULL AND g.currency = 'usd' AND {_CHOSEN} {{only}}
    GROUP BY g.id, f.id HAVING sum(l.amount_cents) > 0
"""
_BY_CLOCK, _BY_YEAR = (
    _KEPT.replace("{period}", period).replace("{only}", only)
    for period, only in (
        (_PERIOD, ""),
        (f"extract(year FROM {_PAID})::int", "AND f.employer_cents IS NOT NULL"),
    )
)

# Periods in which something was given between the days, each as a whole. Her name as she said it last.
_AGGREGATES = f"""
SELECT p.contact_id AS contact, {_cells(_NAME, "(p.donor ->> '{}')")}, f.slug AS fund, f.limit_clock AS clock, p.period,
    p.gifts, {_dollars("p.cents")} AS amount, {_dollars("f.limit_cents")} AS "limit",
    {_dollars("CASE WHEN f.limit_cents IS NOT NULL THEN greatest(f.limit_cents - p.cents, 0) END")} AS "left",
    {_dollars("CASE WHEN f.limit_cents IS NOT NULL THEN greatest(p.cents - f.limit_cents, 0) END")} AS over,
    p.first_day, p.last_day
FROM (
    SELECT k.contact_id, k.fund_id, k.period, count(*) AS gifts, sum(k.cents) AS cents, min(k.day) AS first_day,
        max(k.day) AS last_day, (array_agg(k.donor ORDER BY k.paid_at DESC, k.id DESC))[1] AS donor
    FROM ({_BY_CLOCK}) k GROUP BY k.contact_id, k.fund_id, k.period HAVING bool_or({_BETWEEN.format(day="k.day")})
) p JOIN fund f ON f.id = p.fund_id ORDER BY f.slug, p.period, p.contact_id
"""

# Who gave a fund as much within a calendar year that the law wants to know where she works, and with no gift of that year
# said it. Whom we know no more cannot be asked. Without days: this year's, and whose time to answer is not over.
_OWED = f"""
SELECT met.contact_id AS contact, {_cells(_NAME + " email street city state zip", "c.{}")}, f.slug AS fund,
    met.period AS year, {_dollars("met.altogether")} AS given, met.id AS met_with, met.day AS met_on,
    met.day + f.employer_days AS ask_until,
    CASE WHEN met.day + f.employer_days < {{today}} THEN 'yes' ELSE 'no' END AS overdue
FROM (
    SELECT DISTINCT ON (n.contact_id, n.fund_id, n.period) n.*
    FROM (
        SELECT k.*, sum(k.cents) OVER (her ORDER BY k.paid_at, k.id) AS so_far, sum(k.cents) OVER her AS altogether
        FROM ({_BY_YEAR}) k WINDOW her AS (PARTITION BY k.contact_id, k.fund_id, k.period)
    ) n JOIN fund f ON f.id = n.fund_id
    WHERE n.so_far > f.employer_cents OR f.employer_from AND n.so_far = f.employer_cents
    ORDER BY n.contact_id, n.fund_id, n.period, n.paid_at, n.id
) met JOIN fund f ON f.id = met.fund_id JOIN contact c ON c.id = met.contact_id AND c.erased_at IS NULL
WHERE NOT EXISTS (
        SELECT FROM contribution g WHERE g.contact_id = met.contact_id AND extract(year FROM {_PAID}) = met.period
            AND btrim(g.donor ->> 'employer') <> '' AND btrim(g.donor ->> 'occupation') <> '')
    AND CASE WHEN {{since}}::date IS NULL AND {{until}}::date IS NULL
        THEN met.period = extract(year FROM {{today}}) OR met.day + f.employer_days >= {{today}}
        ELSE {_BETWEEN.format(day="met.day")} END
ORDER BY ask_until, met.contact_id, f.slug
"""

_OVER = f"""
SELECT o.id AS contribution, o.day, o.contact_id AS contact, {_cells(_NAME, "(o.donor ->> '{}')")}, f.slug AS fund, o.period,
    {_dollars("o.cents")} AS kept, {_dollars("o.over_cents")} AS over, {_dollars("o.limit_cents")} AS "limit"
FROM (
    SELECT n.*, {excesses.OVER.format(cents="n.cents")} AS over_cents
    FROM (SELECT k.*, f.limit_cents FROM ({_BY_CLOCK}) k JOIN fund f ON f.id = k.fund_id AND f.limit_cents IS NOT NULL) n
    WINDOW {excesses.SO_FAR}
) o JOIN fund f ON f.id = o.fund_id
WHERE o.over_cents > 0 AND {_BETWEEN.format(day="o.day")} ORDER BY o.paid_at, o.id
"""

LISTS: Mapping[str, str] = {
    "contributions": _CONTRIBUTIONS,
    "refunds": _REFUNDS,
    "aggregates": _AGGREGATES,
    "owed": _OWED,
    "over": _OVER,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows: of one fund (its slug; '' all), and of days from `since` up to and including `until` in `zone`. Of what day
    each list goes by its first: of gifts, of what went back, of the gift with which a sum was reached."""

    zone: str
    fund: str = ""
    since: date | None = None
    until: date | None = None

    @property
    def told(self) -> dict[str, object]:
        """What is said of it on record."""
        days = {"since": self.since and self.since.isoformat(), "until": self.until and self.until.isoformat()}
        return {name: value for name, value in ({"fund": self.fund} | days).items() if value}


def as_csv(session: Session, name: str, choice: Choice, now: datetime) -> sql.Composed:
    """`COPY … TO STDOUT` of the list of this name, a header first. Raises NotFound for a fund or a list that is none, Invalid
    for days that end before they begin."""
    if name not in LISTS:
        raise NotFound(f"there is no list {name}: the lists are {', '.join(LISTS)}")
    if choice.since and choice.until and choice.until < choice.since:
        raise Invalid("the last day is before the first")
    fund = session.scalar(_FUND, {"slug": choice.fund}) if choice.fund else None
    if choice.fund and fund is None:
        raise NotFound(f"there is no fund {choice.fund}")
    today = now.astimezone(ZoneInfo(choice.zone)).date()
    chosen = {"zone": choice.zone, "fund": fund, "since": choice.since, "until": choice.until, "today": today}
    statement = sql.SQL("COPY (" + LISTS[name] + ") TO STDOUT (FORMAT csv, HEADER)")
    return statement.format(**{key: sql.Literal(value) for key, value in chosen.items()})
