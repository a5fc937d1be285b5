"""Chapters: why somebody belongs to hers."""

from typing import Annotated

import typer

from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, out
from engine.people import explaining

chapters = typer.Typer(no_args_is_help=True, help="Chapters: who belongs to which, and why.")


@chapters.callback()
def _group() -> None:
    """Commands by name, however few there are."""


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
