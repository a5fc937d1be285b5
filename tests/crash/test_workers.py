"""Each worker's turn, with every one of its side effects broken in every way: in the end it is as if nothing had happened."""

from collections.abc import Iterator

import pytest

from engine.settings import Settings
from tests.crash import of_inbox
from tests.crash.driving import Story, drive
from tests.crash.faults import Fault
from tests.crash.processes import House, housed

STORIES = [*of_inbox.STORIES]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_whatever_breaks_it_comes_out_as_if_nothing_had(story: Story, settings: Settings):
    with housed(settings, **story.settings) as house:
        assert drive(house, story, list(Fault)) == []
