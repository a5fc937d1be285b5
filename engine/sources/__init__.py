"""Outsiders' words -> our events. Pure: bytes in, events out; no database, no clock, no network."""

from collections.abc import Callable

from engine.errors import Invalid
from engine.events import Event, RawEvent
from engine.sources import actblue, actionnetwork, sendgrid, signup, stripe
from engine.sources.words import Ignored, Split, read_json

DELIVERY = {"pending_webhooks", "request"}  # of a Stripe event: about its delivery, not about what happened
Told = list[Event] | Ignored | Split
Parser = Callable[[RawEvent], Told]

PARSERS: dict[str, Parser] = {
    "actblue": actblue.parse,
    signup.SOURCE: signup.parse,
    actionnetwork.SOURCE: actionnetwork.parse,
    "stripe": stripe.parse,
    "sendgrid": sendgrid.parse,
}


def parse(raw: RawEvent) -> Told:
    """The events of one raw body, its parts, or why it is of no matter to us.

    Raises Invalid: to be quarantined, with the reason.
    """
    if raw.source not in PARSERS:
        raise Invalid(f"no parser for source {raw.source}")
    return PARSERS[raw.source](raw)


def same(one: bytes, other: bytes) -> bool:
    """Whether two bodies under one id say the same: a source may send an event again with a count or two changed."""
    try:
        documents = [read_json(body) for body in (one, other)]
    except Invalid:
        return False
    told = [document if isinstance(document, dict) else {"data": document} for document in documents]
    return all(told[0].get(name) == told[1].get(name) for name in {*told[0], *told[1]} - DELIVERY)
