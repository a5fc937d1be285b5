"""Outsiders' words -> our events. Pure: bytes in, events out; no database, no clock, no network."""

from collections.abc import Callable

from engine.errors import Invalid
from engine.events import Event
from engine.sources import actblue
from engine.sources.words import Ignored

Parser = Callable[[int, str, bytes], list[Event] | Ignored]

PARSERS: dict[str, Parser] = {
    "actblue": actblue.parse,
}


def parse(inbound_event_id: int, source: str, kind: str, body: bytes) -> list[Event] | Ignored:
    """The events of one raw body, or why it is of no matter to us. Raises Invalid: to be quarantined, with the reason."""
    if source not in PARSERS:
        raise Invalid(f"no parser for source {source}")
    return PARSERS[source](inbound_event_id, kind, body)
