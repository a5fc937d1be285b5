"""Small hands for tests of imports: import files as the command does, look at what came of it."""

import io
from pathlib import Path
from typing import Any

from rich.console import Console

from engine.actblue_import import running, telling
from engine.bootstrap import Deps
from engine.db import transaction
from tests.books import assert_books_balance
from tests.csv_reports import paid
from tests.flows.house import rows

PERSONAL = ("rosa", "delgado", "lincoln", "5085550123", "librarian")


def imported(deps: Deps, *paths: Path, again: bool = False, dry_run: bool = False) -> tuple[int, str]:
    """Import these files as the command does. Returns its exit code and what it said; the books balance."""
    out = io.StringIO()
    screen = Console(file=out, width=200, highlight=False, soft_wrap=True)
    code = telling.run(deps, paths, screen, again=again, dry_run=dry_run)
    with transaction(deps.sessions) as session:
        assert_books_balance(session)
    return code, out.getvalue()


def tally(deps: Deps, path: Path, **how: bool) -> running.Tally:
    return running.run(deps, path, lambda *_: None, **how)


def keys(deps: Deps) -> list[str]:
    return [row.source_key for row in rows(deps, "SELECT source_key FROM contribution ORDER BY id")]


def everything(deps: Deps) -> list[Any]:
    """All rows of all tables, but the ZIPs."""
    named = rows(deps, "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'")
    return [rows(deps, f"SELECT * FROM {table.name}") for table in named if table.name not in ("zip", "bookmark")]


def many(count: int, first: int = 1) -> list[dict[str, str]]:
    return [paid(number) for number in range(first, first + count)]
