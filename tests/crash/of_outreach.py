"""Campaigns and sequences, turn by turn: people enter, take their steps, leave; campaigns end, begin again, are cancelled."""

from datetime import timedelta

from engine import bell
from tests import campaigns
from tests.crash.driving import Act, Story
from tests.crash.processes import House, Process
from tests.flows.house import change
from tests.launches import NOON, draft, launch
from tests.sequences import alone, enrol, publish
from workers import outreach

ACTOR = f"actor {bell.OUTREACH}"
STEPS = (
    {"key": "hello", "email": "hello"},
    {"key": "mark", "tag": "seen"},
    {"key": "pause", "wait": "1 minute"},
    {"key": "more", "email": "more"},
)


def _work(process: Process) -> None:
    outreach.work(process.deps)


def begins(house: House) -> None:
    """At noon, without the sequences that come along, with a letter that campaigns send."""
    house.world.clock.now = NOON
    alone(house.deps)
    campaigns.letter(house.deps, "rent")


def launched(house: House, tag: str, many: int = 3, **terms: object) -> None:
    """A campaign to people of this run alone, whose time to think it over is over."""
    ids = campaigns.people(house.deps, many)
    change(
        house.deps, "UPDATE contact SET custom = jsonb_build_object('run', CAST(:tag AS text)) WHERE id = ANY(:ids)",
        tag=tag, ids=ids,
    )  # fmt: skip
    draft(house.deps, tag, **{"letter": "rent", "rule": {"op": "custom", "field": "run", "equals": tag}, **terms})
    launch(house.deps, tag, key=tag)
    house.later(timedelta(minutes=house.deps.settings.hold_minutes))


def _campaign(house: House, tag: str) -> Act:
    launched(house, tag)
    return _work


def _again(house: House, tag: str) -> Act:
    launched(house, tag, 1, repeat="daily")
    return _work


def _cancelled(house: House, tag: str) -> Act:
    """As cancelling leaves one that is too large to be cleared at once."""
    launched(house, tag)
    outreach.work(house.deps)
    change(house.deps, """UPDATE campaign SET state = 'cancelled', paused_at = now(), ended_because = 'it rained'
        WHERE slug = :tag""", tag=tag)  # fmt: skip
    return _work


def _steps(house: House, _: str) -> Act:
    enrol(house.deps, house.steps, campaigns.people(house.deps, 2), due=house.world.clock.now)
    return _work


def _begin_steps(house: House) -> None:
    begins(house)
    house.steps = publish(house.deps, *STEPS)


STORIES = (
    Story("people enter a campaign and get its letter", (ACTOR,), _campaign, begins),
    Story("a campaign that begins again each day", (ACTOR,), _again, begins),
    Story("a campaign is cancelled while its letters wait", (ACTOR,), _cancelled, begins),
    Story("people take the steps of a sequence", (ACTOR,), _steps, _begin_steps),
)
