"""The `groundswell` command. Outermost ring: nobody imports it."""

import os
import random
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.error import URLError

import typer
from pydantic import SecretStr, ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from engine import bell, command_lines, demo_gift, inbox, migrate
from engine import up as everything
from engine.actblue_import import telling as actblue_reports
from engine.bootstrap import Deps, build
from engine.db import make_pool, transaction
from engine.errors import GroundswellError, NotFound
from engine.giving import books as the_books
from engine.mail import handovers, holds
from engine.money import dollars
from engine.settings import ROOT, Settings
from engine.staff import notices
from webhooks.app import PARTS
from workers import delivery
from workers.main import GROUPS

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Groundswell: donations and letters for chapters.",
)
events = typer.Typer(no_args_is_help=True, help="Raw events: look at one, try quarantined ones again.")
letters = typer.Typer(no_args_is_help=True, help="Letters: try failed ones again, let campaigns go on.")
books = typer.Typer(no_args_is_help=True, help="The ledger and what must agree with it.")
matters = typer.Typer(no_args_is_help=True, help="What needs a person: list it, say that it was seen to.")
imports = typer.Typer(no_args_is_help=True, help="What others keep of us, as files.")
app.add_typer(events, name="events")
app.add_typer(letters, name="letters")
app.add_typer(books, name="books")
app.add_typer(matters, name="notices")
app.add_typer(imports, name="import")
out = Console(highlight=False, soft_wrap=True)

DataDir = Annotated[
    Path, typer.Option(help="Where everything is kept.", envvar="GROUNDSWELL_DATA_DIR", show_default=".groundswell")
]
_PASSWORD = re.compile(r"([?&][a-z]*password=)[^&]*")
MOST_ID = 2**63 - 1
DEFAULT_DATA_DIR = ROOT / ".groundswell"


@app.command()
def up(
    demo: Annotated[bool, typer.Option("--demo", help="Load an invented organisation.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Start the whole system on this machine and keep it alive."""
    everything.run(everything.Options(data_dir.resolve(), host, port, demo), lambda line: out.print(line, markup=False))


@app.command()
def web(
    only: Annotated[str, typer.Option(help="Parts to serve: hooks, pages, staff.")] = "hooks,pages,staff",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
) -> None:
    """Serve HTTP: receivers and pages."""
    if not set(only.split(",")) <= set(PARTS):
        raise typer.BadParameter(f"parts are {', '.join(PARTS)}")
    _become(command_lines.web(host, port, Settings().trusted_proxies), {"GROUNDSWELL_WEB_ONLY": only})


@app.command()
def worker(
    group: Annotated[str, typer.Option(help=f"One of {', '.join(GROUPS)}.")],
    processes: Annotated[int, typer.Option(min=1, help="How many processes.")] = 1,
) -> None:
    """Answer the bells of one group."""
    if group not in GROUPS:
        raise NotFound(f"no group {group}; there are {', '.join(GROUPS)}")
    if GROUPS[group].mails:
        delivery.mailer_of(build(Settings()))
    metered = bool(Settings().metrics_port)
    _become(*command_lines.worker(group, GROUPS[group], processes=processes, metered=metered))


@app.command()
def pulse() -> None:
    """Ring for due rows each second, sweep, mind the schedule."""
    _become(command_lines.pulse(), {})


@app.command(name="migrate")
def migrate_command(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Bring the database up to date, with ZIPs and shipped letters."""
    settings = everything.resolved(data_dir.resolve())
    if settings.database_url is None:
        raise NotFound("DATABASE_URL is not set")
    moved = migrate.upgrade(make_pool(settings.database_url.get_secret_value(), size=1))
    out.print(f"database {'migrated to' if moved else 'is at'} {migrate.head()}")


@app.command()
def demo(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    seed: Annotated[int | None, typer.Option(help="Choose the same donor again.")] = None,
) -> None:
    """Post one realistic gift to the running system and watch it become a letter."""
    settings = everything.resolved(data_dir.resolve())
    out.print(f"     0 ms  a gift is posted to {settings.base_url}/webhooks/actblue")
    for moment in demo_gift.follow(settings, random.Random(seed), datetime.now(UTC)):  # noqa: S311 an invented donor
        out.print(f"{moment.milliseconds:6.0f} ms  {moment.what}", markup=False)


@app.command()
def env(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print the resolved settings, one NAME=value a line, secrets masked."""
    settings = everything.resolved(data_dir.resolve())
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        shown = masked(name, value) if isinstance(value, SecretStr) else "" if value is None else value
        print(f"{field.validation_alias or name.upper()}={shown}")
    print(f"MAILBOX_FILE={settings.mailbox_file}")


@events.command()
def show(event: Annotated[int, typer.Argument(max=MOST_ID)], data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show one raw event: how far it got, and its body."""
    deps = build(everything.resolved(data_dir.resolve()))
    with deps.work() as (session, _):
        found = inbox.get(session, event)
    for name in ("id", "source", "kind", "lane", "key", "received_at", "state", "reason", "attempts", "finished_at"):
        out.print(f"{name:12} {getattr(found, name) if getattr(found, name) is not None else ''}", markup=False)
    body = found.body.decode("utf-8", "replace")
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
    deps = build(everything.resolved(data_dir.resolve()))
    with deps.work() as (session, _):
        lanes = inbox.replay(session, event or None)
        notices.resolve(session, inbox.QUARANTINED, [inbox.name(number) for number in lanes])
    _ring(deps, lanes)
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
    deps = build(everything.resolved(data_dir.resolve()))
    with deps.work() as (session, now):
        lanes = handovers.retry(session, message or None, now)
        notices.resolve(session, handovers.FAILED, [handovers.name(number) for number in lanes])
    _ring(deps, lanes)
    out.print(f"{len(lanes)} ready again" if lanes else "none of these has failed")
    raise typer.Exit(0 if lanes else 1)


@letters.command()
def resume(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Let campaigns go on after the mail provider stopped our account and lifted that again."""
    deps = build(everything.resolved(data_dir.resolve()))
    with deps.work() as (session, now):
        lifted = holds.lift(session, now)
        notices.resolve(session, holds.STOPPED)
    if lifted:
        _ring(deps, {0: bell.DELIVERY})
    out.print("campaigns go on" if lifted else "nothing was stopped")
    raise typer.Exit(0 if lifted else 1)


@matters.command(name="list")
def list_notices(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """What still needs a person, the newest first."""
    deps = build(everything.resolved(data_dir.resolve()))
    table = Table("Id", "What", "Of what", "What it says", "Times", "Last")
    with deps.work() as (session, _):
        for row in notices.open_notices(session):
            table.add_row(
                str(row.id), row.kind, row.subject, row.detail, str(row.seen), f"{row.last_at:%Y-%m-%d %H:%M}"
            )
    out.print(table if table.row_count else "nothing needs a person")


@matters.command()
def resolve(
    notice: Annotated[list[int], typer.Argument(help="Ids of notices.", max=MOST_ID)],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say that these were seen to."""
    deps = build(everything.resolved(data_dir.resolve()))
    with deps.work() as (session, _):
        closed = notices.resolve_ids(session, notice)
    out.print(f"{closed} seen to" if closed else "none of these is open")
    raise typer.Exit(0 if closed else 1)


@books.command()
def check(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Prove that ledger, contributions, totals and statuses agree; exit 1 when they do not."""
    deps: Deps = build(everything.resolved(data_dir.resolve()))
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
    deps = build(everything.resolved(data_dir.resolve()))
    code = actblue_reports.run(deps, file, out, again=again, dry_run=dry_run)
    deps.bells.close()
    raise typer.Exit(code)


def _ring(deps: Deps, lanes: Mapping[int, str]) -> None:
    """Say that there is work in these lanes, and wait until it is said."""
    deps.bells.ring(*sorted(set(lanes.values())))
    deps.bells.close()


def _become(argv: Sequence[str], variables: Mapping[str, str]) -> None:
    """Turn this process into that one, unless its settings are refused: better said here, in one line."""
    build(Settings())
    os.execve(argv[0], list(argv), os.environ | dict(variables))


def masked(name: str, secret: SecretStr) -> str:
    """A secret as it may be shown: a server's address without its password, anything else as stars."""
    raw = secret.get_secret_value()
    scheme, mark, rest = raw.partition("://")
    if not name.endswith("_url") or not mark:
        return "********" if raw else ""
    rest = _PASSWORD.sub(r"\1********", rest)
    credentials, at, place = rest.rpartition("@")
    user, colon, _ = credentials.partition(":")
    return f"{scheme}://{user}{colon}{'********' if colon else ''}{at}{place}"


def main() -> None:
    """Run the command; what we raise on purpose is one line on standard error and exit 1."""
    try:
        app()
    except GroundswellError as error:
        sys.exit(f"groundswell: {error}")
    except OperationalError:
        sys.exit("groundswell: the database does not answer. Does `groundswell up` run on this data folder?")
    except SQLAlchemyError as error:
        sys.exit(
            f"groundswell: the database is not as it should be ({type(error).__name__}): try `groundswell migrate`"
        )
    except URLError as error:
        sys.exit(f"groundswell: the web does not answer: {error.reason}")
    except ValidationError as error:
        said = (": ".join([*map(str, problem["loc"]), str(problem["msg"])]) for problem in error.errors())
        sys.exit("groundswell: " + "; ".join(said))
    except (OSError, ValueError) as error:
        sys.exit(f"groundswell: {error}")


if __name__ == "__main__":
    main()
