"""What a migration must not do: the previous release's code works on the database meanwhile, and large tables are in use."""

import re
from collections.abc import Iterable, Iterator

Told = tuple[str, str, str]  # kind, name, and what Postgres tells of it

# From the one after this on. Those before were never released: nobody's code runs beside them.
NOT_HELD_UP_TO = "e1b84a7c30d5"
# Revisions that may stand in the way, and why that is no harm. What takes something from older code never may.
MAY: dict[str, str] = {
    "a4d19e60c7f2": "it waits a tenth of a second for the two tables that it locks, both or none, and looks at no row",
    "c3a95e7d10f8": "it waits a tenth of a second for the tables that it locks, all of them or none, and looks at no row",
}

# Tables that grow with people, money and letters: what reads them whole under a lock stands in everybody's way.
LARGE = (
    "attribution", "audit", "consent", "contact", "contribution", "enrollment", "handover", "inbound_event", "ledger_entry",
    "mail_event", "message", "sign_up", "suppression",
)  # fmt: skip
_LARGE = "|".join(LARGE)
_APART = "it reads all rows: NOT VALID first, VALIDATE CONSTRAINT apart"
_QUIETLY = "it keeps everybody from writing: concurrently, outside of the transaction"
_BATCHES = "large tables are filled and emptied in batches, outside of a migration"
_CALL = r"op\.{name}\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
_TABLE = re.compile(rf"['\"](?:{_LARGE})['\"]")
# Calls about a large table that must say this word; statements in SQL that must not be.
CALLS = {
    _CALL.format(name="create_index"): ("concurrently", _QUIETLY),
    _CALL.format(name="create_(?:check_constraint|foreign_key|unique_constraint)"): ("not_valid", _APART),
}
STATEMENTS = {
    rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)[^;]*\bON (?:{_LARGE})\b": _QUIETLY,
    rf"ALTER TABLE (?:ONLY )?(?:{_LARGE})\b[^;]*\bADD (?:CONSTRAINT|CHECK|FOREIGN|UNIQUE)(?![^;]*NOT VALID)": _APART,
    rf"\b(?:UPDATE|DELETE FROM) (?:ONLY )?(?:{_LARGE})\b": _BATCHES,
    r"\bLOCK TABLE\b|\bVACUUM FULL\b|\bCLUSTER\b|\bRENAME\b|op\.rename_table": "it stands in everybody's way",
}
# How long a transaction waits for a lock, and whoever comes after it behind it. Outside of one (concurrently) nobody does.
MOST_PATIENCE_MS = 1500
_PATIENCE = re.compile(r"(?:SET LOCAL lock_timeout\s*(?:=|TO)\s*|set_config\('lock_timeout',\s*)'?(\d+) ?(ms|s|min)?")
_UNITS = {"": 1, "ms": 1, "s": 1000, "min": 60_000}
# As the catalogue of `tests/engine/test_migrations.py` tells a column: type, whether it may be null, default, identity.
_COLUMN = re.compile(
    r"(?P<type>.+?) (?P<null>YES|NO) (?:(?P<default>.*) )?(?P<identity>YES|NO)(?: (?:ALWAYS|BY DEFAULT))?"
)


def broken(before: Iterable[Told], after: Iterable[Told]) -> Iterator[str]:
    """What a schema that becomes another takes from code that knows the one before."""
    old, new = _columns(before), _columns(after)
    tables = {name.partition(".")[0] for name in old}
    for name, was in old.items():
        column = new.get(name)
        if column is None:
            yield f"{name} is gone: leave it for a release"
        elif column["type"] != was["type"]:
            yield f"{name} has another type: older code reads and writes the one before"
        elif (was["null"], column["null"]) == ("YES", "NO"):
            yield f"{name} must be there: older code leaves it out"
    for name, column in new.items():
        given = column["null"] == "YES" or column["default"] or column["identity"] == "YES"
        if name not in old and name.partition(".")[0] in tables and not given:
            yield f"{name} must be given: older code does not know it"


def _columns(catalogue: Iterable[Told]) -> dict[str, re.Match[str]]:
    found = {name: _COLUMN.fullmatch(told) for kind, name, told in catalogue if kind == "column"}
    return {name: told for name, told in found.items() if told}


def forbidden(source: str) -> Iterator[str]:
    """What stands in the way of everybody, in the source of a migration. What it makes itself is nobody's yet."""
    upward = " ".join(source.partition("def downgrade")[0].split())
    for call, (word, why) in CALLS.items():
        found = [each[0] for each in re.finditer(call, upward) if _TABLE.search(each[0]) and word not in each[0]]
        made = set(re.findall(r"op\.create_table\( ?['\"](\w+)['\"]", upward))
        yield from (f"{why}: {each[:100]}" for each in found if not made & set(re.findall(r"['\"](\w+)['\"]", each)))
    for statement, why in STATEMENTS.items():
        yield from (f"{why}: {each[0][:100]}" for each in re.finditer(statement, upward))


def patient(source: str) -> Iterator[str]:
    """The waits for a lock in the source of a migration that are too long, or without end."""
    for found in _PATIENCE.finditer(source.partition("def downgrade")[0]):
        if not 0 < int(found[1]) * _UNITS[found[2] or ""] <= MOST_PATIENCE_MS:
            yield f"whoever comes after it waits as long: {found[0]}"
