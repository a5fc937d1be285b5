"""Tokens of staff's programs: made, listed, revoked."""

from typing import Annotated

import typer

from engine.cli.terms import DEFAULT_DATA_DIR, MOST_ID, DataDir, house, out
from engine.staff import api_tokens
from engine.staff.api_tokens import DAYS, MOST_DAYS, SCOPES

tokens = typer.Typer(
    no_args_is_help=True, help="What staff's programs show to use the API: make, list, revoke a token."
)


@tokens.command()
def create(
    name: Annotated[str, typer.Argument(help="Which program it is for.")],
    *,
    holder: Annotated[
        str, typer.Option("--for", help="Who of the staff answers for it: her address.", metavar="EMAIL")
    ],
    scope: Annotated[list[str], typer.Option(help=f"What it may do, several times: {', '.join(SCOPES)}.")],
    chapter: Annotated[str, typer.Option(help="Only that chapter and those below it: its slug.")] = "",
    days: Annotated[int, typer.Option(help="How long it lasts.", min=1, max=MOST_DAYS)] = DAYS,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a token, and print it alone on standard output: this once, for nobody can read it again."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        number, token = api_tokens.create(session, name, holder, scope, now, chapter=chapter, days=days)
    typer.echo(f"token {number}, for {days} days; keep it now, it is shown this once", err=True)
    typer.echo(token)


@tokens.command(name="list")
def list_tokens(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show which tokens there are and were, whose they are, what they may do."""
    with house(data_dir).work() as (session, now):
        found = api_tokens.every(session)
        for row in found:
            ends = f"revoked {row.revoked_at:%Y-%m-%d}" if row.revoked_at else f"until {row.expires_at:%Y-%m-%d}"
            ends = "expired" if not row.revoked_at and row.expires_at <= now else ends
            used = f"used {row.used_at:%Y-%m-%d}" if row.used_at else "never used"
            out.print(f"{row.id:>4}  {row.name}  {row.email}  {row.chapter}  {ends}, {used}", markup=False)
            out.print(f"      {', '.join(row.scopes)}", markup=False)
    if not found:
        out.print("no token yet: groundswell tokens create NAME --for EMAIL --scope segments:read", markup=False)


@tokens.command()
def revoke(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The token's number.", min=1, max=MOST_ID)],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """End a token at once."""
    with house(data_dir).work() as (session, now):
        api_tokens.revoke(session, number, now)
    out.print(f"token {number} is revoked")
