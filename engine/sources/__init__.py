"""Outsiders' words -> our events. Pure: bytes in, events out; no database, no clock, no network."""

from collections.abc import Callable

from engine.errors import Invalid
from engine.events import Event, RawEvent
from engine.sources import actblue, sendgrid
from engine.sources.words import Ignored, Split

Told = list[Event] | Ignored | Split
Parser = Callable[[RawEvent], Told]

PARSERS: dict[str, Parser] = {
    "actblue": actblue.parse,
    "sendgrid": sendgrid.parse,
}


def parse(raw: RawEvent) -> Told:
    """The events of one raw body, its parts, or why it is of no matter to us.

    Raises Invalid: to be quarantined, with the reason.
    """
    if raw.source not in PARSERS:
        raise Invalid(f"no parser for source {raw.source}")
    return PARSERS[raw.source](raw)
