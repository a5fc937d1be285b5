"""The treasurer's lists as files."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from engine.bootstrap import Deps
from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, new_file, out
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
    since: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write one of the treasurer's lists to a CSV file, formulas disarmed. That somebody did is put on record."""
    deps = house(data_dir)
    size = write(deps, which, file, Choice(deps.settings.time_zone, fund, _day(since), _day(until)))
    out.print(f"{file}: {size:,} bytes", markup=False)


def write(deps: Deps, which: str, file: Path, choice: Choice) -> int:
    """Write this list to a new file, for its owner alone; how many bytes. Raises NotFound, Invalid and FileExistsError, and
    then leaves no file of its own."""
    with new_file(file) as made:
        with deps.work() as (session, now):
            exports.note_list(session, None, which, choice, now)
        with deps.work() as (session, now):
            return sum(made.write(piece) for piece in exports.stream_list(session, which, choice, now))


def _day(told: datetime | None) -> date | None:
    return told.date() if told else None
