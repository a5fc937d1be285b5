"""Checks of money: the ledger is what outsiders told, to the cent, and agrees with itself (I2-I4)."""

from collections.abc import Iterator
from typing import Any

from bench.torture import model
from bench.torture.evidence import Evidence
from bench.torture.model import Gift
from bench.torture.money import STRIPE
from engine.db import make_pool, make_sessions, transaction
from engine.giving import books

_BOOKED = """
SELECT g.source, g.source_key, g.payment_key, g.amount_cents, coalesce(f.slug, '') AS fund,
    coalesce(sum(l.amount_cents), 0)::bigint AS cents, count(*) FILTER (WHERE l.kind = 'duplicate') > 0 AS doubled
FROM contribution g LEFT JOIN ledger_entry l ON l.contribution_id = g.id LEFT JOIN fund f ON f.id = g.fund_id
GROUP BY g.id, f.slug
"""
_PLANS = (
    "SELECT source_key FROM recurring_plan WHERE source = 'actblue' AND source_key = ANY(%s) AND state <> 'cancelled'"
)
Booked = dict[tuple[str, str], dict[str, Any]]


def as_told(evidence: Evidence) -> Iterator[str]:
    """I2, I3: each gift is booked once, and its ledger comes to what the model says; nothing is booked that nobody gave."""
    told, booked = model.told(evidence.journal), _booked(evidence)
    known: set[int] = set()
    for gift in told.gifts.values():
        row = _row(booked, gift)
        if row is not None:
            known.add(id(row))
        if not gift.certain:
            continue
        if row is None:
            yield f"a gift is not booked: {gift.source} {gift.key}, {gift.gross} cents"
        elif (row["amount_cents"], row["cents"], row["fund"]) != (gift.gross, gift.cents, gift.fund):
            says = f"{row['amount_cents']} cents for {row['fund']}, of which {row['cents']} are left"
            must = f"{gift.gross} for {gift.fund}, {gift.cents}"
            yield f"{gift.source} {gift.key} is {says}; must be {must}"
    for row in {id(each): each for each in booked.values()}.values():
        if id(row) not in known and not row["doubled"]:
            yield f"booked, and nobody gave it: {row['source']} {row['source_key']}, {row['amount_cents']} cents"


def sums(evidence: Evidence) -> Iterator[str]:
    """I3, I4: the totals of funds, and what is left of Stripe's payments, are the model's. Judged when all is certain."""
    told = model.told(evidence.journal)
    if not all(gift.certain for gift in told.gifts.values()):
        return
    rows = list({id(row): row for row in _booked(evidence).values()}.values())
    for fund, cents in told.sums().items():
        held = sum(row["cents"] for row in rows if row["fund"] == fund)
        if held != cents:
            yield f"fund {fund} holds {held} cents; must be {cents}"
    by_card = sum(gift.cents for gift in told.gifts.values() if gift.source == STRIPE)
    held = sum(row["cents"] for row in rows if row["source"] == STRIPE)
    if held != by_card:
        yield f"by Stripe {held} cents; succeeded less refunded less disputed are {by_card}"


def balance(evidence: Evidence) -> Iterator[str]:
    """I3: ledger, contributions, totals and statuses agree, as `groundswell books check` proves."""
    pool = make_pool(evidence.world.database_url, size=1)
    try:
        with transaction(make_sessions(pool)) as session:
            for found in books.check(session).discrepancies:
                yield f"{found.rule}: {found.subject}: {found.detail}"
    finally:
        pool.dispose()


def plans_ended(evidence: Evidence) -> Iterator[str]:
    """A plan whose end was told is over, whatever came first."""
    orders = sorted(model.told(evidence.journal).ended)
    for row in evidence.rows(_PLANS, orders):
        yield f"the plan of order {row['source_key']} was ended, and goes on"


def _booked(evidence: Evidence) -> Booked:
    """By both ids under which a gift may stand."""
    found: Booked = {}
    for row in evidence.rows(_BOOKED):
        for key in (row["source_key"], row["payment_key"]):
            if key and not (row["doubled"] and (row["source"], key) in found):
                found[row["source"], key] = row
    return found


def _row(booked: Booked, gift: Gift) -> dict[str, Any] | None:
    return booked.get((gift.source, gift.key)) or booked.get((gift.source, gift.also))
