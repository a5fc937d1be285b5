"""Sequences of invented words, published, and invented people in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import orjson
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.outreach import definitions
from engine.outreach.definitions import LAUNCH
from tests.campaigns import ASK, NEWS, NOW, letter
from tests.flows.house import change, one
from workers import outreach

_numbers = count(1)

_PUBLISH = text("""
WITH sequence AS (
    INSERT INTO sequence (slug, name, trigger, version, chapter_id)
    VALUES (:slug, 'A sequence', :trigger, 1, (SELECT id FROM chapter WHERE slug = :chapter)) RETURNING id
)
INSERT INTO sequence_version (sequence_id, definition, mailings, fund_ids, quiet_from, quiet_until, published_at)
SELECT id, CAST(:definition AS jsonb), CAST(:mailings AS jsonb), ARRAY(
    SELECT DISTINCT l.fund_id FROM letter l WHERE l.slug = ANY(:asks) AND l.fund_id IS NOT NULL),
    :quiet_from, :quiet_until, :now
FROM sequence RETURNING id, sequence_id
""")
_CAMPAIGN = text("""
INSERT INTO campaign (slug, name, version_id, rule, kind, state, deadline, changed_at)
VALUES (:slug, 'A campaign', :version_id, '{"op": "language", "language": "en"}', 'news', 'running', :deadline, :now)
RETURNING id
""")
_ENROL = text("""
INSERT INTO enrollment (contact_id, version_id, sequence_id, campaign_id, rotation, step, due_at, entered_at)
SELECT unnest(CAST(:ids AS bigint[])), :version_id, :sequence_id, :campaign_id, :rotation, :step, :due, :now RETURNING id
""")


@dataclass(frozen=True)
class Published:
    """A version that is published, and the campaign by which it was launched (0: none)."""

    version_id: int
    sequence_id: int
    first: str
    campaign_id: int = 0


def publish(deps: Deps, *steps: Mapping[str, Any], campaign: bool = False, deadline: datetime | None = None,
            **said: Any) -> Published:  # fmt: skip
    """A sequence of these steps; letters that there are not are written, an ask with a ladder, others as news."""
    number = next(_numbers)
    told = {"slug": f"sequence-{number}", "name": "A sequence", "on": "launch", "steps": list(steps)} | said
    definition = definitions.read(told)
    mailings: dict[str, dict[str, dict[str, int]]] = {}
    for step in definition.steps:
        named = step.letters or ({"": step.notify} if step.notify else {})
        for variant, slug in named.items():
            mailings.setdefault(step.key, {})[variant] = _words(deps, slug, ask=step.ask is not None)
    values = {
        "slug": definition.slug, "trigger": "" if definition.on == LAUNCH else definition.on, "chapter": definition.chapter,
        "definition": orjson.dumps(definitions.said(definition)).decode(), "mailings": orjson.dumps(mailings).decode(),
        "asks": [slug for step in definition.steps if step.ask for slug in step.letters.values()], "now": NOW,
        "quiet_from": definition.quiet_hours and definition.quiet_hours[0],
        "quiet_until": definition.quiet_hours and definition.quiet_hours[1],
    }  # fmt: skip
    with transaction(deps.sessions) as session:
        version = session.execute(_PUBLISH, values).one()
        terms = {"slug": f"campaign-{number}", "version_id": version.id, "deadline": deadline, "now": NOW}
        campaign_id = session.scalar(_CAMPAIGN, terms) if campaign else 0
    return Published(version.id, version.sequence_id, definition.steps[0].key, campaign_id or 0)


def enrol(deps: Deps, published: Published, contact_ids: Sequence[int], *, step: str = "", due: datetime = NOW,
          rotation: int | None = None) -> list[int]:  # fmt: skip
    """These people are in it, at its first step or at another; the ids of their places."""
    values = {
        "ids": list(contact_ids), "version_id": published.version_id, "sequence_id": published.sequence_id,
        "campaign_id": published.campaign_id, "step": step or published.first, "due": due, "now": NOW,
        "rotation": (1 if published.campaign_id else 0) if rotation is None else rotation,
    }  # fmt: skip
    change(deps, "UPDATE campaign SET enrolled = enrolled + :some WHERE id = :id", some=len(contact_ids),
           id=published.campaign_id)  # fmt: skip
    with transaction(deps.sessions) as session:
        return list(session.scalars(_ENROL, values))


def alone(deps: Deps) -> Deps:
    """The house without the sequences that come with the code."""
    change(deps, "UPDATE sequence SET archived_at = now()")
    return deps


def step(deps: Deps, span: timedelta = timedelta()) -> None:
    """So much later everybody who is due takes her steps."""
    deps.clock.skip(span)
    while outreach.step(deps):
        pass


def _words(deps: Deps, slug: str, *, ask: bool) -> dict[str, int]:
    found = one(deps, f"""SELECT coalesce(json_object_agg(m.language, m.id) FILTER (WHERE m.id IS NOT NULL), '{{}}') AS said
        FROM letter l JOIN mailing m ON m.letter_id = l.id WHERE l.slug = '{slug}'""").said  # fmt: skip
    return found or {"en": letter(deps, slug, ASK if ask else NEWS, "asks" if ask else "news")}
