"""The processes and what they stand on: start them, bring the database up to date, look at settings, send a demo gift."""

import os
import random
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import SecretStr

from engine import command_lines, demo_gift, migrate
from engine import up as everything
from engine.bootstrap import build
from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, out
from engine.db import make_pool
from engine.errors import NotFound
from engine.settings import Settings
from webhooks.app import PARTS
from workers import delivery
from workers.main import GROUPS

app = typer.Typer()
_PASSWORD = re.compile(r"([?&][a-z]*password=)[^&]*")


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
    only: Annotated[str, typer.Option(help="Parts to serve: hooks, pages, staff, api.")] = "hooks,pages,staff,api",
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
