"""The treasurer's lists as files."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from engine.bootstrap import Deps
from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, day, house, new_file, out
from engine.giving import treasurer as lists
from engine.giving.treasurer import Choice
from engine.staff import exports

app = typer.Typer()


@app.command()
def treasurer(
    *,
    which: Annotated[str, typer.Argument(metavar="LIST", help=f"One of {', '.join(lists.LISTS)}.")],
    file: Annotated[Path, typer.Argument(help="The CSV file to write; it must not exist.")],
    fund: Annotated[str, typer.Option(help="A fund's slug: only what went to it.")] = "",
    since: Annotated[date | None, typer.Option("--from", parser=day, metavar="DAY", help="The first day.")] = None,
    until: Annotated[date | None, typer.Option("--to", parser=day, metavar="DAY", help="The last day.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write one of the treasurer's lists to a CSV file, formulas disarmed. That somebody did is put on record."""
    deps = house(data_dir)
    size = write(deps, which, file, Choice(deps.settings.time_zone, fund, since, until))
    out.print(f"{file}: {size:,} bytes", markup=False)


def write(deps: Deps, which: str, file: Path, choice: Choice) -> int:
    """Write this list to a new file, for its owner alone; how many bytes. Raises NotFound, Invalid and FileExistsError, and
    then leaves no file of its own."""
    with new_file(file) as made:
        with deps.work() as (session, now):
            exports.note_list(session, None, which, choice, now)
        with deps.work() as (session, now):
            return sum(made.write(piece) for piece in exports.stream_list(session, which, choice, now))
