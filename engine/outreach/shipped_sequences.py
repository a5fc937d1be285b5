"""The sequences that come with the code: `templates/sequences/*.yaml`, published when the database is brought up to date.

One that staff made theirs, or took off the list, is left alone. One that cannot be published yet (it asks, and there is no
form to give by) waits, and is tried again. One that asks people for money by itself comes switched off: paused, until
somebody resumes it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.outreach import sequence_checks, sequence_files, sequences
from engine.outreach.definitions import LAUNCH, Definition
from engine.settings import ROOT

SEQUENCES = ROOT / "templates" / "sequences"

OFF = "it asks for money, so it comes switched off: `groundswell sequences resume {}` lets people in"

_THERE = text("SELECT slug FROM sequence WHERE slug = ANY(:slugs)")
_SWITCH_OFF = text("UPDATE sequence SET paused_at = :now, paused_because = :because WHERE slug = :slug")


@cache
def shipped(folder: Path = SEQUENCES) -> tuple[Definition, ...]:
    """Every sequence that comes with Groundswell. Raises Invalid for a file that has faults."""
    return tuple(_read(path) for path in sorted(folder.glob("*.yaml")))


def ship(session: Session, now: datetime, folder: Path = SEQUENCES, *, letters: Collection[str] | None = None) -> None:
    """Publish those that are not, or whose words have changed, and that can be. `letters`: only those that write one of
    these, which staff have just kept in words of their own."""
    chosen = [one for one in shipped(folder) if letters is None or not _written_by(one).isdisjoint(letters)]
    there = set(session.scalars(_THERE, {"slugs": [one.slug for one in chosen]})) if chosen else set()
    for definition in chosen:
        if not sequence_checks.check(session, definition, now.date()).faults:
            sequences.publish(session, definition, now, shipped=True)
            if definition.slug not in there and _asks_by_itself(definition):
                because = OFF.format(definition.slug)
                session.execute(_SWITCH_OFF, {"slug": definition.slug, "because": because, "now": now})


def waiting(session: Session, now: datetime, folder: Path = SEQUENCES) -> Mapping[str, str]:
    """Those that nobody has published yet, by their slugs, and what stands in the way."""
    every = {definition.slug: definition for definition in shipped(folder)}
    there = set(session.scalars(_THERE, {"slugs": sorted(every)}))
    return {
        slug: "; ".join(sequence_checks.check(session, definition, now.date()).said)
        for slug, definition in every.items()
        if slug not in there
    }


def _written_by(definition: Definition) -> set[str]:
    return {slug for step in definition.steps for slug in sequence_checks.named(step).values()}


def _asks_by_itself(definition: Definition) -> bool:
    return definition.on != LAUNCH and any(step.ask is not None for step in definition.steps)


def _read(path: Path) -> Definition:
    told = sequence_files.read(path)
    if told.definition is None:
        raise Invalid("; ".join(f"{path.name}, {fault}" for fault in told.faults))
    return told.definition
