"""Each request that writes something, likewise: whoever gets no answer comes again, and it was done once."""

import pytest

from engine.settings import Settings
from tests.crash.driving import Story, drive
from tests.crash.faults import Fault
from tests.crash.processes import housed
from tests.crash.stories import DOORS, chosen


@pytest.mark.parametrize(("story", "faults"), chosen(DOORS))
def test_whatever_breaks_while_it_is_answered_it_is_done_once(
    story: Story, faults: tuple[Fault, ...], settings: Settings
):
    with housed(settings, **story.settings) as house:
        assert drive(house, story, faults) == []
