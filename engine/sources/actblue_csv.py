"""ActBlue's CSV reports, row by row: the same events as the webhooks', with the same keys, so that both meet one row.

Paid, refunded and managed-form reports share their columns: every row tells a gift, one with a refund date its refund, too
(the paid report holds no refunded gifts, the refunded report no others). The cancelled report is known by its
`Cancelled On`. Columns are found by name: they grow from year to year, and several are all called `Reserved`.

Times are Eastern wall clock without an offset. A gift is dated by `Date`: it has the time of day, and in a published row of
a fourth instalment it lies on the day of that instalment, as `paidAt` does; `Payment Date` is that day's midnight there.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import TypeVar
from zoneinfo import ZoneInfo

from engine.errors import Invalid
from engine.events import ContributionReported, Event, Person, PlanEndReported, PlanReported, RefundReported
from engine.sources.actblue_words import (
    EARLIEST,
    ENDED_BY,
    LATEST,
    LONGEST_ID,
    SOURCE,
    EndedBy,
    answer_of,
    cents_of,
    moment_of,
    payment_key,
    refunded_cents_of,
    sequence_of,
)
from engine.sources.words import clean, email_address, number, zip_code

T = TypeVar("T")
EASTERN = ZoneInfo("America/New_York")
GIFTS, CANCELLATIONS = "gifts and refunds", "cancellations"  # what a report can hold
NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        CANCELLATIONS: ("Receipt ID", "Cancelled On"),
        GIFTS: ("Receipt ID", "Lineitem ID", "Date", "Amount"),
    }
)
SHOWS: Mapping[str, str] = MappingProxyType({CANCELLATIONS: "Cancelled On", GIFTS: "Lineitem ID"})
_NOT_AGAIN = frozenset({"", "0", "1"})
# As a spreadsheet writes it when somebody opened the report and saved it.
_FORMS = (
    "%Y-%m-%d %H:%M:%S %z", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%y %H:%M", "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p", "%m/%d/%Y", "%m/%d/%y",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """One report's header: what its rows tell, where each column is (by folded name), how many there are."""

    tells: str
    places: Mapping[str, int]
    width: int

    def has(self, column: str) -> bool:
        """Whether the report says this at all; older ones have fewer columns."""
        return column.casefold() in self.places

    def cell(self, row: Sequence[str], *columns: str) -> str:
        """The first of these columns that says something in this row, or ""."""
        for column in columns:
            place = self.places.get(column.casefold())
            if place is not None and (found := clean(row[place])):
                return found
        return ""


def layout_of(header: Sequence[str]) -> Layout:
    """What this header announces. Raises Invalid, in one sentence, for anything but a report that can be read."""
    names = [clean(name).casefold() for name in header]
    tells = next((kind for kind, shows in SHOWS.items() if shows.casefold() in names), None)
    if tells is None:
        told = " nor ".join(SHOWS.values())
        raise Invalid(f"this is no report of ActBlue's that can be read: it has no column {told}")
    counted = Counter(names)
    if missing := [name for name in NEEDED[tells] if not counted[name.casefold()]]:
        raise Invalid(f"columns are missing: {', '.join(missing)}")
    if double := [name for name in NEEDED[tells] if counted[name.casefold()] > 1]:
        raise Invalid(f"columns stand twice: {', '.join(double)}")
    places = {name: place for place, name in reversed(list(enumerate(names)))}  # the first of several
    return Layout(tells, places, len(names))


def facts_of(layout: Layout, row: Sequence[str]) -> list[list[Event]]:
    """What one row tells: a gift, its refund (with the gift, for a report of paid gifts leaves out those that went back), or
    the end of a plan. Each is the fact first, then how its plan stands. Raises Invalid, naming columns, never a value."""
    if len(row) < layout.width or any(row[layout.width :]):
        raise Invalid(f"{len(row)} columns where the header has {layout.width}")
    if layout.tells == CANCELLATIONS:
        return [[_end(layout, row)]]
    if layout.cell(row, "Refund Date", "Refund ID"):
        return [_gift(layout, row, refunded_cents_of), [_refund(layout, row)]]
    return [_gift(layout, row, cents_of)]


def eastern(raw: object) -> datetime:
    """A wall clock in New York as a moment with its offset; of the hour that comes twice, the first. Raises ValueError."""
    told = clean(raw).replace(" UTC", "+00:00")
    moment = _read(told)
    if moment.tzinfo is not None:
        return moment_of(moment.isoformat())
    if not EARLIEST <= moment.year <= LATEST:
        raise ValueError("no year of ours")
    return _fixed(moment.replace(tzinfo=EASTERN))


def other_reading(moment: datetime) -> datetime | None:
    """The later moment that shows the same time on New York's clocks, where one does: the hour that comes twice."""
    wall = moment.replace(tzinfo=EASTERN, fold=0)
    later = _fixed(wall.replace(fold=1))
    return later if wall.utcoffset() == moment.utcoffset() and later > moment else None


def _fixed(moment: datetime) -> datetime:
    """With an offset of its own in place of a zone: two readings of one wall clock then differ."""
    return moment.replace(tzinfo=timezone(moment.utcoffset() or timedelta()), fold=0)


def _read(told: str) -> datetime:
    try:
        return datetime.fromisoformat(told)
    except ValueError:
        pass
    for form in _FORMS:
        try:
            return datetime.strptime(told, form)  # noqa: DTZ007 Eastern, and the caller says so
        except ValueError:
            continue
    raise ValueError("not a date")


class _Row:
    """One row being read: what cannot be understood is gathered, to be told at once."""

    def __init__(self, layout: Layout, cells: Sequence[str]) -> None:
        self.layout, self.cells = layout, cells
        self.faults: list[str] = []

    def text(self, *columns: str) -> str:
        """A cell, the first of these that says something."""
        return self.layout.cell(self.cells, *columns)

    def read(self, column: str, reader: Callable[[object], T], otherwise: T) -> T:
        """A cell that must be understood."""
        try:
            return reader(self.text(column))
        except ValueError:
            self.faults.append(column)
            return otherwise

    def id(self, column: str) -> str:
        """A cell that names something."""
        found = self.text(column)
        if not 0 < len(found) <= LONGEST_ID:
            self.faults.append(column)
        return found

    def check(self) -> None:
        """Raise Invalid when something was not understood."""
        if self.faults:
            raise Invalid(f"not understood: {', '.join(self.faults)}")


_NEVER = datetime.min.replace(tzinfo=UTC)


def _end(layout: Layout, cells: Sequence[str]) -> Event:
    row = _Row(layout, cells)
    order, ended_at = row.id("Receipt ID"), row.read("Cancelled On", eastern, _NEVER)
    row.check()
    reason = row.text("Cancelation Reason", "Cancellation Reason")
    return PlanEndReported(None, SOURCE, order, ended_at, _ended_by(row, reason), reason)


def _ended_by(row: _Row, reason: str) -> EndedBy:
    """The report has no type of cancellation, so that it is guessed from the reason; "other" when that says nothing."""
    for told in (row.text("Cancelation Type", "Cancellation Type"), reason):
        if by := ENDED_BY.get(told.casefold().replace("_", " ")):
            return by
    return "other"


def _refund(layout: Layout, cells: Sequence[str]) -> Event:
    row = _Row(layout, cells)
    key = payment_key(row.id("Receipt ID"), row.id("Lineitem ID"))
    amount, refunded_at = row.read("Amount", refunded_cents_of, 0), row.read("Refund Date", eastern, _NEVER)
    row.check()
    return RefundReported(None, SOURCE, key, amount, refunded_at, payment_key=key)


def _gift(layout: Layout, cells: Sequence[str], cents: Callable[[object], int]) -> list[Event]:
    row = _Row(layout, cells)
    order, line_item = row.id("Receipt ID"), row.id("Lineitem ID")
    amount, paid_at = row.read("Amount", cents, 0), row.read("Date", eastern, _NEVER)
    row.check()
    period, entity = _period(row), number(row.text("Recipient ID"))
    gift = ContributionReported(
        cause=None,
        source=SOURCE,
        source_key=line_item,
        amount_cents=amount,
        paid_at=paid_at,
        donor=_donor(row),
        order_number=order,
        form_slug=row.text("Fundraising Page").partition("?")[0].rstrip("/").rpartition("/")[2],
        refcode=row.text("Reference Code"),
        refcode2=row.text("Reference Code 2"),
        entity_id=entity or None,
        entity_name=row.text("Recipient Committee", "Recipient"),
        recurring_period=period,
        sequence=max(0, sequence_of(row.text("Recurrence Number")) - 1),
        payment_key=payment_key(order, line_item),
        plan_key="" if period == "once" else order,
        express=answer_of(row.text("ActBlue Express Donor", "Express Donor")) is True,
    )
    if period == "once":
        return [gift]
    plan = PlanReported(
        None, SOURCE, order, amount, period, started_at=paid_at, told_at=paid_at, entity_id=entity
    )  # the report does not say when the series began
    return [gift, plan]


def _period(row: _Row) -> str:
    """Weekly by its own column; monthly when more than one payment was pledged, in any of the ways of saying so."""
    if answer_of(row.text("Recur Weekly")):
        return "weekly"
    pledged = (row.text("Recurring Total Months"), row.text("Recurring Pledged"))
    return "monthly" if row.text("Recurring Type") or any(told not in _NOT_AGAIN for told in pledged) else "once"


def _donor(row: _Row) -> Person:
    country = row.text("Donor Country")
    return Person(
        email=email_address(row.text("Donor Email")),
        first_name=row.text("Donor First Name"),
        last_name=row.text("Donor Last Name"),
        street=row.text("Donor Addr1"),
        city=row.text("Donor City"),
        state=row.text("Donor State"),
        zip=zip_code(row.text("Donor ZIP"), country),
        country=country,
        phone=row.text("Donor Phone"),
        employer=row.text("Donor Employer"),
        occupation=row.text("Donor Occupation"),
    )
