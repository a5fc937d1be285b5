"""Campaigns of invented people: drafted, launched, and worked through without a worker."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.errors import Conflict
from engine.letters import writing
from engine.outreach import campaigns, definitions, expanding, launching
from engine.outreach.campaigns import Done, Standing
from engine.staff import accounts
from tests.campaigns import go
from tests.flows.house import rows
from workers import campaigns as turns_of_campaigns
from workers import outreach

NOON = datetime(2026, 11, 3, 17, tzinfo=UTC)  # of people in Worcester: no letter waits for the morning
WORCESTER = {"op": "chapter", "chapter": "worcester"}
_PUBLISH = text("""
WITH made AS (
    INSERT INTO sequence (slug, name, trigger, version, chapter_id)
    VALUES (:slug, :slug, :on, 1, (SELECT id FROM chapter WHERE slug = :chapter))
    ON CONFLICT (slug) DO UPDATE SET version = sequence.version + 1 RETURNING id, version
)
INSERT INTO sequence_version (sequence_id, version, definition, mailings, fund_ids, published_at)
SELECT id, version, CAST(:definition AS jsonb), CAST(:mailings AS jsonb),
    ARRAY(SELECT DISTINCT fund_id FROM letter WHERE slug = ANY(:asks) ORDER BY fund_id), :now FROM made RETURNING id
""")


def draft(deps: Deps, slug: str = "vote", **terms: Any) -> Standing:
    """A campaign to people of Worcester, unless it is said otherwise."""
    told: dict[str, Any] = {"slug": slug, "name": slug, **terms}
    if "segment" not in told and "rule" not in told:
        told["rule"] = WORCESTER
    with deps.work() as (session, now):
        return campaigns.create(session, campaigns.read(told), now, deps.settings, who=None)


def launch(deps: Deps, slug: str = "vote", key: str = "first", who: int | None = None) -> Done:
    """Launch it, and let everything follow."""
    with deps.work() as (session, now):
        done = launching.launch(session, slug, now, deps.settings, key=key, who=who)
        everything = deps.react(session, list(done.happened), now)
    deps.ring_for(everything)
    return done


def work(deps: Deps) -> None:
    """Answer the bell of outreach until nothing is left to do: people enter, and step."""
    while any(turn(deps) for turn in outreach.TURNS):
        pass


def leave(deps: Deps) -> None:
    """The same, and all letters that are due are handed over."""
    work(deps)
    while any_left(deps):
        go(deps)
    work(deps)


def any_left(deps: Deps) -> bool:
    """Whether a letter can be handed over now."""
    due = f"state = 'ready' AND due_at <= '{deps.clock.read(None).isoformat()}'"
    return bool(rows(deps, f"SELECT 1 FROM message WHERE {due} LIMIT 1"))


def standing(deps: Deps, slug: str = "vote") -> Standing:
    """How it stands now."""
    with deps.work() as (session, _):
        return campaigns.one(session, slug)


def entered(deps: Deps, campaign_id: int | None = None) -> list[int]:
    """Who entered it, as often as she did."""
    where = "" if campaign_id is None else f" WHERE campaign_id = {campaign_id}"
    return [row.contact_id for row in rows(deps, f"SELECT contact_id FROM enrollment{where} ORDER BY contact_id, id")]


def sequence(deps: Deps, slug: str, steps: list[dict[str, Any]], **terms: Any) -> int:
    """A sequence, published with the newest words of its letters; its version."""
    definition = {"slug": slug, "name": slug, "steps": steps, **terms}
    mailings: dict[str, Any] = {}
    with deps.work() as (session, now):
        read = definitions.read(definition)
        for step in read.steps:
            if step.mails:
                mailings[step.key] = {key: writing.spoken(session, name) for key, name in step.letters.items()}
        asks = [name for step in read.steps if step.ask for name in step.letters.values()]
        values = {"slug": slug, "on": terms.get("on", ""), "chapter": terms.get("chapter"), "now": now, "asks": asks,
                  "definition": orjson.dumps(definitions.said(read)).decode(),
                  "mailings": orjson.dumps(mailings).decode()}  # fmt: skip
        return int(session.execute(_PUBLISH, values).scalar_one())


def staff(deps: Deps, email: str) -> int:
    """Somebody of the staff, by her id."""
    with deps.work() as (session, now):
        return accounts.add(session, email, "admin", now)


def all_turns(deps: Deps, _: str, *, stretch: int, die: str = "", after: int = 0) -> None:
    """The turns of a worker whose campaigns are expanded by so few contacts, for a process of its own. `die`: by `kill -9`,
    "before" or "behind" the commit of the stretch after so many turns of expansion."""
    turns, more = 0, True
    while more:
        with deps.work() as (session, now):
            happened, more = expanding.expand(session, now, deps.settings, stretch)
            deps.react(session, happened, now)
            turns += 1
            if die == "before" and turns > after:
                os.kill(os.getpid(), signal.SIGKILL)
        if die == "behind" and turns > after:
            os.kill(os.getpid(), signal.SIGKILL)
        more = any([more, *(turn(deps) for turn in outreach.TURNS if turn is not turns_of_campaigns.expand)])


def with_settings(deps: Deps, **terms: object) -> Deps:
    """The same house with other settings."""
    return replace(deps, settings=deps.settings.model_copy(update=terms))


def received(deps: Deps) -> list[int]:
    """Whom the provider has a letter for, as often as it has one."""
    ids = [letter.message_id for _, letter in deps.mailer.accepted]
    owners = {row.id: row.contact_id for row in rows(deps, "SELECT id, contact_id FROM message")}
    return sorted(owners[each] for each in ids)


def verb(deps: Deps, do: Callable[..., Done], slug: str = "vote", **terms: object) -> Done:
    """Do this to it, and let everything follow."""
    with deps.work() as (session, now):
        done = do(session, slug, now, **terms)
        deps.react(session, list(done.happened), now)
        return done


def approve(deps: Deps, who: int | None, slug: str = "vote") -> Done:
    """Somebody agrees to it."""
    with deps.work() as (session, now):
        return launching.approve(session, slug, now, deps.settings, who=who)


def pressed(deps: Deps, slug: str, key: str) -> bool | str:
    """Whether this launched it; or why it did not."""
    try:
        return launch(deps, slug, key=key).changed
    except Conflict as error:
        return str(error)


def turn(deps: Deps, stretch: int) -> bool:
    """One turn of expansion, by so many contacts."""
    with deps.work() as (session, now):
        return expanding.expand(session, now, deps.settings, stretch)[1]
