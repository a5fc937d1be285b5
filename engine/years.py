"""The years of a table that is parted by them: each is a table of its own, made before it is written to, and dropped whole.

A year is attached, not made in place: whoever reads the whole meanwhile is not waited for. Its name is `<table>_<year>`.
"""

import re

from sqlalchemy import text
from sqlalchemy.orm import Session

_THERE = text("""
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(:table AS regclass)
ORDER BY c.relname
""")
# Nobody waits for a reader of the archive for longer than this: it is tried again another day.
_PATIENCE = text("SET LOCAL lock_timeout = '2s'")
_YEAR = re.compile(r"_(\d{4})$")


def there(session: Session, table: str) -> list[int]:
    """The years that this table has, in their order."""
    return sorted(int(found[1]) for name in session.scalars(_THERE, {"table": table}) if (found := _YEAR.search(name)))


def make(session: Session, table: str, first: int, last: int) -> None:
    """Make what is missing of these years (UTC), both included."""
    missing = set(range(first, last + 1)) - set(there(session, table))
    for year in sorted(missing):
        session.execute(text(f"CREATE TABLE {table}_{year} (LIKE {table} INCLUDING ALL)"))
        bounds = f"FROM ('{year}-01-01 00:00:00+00') TO ('{year + 1}-01-01 00:00:00+00')"
        session.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {table}_{year} FOR VALUES {bounds}"))


def drop(session: Session, table: str, before: int) -> list[int]:
    """Drop the years before this one with all that is in them. Returns which they were."""
    old = [year for year in there(session, table) if year < before]
    if old:
        session.execute(_PATIENCE)
    for year in old:
        session.execute(text(f"DROP TABLE {table}_{year}"))
    return old
