"""The sequences that come with the code: `templates/sequences/*.yaml`, published when the database is brought up to date.

One that staff made theirs, or took off the list, is left alone. One that cannot be published yet (it asks, and there is no
form to give by) waits, and is tried again.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.outreach import sequence_checks, sequence_files, sequences
from engine.outreach.definitions import Definition
from engine.settings import ROOT

SEQUENCES = ROOT / "templates" / "sequences"

_THERE = text("SELECT slug FROM sequence WHERE slug = ANY(:slugs)")


@cache
def shipped(folder: Path = SEQUENCES) -> tuple[Definition, ...]:
    """Every sequence that comes with Groundswell. Raises Invalid for a file that has faults."""
    return tuple(_read(path) for path in sorted(folder.glob("*.yaml")))


def ship(session: Session, now: datetime, folder: Path = SEQUENCES) -> None:
    """Publish those that are not, or whose words have changed, and that can be."""
    for definition in shipped(folder):
        if not sequence_checks.check(session, definition, now.date()).faults:
            sequences.publish(session, definition, now, shipped=True)


def waiting(session: Session, now: datetime, folder: Path = SEQUENCES) -> Mapping[str, str]:
    """Those that nobody has published yet, by their slugs, and what stands in the way."""
    every = {definition.slug: definition for definition in shipped(folder)}
    there = set(session.scalars(_THERE, {"slugs": sorted(every)}))
    return {
        slug: "; ".join(sequence_checks.check(session, definition, now.date()).said)
        for slug, definition in every.items()
        if slug not in there
    }


def _read(path: Path) -> Definition:
    told = sequence_files.read(path)
    if told.definition is None:
        raise Invalid("; ".join(f"{path.name}, {fault}" for fault in told.faults))
    return told.definition
