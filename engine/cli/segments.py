"""Segments: rules that choose people, from files; whom they would choose, and why not more."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.orm import Session

from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, out
from engine.money import dollars
from engine.people.consent import KINDS
from engine.segments import audience, files, shelf, words
from engine.segments import names as naming
from engine.segments.audience import Preview
from engine.segments.files import Draft, Told
from engine.staff import audit

SHOWN = 50

segments = typer.Typer(
    no_args_is_help=True, help="Segments, rules that choose people: check, save, list, show, preview, archive them."
)

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The segment's short name.")]
File = Annotated[Path, typer.Argument(help="A .yaml or .json file.", exists=True, dir_okay=False)]


@segments.command()
def check(file: File, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Say what a file's rule means, or what is wrong with it. Exit 1: something is."""
    with house(data_dir).work() as (session, _):
        draft = _draft(session, file, files.read(file))
        out.print(f"{draft.slug}: {_english(session, draft)}", markup=False)


@segments.command(name="list")
def list_segments(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show the saved segments, and what each means."""
    with house(data_dir).work() as (session, _):
        found = shelf.every(session)
        width = max((len(one.slug) for one in found), default=0)
        for one in found:
            of = f" ({one.chapter})" if one.chapter else ""
            out.print(f"{one.slug:{width}}  {one.name}{of}: {_english(session, one.draft)}", markup=False)
    if not found:
        out.print("no segment yet: groundswell segments save FILE.yaml")


@segments.command()
def show(slug: Slug, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print a segment as a file that `segments save` takes back."""
    with house(data_dir).work() as (session, _):
        found = shelf.one(session, slug)
    typer.echo(files.written(found.draft), nl=False)


@segments.command()
def save(file: File, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Keep a file's segment under its short name. Exit 1: something in it is wrong."""
    with house(data_dir).work() as (session, now):
        draft = _draft(session, file, files.read(file))
        outcome = shelf.save(session, draft, now)
        if outcome.fields:
            did = "segment begun" if outcome.new else "segment changed"
            detail = {"segment": draft.slug, "fields": list(outcome.fields)}
            audit.write(session, None, did, "segment", outcome.id, detail, now)
        means = _english(session, draft)
    does = "is new" if outcome.new else "is changed" if outcome.fields else "says all of this already"
    out.print(f"{draft.slug} {does}: {means}", markup=False)


@segments.command()
def archive(slug: Slug, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Take a segment off the list; saved again, it is back."""
    with house(data_dir).work() as (session, now):
        archived = shelf.archive(session, slug, now)
        if archived is not None:
            audit.write(session, None, "segment archived", "segment", archived, {"segment": slug}, now)
    out.print(f"{slug} is archived" + ("" if archived is not None else " already"), markup=False)


@segments.command()
def preview(
    which: Annotated[str, typer.Argument(metavar="SLUG|FILE", help="A saved segment, or a .yaml or .json file.")],
    *,
    chapter: Annotated[str, typer.Option(help="Only people of this chapter and those below it: its slug.")] = "",
    kind: Annotated[str, typer.Option(help=f"The kind of letter they must allow: {', '.join(KINDS)}.")] = "news",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say how many people a segment would choose now who may be written to, where the others are lost, and show twenty."""
    path = Path(which)
    with house(data_dir).work() as (session, now):
        if path.suffix in {".yaml", ".yml", ".json"}:
            draft = _draft(session, path, files.read(path))
        else:
            draft = shelf.one(session, which).draft
        _show(draft, audience.preview(session, draft.rule, now, kind=kind, scopes=(draft.chapter, chapter)), now)


def _draft(session: Session, file: Path, told: Told) -> Draft:
    """What the file says. Ends with exit 1 when something in it is wrong."""
    faults = told.faults if told.draft is None else shelf.faults(session, told.draft, told.document)
    if told.draft is None or faults:
        _refuse(file, faults)
        raise typer.Exit(1)
    return told.draft


def _refuse(file: Path, faults: Sequence[object]) -> None:
    for fault in faults[:SHOWN]:
        out.print(f"{file.name}, {fault}", markup=False)
    if len(faults) > SHOWN:
        out.print(f"and {len(faults) - SHOWN:,} more")


def _english(session: Session, draft: Draft) -> str:
    return words.english(draft.rule, naming.find(session, draft.rule))


def _show(draft: Draft, found: Preview, now: datetime) -> None:
    out.print(f"{draft.name}: {found.people:,} people at {now:%Y-%m-%d %H:%M} UTC", markup=False)
    for left in found.conditions:
        out.print(f"  {left.people:>11,}  {left.says}", markup=False)
    for person in found.shown:
        gave = f"{person.gave_count} gifts, {dollars(person.gave_cents)}" if person.gave_count else "never gave"
        where = person.chapter or "no chapter"
        out.print(f"  {person.email}  {person.name}, {where}: {gave}", markup=False)
