"""All stories: every handler that writes something, each with something to do."""

from collections.abc import Iterable

import pytest

from tests.crash import of_commands, of_doors, of_inbox, of_letters, of_outreach, of_programs, of_staff, of_upkeep
from tests.crash.driving import Story
from tests.crash.faults import Fault

WORKERS = (*of_inbox.STORIES, *of_letters.STORIES, *of_outreach.STORIES, *of_upkeep.STORIES, *of_commands.STORIES)
DOORS = (*of_doors.STORIES, *of_staff.STORIES, *of_programs.STORIES)

# What `make quick` drives, too: of these stories, these faults. The rest of both is slow.
QUICK = {
    "a gift of two line items at ActBlue", "receipts leave", "asks leave", "people enter a campaign and get its letter",
    "POST /webhooks/stripe", "POST /give/{form}: she gives by card", "POST /api/v1/campaigns/{slug}/launch",
}  # fmt: skip
FIRST = (Fault.CRASH, Fault.TIMEOUT)
LAST = tuple(set(Fault) - set(FIRST))


def chosen(stories: Iterable[Story]) -> list[object]:
    """Each of them with its faults, as pytest takes them."""
    found = []
    for story in stories:
        quick = story.name in QUICK
        found += [pytest.param(story, FIRST, id=f"{story.name}, crashed")] if quick else []
        faults = LAST if quick else tuple(Fault)
        found.append(pytest.param(story, faults, id=story.name, marks=pytest.mark.slow))
    return found
