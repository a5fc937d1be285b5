"""`python -m bench people`: a million invented people imported, beside raw COPY of the rows that come of it; then a million
moved to other chapters, beside a bare UPDATE (`bench/people_routes.py`).

A Mailchimp audience (a tenth unsubscribed, in a file of its own) is written to disk, and the real command imports it into a
Postgres of its own, durable as in production, with the invented organisation, a thousand erased addresses and nobody else at
work. The rows that it wrote are then copied, as they are, into the same tables with the same indexes of a second database on
the same server: nobody can be faster. Its memory is looked at while it runs.
"""

import argparse
import csv
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psutil
import psycopg
from psycopg import sql

from bench import people_routes, report, running
from bench.report import Failed
from engine import demo_organisation
from engine.adapters.embedded import DATABASE, Places
from engine.db import make_pool, make_sessions, transaction
from engine.settings import ROOT

ROWS = 1_000_000
MOST_TIMES, WITHIN_SECONDS, MOST_GROWTH = 6.0, 90.0, 1.3  # what was asked of the import
GONE = 10  # one in so many has unsubscribed
ERASED = 1_000
BARE = "bare"
# What an import writes, in the order in which one table refers to the other.
WRITTEN = ("contact", "chapter_move", "consent", "suppression")
SUBSCRIBED = (
    "Email Address", "First Name", "Last Name", "Address", "Phone Number", "Favourite issue", "MEMBER_RATING", "OPTIN_TIME",
    "OPTIN_IP", "CONFIRM_TIME", "CONFIRM_IP", "LATITUDE", "LONGITUDE", "GMTOFF", "DSTOFF", "TIMEZONE", "CC", "REGION",
    "LAST_CHANGED", "LEID", "EUID", "NOTES", "TAGS",
)  # fmt: skip
UNSUBSCRIBED = (
    "Email Address", "First Name", "Last Name", "Address", "MEMBER_RATING", "OPTIN_TIME", "CONFIRM_TIME", "UNSUB_TIME",
    "UNSUB_CAMPAIGN_TITLE", "UNSUB_CAMPAIGN_ID", "UNSUB_REASON", "LEID", "EUID", "NOTES", "TAGS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Passage:
    """One import: seconds, and resident MB at a tenth of the reading and at the most."""

    seconds: float
    early_mb: float
    most_mb: float


def run(arguments: Sequence[str]) -> None:
    """Measure, print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench people")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"people ({ROWS:,})")
    parser.add_argument("--rounds", type=int, default=1, help="of moving them (1)")
    options = parser.parse_args(arguments)
    ratios, seconds = _importing(options.rows)
    with running.folder() as home, running.servers(home) as servers:
        moved = people_routes.measure(servers.places.database_url, options.rows, options.rounds)
    moved.show()
    ratios["reroute_to_bare_update"] = round(moved.times, 2)
    report.close("people", ratios, {"rows": options.rows, "seconds": seconds, "reroute": moved.figures})


def _importing(rows: int) -> tuple[dict[str, float], dict[str, float]]:
    """Ratios, and seconds and MB."""
    with running.folder() as home, running.servers(home) as servers:
        places = servers.places
        _make(places)
        paths = _write(home, rows, _zips(places))
        report.progress("the import")
        new = _import(servers, paths)
        report.progress("the same rows by COPY")
        bare, written = _copy(places, home)
        report.progress("the import once more, of people who are known")
        known = _import(servers, paths, "--again")
    table = [
        [name, f"{rows / p.seconds:,.0f}", f"{p.seconds:,.1f}", f"{p.early_mb:.0f}", f"{p.most_mb:.0f}"]
        for name, p in {"new": new, "known": known}.items()
    ]
    table.append(["raw COPY of what came of it", f"{rows / bare:,.0f}", f"{bare:,.1f}", "", ""])
    title = f"{rows:,} people, {written:,} rows written; load {report.busy()} for each core"
    report.table(title, ["people who are", "people/s", "seconds", "MB at 10 %", "MB at most"], table)
    ratios = {
        "import_to_copy": round(new.seconds / bare, 2),
        "memory_most_to_tenth": round(new.most_mb / new.early_mb, 2),
    }
    report.table("new people", ["what was asked", "is", "at most", ""], _verdicts(ratios, new, rows))
    seconds = {"import": round(new.seconds, 1), "again": round(known.seconds, 1), "copy": round(bare, 1)}
    return ratios, {**seconds, "most_mb": round(new.most_mb)}


def _verdicts(ratios: Mapping[str, float], new: Passage, rows: int) -> list[list[str]]:
    """What was asked of the import, what it is, and whether that is so. The seconds are for a million people."""
    within = WITHIN_SECONDS * rows / ROWS
    asked = (
        ("times the seconds of raw COPY", ratios["import_to_copy"], MOST_TIMES),
        ("seconds", new.seconds, within),
        ("times the memory that it had at a tenth", ratios["memory_most_to_tenth"], MOST_GROWTH),
    )
    return [[what, f"{found:.2f}", f"{most:g}", "yes" if found <= most else "NO"] for what, found, most in asked]


def _make(places: Places) -> None:
    """The schema and the invented organisation, and a second database that is the same."""
    pool = make_pool(places.database_url, size=1)
    with transaction(make_sessions(pool)) as session:
        demo_organisation.load(session)
        session.connection().exec_driver_sql(
            "INSERT INTO erased_address (hash, reason, at) "
            f"SELECT md5(n::text) || md5(n::text), 'erased', now() FROM generate_series(1, {ERASED}) n"
        )
    pool.dispose()
    with psycopg.connect(places.database_url, dbname="postgres", autocommit=True) as admin:
        both = (sql.Identifier(BARE), sql.Identifier(DATABASE))
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*both))


def _zips(places: Places) -> list[tuple[str, str]]:
    with psycopg.connect(places.database_url) as connection:
        found = connection.execute("SELECT zip, city FROM zip WHERE state = 'MA' ORDER BY zip").fetchall()
    return [(str(row[0]), str(row[1])) for row in found]


def _write(home: Path, rows: int, zips: Sequence[tuple[str, str]]) -> list[Path]:
    """The audience: who is subscribed, and who is no longer. In no order of addresses, as audiences are."""
    chosen = random.Random(27)
    paths = [home / "subscribed_audience.csv", home / "unsubscribed_audience.csv"]
    with (
        paths[0].open("w", encoding="utf-8", newline="") as stay,
        paths[1].open("w", encoding="utf-8", newline="") as go,
    ):
        staying, going = csv.writer(stay), csv.writer(go)
        staying.writerow(SUBSCRIBED)
        going.writerow(UNSUBSCRIBED)
        for number in range(rows):
            row = _row(number, chosen, zips)
            gone = number % GONE == 0
            (going if gone else staying).writerow(
                [row.get(name, "") for name in (UNSUBSCRIBED if gone else SUBSCRIBED)]
            )
    return paths


def _row(number: int, chosen: random.Random, zips: Sequence[tuple[str, str]]) -> dict[str, object]:
    code, city = chosen.choice(zips)
    day, minute = 1 + number % 28, number % 60
    return {
        "Email Address": f"{chosen.randrange(16**6):06x}.delgado{number}@example.org", "First Name": "Rosa",
        "Last Name": f"Delgado {number}", "Address": f"{number} Lincoln Street  {city}  MA  {code}  US",
        "Phone Number": "508-555-0123", "Favourite issue": "Housing", "MEMBER_RATING": number % 5 + 1,
        "OPTIN_TIME": f"2023-05-{day:02} 09:{minute:02}:00", "OPTIN_IP": "192.0.2.1",
        "CONFIRM_TIME": f"2023-05-{day:02} 10:{minute:02}:00", "CONFIRM_IP": "192.0.2.1", "LATITUDE": "42.2",
        "LONGITUDE": "-71.8",
        "GMTOFF": "-5", "DSTOFF": "-4", "TIMEZONE": "America/New_York", "CC": "US", "REGION": "MA",
        "LAST_CHANGED": f"2024-03-{day:02} 11:{minute:02}:00", "UNSUB_TIME": f"2024-04-{day:02} 11:{minute:02}:00",
        "UNSUB_CAMPAIGN_TITLE": "May", "UNSUB_REASON": "NORMAL", "LEID": number, "EUID": f"{number:010x}",
        "TAGS": '"Housing","Volunteer"' if number % 3 == 0 else "",
    }  # fmt: skip


def _import(servers: running.Servers, paths: Sequence[Path], *more: str) -> Passage:
    command = (sys.executable, "-m", "engine.cli", "import", "mailchimp", *map(str, paths), *more)
    early = most = 0.0
    log = paths[0].with_name("import.log")
    began = monotonic()
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=servers.environment, cwd=ROOT, stdout=said)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        most = max(most, _resident_mb(watched))
        if not early and b" %, " in log.read_bytes():
            early = most
        sleep(0.05)
    seconds = monotonic() - began
    report.progress(log.read_text("utf-8"))
    if process.returncode or not early:
        raise Failed("the import did not end well")
    return Passage(seconds, early, most)


def _resident_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss) / 1e6
    except psutil.Error:  # it has just ended
        return 0.0


def _copy(places: Places, home: Path) -> tuple[float, int]:
    """What was written, out of one database and, timed, into the other. Seconds, and how many rows."""
    seconds, written = 0.0, 0
    with psycopg.connect(places.database_url) as out, psycopg.connect(places.database_url, dbname=BARE) as bare:
        for name in WRITTEN:
            path, table = home / f"{name}.copy", sql.Identifier(name)
            with path.open("wb") as file, out.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(table)) as copy:
                for piece in copy:
                    file.write(piece)
            began = monotonic()
            with path.open("rb") as file, bare.cursor() as cursor:
                with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as into:
                    while piece := file.read(1 << 18):
                        into.write(piece)
                written += cursor.rowcount
                bare.commit()
            seconds += monotonic() - began
            path.unlink()
    return seconds, written
