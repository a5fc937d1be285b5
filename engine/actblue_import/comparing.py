"""What the books hold of a batch of rows: new to us, known, or told otherwise. Differences are listed, never applied."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.events import ContributionReported, Event, PlanEndReported, PlanReported, RefundReported
from engine.sources import actblue_csv
from engine.sources.actblue_csv import Layout
from engine.sources.actblue_words import SOURCE

Standing = Literal["new", "known", "different"]
LONGEST_SHOWN = 60

_GIFTS = text("""
SELECT source_key, order_number, amount_cents, paid_at, coalesce(donor->>'email', '') AS email, refcode, form_slug, sequence
FROM contribution WHERE source = :source AND source_key = ANY(:keys)
""")
_REFUNDS = text("""
SELECT source_key, amount_cents FROM refund WHERE source = :source AND source_key = ANY(:keys) AND NOT total
""")
_ENDS = text("SELECT source_key FROM cancellation WHERE source = :source AND source_key = ANY(:keys)")


@dataclass(frozen=True, slots=True)
class Row:
    """One fact of a row as events, itself first; `different`: what the books say otherwise, "" when nothing."""

    line: int
    events: Sequence[Event]
    standing: Standing = "new"
    different: str = ""

    @property
    def kind(self) -> str:
        """What the row is about, in one word."""
        return {ContributionReported: "gift", RefundReported: "refund", PlanEndReported: "cancellation"}[
            type(self.events[0])
        ]


@dataclass(frozen=True, slots=True)
class _Booked:
    """A gift as the books have it."""

    source_key: str
    order_number: str
    amount_cents: int
    paid_at: datetime
    email: str
    refcode: str
    form_slug: str
    sequence: int


@dataclass(frozen=True, slots=True)
class _Books:
    """What is on the books of one batch; what a row tells is there for the rows after it."""

    gifts: dict[str, list[_Booked]]
    refunds: dict[str, int]
    ends: set[str]


def compare(session: Session, layout: Layout, rows: Sequence[Row]) -> list[Row]:
    """These rows with their standing; three statements, however many rows.

    A gift in the hour that comes twice takes the reading that is on the books.
    """
    books = _look_up(session, [row.events[0] for row in rows])
    return [_judge(books, layout, row) for row in rows]


def masked(email: str) -> str:
    """An address as it may be shown: its first letter and its domain."""
    name, _, domain = email.rpartition("@")
    return f"{name[:1]}***@{domain}"


def _look_up(session: Session, facts: Sequence[Event]) -> _Books:
    keys: Mapping[type[Event], list[str]] = {
        kind: [fact.source_key for fact in facts if isinstance(fact, kind)]
        for kind in (ContributionReported, RefundReported, PlanEndReported)
    }
    books = _Books(defaultdict(list), {}, set())
    if wanted := keys[ContributionReported]:
        for row in session.execute(_GIFTS, {"source": SOURCE, "keys": wanted}):
            books.gifts[row.source_key].append(_Booked(*row))
    if wanted := keys[RefundReported]:
        found = session.execute(_REFUNDS, {"source": SOURCE, "keys": wanted})
        books.refunds.update({row.source_key: row.amount_cents for row in found})
    if wanted := keys[PlanEndReported]:
        books.ends.update(session.scalars(_ENDS, {"source": SOURCE, "keys": wanted}))
    return books


def _judge(books: _Books, layout: Layout, row: Row) -> Row:
    fact = row.events[0]
    if isinstance(fact, ContributionReported):
        return _gift(books.gifts[fact.source_key], layout, row, fact)
    if isinstance(fact, RefundReported):
        return _refund(books.refunds, row, fact)
    assert isinstance(fact, PlanEndReported)  # a row is one of the three
    standing: Standing = "known" if fact.source_key in books.ends else "new"
    books.ends.add(fact.source_key)
    return replace(row, standing=standing)


def _refund(refunds: dict[str, int], row: Row, refund: RefundReported) -> Row:
    booked = refunds.get(refund.source_key)
    if booked is None:
        refunds[refund.source_key] = refund.amount_cents
        return row
    if booked != refund.amount_cents:
        told = f"refund of {refund.source_key}: amount {booked} on the books, {refund.amount_cents} in the report"
        return replace(row, standing="different", different=told)
    return replace(row, standing="known")


def _gift(booked: list[_Booked], layout: Layout, row: Row, gift: ContributionReported) -> Row:
    if not booked:
        booked.append(_as_told(gift))
        return row
    same_order = (one for one in booked if one.order_number == gift.order_number)
    there = next(same_order, booked[0])
    if (other := actblue_csv.other_reading(gift.paid_at)) and _second(other) == _second(there.paid_at):
        row, gift = _read_otherwise(row, other), replace(gift, paid_at=other)
    differences = list(_differences(there, layout, gift))
    if not differences:
        return replace(row, standing="known")
    return replace(row, standing="different", different=f"line item {gift.source_key}: {'; '.join(differences)}")


def _read_otherwise(row: Row, paid_at: datetime) -> Row:
    """The row with the later reading of its wall clock."""
    events: list[Event] = []
    for event in row.events:
        if isinstance(event, ContributionReported):
            events.append(replace(event, paid_at=paid_at))
        elif isinstance(event, PlanReported):
            events.append(replace(event, started_at=paid_at, told_at=paid_at))
        else:
            raise Invalid("only gifts and their plans have a reading")
    return replace(row, events=events)


def _differences(there: _Booked, layout: Layout, gift: ContributionReported) -> Iterator[str]:
    """What the report says otherwise. What it does not say at all, or a form hid from us, is no difference."""
    if there.order_number != gift.order_number:
        yield _said("order", there.order_number, gift.order_number)
    if there.amount_cents != gift.amount_cents:
        yield _said("amount", there.amount_cents, gift.amount_cents)
    if _second(there.paid_at) != _second(gift.paid_at):
        yield _said("date", there.paid_at.astimezone(gift.paid_at.tzinfo).isoformat(), gift.paid_at.isoformat())
    if there.email and gift.donor.email and there.email != gift.donor.email:
        yield _said("email", masked(there.email), masked(gift.donor.email))
    if layout.has("Reference Code") and there.refcode != gift.refcode:
        yield _said("refcode", there.refcode, gift.refcode)
    if layout.has("Fundraising Page") and there.form_slug != gift.form_slug:
        yield _said("form", there.form_slug, gift.form_slug)
    if layout.has("Recurrence Number") and there.sequence != gift.sequence:
        yield _said("sequence", there.sequence, gift.sequence)


def _said(what: str, there: object, told: object) -> str:
    return f"{what} {_shown(there)} on the books, {_shown(told)} in the report"


def _shown(value: object) -> str:
    """As it may stand on a terminal: on one line, without controls, not without end."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return printable[:LONGEST_SHOWN] or "nothing"


def _second(moment: datetime) -> float:
    """Reports know whole seconds."""
    return moment.timestamp() // 1


def _as_told(gift: ContributionReported) -> _Booked:
    return _Booked(
        gift.source_key, gift.order_number, gift.amount_cents, gift.paid_at, gift.donor.email or "", gift.refcode,
        gift.form_slug, gift.sequence,
    )  # fmt: skip
