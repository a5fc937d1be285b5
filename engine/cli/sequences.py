"""Sequences: from a file to a published version, read aloud, shown, paused, archived; people moved to the newest version."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from engine.cli.terms import DEFAULT_DATA_DIR, As, DataDir, acting, house, out
from engine.errors import Invalid, NotFound
from engine.outreach import moving, sequence_checks, sequence_files, sequence_words, shipped_sequences
from engine.outreach import sequences as shelf
from engine.outreach.definitions import LAUNCH, Definition
from engine.outreach.sequence_checks import Checked
from engine.outreach.sequences import Standing
from engine.staff import accounts

SHOWN = 50
SUFFIXES = {".yaml", ".yml", ".json"}

sequences = typer.Typer(
    no_args_is_help=True,
    help="Sequences, letters one after the other: check, publish, list, show, pause, resume, archive them, move people.",
)

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The sequence's short name.")]
File = Annotated[Path, typer.Argument(help="A .yaml or .json file.", exists=True, dir_okay=False)]
Which = Annotated[str, typer.Argument(metavar="FILE|SLUG", help="A .yaml or .json file, or a published sequence.")]


@sequences.command()
def check(file: File, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Read a file's sequence aloud, or say what is wrong with it. Exit 1: something is."""
    with house(data_dir).work() as (session, now):
        definition, checked = _checked(session, file, now)
    out.print(f"{definition.slug}: {definition.name}", markup=False)
    _say(sequence_words.english(definition, checked.names))
    _remark(checked.remarks)


@sequences.command()
def publish(which: Which, who: As = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Publish a file's sequence: people enter by that from now on. Named by its slug, a published one takes up the newest
    words of its letters. Exit 1: something in it is wrong."""
    path = Path(which)
    deps = house(data_dir)
    with deps.work() as (session, now):
        if path.suffix in SUFFIXES:
            definition, _ = _checked(session, path, now)
            by = accounts.of_address(session, who).id if who else None
            with suppress(NotFound):  # a new one
                _may(session, who, shelf.one(session, definition.slug))
            done = shelf.publish(session, definition, now, who=by)
            _may(session, who, done.sequence)
        else:
            done = shelf.renew(session, which, now, who=_may(session, who, shelf.one(session, which)))
    standing = done.sequence
    says = "is published as" if done.changed else "says all of this already, as"
    out.print(f"{standing.slug} {says} version {standing.version}", markup=False)
    _remark(done.remarks)


@sequences.command(name="list")
def list_sequences(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show the sequences that are not archived, and those that come with Groundswell and wait for something."""
    with house(data_dir).work() as (session, now):
        found = shelf.every(session)
        waiting = shipped_sequences.waiting(session, now)
    width = max((len(slug) for slug in (*waiting, *(one.slug for one in found))), default=0)
    for one in found:
        out.print(f"{one.slug:{width}}  {_described(one)}", markup=False)
    for slug, why in waiting.items():
        out.print(f"{slug:{width}}  not published yet: {why or 'the next `groundswell migrate` does it'}", markup=False)
    if not found and not waiting:
        out.print("no sequence yet: groundswell sequences publish FILE.yaml")


@sequences.command()
def show(
    slug: Slug,
    version: Annotated[int | None, typer.Option(help="This version of it, not the newest.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a sequence as a file that `sequences publish` takes back."""
    with house(data_dir).work() as (session, _):
        found = shelf.one(session, slug, version).definition
    if found is None:
        raise Invalid(f"{slug} was never published")
    typer.echo(sequence_files.written(found), nl=False)


@sequences.command()
def pause(
    slug: Slug,
    because: Annotated[str, typer.Option(help="Why, for whoever finds it so.")],
    who: As = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Let it stand still: nobody enters it or goes on in it, and none of its letters leaves."""
    with house(data_dir).work() as (session, now):
        by = _may(session, who, shelf.one(session, slug))
        done = shelf.pause(session, slug, because, now, who=by)
    out.print(f"{slug} is paused" + ("" if done.changed else f" already: {done.sequence.paused_because}"), markup=False)


@sequences.command()
def resume(slug: Slug, who: As = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Let a paused sequence go on. What is late by now goes by the rules of its steps."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        done = shelf.resume(session, slug, now, who=_may(session, who, shelf.one(session, slug)))
        happened = deps.react(session, done.happened, now)
    deps.ring_for(happened)
    deps.bells.close()
    out.print(f"{slug} goes on" if done.changed else f"{slug} was not paused", markup=False)


@sequences.command()
def archive(slug: Slug, who: As = "", data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Take a sequence off the list: nobody enters it any more, whoever is in it comes to its end. Published again, it is
    back."""
    with house(data_dir).work() as (session, now):
        done = shelf.archive(session, slug, now, who=_may(session, who, shelf.one(session, slug)))
    out.print(f"{slug} is archived" + ("" if done.changed else " already"), markup=False)


@sequences.command()
def move(
    slug: Slug,
    campaign: Annotated[
        str, typer.Option(help="The people of this campaign: its slug. Without: who came by an event.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Move people who are in older versions of a sequence to the newest one, each to the same step."""
    deps = house(data_dir)
    moved: Counter[str] = Counter()
    more = True
    while more:
        with deps.work() as (session, now):
            turn = moving.move(session, slug, now, campaign=campaign)
        moved["people"] += turn.people
        more = turn.more
        if more and not turn.people:  # somebody steps just now
            time.sleep(0.2)
    out.print(f"{moved['people']:,} people are in version {turn.version} of {slug} now", markup=False)
    for step, people in turn.stay.items():
        out.print(f"{people:,} stay where they are: version {turn.version} has no step {step}", markup=False)


def _may(session: Session, email: str, one: Standing) -> int | None:
    """Whoever of the staff does this; None: the command line. Raises NotFound, and Forbidden when she may not."""
    return acting(session, email, one.chapter_id, f"change sequences of {one.chapter or 'all chapters'}")


def _checked(session: Session, file: Path, now: datetime) -> tuple[Definition, Checked]:
    """What the file says, and what was found. Ends with exit 1 when something in it is wrong."""
    told = sequence_files.read(file)
    if told.definition is None:
        raise _refusal(file, told.faults)
    checked = sequence_checks.check(session, told.definition, now.date())
    if checked.faults:
        raise _refusal(file, checked.faults_in(told.document))
    return told.definition, checked


def _refusal(file: Path, faults: Sequence[object]) -> typer.Exit:
    """Say what is wrong."""
    _say([f"{file.name}, {fault}" for fault in faults[:SHOWN]], indent="")
    if len(faults) > SHOWN:
        out.print(f"and {len(faults) - SHOWN:,} more")
    return typer.Exit(1)


def _say(lines: Sequence[str], indent: str = "  ") -> None:
    for line in lines:
        out.print(indent + line, markup=False)


def _remark(remarks: Sequence[str]) -> None:
    _say([f"- {remark}" for remark in remarks], indent="")


def _described(one: Standing) -> str:
    standing = [f"version {one.version}", f"on {one.trigger or LAUNCH}"]
    standing += [f"of {one.chapter}"] if one.chapter else []
    standing += ["comes with Groundswell"] if one.shipped else []
    standing += [f"paused: {one.paused_because}"] if one.paused_at else []
    return f"{one.name} ({', '.join(standing)})"
