"""The house before a torture run: the invented organisation, an audience, letters, sequences with asks, caps and a goal,
drafts of campaigns, and a token for staff's program. Made once, by the product's own verbs where there are any.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from bench.torture.people import AUDIENCE, PLACES, reader
from bench.torture.world import World
from engine import demo_organisation, migrate
from engine.db import make_pool, make_sessions, rows, transaction
from engine.letters import writing
from engine.letters.drafts import Draft
from engine.letters.finishing import Body
from engine.outreach import campaigns, definitions, sequences
from engine.settings import Settings
from engine.staff import api_tokens

STAFF = "ana.costa@example.org"
CAMPAIGNS = 8  # drafts, for the load to launch one after the other
DRIVE, THANKED = "drive", "thanked"  # sequences: launched, and entered by giving

_NEWS = 'Dear {{ first_name | default("friend") }},\n\nThe vote in {{ home_chapter }} is on Tuesday. Come along.\n'
_ASK = _NEWS + "\n::: ladder\n:::\n"
# Written small: what tires here is the number of letters, not their length.
_LETTERS: Mapping[str, tuple[Literal["news", "asks"], str]] = {
    "torture-news": ("news", _NEWS),
    "torture-ask": ("asks", _ASK),
    "torture-again": ("asks", _ASK),
}
_DRIVE: dict[str, Any] = {
    "slug": DRIVE, "name": "The winter drive", "on": "launch", "goal": "gave", "quiet_hours": None,
    "steps": [
        {"key": "hello", "email": "torture-news"},
        {"key": "pause", "wait": "1 minute"},
        {"key": "ask", "ask": "torture-ask", "at_cap": "drop"},
        {"key": "pause_again", "wait": "1 minute"},
        {"key": "again", "ask": "torture-again", "at_cap": "defer"},
    ],
}  # fmt: skip
_THANKED: dict[str, Any] = {
    "slug": THANKED, "name": "After a gift", "on": "gave", "again": "always", "quiet_hours": None,
    "steps": [{"key": "pause", "wait": "1 minute"}, {"key": "news", "email": "torture-news"}],
}  # fmt: skip
_PEOPLE = text("""
WITH person AS (
    INSERT INTO contact (email, first_name, last_name, zip, state, time_zone, details_at, chapter_id, routed_by, routed_on,
        engaged_last_at)
    SELECT v.email, v.first_name, v.last_name, v.zip, 'MA', 'America/New_York', 'epoch', h.id, 'zip', v.zip, :now
    FROM json_to_recordset(CAST(:rows AS json)) AS v(email text, first_name text, last_name text, zip text, chapter text)
    JOIN chapter h ON h.slug = v.chapter RETURNING id
)
INSERT INTO consent (contact_id, channel, kind, given, at, source)
SELECT id, 'mail', '', true, CAST(:now AS timestamptz) - interval '1 year', 'signup' FROM person
""")
# As a house that has sent letters for long: its domain is known, and its provider was heard from.
_KNOWN = text("""
INSERT INTO sending_domain (domain, warming_since)
SELECT split_part(sender_email, '@', 2), NULL FROM chapter WHERE parent_id IS NULL ON CONFLICT DO NOTHING
""")
_HEARD = text("""
INSERT INTO handover (mailing_id, lane, letters, state, due_at, heard_at)
SELECT min(id), 'receipts', 0, 'accepted', now(), now() FROM mailing
""")
# What nobody made here would only wait for days.
_ONLY = text("UPDATE sequence SET archived_at = now() WHERE slug <> ALL(:kept)")
SHIPPED = ("welcome", "welcome-far")


@dataclass(frozen=True, slots=True)
class House:
    """What the load must know of it. `campaigns`: slugs of drafts."""

    token: str
    campaigns: tuple[str, ...]
    sequences: tuple[str, ...] = (DRIVE, THANKED)


def settings(world: World) -> Settings:
    """The product's settings of this run, straight to the database and to Redis."""
    told = {name.lower(): value for name, value in world.settings.items()}
    return Settings.model_validate(
        told | {"env": "production", "database_url": world.database_url, "redis_url": world.redis_url}
    )


def furnish(world: World) -> House:
    """Make it, in an empty database; the schema, too, where it is missing."""
    pool = make_pool(world.database_url, size=1)
    try:
        migrate.upgrade(pool)
        sessions = make_sessions(pool)
        with transaction(sessions) as session:
            now: datetime = session.execute(text("SELECT now()")).scalar_one()
            demo_organisation.load(session, now)
            demo_organisation.load_staff(session, now)
        with transaction(sessions) as session:
            return _furnished(session, now, settings(world))
    finally:
        pool.dispose()


def _furnished(session: Session, now: datetime, told: Settings) -> House:
    people = [reader(number) for number in range(AUDIENCE)]
    values = [
        {"email": one.email, "first_name": one.first_name, "last_name": one.last_name, "zip": one.zip,
         "chapter": one.chapter} for one in people
    ]  # fmt: skip
    session.execute(_PEOPLE, {"rows": rows(values), "now": now})
    for slug, (kind, words) in _LETTERS.items():
        form = "common-ground" if kind == "asks" else ""
        bodies = {"en": Body("The vote, {{ first_name }}", words)}
        writing.save(session, Draft(slug=slug, kind=kind, form=form, bodies=bodies))
    session.execute(_ONLY, {"kept": list(SHIPPED)})
    for sequence in (_DRIVE, _THANKED):
        sequences.publish(session, definitions.read(sequence), now)
    drafts = tuple(_drafted(session, number, now, told) for number in range(CAMPAIGNS))
    session.execute(_KNOWN)
    session.execute(_HEARD)
    _, token = api_tokens.create(session, "the torture", STAFF, list(api_tokens.SCOPES), now)
    return House(token, drafts)


def _drafted(session: Session, number: int, now: datetime, told: Settings) -> str:
    """By turns the drive, to half of everybody, and a letter to everybody of some chapters."""
    slug = f"campaign-{number}"
    if number % 2 == 0:
        rule: dict[str, Any] = {"op": "random", "percent": 50, "salt": slug}
        what = {"sequence": DRIVE}
    else:
        chapters = sorted({chapter for _, chapter in PLACES})[number % 3 :: 3]
        rule = {"op": "any", "of": [{"op": "chapter", "chapter": chapter} for chapter in chapters]}
        what = {"letter": "torture-news"}
    campaigns.create(session, campaigns.read({"slug": slug, "name": slug, "rule": rule, **what}), now, told, who=None)
    return slug
