"""Campaigns that are not launched yet, as the command line reads and shows them: out of a file or of options; what a look at
one finds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from engine import documents
from engine.cli.terms import out, people
from engine.documents import Fault
from engine.outreach import campaign_files
from engine.outreach.campaigns import Draft, Standing
from engine.outreach.preflight import Checked
from engine.outreach.sequence_words import BEGINS

SHOWN = 50
SUFFIXES = {".yaml", ".yml", ".json"}
OPTIONS = {"starts_at": "starts", "facts": "fact"}  # fields that are called otherwise there


def of_file(file: Path) -> Draft:
    """What a file says. Ends with exit 1 when something in it is wrong."""
    told = campaign_files.read(file)
    return told.draft or _refused(told.faults, lambda fault: f"{file.name}, {fault}")


def of_options(said: Mapping[str, Any]) -> Draft:
    """What options say; those that say nothing are left out. Ends with exit 1 when something in them is wrong."""
    if not said["sequence"] and not said["letter"]:
        _refuse(["say what it sends: --sequence, or --letter"])
    if not said["segment"]:
        _refuse(["say to whom: --segment (a rule of its own is said in a file)"])
    told = campaign_files.read_text(documents.write({name: value for name, value in said.items() if value}))
    return told.draft or _refused(told.faults, _option)


def _option(fault: Fault) -> str:
    name = str(fault.path[0]) if fault.path else ""
    where = name if name == "slug" else f"--{OPTIONS.get(name, name)}"
    return f"{where} {fault.bare}" if name else fault.says


def _refused(faults: Sequence[Fault], says: Callable[[Fault], str]) -> Draft:
    return _refuse([says(fault) for fault in faults])


def _refuse(faults: Sequence[str]) -> Draft:
    for fault in faults[:SHOWN]:
        out.print(fault, markup=False)
    if len(faults) > SHOWN:
        out.print(f"and {len(faults) - SHOWN:,} more")
    raise typer.Exit(1)


def show_checked(campaign: Standing, checked: Checked) -> None:
    """Whom it would reach, when, with what; what stands against it, what to look at."""
    read = ", ".join(f"{number:,} read {spoken}" for spoken, number in sorted(checked.languages.items()))
    lines = [people(checked.people) + (f": {read}" if read else "")]
    lines += [f"of {name}: {people(number)}" for name, number in list(checked.chapters.items())[:SHOWN]]
    more = len(checked.chapters) - SHOWN
    lines += [f"of {more:,} more chapters"] if more > 0 else []
    begins = f"begins at {campaign.starts_at:%Y-%m-%d %H:%M} UTC" if campaign.starts_at else BEGINS
    lines += [step.replace(BEGINS, begins) for step in checked.steps]
    lines += [f"no: {reason}" for reason in checked.refusals]
    lines += [] if checked.refusals else ["nothing stands against it"]
    lines += [f"look: {warning}" for warning in checked.warnings]
    if checked.hold_minutes:
        lines.append(f"it is held for {checked.hold_minutes} minutes, in which it can be undone")
    lines += ["a second person must approve it"] if checked.needs_approval else []
    for line in lines:
        out.print(f"  {line}", markup=False)
