"""What the commands share: where they print, the folder of data, ids, the house they work in, files that they write."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console

from engine import up as everything
from engine.bootstrap import Deps, build
from engine.settings import ROOT

out = Console(highlight=False, soft_wrap=True)

DataDir = Annotated[
    Path, typer.Option(help="Where everything is kept.", envvar="GROUNDSWELL_DATA_DIR", show_default=".groundswell")
]
MOST_ID = 2**63 - 1
DEFAULT_DATA_DIR = ROOT / ".groundswell"


def house(data_dir: Path) -> Deps:
    """The dependencies of a command that works on the installation of this folder."""
    return build(everything.resolved(data_dir.resolve()))


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file of people's data, for its owner alone, which was not there before. It goes again when what is to fill it fails:
    half a list looks like a whole one. Raises FileExistsError."""
    path.touch(mode=0o600, exist_ok=False)
    try:
        with path.open("wb") as file:
            yield file
    except BaseException:
        path.unlink()
        raise


def day(said: str) -> date:
    """A day as it is written in options."""
    with suppress(ValueError):
        found = date.fromisoformat(said)
        if found.isoformat() == said:
            return found
    raise typer.BadParameter("a day is written like 2026-11-29")


def ring(deps: Deps, lanes: Mapping[int, str]) -> None:
    """Say that there is work in these lanes, and wait until it is said."""
    deps.bells.ring(*sorted(set(lanes.values())))
    deps.bells.close()
