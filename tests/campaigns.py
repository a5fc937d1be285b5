"""Campaign letters of invented people, ready to leave."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import text

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.letters import writing
from engine.letters.drafts import Draft
from engine.letters.finishing import Body
from tests.fakes import FakeClock
from tests.flows.house import change, rows
from workers import delivery

NOW = FakeClock.now
NEWS = 'Dear {{ first_name | default("friend") }},\n\nThe vote in {{ city }} is on Tuesday.\n'
ASK = NEWS + "\n::: ladder\n:::\n"
_numbers = count(1)

_PEOPLE = text("""
WITH person AS (
    INSERT INTO contact (email, first_name, last_name, city, zip, time_zone, details_at, chapter_id, routed_by, routed_on,
        engaged_last_at)
    SELECT 'p' || :first + n || '@campaign.example.org', 'Rosa', 'Delgado', 'Worcester', '01604', 'America/New_York', 'epoch',
        (SELECT id FROM chapter WHERE slug = :chapter), 'zip', '01604', CAST(:now AS timestamptz) - make_interval(days => n)
    FROM generate_series(1, :many) n RETURNING id
), yes AS (
    INSERT INTO consent (contact_id, channel, kind, given, at, source)
    SELECT id, 'mail', '', true, 'epoch', 'signup' FROM person
)
SELECT id FROM person ORDER BY id
""")
_ENQUEUE = text("""
INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, due_at, expires_at, language, chapter_id, fund_id, facts,
    created_at)
SELECT c.id, :mailing_id, 'campaign:' || CAST(:occasion AS text), 'delivery', l.kind, :due, :expires, m.language,
    coalesce((SELECT id FROM chapter WHERE slug = CAST(:chapter AS text)), c.chapter_id), l.fund_id, CAST(:facts AS jsonb),
    :created
FROM unnest(CAST(:ids AS bigint[])) i(id) JOIN contact c ON c.id = i.id
JOIN mailing m ON m.id = :mailing_id JOIN letter l ON l.id = m.letter_id
ORDER BY c.id RETURNING id
""")


def people(deps: Deps, many: int, chapter: str = "worcester") -> list[int]:
    """So many people who said yes to everything; the first did something most recently."""
    first = next(_numbers) * 100_000
    with transaction(deps.sessions) as session:
        return list(session.scalars(_PEOPLE, {"first": first, "many": many, "chapter": chapter, "now": NOW}))


def letter(deps: Deps, slug: str = "", markdown: str = NEWS, kind: str = "news", **terms: Any) -> int:
    """A letter as staff write it; its English mailing."""
    form = "common-ground" if "ladder" in markdown else ""
    draft = Draft(
        slug=slug or f"letter-{next(_numbers)}", kind=kind, form=terms.pop("form", form),
        bodies={"en": Body("The vote, {{ first_name }}", markdown)}, **terms,
    )  # fmt: skip
    with transaction(deps.sessions) as session:
        return writing.save(session, draft).mailings["en"]


def enqueue(
    deps: Deps, mailing_id: int, contact_ids: Sequence[int], *, chapter: str | None = None, due: datetime = NOW,
    expires: datetime | None = None, facts: str = "{}", created: datetime = NOW,
) -> list[int]:  # fmt: skip
    """A letter for each of them, ready; the ids."""
    values = {
        "mailing_id": mailing_id, "ids": list(contact_ids), "occasion": str(next(_numbers)), "chapter": chapter, "due": due,
        "expires": expires, "facts": facts, "created": created,
    }  # fmt: skip
    with transaction(deps.sessions) as session:
        return list(session.scalars(_ENQUEUE, values))


def go(deps: Deps) -> None:
    """One answer to the bell of campaigns."""
    delivery.hand_over(deps, bell.DELIVERY)


def states(deps: Deps) -> Counter[str]:
    """How many letters are in each state."""
    return Counter(row.state for row in rows(deps, "SELECT state FROM message"))


def in_production(deps: Deps) -> Deps:
    """The same house, as careful as production is; it has heard from its provider before."""
    change(deps, """INSERT INTO handover (mailing_id, lane, state, due_at, heard_at)
        SELECT min(id), 'receipts', 'accepted', now(), now() FROM mailing""")  # fmt: skip
    return replace(deps, settings=deps.settings.model_copy(update={"env": "production"}))
