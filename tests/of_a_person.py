"""Rows of one person in every table that can name one, and looks at who is named where."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import Event
from engine.people import erasing, merging
from engine.tables.columns import metadata

AT = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)

_REFERENCES = """
WITH a AS (
    INSERT INTO agenda (code, name) VALUES ('a1', 'Homes') ON CONFLICT (code) DO UPDATE SET name = 'Homes' RETURNING id
)
INSERT INTO interest (code, agenda_id, name) SELECT 'i1', id, 'Rents' FROM a ON CONFLICT DO NOTHING;
INSERT INTO way_to_help (code, name) VALUES ('w1', 'Bring food') ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS past_letter_2026 PARTITION OF past_letter FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE IF NOT EXISTS past_place_2026 PARTITION OF past_place FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
"""
_ROOT = "(SELECT id FROM chapter WHERE parent_id IS NULL)"
FILL = {
    "followed_chapter": f"INSERT INTO followed_chapter (contact_id, chapter_id, at) VALUES (:id, {_ROOT}, :at)",
    "contact_interest": """INSERT INTO contact_interest (contact_id, interest_id, at, source)
        SELECT :id, id, :at, :word FROM interest WHERE code = 'i1'""",
    "volunteer_offer": """INSERT INTO volunteer_offer (contact_id, way_to_help_id, note, at, changed_at)
        SELECT :id, id, :word, :at, :at FROM way_to_help WHERE code = 'w1'""",
    "introduction": "INSERT INTO introduction (contact_id, place, at) VALUES (:id, :word, :at)",
    "consent": """INSERT INTO consent (contact_id, channel, given, at, source, place, wording)
        VALUES (:id, 'mail', true, :at, 'signup', :word, :word)""",
    "confirmation": """INSERT INTO confirmation (contact_id, place, wording, asked_at, expires_at)
        VALUES (:id, :word, :word, :at, :now)""",
    "sign_up": """INSERT INTO sign_up (source, source_key, kind, contact_id, person, at, place, tags, detail) VALUES
        ('signup', 'key ' || :id, 'signup', :id, jsonb_build_object('first_name', CAST(:word AS text)), :at, :word,
        ARRAY[:word], jsonb_build_object('note', CAST(:word AS text)))""",
    "chapter_lead": f"INSERT INTO chapter_lead (chapter_id, contact_id, since) VALUES ({_ROOT}, :id, :at)",
    "chapter_move": """INSERT INTO chapter_move (contact_id, by, "on", at) VALUES (:id, 'zip', :word, :at)""",
    "message": """INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, facts)
        SELECT :id, id, 'news:1', 'delivery', :now, jsonb_build_object('first_name', CAST(:word AS text))
        FROM mailing WHERE slug = 'thank_you'""",
    "enrollment": """INSERT INTO enrollment (contact_id, version_id, due_at, entered_at, facts)
        VALUES (:id, 1, :now, :at, jsonb_build_object('first_name', CAST(:word AS text)))""",
    "past_letter": """INSERT INTO past_letter (id, created_at, contact_id, mailing_id, due_at, lane, state, occasion, reason)
        SELECT :id, :at, :id, id, :at, 'delivery', 'bounced', 'news:0', :word FROM mailing WHERE slug = 'thank_you'""",
    "past_occasion": "INSERT INTO past_occasion (contact_id, key) VALUES (:id, hashtextextended('news:0', 0))",
    "past_place": """INSERT INTO past_place (id, entered_at, contact_id, version_id, campaign_id, due_at, ended_at, state)
        VALUES (:id, :at, :id, 1, 1, :at, :at, 'finished')""",
    "contribution": """INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, donor)
        SELECT 'stripe', 'pi_00000000000' || :id, :id, min(id), 2700, :at,
            jsonb_build_object('last_name', CAST(:word AS text)) FROM fund""",
    "ask_rest": "INSERT INTO ask_rest (contact_id, reason, since, until) VALUES (:id, 'many', :at, :now)",
    "recurring_plan": """INSERT INTO recurring_plan
        (source, source_key, contact_id, amount_cents, period, started_at, told_at)
        VALUES ('stripe', 'sub_0000000000' || :id, :id, 1000, 'monthly', :at, :at)""",
}
NAMING = sorted(name for name, table in metadata.tables.items() if "contact_id" in table.c)


def contact(session: Session, email: str | None, word: str = "Rosa", **more: Any) -> int:
    """A contact; `more` are columns. Returns its id."""
    columns = {"first_name": word, "last_name": word, "details_at": AT, "routed_by": "test", "routed_on": word} | more
    names, places = ", ".join(columns), ", ".join(f":{name}" for name in columns)
    made = text(f"INSERT INTO contact (email, {names}) VALUES (:email, {places}) RETURNING id")
    return session.execute(made, {"email": email, **columns}).scalar_one()


def fill(session: Session, contact_id: int, word: str) -> None:
    """One row in every table that can name this contact, with this word wherever it has room for words."""
    for statement in _REFERENCES.split(";"):
        session.execute(text(statement))
    for row in FILL.values():
        values = {"id": contact_id, "word": word, "at": AT, "now": NOW}
        statement = text(row)
        session.execute(statement, {name: values[name] for name in statement.compile().params})


def named(session: Session, contact_id: int) -> set[str]:
    """The tables that name this contact."""
    return {
        table for table in NAMING
        if session.scalar(text(f"SELECT count(*) FROM {table} WHERE contact_id = :id"), {"id": contact_id})
    }  # fmt: skip


def id_of(deps: Deps, email: str) -> int:
    """The contact of this address, merged or not."""
    with transaction(deps.sessions) as session:
        return session.execute(text("SELECT id FROM contact WHERE email = :email"), {"email": email}).scalar_one()


def merge(deps: Deps, one: int, other: int) -> list[Event]:
    """Merge as an edge does."""
    with deps.work() as (session, now):
        return deps.react(session, merging.merge(session, one, other, now), now)


def erase(deps: Deps, one: int) -> list[Event]:
    """Erase as an edge does."""
    with deps.work() as (session, now):
        return deps.react(session, erasing.erase(session, one, deps.signer, now), now)
