"""A clone of the world for some people, in which things can be tried: temporary tables that stand before the real ones,
inside a savepoint that is rolled back.

The real tables are read, as everybody reads them, and nothing else: once the clone is made the transaction is read-only, and
Postgres itself refuses every lock and change of a row that is not temporary.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.mail import allowances

FIRST_ID = 2**62  # of rows that are new in the clone: no real row has such an id, nor will have

_EMPTY = "false"
_HERS = "o.contact_id = ANY(:people)"
# What is cloned, which rows (`o`) of it, in this order. Of letters those that the caps and the order of her letters ask for,
# and those that make another one of the same occasion impossible; all of hers where rules ask for letters.
_CLONED: Mapping[str, str] = {
    "contact": "o.id = ANY(:people)",
    "enrollment": _HERS,
    "message": f"""{_HERS} AND (:all_letters OR o.state = 'ready' OR o.version_id <> 0
        OR o.handed_at > CAST(:now AS timestamptz) - interval '7 days')""",
    "campaign": "true",
    "sequence": "true",
    "sequence_version": "true",
    "chapter": "true",
    "mailing": "true",
    "sending_domain": "true",
    "sent_count": "o.day >= CAST(:now AS date)",
    "handover": _EMPTY,
    "step_tally": _EMPTY,
    "mail_hold": _EMPTY,  # whatever holds letters back just now will be over
    "database_home": _EMPTY,
    "chapter_lead": _EMPTY,  # letters to leads are not told
    "audit": _EMPTY,
    "refcode": _EMPTY,  # each letter gets one that is gone again
}
# Large, and read by nobody here; but what an ask offers is.
_ASKS = "o.letter_id IN (SELECT id FROM letter WHERE kind = 'asks')"
_UNREAD = {"mailing": {"body_html": _ASKS, "body_text": _ASKS, "source": "false", "source_text": "false"}}
# What others may reckon anew meanwhile, of words that are not cloned: here it is asked of the words.
_UNKNOWN = {"contact": "mail_leave"}
# A part of the people has a part of what may leave in a day.
_SCALED = {"chapter": "daily_letters", "sent_count": "letters"}
_NEW_IDS = ("enrollment", "message", "handover", "campaign", "sequence", "sequence_version")

_WHERE_WE_ARE = text("SELECT current_schema()")
_TERMS = text("""
SELECT set_config('statement_timeout', :most, true), set_config('jit', 'off', true),
    set_config('client_min_messages', 'error', true)
""")
# The provider has told of a letter before: production would wait for that.
_HEARD = text("""
INSERT INTO handover (mailing_id, lane, state, due_at, heard_at)
SELECT min(id), 'receipts', 'accepted', now(), now() FROM mailing HAVING min(id) IS NOT NULL
""")
# Domains that nobody wrote from yet begin to be warmed up; of what a domain may send on each of those days all people but
# these have had their share already.
_NEW_DOMAINS = text(f"""
INSERT INTO sending_domain (domain, warming_since)
SELECT DISTINCT sender.domain, CAST(:now AS date) FROM chapter h CROSS JOIN LATERAL ({allowances.writes_from("h.id")}) sender
WHERE sender.domain <> '' ON CONFLICT DO NOTHING
""")
_TAKEN = text("""
INSERT INTO sent_count AS s (scope, day, letters)
SELECT 'domain ' || d.domain, d.warming_since + CAST(w.day AS int) - 1, ceil(w.most * (1 - CAST(:part AS float8)))
FROM sending_domain d CROSS JOIN unnest(CAST(:warm_up AS bigint[])) WITH ORDINALITY w(most, day)
WHERE d.warming_since + CAST(w.day AS int) - 1 >= CAST(:now AS date)
ON CONFLICT (scope, day) DO UPDATE SET letters = s.letters + excluded.letters
""")
_NAMES = text("""
SELECT attname FROM pg_attribute WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
""")
# Statements that this connection prepared before would go on to use the real tables.
_FORGET_PLANS = text("DISCARD PLANS")
_READ_ONLY = text("SET TRANSACTION READ ONLY")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a clone is made of. `people`: ids of contacts; `part`: which part they are of all that would be written to;
    `all_letters`: some rule asks for letters that they had; `production`: new domains are warmed up; `seconds`: no statement
    takes longer."""

    now: Any
    people: Sequence[int]
    part: float = 1.0
    all_letters: bool = False
    production: bool = False
    seconds: float = 20.0


@contextmanager
def cloned(session: Session, terms: Terms) -> Iterator[None]:
    """Within this block the tables above are a clone of themselves for these people. Whatever is done there is undone."""
    with session.begin_nested() as world:
        _make(session, terms)
        session.execute(_FORGET_PLANS)
        session.execute(_READ_ONLY)
        yield
        world.rollback()


def _make(session: Session, terms: Terms) -> None:
    session.execute(_TERMS, {"most": f"{terms.seconds * 1000:.0f}ms"})
    schema = session.execute(_WHERE_WE_ARE).scalar_one()
    real = session.connection().dialect.identifier_preparer.quote(schema)
    values = {"people": list(terms.people), "now": terms.now, "all_letters": terms.all_letters}
    for table, rows in _CLONED.items():
        session.execute(text(f"CREATE TEMPORARY TABLE {table} (LIKE {real}.{table} INCLUDING ALL) ON COMMIT DROP"))
        if rows != _EMPTY:
            names, columns = _columns(session, table, terms.part)
            source = f"SELECT {columns} FROM {real}.{table} o WHERE {rows}"
            session.execute(text(f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE {source}"), values)
        if table in _NEW_IDS:
            session.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {FIRST_ID})"))
    session.execute(text("CREATE INDEX enrollment_next_idx ON enrollment (due_at) WHERE state = 'active'"))
    session.execute(text("CREATE INDEX message_next_idx ON message (due_at) WHERE state = 'ready'"))
    session.execute(text("CREATE INDEX message_put_off_idx ON message (id) WHERE state = 'ready' AND reason <> ''"))
    session.execute(text("CREATE TEMPORARY TABLE put_off (message_id bigint, at timestamptz, until timestamptz, reason text,"
                         " UNIQUE (message_id, until)) ON COMMIT DROP"))  # fmt: skip
    session.execute(_HEARD)
    if terms.production:
        session.execute(_NEW_DOMAINS, {"now": terms.now})
    if terms.part < 1:
        session.execute(_TAKEN, {"now": terms.now, "part": terms.part, "warm_up": list(allowances.WARM_UP)})
    session.execute(text(f"ANALYZE {', '.join([*_CLONED, 'put_off'])}"))


def _columns(session: Session, table: str, part: float) -> tuple[str, str]:
    """The names of its columns, and what is selected for each."""
    names = [f'"{name}"' for name in session.scalars(_NAMES, {"table": table})]
    selected = [f"o.{name}" for name in names]
    for unread, but in _UNREAD.get(table, {}).items():
        selected[names.index(f'"{unread}"')] = f"CASE WHEN {but} THEN o.{unread} ELSE '' END"
    if unknown := _UNKNOWN.get(table):
        selected[names.index(f'"{unknown}"')] = "NULL"
    if part < 1 and (scaled := _SCALED.get(table)):
        selected[names.index(f'"{scaled}"')] = f"CAST(ceil(o.{scaled} * {part:.9f}) AS bigint)"
    return ", ".join(names), ", ".join(selected)
