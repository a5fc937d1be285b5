"""What can go wrong with the providers outside: each misbehaviour of the mail provider for a while, Stripe away, the ways."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from bench.torture.faults import OUTSIDE, Fault, Hurt
from bench.torture.server_faults import ways
from bench.torture.stage import Stage

WINDOW = 10.0
# Those of `tests.mail_stand_in` that a provider which is well otherwise shows for a while.
MODES = (
    "mixed", "accept_then_hang", "accept_then_reset", "hang", "reset", "busy_moment", "broken", "broken_accepted",
    "unauthorized", "drip", "drip_head", "garbage", "no_id",
)  # fmt: skip


def _mode(mode: str) -> Hurt:
    @contextmanager
    def misbehaving(stage: Stage, _: Random) -> Iterator[str]:
        stage.outside.set_mode(mode, WINDOW)
        yield ""

    return misbehaving


@contextmanager
def stripe_down(stage: Stage, _: Random) -> Iterator[str]:
    """Stripe's API answers 503."""
    stage.outside.stripe_down(WINDOW)
    yield ""


OUTSIDE_FAULTS = (
    *(Fault(f"mail provider: {mode.replace('_', ' ')}", OUTSIDE, WINDOW, _mode(mode)) for mode in MODES),
    Fault("Stripe: down", OUTSIDE, WINDOW, stripe_down),
    *ways(("mail", "stripe"), OUTSIDE, 5),
)
