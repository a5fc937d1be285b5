"""A turn of asking Stripe for refunds, one by one: whether another is asked, after what came of those before.

One that is stuck, or an account that does not let us in any more, holds up nobody else; a Stripe that is away is left alone.
"""

from time import monotonic

from engine.ports import Refunded
from workers import turns

UNANSWERED = 3  # in a row: Stripe is away


class Turn:
    """One turn, from now on."""

    def __init__(self) -> None:
        self._ends = monotonic() + turns.SECONDS
        self._unanswered = 0
        self._closed: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether nothing more is asked in this turn."""
        return self._unanswered >= UNANSWERED or monotonic() > self._ends

    def lets_in(self, account: str) -> bool:
        """Whether our key is not known to be refused there."""
        return account not in self._closed

    def note(self, answer: Refunded, account: str) -> None:
        """What was answered, in this account."""
        self._unanswered = self._unanswered + 1 if answer.outcome == "uncertain" else 0
        if answer.retryable:
            self._closed.add(account)


def waits(answer: Refunded) -> bool:
    """Whether it is to be asked again."""
    return answer.outcome == "uncertain" or answer.retryable
