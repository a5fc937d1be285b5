"""Each worker's turn, with every one of its side effects broken in every way: in the end it is as if nothing had happened."""

import pytest

from engine.settings import Settings
from tests.crash.driving import Story, drive
from tests.crash.faults import Fault
from tests.crash.processes import housed
from tests.crash.stories import WORKERS, chosen


@pytest.mark.parametrize(("story", "faults"), chosen(WORKERS))
def test_whatever_breaks_it_comes_out_as_if_nothing_had(story: Story, faults: tuple[Fault, ...], settings: Settings):
    with housed(settings, **story.settings) as house:
        assert drive(house, story, faults) == []
