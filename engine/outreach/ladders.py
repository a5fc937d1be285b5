"""What each reader of a letter is offered when it leaves: her own ladder for the letter's form, as far as the fund's limit
leaves room; and whom there is nothing to ask for.

Read once for all letters of a claim: their histories in one query, and what is left by each fund's limit.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from engine.giving import asks, histories, limits
from engine.giving.ask_links import Offered
from engine.letters.senders import Sender

Readers = Collection[Mapping[str, Any]]  # rows with id (of the letter), contact_id, facts


@dataclass(frozen=True, slots=True)
class Offers:
    """By the letter's id: `made`, and of letters that ask for that, `monthly`; of letters that would ask for nothing,
    `pointless`, why."""

    made: Mapping[int, Offered] = field(default_factory=dict)
    monthly: Mapping[int, Offered] = field(default_factory=dict)
    pointless: Mapping[int, str] = field(default_factory=dict)


NOTHING = Offers()
NOT_MONTHLY = asks.Ladder((), "Its form takes no gifts that come each month.")


def load(session: Session, letters: Sequence[tuple[Sender, Readers, bool]], now: datetime, zone: str) -> list[Offers]:
    """The offers of these letters, those of one sender together; and whether they ask for gifts that come each month.
    Amounts that were chosen for a letter (its fact `ladder`) stand as far as they may be given."""
    everyone = {reader["contact_id"] for _, readers, _ in letters for reader in readers}
    if not everyone:
        return [NOTHING] * len(letters)
    known = histories.load(session, everyone, now)
    funds = {sender.form_fund_id for sender, readers, _ in letters if sender.form_fund_id is not None and readers}
    left = {fund_id: limits.left(session, everyone, fund_id, now, zone) for fund_id in sorted(funds)}
    return [
        _offers(sender, readers, known, left.get(sender.form_fund_id or 0, {}), monthly=monthly)
        for sender, readers, monthly in letters
    ]


def sample(sender: Sender, *, monthly: bool = False) -> Offered:
    """What is offered to nobody in particular: the form's own amounts."""
    return Offered(asks.ladder(histories.NONE, sender.terms, monthly=monthly).cents)


def _offers(
    sender: Sender, readers: Readers, known: Mapping[int, asks.History], left: Mapping[int, int], *, monthly: bool
) -> Offers:
    made, each_month, pointless = {}, {}, {}
    for reader in readers:
        contact_id = reader["contact_id"]
        most = left.get(contact_id)
        ladder = asks.ladder(known.get(contact_id, histories.NONE), sender.terms, most)
        chosen = _chosen(reader["facts"])
        cents = asks.fitted(chosen, sender.terms, most) if chosen else ladder.cents
        made[reader["id"]] = Offered(cents, asks.told(most, cents))
        if monthly:
            ladder = NOT_MONTHLY
            if sender.monthly:
                ladder = asks.ladder(known.get(contact_id, histories.NONE), sender.terms, most, monthly=True)
            cents = ladder.cents
            each_month[reader["id"]] = Offered(cents, asks.told(most, cents))
        if not cents:
            pointless[reader["id"]] = ladder.why
    return Offers(made, each_month, pointless)


def _chosen(facts: Mapping[str, Any]) -> tuple[int, ...]:
    """Amounts that were chosen for this letter; what is none is not believed, for here it would hold up all others."""
    told = facts.get("ladder")
    return tuple(each for each in told if type(each) is int) if isinstance(told, list) else ()
