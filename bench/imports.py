"""`python -m bench import`: rows a second of `groundswell import actblue`, and whether its memory stays flat.

A paid report of invented gifts (half of them of donors who gave before, a quarter of them monthly) is written to disk, and
the real command imports it into a Postgres of its own, durable as in production, with nobody else at work. Its memory is
looked at when it says that a tenth of the file is done, and at the end; then the same file is imported once more.
"""

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import psycopg
from psycopg import sql

from bench import report, running
from bench.report import Failed
from engine import demo_organisation, migrate
from engine.adapters import embedded
from engine.adapters.embedded import Command, Places
from engine.db import make_pool, make_sessions, transaction
from engine.settings import ROOT
from engine.sources.actblue_csv import EASTERN

ROWS = 200_000
BEGAN = datetime(2019, 1, 1, 12, tzinfo=UTC)
COLUMNS = (
    "Receipt ID", "Date", "Amount", "Recurring Total Months", "Recurrence Number", "Fundraising Page", "Reference Code",
    "Donor First Name", "Donor Last Name", "Donor Addr1", "Donor City", "Donor State", "Donor ZIP", "Donor Country",
    "Donor Occupation", "Donor Employer", "Donor Email", "Donor Phone", "Lineitem ID", "Recipient Committee", "Recipient ID",
    *("Reserved",) * 70, "Recur Weekly", "Recurring Pledged", "Refund Date",
)  # fmt: skip
SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Passage:
    """One import: seconds, and resident MB at a tenth of the file and at its end."""

    seconds: float
    early_mb: float
    late_mb: float


def run(arguments: Sequence[str]) -> None:
    """Measure, print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench import")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of the report ({ROWS:,})")
    rows = parser.parse_args(arguments).rows
    with running.folder() as home, _servers(Places(home / "data")) as places:
        path = home / "paid.csv"
        size = _write(path, rows)
        passages = {"new": _import(places, path), "known": _import(places, path, "--again")}
    table = [
        [name, f"{rows / p.seconds:,.0f}", f"{p.seconds:,.1f}", f"{p.early_mb:.1f}", f"{p.late_mb:.1f}"]
        for name, p in passages.items()
    ]
    title = f"{rows:,} rows, {size / 1e6:,.0f} MB; load {report.busy()} for each core"
    report.table(title, ["rows that are", "rows/s", "seconds", "MB at 10 %", "MB at the end"], table)
    growth = max(p.late_mb / p.early_mb for p in passages.values())
    figures = {name: round(rows / p.seconds) for name, p in passages.items()}
    report.close("import", {"memory_end_to_tenth": round(growth, 2)}, {"rows": rows, "rows_per_second": figures})


def _write(path: Path, rows: int) -> int:
    """The report. Returns its size in bytes."""
    chosen = random.Random(27)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for number in range(rows):
            row = _row(number, chosen)
            writer.writerow([row.get(name, "") for name in COLUMNS])
    return path.stat().st_size


def _row(number: int, chosen: random.Random) -> dict[str, object]:
    donor = number if number % 2 == 0 else chosen.randrange(number)
    monthly = number % 4 == 0
    paid_at = (BEGAN + timedelta(seconds=number * 40)).astimezone(EASTERN)
    return {
        "Receipt ID": f"AB{number}", "Date": f"{paid_at:%Y-%m-%d %H:%M:%S}", "Amount": f"{chosen.randrange(1, 250)}.00",
        "Recurring Total Months": "unlimited" if monthly else "", "Recurrence Number": 1,
        "Fundraising Page": "common-ground", "Reference Code": f"letter_{number % 40}", "Donor First Name": "Rosa",
        "Donor Last Name": f"Delgado {donor}", "Donor Addr1": f"{donor} Lincoln Street", "Donor City": "Worcester",
        "Donor State": "MA", "Donor ZIP": "01605", "Donor Country": "United States", "Donor Occupation": "Librarian",
        "Donor Employer": "Worcester Public Library", "Donor Email": f"rosa.{donor}@example.org",
        "Lineitem ID": 900_000_000 + number, "Recipient Committee": "Common Ground Massachusetts Action, Inc.",
        "Recipient ID": 12345, "Recur Weekly": "f", "Recurring Pledged": "forever" if monthly else "1",
    }  # fmt: skip


def _import(places: Places, path: Path, *more: str) -> Passage:
    command = (sys.executable, "-m", "engine.cli", "import", "actblue", str(path), *more)
    variables = {"DATABASE_URL": places.database_url, "REDIS_URL": places.redis_url}
    early = late = 0.0
    began = monotonic()
    with subprocess.Popen(command, env=os.environ | variables, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            report.progress(line.rstrip())
            if " %, " in line:
                late = _resident_mb(process.pid)
                early = early or late
        process.wait(SECONDS)
    if process.returncode or not early:
        raise Failed("the import did not end well")
    return Passage(monotonic() - began, early, late)


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def _servers(places: Places) -> Iterator[Places]:
    """A durable Postgres with the invented organisation, and a Redis that nobody listens to; ended afterwards."""
    places.data_dir.mkdir()
    places.prepare()
    commands = (embedded.postgres(places, settings=embedded.DURABLE), embedded.redis_server(places))
    started = [_start(command) for command in commands]
    try:
        _make(places)
        yield places
    finally:
        for process, how in zip(started, (signal.SIGINT, signal.SIGTERM), strict=True):
            process.send_signal(how)
        for process in started:
            process.wait(running.END_SECONDS)


def _start(command: Command) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command.argv, cwd=command.cwd, user=command.user, group=command.user, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _make(places: Places) -> None:
    deadline = monotonic() + running.READY_SECONDS
    while True:
        try:
            with psycopg.connect(places.database_url, dbname="postgres", autocommit=True) as connection:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(embedded.DATABASE)))
            break
        except psycopg.OperationalError:
            if monotonic() > deadline:
                raise Failed("Postgres did not start") from None
            sleep(0.05)
    pool = make_pool(places.database_url, size=1)
    migrate.upgrade(pool)
    with transaction(make_sessions(pool)) as session:
        demo_organisation.load(session)
    pool.dispose()
