"""Outsiders' words -> our events. Pure: bytes in, events out; no database, no clock, no network."""

from collections.abc import Callable
from dataclasses import replace

from engine.errors import Invalid
from engine.events import Event, RawEvent
from engine.sources import actblue, actionnetwork, join, sendgrid, signup, stripe
from engine.sources.words import Ignored, Split, read_json

DELIVERY = {"pending_webhooks", "request"}  # of a Stripe event: about its delivery, not about what happened
Told = list[Event] | Ignored | Split
Parser = Callable[[RawEvent], Told]

PARSERS: dict[str, Parser] = {
    "actblue": actblue.parse,
    signup.SOURCE: signup.parse,
    actionnetwork.SOURCE: actionnetwork.parse,
    join.SOURCE: join.parse,
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
        if _happened(raw.body) == _happened(first):
            return True
        one, other = (_money(parse(replace(raw, kind="", body=body))) for body in (first, raw.body))
    except Invalid:
        return False
    return one is not None and one == other


def _happened(body: bytes) -> object:
    """The document without what it says about its delivery."""
    document = read_json(body)
    if not isinstance(document, dict):
        return document
    return {name: value for name, value in document.items() if name not in DELIVERY}


def _money(told: Told) -> object:
    """What is the same however a source renders an event: which facts, over how much. None for what tells none."""
    if not isinstance(told, list):
        return None
    names = ("source_key", "amount_cents", "currency", "state", "period", "paused", "ended_by")
    return [(type(event), *(getattr(event, name, None) for name in names)) for event in told]
