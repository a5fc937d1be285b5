"""What the house did and does: raw events, letters, notices, the books, imports of money."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from engine import bell, inbox
from engine.actblue_import import telling as actblue_reports
from engine.bootstrap import Deps
from engine.cli.terms import DEFAULT_DATA_DIR, MOST_ID, DataDir, house, out, ring
from engine.db import transaction
from engine.giving import books as the_books
from engine.mail import breaker, handovers, holds
from engine.money import dollars
from engine.staff import audit, notices

events = typer.Typer(no_args_is_help=True, help="Raw events: look at one, try quarantined ones again.")
letters = typer.Typer(
    no_args_is_help=True, help="Letters: check, keep, read, test them; try failed ones again, let campaigns go on."
)
books = typer.Typer(no_args_is_help=True, help="The ledger and what must agree with it.")
matters = typer.Typer(no_args_is_help=True, help="What needs a person: list it, say that it was seen to.")
imports = typer.Typer(no_args_is_help=True, help="What others keep of us, as files.")


@events.command()
def show(event: Annotated[int, typer.Argument(max=MOST_ID)], data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show one raw event: how far it got, and its body."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        found = inbox.get(session, event)
    for name in ("id", "source", "kind", "lane", "key", "received_at", "state", "reason", "attempts", "finished_at"):
        out.print(f"{name:12} {getattr(found, name) if getattr(found, name) is not None else ''}", markup=False)
    body = bytes(found.body).decode("utf-8", "replace")
    out.print("".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in body), markup=False)


@events.command()
def replay(
    event: Annotated[list[int] | None, typer.Argument(help="Ids of quarantined events.", max=MOST_ID)] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are quarantined.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Put quarantined events back to pending."""
    if bool(event) == every:
        raise typer.BadParameter("name the events, or say --all")
    deps = house(data_dir)
    with deps.work() as (session, now):
        lanes = inbox.replay(session, event or None)
        notices.resolve(session, inbox.QUARANTINED, [inbox.name(number) for number in lanes] if event else None)
        audit.write_all(session, "events replayed", "inbound_event", lanes, now)
    ring(deps, lanes)
    out.print(f"{len(lanes)} back to pending" if lanes else "none of these is in quarantine")
    raise typer.Exit(0 if lanes else 1)


@letters.command()
def retry(
    message: Annotated[list[int] | None, typer.Argument(help="Ids of failed letters.", max=MOST_ID)] = None,
    every: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make failed letters ready again."""
    if bool(message) == every:
        raise typer.BadParameter("name the letters, or say --all")
    deps = house(data_dir)
    with deps.work() as (session, now):
        lanes, happened = handovers.retry(session, message or None, now)
        deps.react(session, happened, now)
        notices.resolve(session, handovers.FAILED, [handovers.name(number) for number in lanes] if message else None)
        if not message:  # those that failed for their sender, too: it is told of anew if it is still refused
            notices.resolve(session, handovers.SENDER)
        audit.write_all(session, "letters retried", "message", lanes, now)
    ring(deps, lanes)
    out.print(f"{len(lanes)} ready again" if lanes else "none of these has failed")
    raise typer.Exit(0 if lanes else 1)


@letters.command()
def resume(
    mailing: Annotated[str, typer.Argument(help="A mailing that stands still; none: all, after a stop.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Let campaigns go on after the mail provider stopped our account and lifted that again, or one mailing that was paused
    because too much of it came back, was called spam or was refused."""
    deps = house(data_dir)
    if mailing:
        _resume_one(deps, mailing)
    with deps.work() as (session, now):
        lifted = holds.lift(session, now)
        notices.resolve(session, holds.STOPPED)
        if lifted:
            audit.write(session, None, "letters resumed", "mail_hold", None, {"count": lifted}, now)
    if lifted:
        ring(deps, {0: bell.DELIVERY})
    out.print("campaigns go on" if lifted else "nothing was stopped")
    raise typer.Exit(0 if lifted else 1)


def _resume_one(deps: Deps, mailing: str) -> None:
    with deps.work() as (session, now):
        happened = breaker.resume(session, mailing)
        if happened:
            audit.write(session, None, "mailing resumed", "mailing", None, {"mailing": mailing}, now)
        everything = deps.react(session, happened, now)
    deps.ring_for(everything)
    deps.bells.close()
    out.print(f"{mailing} goes on" if happened else f"{mailing} was not paused")
    raise typer.Exit(0 if happened else 1)


@matters.command(name="list")
def list_notices(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """What still needs a person, the newest first."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        found = notices.open_notices(session)
    for row in found:
        often = "once" if row.seen == 1 else f"{row.seen} times"
        out.print(f"{row.id:>6}  {row.kind}: {row.subject} ({often}, last {row.last_at:%Y-%m-%d %H:%M})", markup=False)
        out.print(f"        {row.detail}", markup=False)
    if not found:
        out.print("nothing needs a person")


@matters.command()
def resolve(
    notice: Annotated[list[int], typer.Argument(help="Ids of notices.", max=MOST_ID)],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say that these were seen to."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        closed = notices.resolve_ids(session, notice)
        audit.write_all(session, "notices resolved", "notice", closed, now)
    out.print(f"{len(closed)} seen to" if closed else "none of these is open")
    raise typer.Exit(0 if closed else 1)


@books.command()
def check(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Prove that ledger, contributions, totals and statuses agree; exit 1 when they do not."""
    deps = house(data_dir)
    with transaction(deps.sessions) as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        proof = the_books.check(session)
    out.print(f"{proof.contributions:,} contributions, {proof.entries:,} ledger entries, {dollars(proof.cents)}")
    if not proof.discrepancies:
        out.print("The books balance.")
        return
    table = Table(
        "What does not hold", "Where", "What it says", title="THE BOOKS DO NOT BALANCE", title_style="bold red"
    )
    for wrong in proof.discrepancies:
        table.add_row(wrong.rule, wrong.subject, wrong.detail)
    out.print(table)
    raise typer.Exit(1)


@imports.command()
def actblue(
    file: Annotated[list[Path], typer.Argument(help="CSV reports: paid, refunded, managed-form or cancelled.")],
    again: Annotated[bool, typer.Option("--again", help="From the beginning, not from where it was left.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is new or different.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Bring ActBlue's reports onto the books; list where they differ. Exit 1: rows were refused, 2: no report."""
    deps = house(data_dir)
    code = actblue_reports.run(deps, file, out, again=again, dry_run=dry_run)
    deps.bells.close()
    raise typer.Exit(code)
