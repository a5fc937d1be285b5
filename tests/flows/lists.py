"""Small hands for tests of lists of people: import them as the command does, ask who may be mailed."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.people.consent import CURRENT, STANDING_SUPPRESSIONS
from engine.people_import import running, telling
from engine.people_import.layout import Choices
from engine.people_import.running import Outcome, Source
from tests.flows.house import rows

ALL_TABLES = text("""
SELECT c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1
""")


def sources(*paths: Path, mapping: Mapping[str, str] | None = None, assumed: str = "") -> list[Source]:
    return [Source(path, Choices(None, mapping or {}, assumed)) for path in paths]


def imported(deps: Deps, *paths: Path, **how: Any) -> tuple[int, str]:
    """Import these files as the command does. Returns its exit code and what it said."""
    choices = {name: how.pop(name) for name in ("mapping", "assumed") if name in how}
    out = io.StringIO()
    screen = Console(file=out, width=200, highlight=False, soft_wrap=True)
    return telling.run(deps, sources(*paths, **choices), screen, **how), out.getvalue()


def outcome(deps: Deps, *paths: Path, **how: Any) -> Outcome:
    choices = {name: how.pop(name) for name in ("mapping", "assumed") if name in how}
    return running.run(deps, sources(*paths, **choices), lambda *_: None, **how)


def mailable(deps: Deps) -> set[str]:
    """Who may be mailed, by the words and suppressions that stand."""
    found = rows(
        deps,
        f"""SELECT c.email FROM contact c JOIN ({CURRENT}) word ON word.contact_id = c.id
        WHERE word.channel = 'mail' AND word.kind = '' AND word.given
        AND c.email NOT IN (SELECT email FROM ({STANDING_SUPPRESSIONS}) stop)""",
    )
    return {row.email for row in found}


def contact(deps: Deps, email: str) -> Any:
    with transaction(deps.sessions) as session:
        return session.execute(text("SELECT * FROM contact WHERE email = :email"), {"email": email}).one()


def everything(deps: Deps) -> dict[str, list[Any]]:
    """All rows of all tables, but the ZIPs and where readers are."""
    with transaction(deps.sessions) as session:
        names = [name for name in session.scalars(ALL_TABLES) if name not in {"zip", "bookmark"}]
        return {name: sorted(map(repr, session.execute(text(f"SELECT * FROM {name}")).all())) for name in names}
