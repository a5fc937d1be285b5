"""Uncertain handovers: we handed letters over and do not know whether they were taken.

Where the provider can be asked (the mailbox), it is. Where it cannot (SendGrid), whatever it tells of one of these letters
settles the handover (`engine.mail.feedback`); here is what happens while it tells nothing. A receipt is sent again, for it
is worse to miss one than to get it twice, but only while others, of that time and after it, were heard of: silence about all
of them says nothing about one. Campaign letters are never sent again: after a day, and two hours for its last events to come,
they are presumed to have arrived.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.mail.handovers import Outcome

DOUBT = timedelta(minutes=15)  # after which silence about a receipt means something
LAST_WORD = timedelta(hours=24)  # as long as the provider repeats an event that nobody took
PRESUMED = LAST_WORD + timedelta(hours=2)
OTHERS, HEARD = 20, 0.95  # so many handovers of that time and after it are looked at; share that was heard of
AGAIN = timedelta(seconds=30)

_UNCERTAIN = text("""
SELECT d.id, d.lane, now() - d.created_at AS age, (
    SELECT count(o.heard_at) >= :heard * count(*) AND count(o.heard_at) > 0 FROM (
        SELECT heard_at FROM handover WHERE state = 'accepted'
            AND created_at BETWEEN d.created_at - interval '5 minutes' AND now() - :doubt
        ORDER BY created_at LIMIT :others) o) AS others_heard
FROM handover d WHERE d.state = 'uncertain' AND d.due_at <= now() ORDER BY d.due_at, d.id LIMIT 500
""")
_LATER = text("UPDATE handover SET due_at = now() + :again WHERE id = ANY(:ids) AND state = 'uncertain'")


@dataclass(frozen=True, slots=True)
class Doubt:
    """An uncertain handover. `others_heard`: the provider told of others, of that time and after it."""

    id: int
    lane: str
    age: timedelta
    others_heard: bool


def uncertain(session: Session) -> list[Doubt]:
    """The handovers to look at now. Not locked: the provider is asked between two transactions, `record` looks again."""
    return [Doubt(*row) for row in session.execute(_UNCERTAIN, {"heard": HEARD, "others": OTHERS, "doubt": DOUBT})]


def settled(doubts: Sequence[Doubt], taken: Mapping[int, str] | None) -> list[Outcome]:
    """What becomes of those that can be settled now. `taken`: the provider's own record; None: it cannot be asked."""
    if taken is not None:
        return [
            Outcome(doubt.id, "accepted", provider_id=taken[doubt.id])
            if doubt.id in taken
            else Outcome(doubt.id, "resent", reason="the provider has no record of it", again=True)
            for doubt in doubts
        ]
    return [outcome for doubt in doubts if (outcome := _decided(doubt))]


def look_again(session: Session, ids: Sequence[int]) -> None:
    """These stay uncertain for now."""
    session.execute(_LATER, {"ids": list(ids), "again": AGAIN})


def _decided(doubt: Doubt) -> Outcome | None:
    if doubt.lane == bell.DELIVERY:
        return Outcome(doubt.id, "presumed") if doubt.age >= PRESUMED else None
    if doubt.age >= DOUBT and doubt.others_heard:
        return Outcome(doubt.id, "resent", reason="the provider told nothing of it, and of others it did", again=True)
    if doubt.age >= LAST_WORD:
        return Outcome(
            doubt.id, "resent", reason="nobody knows whether it arrived: the provider told nothing of any letter"
        )
    return None
