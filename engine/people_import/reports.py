"""What came of an import: the figures of its report, and the file of every address with its reason."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any, Literal

import psycopg
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.people.csv_lists import DISARMED

LISTED = 5  # ZIPs of a file that could not be read and are told one by one

_OUTCOMES = text("""
SELECT outcome, refusal, count(*) AS addresses, count(*) FILTER (WHERE tools > 1) AS several,
    sum(rows) - count(*) AS further
FROM import_person GROUP BY outcome, refusal
""")
_FILES = text("""
SELECT file, standing, count(*) AS rows, count(*) FILTER (WHERE zip_repaired) AS repaired,
    count(*) FILTER (WHERE zip_unread <> '') AS unread
FROM import_row WHERE person GROUP BY file, standing
""")
_UNREAD = text("""
SELECT file, line, zip_unread FROM (
    SELECT file, line, zip_unread, row_number() OVER (PARTITION BY file ORDER BY line) AS place FROM import_row
    WHERE person AND zip_unread <> ''
) told WHERE place <= :most ORDER BY file, line
""")
_NO_LIMIT = text("SET LOCAL statement_timeout = 0")
# Who was erased is not named.
_ROWS = f"""
COPY (
    SELECT {DISARMED.format("p.email")} AS email, p.outcome,
        CASE WHEN p.refusal = '' THEN 'yes' ELSE 'no' END AS mailable, p.refusal AS why_not, p.tools, r.zip_repaired,
        {DISARMED.format("r.zip_unread")} AS zip_unread, {DISARMED.format("r.places")} AS lines
    FROM import_person p CROSS JOIN LATERAL (
        SELECT string_agg(f.name || ':' || r.line, ' ' ORDER BY r.file, r.line) AS places,
            coalesce(max(r.zip) FILTER (WHERE r.zip_repaired), '') AS zip_repaired, max(r.zip_unread) AS zip_unread
        FROM import_row r JOIN json_to_recordset(CAST({{files}} AS json)) AS f(file int, name text) ON f.file = r.file
        WHERE r.email = p.email) r
    WHERE p.refusal <> 'erased' ORDER BY p.email
) TO STDOUT (FORMAT csv, HEADER)
"""


@dataclass(frozen=True, slots=True)
class FileCount:
    """One file: its name and tool, its rows by standing, how many ZIPs got their zero back and how many could not be read;
    the first of these are told, "line 3: ABC"."""

    name: str
    tool: str
    standings: Counter[str]
    repaired: int
    unread: int = 0
    unread_lines: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """Addresses by outcome (new, known, nobody), those who may be mailed, those who may not by reason.

    `several`: told of by more than one tool; `further`: rows beyond the first of an address; `erased`: not brought back.
    """

    outcomes: Counter[str]
    mailable: int
    refusals: Counter[str]
    several: int
    further: int
    erased: int
    files: Sequence[FileCount]


def summary(session: Session, files: Sequence[tuple[str, str]]) -> Summary:
    """The figures of the merged run; its files as (name, tool)."""
    found = session.execute(_OUTCOMES).all()
    erased = sum(row.addresses for row in found if row.refusal == "erased")
    outcomes: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    for row in found:
        if row.refusal != "erased":
            outcomes[row.outcome] += row.addresses
            refusals[row.refusal] += row.addresses
    mailable = refusals.pop("", 0)
    counts = _counted(session, files)
    several, further = (sum(getattr(row, name) for row in found) for name in ("several", "further"))
    return Summary(outcomes, mailable, refusals, several, int(further), erased, counts)


def _counted(session: Session, files: Sequence[tuple[str, str]]) -> list[FileCount]:
    standings: list[Counter[str]] = [Counter() for _ in files]
    repaired, unread = ([0 for _ in files] for _ in range(2))
    for row in session.execute(_FILES):
        standings[row.file][row.standing] += row.rows
        repaired[row.file] += row.repaired
        unread[row.file] += row.unread
    told: list[list[str]] = [[] for _ in files]
    for row in session.execute(_UNREAD, {"most": LISTED}) if any(unread) else ():
        told[row.file].append(f"line {row.line}: {row.zip_unread}")
    counted = zip(files, standings, repaired, unread, told, strict=True)
    return [FileCount(*file, each, zeros, none, lines) for file, each, zeros, none, lines in counted]


def write(session: Session, path: Path, names: Sequence[str]) -> None:
    """Every address of the merged run with what came of it, where it was told of, and its repaired ZIP; as a CSV file."""
    session.execute(_NO_LIMIT)
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    files = rows({"file": number, "name": name} for number, name in enumerate(names))
    statement = sql.SQL(_ROWS).format(files=sql.Literal(files))
    with opened_for_its_owner_alone(path, "wb") as file, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            file.write(piece)


def opened_for_its_owner_alone(path: Path, mode: Literal["w", "wb"]) -> IO[Any]:
    """A file to be written anew, UTF-8 if it is text, that nobody else can read: nor one that was there, and was wider."""
    made = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    if S_ISREG(os.fstat(made).st_mode):  # and no pipe
        os.fchmod(made, 0o600)
        os.ftruncate(made, 0)
    return os.fdopen(made, mode, **({} if mode == "wb" else {"encoding": "utf-8", "newline": ""}))  # type: ignore[call-overload, no-any-return]
