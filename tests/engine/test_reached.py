"""Which events can end somebody's way through a sequence."""

from engine.outreach import reached
from engine.reactions import REACTIONS
from engine.segments import rules


def test_every_operator_is_touched_by_an_event_or_by_none_and_every_such_event_is_followed():
    touched = frozenset().union(*reached.TOUCHES.values())
    combine = {"all", "any", "not"}
    assert touched | reached.UNTOUCHED | combine == set(rules.KINDS)
    following = {kind for kind, follows in REACTIONS.items() if {reached.gave, reached.happened} & set(follows)}
    assert following == set(reached.TOUCHES)
