"""Chapters: as a tree, from a file, why somebody belongs to hers, and the changes of territories that wait for the root."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.cli.terms import DEFAULT_DATA_DIR, MOST_ID, DataDir, house, out
from engine.documents import Fault
from engine.mail import allowances
from engine.people import chapter_files, chapter_import, explaining, lands, territories
from engine.people.territories import Change
from engine.staff import audit

SHOWN = 50

chapters = typer.Typer(
    no_args_is_help=True, help="Chapters and their territories: list, explain, import, approve changes."
)


@chapters.command(name="list")
def list_chapters(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show all chapters as a tree, with how many ZIPs and people each has."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        found = lands.census(session)
    nodes: dict[int, Tree] = {}
    top = Tree("", hide_root=True)
    for each in found:  # parents come before their children
        kind = "" if each.kind == "chapter" else f" ({each.kind})"
        above = nodes.get(each.parent_id or 0, top)
        said = f"{each.slug}  {each.name}{kind}: {each.zips:,} ZIPs, {_people(each.people)}"
        nodes[each.id] = above.add(escape(said))
    out.print(top if found else "there is no organisation yet: groundswell init")


@chapters.command(name="import")
def import_chapters(
    file: Annotated[Path, typer.Argument(help="A .csv or .yaml file of chapters.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Bring chapters and territories in from a file; all of it or nothing. Exit 1: something in it is wrong."""
    told = chapter_files.read(file)
    _say(told.notes)
    if told.faults:
        _refuse(told.faults)
    deps, everything = house(data_dir), []
    with deps.work() as (session, now):
        outcome = chapter_import.bring_in(session, told.chapters, None, now, deps.signer)
        if dry_run or outcome.faults:
            session.rollback()
        else:
            _note(session, outcome, now)
            if outcome.change is not None and not outcome.at_once:
                everything = deps.react(session, [outcome.change.asks], now)
    if outcome.faults:
        _refuse(outcome.faults)
    _show(outcome, dry_run=dry_run)
    if outcome.at_once and not dry_run:
        territories.apply(deps.work)
    deps.ring_for(everything)
    deps.bells.close()


@chapters.command()
def limit(
    slug: Annotated[str, typer.Argument(help="The chapter.")],
    letters: Annotated[
        int | None, typer.Argument(min=0, max=MOST_ID, help="Campaign letters a day; nothing: no limit.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say how many campaign letters a day may leave in a chapter's name."""
    with house(data_dir).work() as (session, now):
        chapter_id = allowances.limit(session, slug, letters)
        audit.write(session, None, "letters limited", "chapter", chapter_id, {"letters": letters}, now)
    out.print(f"{slug}: {f'{letters:,} campaign letters a day' if letters is not None else 'no limit'}", markup=False)


@chapters.command()
def explain(
    email: Annotated[str, typer.Argument(help="The person's address.")], data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Say in plain sentences which chapter somebody belongs to, and why."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        said = explaining.explain(session, email)
    for sentence in said:
        out.print(sentence, markup=False)


@chapters.command()
def changes(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """List the changes of territories that wait for the root's approval."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        found = territories.waiting(session)
    for change in found:
        _show_change(change)
    if not found:
        out.print("no change of territories waits")


@chapters.command()
def approve(
    change: Annotated[int, typer.Argument(help="Its number.", max=MOST_ID)], data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Approve a change of territories, and apply it."""
    deps = house(data_dir)
    _decide(deps, change, yes=True)
    moved = territories.apply(deps.work)
    out.print(f"approved; {_people(moved)} moved")


@chapters.command()
def decline(
    change: Annotated[int, typer.Argument(help="Its number.", max=MOST_ID)], data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Decline a change of territories: nothing moves."""
    _decide(house(data_dir), change, yes=False)
    out.print("declined")


def _decide(deps: Deps, change: int, *, yes: bool) -> None:
    with deps.work() as (session, now):
        decide = territories.approve if yes else territories.decline
        deps.react(session, decide(session, change, None, now), now)
        action = f"territory change {'approved' if yes else 'declined'}"
        audit.write(session, None, action, "territory_change", change, {}, now)
    deps.bells.close()


def _note(session: Session, outcome: chapter_import.Outcome, now: datetime) -> None:
    """Put on record what a file changed."""
    detail = {"made": list(outcome.made), "changed": list(outcome.changed)}
    change = None if outcome.change is None else outcome.change.id
    audit.write(session, None, "chapters imported", "territory_change", change, detail, now)


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def _say(faults: Sequence[Fault]) -> None:
    for fault in faults[:SHOWN]:
        out.print(str(fault), markup=False)
    if len(faults) > SHOWN:
        out.print(f"and {len(faults) - SHOWN:,} more")


def _refuse(faults: Sequence[Fault]) -> None:
    _say(faults)
    out.print("nothing was changed")
    raise typer.Exit(1)


def _show(outcome: chapter_import.Outcome, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    _count(f"{would}new", outcome.made)
    _count(f"{would}changed", (f"{slug} ({', '.join(fields)})" for slug, fields in outcome.changed.items()))
    if outcome.change is None:
        out.print("all land stays as it is")
    elif outcome.at_once:
        number = len(outcome.change.proposal.chapters)
        out.print(f"the land of {number:,} chapters {would or 'is '}theirs at once: nobody lives anywhere yet")
    elif dry_run:
        out.print("the land would wait for the root's approval:")
        _show_change(outcome.change)
    else:
        out.print("the land waits for the root's approval: groundswell chapters approve " + str(outcome.change.id))
        _show_change(outcome.change)


def _count(what: str, names: Iterable[str]) -> None:
    listed = list(names)
    if listed:
        more = f" and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else ""
        out.print(f"{len(listed):,} {what}: {', '.join(listed[:SHOWN])}{more}", markup=False)


def _show_change(change: Change) -> None:
    preview = change.preview
    out.print(f"{change.id}  {change.why}: {preview.sentence}; {_zips(preview.zips)} hands", markup=False)
    if preview.stay:
        out.print(f"   {preview.stay:,} stay because they chose or were placed")
    if preview.moves:
        table = Table("From", "To", "People", "Leads or volunteers")
        for each in preview.moves:
            names = (escape(name or "nowhere") for name in (each.from_name, each.to_name))
            table.add_row(*names, f"{each.people:,}", f"{each.active:,}")
        out.print(table)


def _zips(number: int) -> str:
    return "1 ZIP changes" if number == 1 else f"{number:,} ZIPs change"
