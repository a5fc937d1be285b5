"""The names of the bells. A bell carries nothing: it says "there may be work of this kind"; the work is a row.

Ringing is a port (`engine.ports.Bells`); the edges ring after they commit.
"""

from collections.abc import Iterable

from engine.events import Event, LettersComposed, StepsDue

INTAKE = "intake"  # money and people
FEEDBACK = "feedback"  # what the mail provider reports; its own lane, so that a gift never waits behind it
RECEIPTS = "receipts"  # letters that may not wait: thank-yous, confirmations, magic links
DELIVERY = "delivery"  # every other letter
OUTREACH = "outreach"  # people whose next step is due, campaigns that begin
UPKEEP = "upkeep"  # scheduled chores and settling what a crash left open

INBOX_LANES = (INTAKE, FEEDBACK)
LETTER_LANES = (RECEIPTS, DELIVERY)


def wanted(events: Iterable[Event]) -> set[str]:
    """The bells that these events call for, once their transaction is committed."""
    found: set[str] = set()
    for event in events:
        if isinstance(event, LettersComposed):
            found.add(event.lane)
        elif isinstance(event, StepsDue):
            found.add(OUTREACH)
    return found
