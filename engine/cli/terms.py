"""What the commands share: where they print, the folder of data, ids, the house they work in, files that they write."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from sqlalchemy.orm import Session

from engine import up as everything
from engine.bootstrap import Deps, build
from engine.errors import Forbidden
from engine.settings import ROOT
from engine.staff import accounts, rights

out = Console(highlight=False, soft_wrap=True)

DataDir = Annotated[
    Path, typer.Option(help="Where everything is kept.", envvar="GROUNDSWELL_DATA_DIR", show_default=".groundswell")
]
As = Annotated[str, typer.Option("--as", metavar="ADDRESS", help="Who of the staff does this; it goes on record.")]
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


def acting(session: Session, email: str, chapter_id: int | None, what: str) -> int | None:
    """Whoever of the staff does this; none: the command line. `what` it is, of this chapter (none: the root's). Raises
    NotFound, and Forbidden when she may not launch what is this chapter's."""
    if not email:
        return None
    account = accounts.of_address(session, email)
    if not account.may(rights.LAUNCH) or not account.reach.holds(chapter_id):
        raise Forbidden(f"{account.called} may not {what}")
    return account.id


def people(number: int) -> str:
    """So many people, in words."""
    return f"{number:,} {'person' if number == 1 else 'people'}"


def ring(deps: Deps, lanes: Mapping[int, str]) -> None:
    """Say that there is work in these lanes, and wait until it is said."""
    deps.bells.ring(*sorted(set(lanes.values())))
    deps.bells.close()
