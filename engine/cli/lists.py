"""Lists of people: those of other tools into the house, ours out of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml

from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, new_file, out
from engine.cli.work import imports
from engine.errors import Invalid
from engine.people.csv_lists import Whom
from engine.people_import import telling
from engine.people_import.headings import TOOLS
from engine.people_import.layout import CLEANED, COMPLAINED, SUBSCRIBED, UNSUBSCRIBED, Choices
from engine.people_import.running import Source
from engine.staff import audit
from engine.staff import exports as people_out

exports = typer.Typer(no_args_is_help=True, help="What we keep, as files for others.")

STANDINGS = (SUBSCRIBED, UNSUBSCRIBED, CLEANED, COMPLAINED)
_Files = Annotated[list[Path] | None, typer.Argument(help="CSV files. Whose they are is told by their headings.")]
_Named = Annotated[list[Path], typer.Argument(help="The files of an export, all of them at once.")]
_Again = Annotated[bool, typer.Option("--again", help="Although these files were imported before.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]
_As = Annotated[str, typer.Option("--as", help=f"What is true of everyone in the files: {', '.join(STANDINGS)}.")]
_Rows = Annotated[
    Path | None, typer.Option("--rows", help="A CSV file to write: each address, what came of it and why.")
]


@imports.command()
def people(
    *,
    file: _Files = None,
    mailchimp: Annotated[list[Path] | None, typer.Option(help="A file of Mailchimp's.")] = None,
    actionnetwork: Annotated[list[Path] | None, typer.Option(help="A file of Action Network's.")] = None,
    nationbuilder: Annotated[list[Path] | None, typer.Option(help="A file of NationBuilder's.")] = None,
    column: Annotated[list[str] | None, typer.Option("--map", help="COLUMN=FIELD, for files of your own.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="A YAML file of COLUMN: FIELD.")] = None,
    standing: _As = "",
    rows: _Rows = None,
    again: _Again = False,
    dry_run: _DryRun = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Import lists of people, of several tools at once if you like: who opted out anywhere is not mailed.
    Exit 1: rows were refused, 2: no list."""
    named = {"mailchimp": mailchimp, "actionnetwork": actionnetwork, "nationbuilder": nationbuilder}
    own = Choices(None, _mapping(column or [], mapping), _standing(standing))
    sources = [Source(path, own) for path in file or ()]
    for tool, paths in named.items():
        sources += [Source(path, Choices(TOOLS[tool], {}, own.assumed)) for path in paths or ()]
    if not sources:
        raise typer.BadParameter("name a file")
    _import(sources, data_dir, again=again, dry_run=dry_run, rows=rows)


@imports.command()
def mailchimp(
    *, file: _Named, standing: _As = "", rows: _Rows = None, again: _Again = False, dry_run: _DryRun = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:  # fmt: skip
    """Import an audience that Mailchimp exported: its subscribed, unsubscribed and cleaned files."""
    _import_of("mailchimp", file, standing, data_dir, again=again, dry_run=dry_run, rows=rows)


@imports.command()
def actionnetwork(
    *, file: _Named, standing: _As = "", rows: _Rows = None, again: _Again = False, dry_run: _DryRun = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:  # fmt: skip
    """Import reports of activists that Action Network exported."""
    _import_of("actionnetwork", file, standing, data_dir, again=again, dry_run=dry_run, rows=rows)


@imports.command()
def nationbuilder(
    *, file: _Named, standing: _As = "", rows: _Rows = None, again: _Again = False, dry_run: _DryRun = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:  # fmt: skip
    """Import people that NationBuilder exported."""
    _import_of("nationbuilder", file, standing, data_dir, again=again, dry_run=dry_run, rows=rows)


@exports.command(name="people")
def export_people(
    *,
    to: Annotated[Path, typer.Option(help="The file to write; it must not exist.")],
    chapter: Annotated[str, typer.Option(help="A chapter's slug: its people and those of chapters below it.")] = "",
    mailable: Annotated[bool, typer.Option("--mailable", help="Only who may be mailed.")] = False,
    interest: Annotated[str, typer.Option(help="An interest's code: only who care about it.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write people to a CSV file, formulas disarmed. That somebody did is put on record."""
    deps = house(data_dir)
    whom = Whom(chapter, mailable, interest)
    with deps.work() as (session, _):
        people_out.check(session, whom)
    size = 0
    with new_file(to) as file:
        with deps.work() as (session, now):
            people_out.note(session, None, whom, now)
        with deps.work() as (session, _):
            for piece in people_out.stream(session, whom):
                size += file.write(piece)
    out.print(f"{to}: {size:,} bytes", markup=False)


def _import_of(
    tool: str, files: Sequence[Path], standing: str, data_dir: Path, *, again: bool, dry_run: bool, rows: Path | None
) -> None:
    choices = Choices(TOOLS[tool], {}, _standing(standing))
    _import([Source(path, choices) for path in files], data_dir, again=again, dry_run=dry_run, rows=rows)


def _import(sources: Sequence[Source], data_dir: Path, *, again: bool, dry_run: bool, rows: Path | None) -> None:
    deps = house(data_dir)
    code = telling.run(deps, sources, out, again=again, dry_run=dry_run, rows_to=rows)
    if not dry_run:
        with deps.work() as (session, now):
            audit.write(session, None, "people imported", "contact", None, {"files": len(sources), "ended": code}, now)
    deps.bells.close()
    raise typer.Exit(code)


def _standing(said: str) -> str:
    if said and said not in STANDINGS:
        raise typer.BadParameter(f"--as is one of {', '.join(STANDINGS)}")
    return said


def _mapping(columns: Sequence[str], file: Path | None) -> Mapping[str, str]:
    """Heading -> field, from the options and a YAML file. Raises Invalid for a file that says something else."""
    told = yaml.safe_load(file.read_text("utf-8")) if file else {}
    if not isinstance(told, dict) or not all(isinstance(each, str) for pair in told.items() for each in pair):
        raise Invalid(f"{file}: it must say COLUMN: FIELD, line by line")
    for pair in columns:
        heading, mark, field = pair.rpartition("=")
        if not (mark and heading and field):
            raise Invalid(f"--map {pair}: it must be COLUMN=FIELD")
        told[heading] = field
    return told
