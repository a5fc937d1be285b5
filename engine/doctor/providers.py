"""Keys that are shown to those who gave them: one harmless question each, which changes nothing there."""

from collections.abc import Callable, Iterator
from datetime import datetime

from engine.doctor.findings import Finding, ok, warning, wrong
from engine.errors import Forbidden, GroundswellError
from engine.ports import Payments, Suppressions

STRIPE, SENDGRID = "Stripe's answer", "SendGrid's answer"


def stripe(payments: Payments, now: datetime) -> Finding:
    """Stripe is asked for its events from now on: there are none."""
    advice = "Look at the key in Stripe's dashboard; a restricted one must be allowed to read events."
    return _asked(STRIPE, "Stripe", lambda: next(payments.events(since=now), None), advice)


def sendgrid(suppressions: Suppressions) -> Finding:
    """SendGrid is asked for a page of the addresses that it does not write to; they are not kept."""
    advice = (
        "Look at the key in SendGrid's settings; it needs Mail Send and Suppressions (README, Connecting SendGrid)."
    )
    return _asked(SENDGRID, "SendGrid", lambda: next(suppressions.listed("bounce"), None), advice)


def asked(payments: Payments | None, suppressions: Suppressions | None, now: datetime) -> Iterator[Finding]:
    """Whoever there is to be asked."""
    if payments is not None:
        yield stripe(payments, now)
    if suppressions is not None:
        yield sendgrid(suppressions)


def _asked(check: str, name: str, ask: Callable[[], object], advice: str) -> Finding:
    try:
        ask()
    except Forbidden as error:
        return wrong(check, str(error), advice)
    except GroundswellError as error:
        return warning(check, str(error), f"Try again later; if it stays so, look whether this machine reaches {name}.")
    return ok(check, f"{name} takes it")
