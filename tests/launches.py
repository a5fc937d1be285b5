"""Campaigns of invented people: drafted, launched, and worked through without a worker."""

from typing import Any

from sqlalchemy import text

from engine.bootstrap import Deps
from engine.outreach import campaigns, launching
from engine.outreach.campaigns import Done, Standing
from tests.flows.house import change, rows
from workers import campaigns as turns

WORCESTER = {"op": "chapter", "chapter": "worcester"}
_PUBLISH = text("""
WITH made AS (
    INSERT INTO sequence (slug, name, trigger, version, chapter_id)
    VALUES (:slug, :slug, :on, 1, (SELECT id FROM chapter WHERE slug = :chapter))
    ON CONFLICT (slug) DO UPDATE SET version = sequence.version + 1 RETURNING id, version
)
INSERT INTO sequence_version (sequence_id, version, definition, mailings, published_at)
SELECT id, version, CAST(:definition AS jsonb), CAST(:mailings AS jsonb), :now FROM made RETURNING id
""")


def draft(deps: Deps, slug: str = "vote", **terms: Any) -> Standing:
    """A campaign to people of Worcester, unless it is said otherwise."""
    told: dict[str, Any] = {"slug": slug, "name": f"Campaign {slug}", **terms}
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
    """Answer the bell of campaigns until nothing is left to do."""
    while any([turns.expand(deps), turns.clear(deps), turns.conclude(deps)]):
        pass


def standing(deps: Deps, slug: str = "vote") -> Standing:
    """How it stands now."""
    with deps.work() as (session, _):
        return campaigns.one(session, slug)


def entered(deps: Deps, campaign_id: int | None = None) -> list[int]:
    """Who entered it, as often as she did."""
    where = "" if campaign_id is None else f" WHERE campaign_id = {campaign_id}"
    return [row.contact_id for row in rows(deps, f"SELECT contact_id FROM enrollment{where} ORDER BY contact_id, id")]


def through(deps: Deps, slug: str = "vote") -> None:
    """All its people took their last step, without a letter."""
    change(deps, "UPDATE enrollment SET state = 'finished' WHERE campaign_id = (SELECT id FROM campaign WHERE slug = :slug)",
           slug=slug)  # fmt: skip
    change(deps, "UPDATE campaign SET finished = enrolled - left_early WHERE slug = :slug", slug=slug)
