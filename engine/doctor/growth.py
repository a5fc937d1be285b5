"""How much there is of what grows, and how fast it does: by the letters of the last thirty days."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.doctor.findings import Finding, ok, size

CHECK, DAYS = "what grows", 30
# What is told together, by tables. Bytes a letter are those of all that comes with one.
KINDS: Mapping[str, tuple[str, ...]] = {
    "letters": ("message", "mail_event", "handover"),
    "places in sequences": ("enrollment",),
    "what came in": ("inbound_event",),
    "the archive": ("past_letter", "past_place", "past_occasion"),
    "money": ("contribution", "ledger_entry"),
}
WITH_A_LETTER = ("letters", "places in sequences", "what came in")

_SIZES = text("""
SELECT coalesce(p.relname, c.relname) AS name, sum(pg_total_relation_size(c.oid))::bigint AS bytes,
    sum(greatest(c.reltuples, 0))::bigint AS number
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = CAST(current_schema() AS regnamespace)
    AND coalesce(p.relname, c.relname) = ANY(:tables)
GROUP BY 1
""")
_SENT = text("""
SELECT coalesce(sum(letters), 0)::bigint FROM sent_count WHERE scope LIKE 'domain %' AND day > current_date - :days
""")


def of_tables(session: Session) -> Finding:
    """The size of each kind, with its indexes, and what the letters of late have added."""
    tables = [table for each in KINDS.values() for table in each]
    found = {row.name: row for row in session.execute(_SIZES, {"tables": tables})}
    sizes = {kind: sum(found[table].bytes for table in each) for kind, each in KINDS.items()}
    letters = found["message"].number
    return told(sizes, letters, session.scalar(_SENT, {"days": DAYS}) or 0)


def told(sizes: Mapping[str, int], letters: int, lately: int) -> Finding:
    """What that says. `letters`: how many are not in the archive; `lately`: of campaigns, in DAYS days."""
    seen = ", ".join(f"{kind} {size(number)}" for kind, number in sizes.items())
    if letters and lately:
        each = sum(sizes[kind] for kind in WITH_A_LETTER) / letters
        seen += f"; {lately:,} campaign letters in {DAYS} days, with about {size(lately * each)}"
    return ok(CHECK, seen)
