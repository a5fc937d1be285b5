"""What a link from a letter tells our page of the amounts that its reader was offered: `/give/{form}?k=TOKEN`.

A token says the form, the amounts and what may be given at most, and nothing of whom it was made for: letters are forwarded.
It has no number of its own, and no moment: two readers with the same amounts hold the same token. ActBlue's links need none.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from engine.tokens import Signer

_UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Offered:
    """Amounts in cents, ascending; and what was left of the fund's limit, rounded down to a round amount (`asks.told`), None
    where nothing limits. That is what to show, not a rule: a gift above a limit is taken, and flagged."""

    cents: tuple[int, ...]
    left_cents: int | None = None


@lru_cache(maxsize=4096)
def token(signer: Signer, form_slug: str, offered: Offered) -> str:
    """The token of a form's link."""
    left = _UNLIMITED if offered.left_cents is None else offered.left_cents
    return signer.sign("ask", form_slug, left, *offered.cents)


def read(signer: Signer, form_slug: str, token: str) -> Offered | None:
    """What a link of this form offers; None for a token that is altered, cut, made up, or another form's. Never raises."""
    slug, *numbers = signer.read("ask", token) or ("",)
    cents = [each for each in numbers if type(each) is int]
    if not slug or slug != form_slug or len(cents) < len(numbers) or len(cents) < 2:
        return None
    left, *rungs = cents
    if left < _UNLIMITED or rungs[0] < 1 or any(one >= other for one, other in pairwise(rungs)):
        return None
    return Offered(tuple(rungs), None if left == _UNLIMITED else left)
