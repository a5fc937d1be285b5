"""What people can choose: a catalogue from a file, and what is offered now; gatherings with their codes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Row

from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, out
from engine.documents import Fault
from engine.people import catalogue_files, catalogues, gatherings, interests
from engine.people.catalogues import Outcome
from engine.people.gatherings import Planned
from engine.staff import audit

SHOWN = 50
# Of each part of a catalogue: one of it, and several.
PARTS = {
    "coalitions": ("coalition", "coalitions"),
    "agendas": ("agenda", "agendas"),
    "interests": ("interest", "interests"),
    "ways_to_help": ("way to help", "ways to help"),
}

catalogue = typer.Typer(no_args_is_help=True, help="What people can choose on forms: import it, list it.")
rallies = typer.Typer(no_args_is_help=True, help="Gatherings, whose codes lift the limits of their network: add, list.")


@catalogue.command(name="import")
def import_catalogue(
    file: Annotated[Path, typer.Argument(help="A .yaml file of coalitions, agendas with interests, ways to help.")],
    retire: Annotated[bool, typer.Option("--retire", help="Offer no more what the file does not name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Bring in what people can care about and how they can help, by code. Exit 1: something in the file is wrong."""
    told = catalogue_files.read(file)
    if told.catalogue is None:
        _refuse(told.faults)
        return
    deps = house(data_dir)
    with deps.work() as (session, now):
        outcome = catalogues.bring_in(session, told.catalogue, retire=retire)
        if dry_run:
            session.rollback()
        elif outcome.anything:
            what = {"made": outcome.made, "changed": outcome.changed, "retired": outcome.retired}
            detail = {name: [code for codes in parts.values() for code in codes] for name, parts in what.items()}
            audit.write(session, None, "catalogue imported", "catalogue", None, detail, now)
    _show(outcome, dry_run=dry_run)


@catalogue.command(name="list")
def list_catalogue(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show what forms offer now, with codes."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        found = interests.offered(session)
    for agenda in found.agendas:
        out.print(f"{agenda.code:12} {agenda.name}", markup=False)
        for cause in agenda.interests:
            carried = f", carried by {cause.coalition}" if cause.coalition else ""
            out.print(f"  {cause.code:12} {cause.name}{carried}", markup=False)
    if found.ways_to_help:
        out.print("ways to help")
    for way in found.ways_to_help:
        out.print(f"  {way.code:12} {way.name}", markup=False)
    if not found.agendas and not found.ways_to_help:
        out.print("nothing is offered yet: groundswell catalogue import FILE.yaml")


@rallies.command(name="add")
def add_gathering(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    *,
    chapter: Annotated[str, typer.Option(help="Slug of the chapter that hosts it: who signs up there belongs to it.")],
    begins: Annotated[
        str, typer.Option("--from", help="When it begins: 2026-12-05 18:00, in the chapter's time zone.")
    ],
    ends: Annotated[str, typer.Option("--until", help="When it is over.")],
    count: Annotated[int, typer.Option(min=1, max=gatherings.MOST, help="How many may sign up.")],
    code: Annotated[str, typer.Option(help="Its code; made for you when you name none.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Enter a gathering. Between its times and up to its count, /join?g=CODE knows no limits."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        made = gatherings.add(session, Planned(name, chapter, begins, ends, count, code), now)
        detail = {"code": made.code, "chapter_id": made.chapter_id, "most": made.most}
        audit.write(session, None, "gathering added", "gathering", made.id, detail, now)
    out.print(_said(made, now), markup=False)
    out.print(f"sign up at {deps.settings.base_url}/join?g={made.code}", markup=False)


@rallies.command(name="list")
def list_gatherings(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """The gatherings, the latest first, with how many have signed up."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        found = gatherings.newest(session, SHOWN)
    for each in found:
        out.print(_said(each, now), markup=False)
    if not found:
        out.print("no gathering yet: groundswell gatherings add NAME --chapter SLUG --from … --until … --count …")


def _said(gathering: Row[tuple[object, ...]], now: datetime) -> str:
    zone = ZoneInfo(gathering.time_zone)
    begins, ends = (each.astimezone(zone) for each in (gathering.starts_at, gathering.ends_at))
    until = f"{ends:%H:%M}" if ends.date() == begins.date() else f"{ends:%Y-%m-%d %H:%M}"
    state = "over" if now >= gathering.ends_at else "open" if now >= gathering.starts_at else "to come"
    places = f"{gathering.taken:,} of {gathering.most:,}"
    times = f"{begins:%Y-%m-%d %H:%M} to {until} ({gathering.time_zone})"
    return f"{gathering.code:10} {state:8} {times}, {places}: {gathering.name}, {gathering.host}"


def _refuse(faults: Sequence[Fault]) -> None:
    for fault in faults[:SHOWN]:
        out.print(str(fault), markup=False)
    if len(faults) > SHOWN:
        out.print(f"and {len(faults) - SHOWN:,} more")
    out.print("nothing was changed")
    raise typer.Exit(1)


def _show(outcome: Outcome, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    for what, parts in (("new", outcome.made), ("changed", outcome.changed), ("retired", outcome.retired)):
        _count(f"{would}{what}", parts)
    if not outcome.anything:
        out.print("all of it is offered as it stands there already")
    _count("not in the file, and offered as before (--retire takes them off the forms)", outcome.left)


def _count(what: str, parts: Mapping[str, Sequence[str]]) -> None:
    for part, codes in parts.items():
        if codes:
            more = f" and {len(codes) - SHOWN:,} more" if len(codes) > SHOWN else ""
            out.print(
                f"{len(codes):,} {PARTS[part][len(codes) > 1]} {what}: {', '.join(codes[:SHOWN])}{more}", markup=False
            )
