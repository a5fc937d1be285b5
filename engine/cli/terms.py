"""What the commands share: where they print, the folder of data, ids, the house they work in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

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


def ring(deps: Deps, lanes: Mapping[int, str]) -> None:
    """Say that there is work in these lanes, and wait until it is said."""
    deps.bells.ring(*sorted(set(lanes.values())))
    deps.bells.close()
