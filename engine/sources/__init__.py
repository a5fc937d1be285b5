"""Outsiders' words -> our events. Pure: bytes in, events out; no database, no clock, no network."""

from collections.abc import Callable
from dataclasses import replace

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


def same(raw: RawEvent, first: bytes) -> bool:
    """Whether an event that came again under its id says what its first body said: it may have been rendered anew."""
    try:
        documents = [read_json(body) for body in (first, raw.body)]
        told = [_money(parse(replace(raw, kind="", body=body))) for body in (first, raw.body)]
    except Invalid:
        return False
    if told[0] == told[1] is not None:
        return True
    plain = [document if isinstance(document, dict) else {"data": document} for document in documents]
    return all(plain[0].get(name) == plain[1].get(name) for name in {*plain[0], *plain[1]} - DELIVERY)


def _money(told: Told) -> object:
    """What is the same however a source renders an event: which facts, over how much. None for what tells none."""
    if not isinstance(told, list):
        return None
    names = ("source_key", "amount_cents", "currency", "state", "ended_by")
    return [(type(event), *(getattr(event, name, None) for name in names)) for event in told]
