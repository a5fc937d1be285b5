"""What is known or goes wrong before the first byte of a request leaves: no letter is lost to it."""

import pytest

from engine.bootstrap import Deps
from engine.ports import Answer
from tests.campaigns import enqueue, go, letter, people, states
from tests.flows.house import change, one, rows
from tests.letters import Sent, element, tell

LONG = "Dear {{ first_name }}, {{ custom.story | default('none') }}"


def one_too_long(deps: Deps, ids: list[int]) -> None:
    """The last of them has so long a story that her letter travels alone."""
    story = "UPDATE contact SET custom = jsonb_build_object('story', repeat('once upon a time ', 60)) WHERE id = :id"
    change(deps, story, id=ids[-1])
    deps.mailer.most_substitution_bytes = 600


def heard_at_once(deps: Deps, handover_id: int) -> Answer | None:
    """The provider tells of its letters before it answers."""
    _, copies = deps.mailer.requests[-1]
    sent = [Sent(copy.message_id, handover_id, 0, copy.to_email, "early") for copy in copies]
    tell(deps, [element("delivered", each) for each in sent])
    return None


# Letters that are not in the request.


def test_what_is_told_before_the_answer_loses_no_letter_that_was_not_in_the_request(deps: Deps):
    ids = people(deps, 5)
    one_too_long(deps, ids)
    mailing = letter(deps, markdown=LONG)
    change(deps, "UPDATE mailing SET body_html = body_html || '{{ nobody_knows }}' WHERE id = :id", id=mailing)
    enqueue(deps, mailing, ids[:1])
    enqueue(deps, mailing, ids[1:], facts='{"nobody_knows": "somebody"}')
    deps.mailer.answer = lambda handover_id: heard_at_once(deps, handover_id)
    go(deps)
    assert [len(copies) for _, copies in deps.mailer.requests] == [3, 1]
    assert states(deps) == {"delivered": 4, "failed": 1}
    assert tuple(one(deps, "SELECT handed, refused FROM mailing WHERE handed > 0")) == (4, 1)
    assert len(rows(deps, "SELECT 1 FROM notice")) == 1


def test_a_process_that_dies_with_its_answer_loses_no_letter_that_was_not_in_the_request(deps: Deps):
    ids = people(deps, 5)
    one_too_long(deps, ids)
    enqueue(deps, letter(deps, markdown=LONG), ids)

    def dies(_: int) -> Answer | None:
        raise KeyboardInterrupt

    deps.mailer.answer = dies
    with pytest.raises(KeyboardInterrupt):
        go(deps)
    assert states(deps) == {"handed": 4, "ready": 1}
    assert one(deps, "SELECT state FROM handover").state == "submitting"
    deps.mailer.answer = lambda _: None
    go(deps)
    assert states(deps) == {"handed": 5}
