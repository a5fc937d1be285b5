"""Whether letters leave: how it stands, stop them all, let them go; raw events as files, for a database that was restored."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from engine import bell, inbox_files
from engine.bootstrap import Deps
from engine.cli.terms import DEFAULT_DATA_DIR, As, DataDir, acting, house, new_file, out, ring
from engine.cli.work import events
from engine.db import transaction
from engine.mail import carried
from engine.mail import sending as the_sending
from engine.mail.holds import RESTORED
from engine.mail.sending import Status
from engine.staff import audit

sending = typer.Typer(no_args_is_help=True, help="Sending: how it stands, hold every letter, let them go.")
WORDS = {RESTORED: "this database was restored, or a standby took over", "staff": "a person stopped it"}


@sending.command()
def status(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Say whether letters leave; if not, why, and what is known of lost hours. Exit 1 while they are held."""
    deps = house(data_dir)
    with transaction(deps.sessions) as session:
        found = the_sending.status(session)
    for line in _said(found):
        out.print(line, markup=False)
    raise typer.Exit(1 if found.holds else 0)


@sending.command()
def hold(
    because: Annotated[str, typer.Option(help="Why, for the audit.")] = "",
    restored: Annotated[
        bool, typer.Option("--restored", help="This database was brought back from a snapshot: let all ids jump.")
    ] = False,
    by: As = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Hold every letter, receipts too; all else goes on. What is being handed over at this moment still leaves."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        who = acting(session, by, None, "hold letters")
        if new := the_sending.stop(session, restored=restored):
            detail = {"because": because, "restored": restored}
            audit.write(session, who, "sending held", "mail_hold", None, detail, now)
    out.print("nothing leaves any more" if new else "it was held already")


@sending.command()
def release(
    replayed: Annotated[
        bool,
        typer.Option("--replayed", help="After a restore: all that the mail provider told meanwhile was replayed."),
    ] = False,
    presume: Annotated[
        bool,
        typer.Option("--presume", help="After a restore: it was not; letters of campaigns that are due have left."),
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="With --replayed: what is not applied yet never will be.")
    ] = False,
    by: As = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Let letters go. After a restore one of two things must be said, for nobody but you can know it."""
    if replayed and presume:
        raise typer.BadParameter("say --replayed or --presume")
    deps = house(data_dir)
    with deps.work() as (session, _):
        acting(session, by, None, "let letters go")
    skipped = _presumed(deps) if presume else 0
    with deps.work() as (session, now):
        who = acting(session, by, None, "let letters go")
        held, last, happened = the_sending.release(session, now, presumed=presume, replayed=replayed, anyway=anyway)
        skipped += last
        if held:
            detail = {"held": sorted(held), "replayed": replayed, "presume": presume, "skipped": skipped}
            audit.write(session, who, "sending released", "mail_hold", None, detail, now)
        deps.react(session, happened, now)
    if held:
        ring(deps, dict(enumerate(bell.LETTER_LANES)))
    out.print(f"letters leave again; {skipped:,} are taken to have left" if held else "nothing was held")
    raise typer.Exit(0 if held else 1)


@events.command()
def export(
    file: Annotated[Path, typer.Argument(help="A new file, for your eyes alone.")],
    since: Annotated[str, typer.Option(help="From when on: 2026-11-30T18:00Z, or 90m, 36h, 7d ago.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write the raw events that arrived since then to a file, as they came, and what people said on our pages."""
    deps = house(data_dir)
    begin = moment(since, datetime.now(UTC))
    with new_file(file) as written, transaction(deps.sessions) as session:
        number, words = inbox_files.export(session, begin, written), carried.export(session, begin, written)
    out.print(f"{number:,} events and {words:,} words since {begin:%Y-%m-%d %H:%M:%S} UTC in {file}", markup=False)


@events.command(name="import")
def import_events(
    file: Annotated[list[Path], typer.Argument(help="Files of `events export`.")], data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """Take in what such files hold, each once: what is here already stays as it is."""
    deps = house(data_dir)
    told = new = strange = 0
    for each in file:
        with each.open("rb") as opened:
            for batch in inbox_files.batches(inbox_files.read(opened, carried.LINES)):
                said = [line for line, _ in batch if isinstance(line, carried.Word | carried.Stop)]
                with transaction(deps.sessions) as session:
                    new += inbox_files.store(session, batch)
                    strange += carried.store(session, said)
                told += len(batch) - len(said)
    with deps.work() as (session, now):
        audit.write(session, None, "events imported", "inbound_event", None, {"count": told, "new": new}, now)
    ring(deps, dict(enumerate(bell.INBOX_LANES)))
    out.print(f"{told:,} events, {new:,} of them new")
    if strange:
        out.print(
            f"{strange:,} words are of people who are not here yet: once the events are applied, import the file again"
        )


def moment(said: str, now: datetime) -> datetime:
    """A moment as it is written in options: in full with its zone, or so long ago."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if said[:-1].isascii() and said[:-1].isdigit() and len(said) < 8 and said[-1] in units:
        return now - timedelta(**{units[said[-1]]: int(said[:-1])})
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise typer.BadParameter("a moment is written like 2026-11-30T18:00Z, or 90m, 36h, 7d for so long ago")
    return found


def _presumed(deps: Deps) -> int:
    """Letters that are taken to have left, so many in a transaction, while all are held; how many."""
    skipped, after = 0, 0
    while True:
        with deps.work() as (session, now):
            ids, happened = the_sending.presume(session, now, after)
            deps.react(session, happened, now)
        skipped += len(ids)
        if len(ids) < the_sending.MOST:
            return skipped
        after = ids[-1]


def _said(found: Status) -> list[str]:
    lines = [f"held since {since:%Y-%m-%d %H:%M:%S} UTC: {WORDS[reason]}" for reason, since in found.holds]
    lines = lines or ["letters leave"]
    if found.lost_since and found.lost_until:
        lines += [
            f"lost: from {found.lost_since:%Y-%m-%d %H:%M:%S} on, until {found.lost_until:%Y-%m-%d %H:%M:%S} UTC",
            f"{found.known:,} letters here are known to have left then; {found.unknown:,} more are not here",
        ]
    return [*lines, f"{found.ready:,} letters wait; {found.pending:,} raw events are not applied yet"]
