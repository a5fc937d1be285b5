"""What a run left behind: every row that is there now and was not before, or the other way round, told so that two runs about
different people can be compared: without numbers that only name a row, times, and secrets."""

import json
import re
from collections import Counter
from typing import Any

from sqlalchemy import ARRAY, Date, DateTime
from sqlalchemy.dialects.postgresql import JSONB

from engine.tables.columns import metadata
from tests.crash.processes import House

# Tables that no handler of these writes or that tell how it went, not what came of it.
LEFT_OUT = {
    "zip", "territory", "zip_route", "chore", "handover", "mail_event", "mail_hold", "mail_doubt", "notice", "bookmark",
    "dev_clock", "database_home", "import_row", "import_person", "staff_session", "sent_count", "sending_domain",
}  # fmt: skip
# Columns likewise: names of things, secrets, how often something was tried, words of letters.
_NAMES = re.compile(
    r"(^|_)(id|key|hash|token|nonce|digest|url|code|session|version|cursor|upto|browser|keys|by)$|^(body|body_html|"
    r"body_text|source_text|excused|attempts|doubts|lease|reason|detail|tries|together|answer|headers|run|rotation|history|"
    r"served_chapter|given_on|email|slug|place|position|definition|picture|engaged|land|zips)$"
)
_REASONS = {("inbound_event", "reason"), ("enrollment", "reason"), ("message", "reason"), ("suppression", "reason")}

# Tables whose numbers are counted up by everybody: what is compared is by how much.
COUNTED = ("mailing", "step_tally", "gathering")

AT_STRIPE, LETTERS = "at stripe", "letters left"

Rows = Counter[tuple[str, str]]
Effects = Counter[tuple[str, str]]


def _columns(table: str) -> list[str]:
    return [f'"{c.name}"' for c in metadata.tables[table].columns if not c.name.startswith(("body_", "source_text"))]


_TABLES = sorted(set(metadata.tables) - LEFT_OUT)
_EVERYTHING = " UNION ALL ".join(
    f"SELECT '{table}', to_jsonb(v)::text FROM (SELECT {', '.join(_columns(table))} FROM {table}) v"
    for table in _TABLES
)


def everything(house: House) -> Rows:
    """Every row of every table that counts; what was done at the processor, and the letters that left."""
    found: Rows = Counter(house.watch.execute(_EVERYTHING).fetchall())
    found.update((AT_STRIPE, str(what[0])) for what in house.world.stripe.done.values())
    found[LETTERS, ""] = len(house.world.mail.accepted)
    return found


def between(before: Rows, after: Rows) -> Effects:
    """What came, and what went ("-" before the table's name)."""
    found: Effects = Counter()
    counted: Counter[str] = Counter()
    for sign, rows in (("", after - before), ("-", before - after)):
        for (table, row), many in rows.items():
            if table in (AT_STRIPE, LETTERS):
                found[table, json.dumps({"what": row})] += -many if sign else many
                continue
            said = json.loads(row)
            if table in COUNTED:
                counted.update(_numbers(table, said, -many if sign else many))
            else:
                found[sign + table, json.dumps(_told(table, said), sort_keys=True)] += many
    for name, many in counted.items():
        if many:
            found["counted", json.dumps({name: many})] += 1
    return found


def _numbers(table: str, row: dict[str, Any], sign: int) -> dict[str, int]:
    return {
        f"{table}.{name}": value * sign
        for name, value in row.items()
        if type(value) is int and not _names(table, name) and name not in ("priority", "most")
    }


def _told(table: str, row: dict[str, Any]) -> dict[str, Any]:
    told = {}
    for column in metadata.tables[table].columns:
        value = row.get(column.name)
        if isinstance(column.type, DateTime | Date) or _names(table, column.name):
            told[column.name] = value not in (None, "", "\\x")
        elif isinstance(column.type, ARRAY) and isinstance(column.type.item_type, DateTime):
            told[column.name] = len(value)
        elif isinstance(column.type, JSONB):
            told[column.name] = _plain(value)
        elif isinstance(value, str):
            told[column.name] = _unnumbered(value)
        else:
            told[column.name] = value
    return told


def _names(table: str, column: str) -> bool:
    return bool(_NAMES.search(column)) and (table, column) not in _REASONS


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: each is not None if _NAMES.search(name) or name == "at" else _plain(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return _unnumbered(value) if isinstance(value, str) else value


def _unnumbered(words: str) -> str:
    """Without numbers, and without what stands for one person's press of a button."""
    return re.sub(r"(giving|trial):\S+", r"\1:#", re.sub(r"\d+", "#", words))


def without(effects: Effects, *loose: str) -> Effects:
    """Without what may differ: a table, or "table.column"."""
    found: Effects = Counter()
    for (table, row), many in effects.items():
        name = table.removeprefix("-")
        if name in loose:
            continue
        columns = [each.partition(".")[2] for each in loose if each.startswith(f"{name}.")]
        said = {key: value for key, value in json.loads(row).items() if key not in columns}
        found[table, json.dumps(said, sort_keys=True)] += many
    return found
