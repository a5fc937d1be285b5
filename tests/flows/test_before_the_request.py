"""What is known or goes wrong before the first byte of a request leaves: no letter is lost to it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from engine import bell
from engine.bootstrap import Deps
from engine.ports import Answer, Copy, Sheet
from tests.campaigns import NOW, enqueue, go, letter, people, states
from tests.fakes import FakeMailer
from tests.flows.house import change, one, rows
from tests.letters import Sent, element, tell
from workers import delivery

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


# What goes wrong before anything left.

SOON = timedelta(seconds=delivery.AGAIN_SECONDS)


@contextmanager
def postgres_gone(deps: Deps, *words: str) -> Iterator[None]:
    """Each time that a statement with the next of these words comes, the connection is lost."""
    left, pool = list(words), deps.sessions.kw["bind"]

    def lose(_: Any, __: Any, statement: str, *___: Any) -> None:
        if left and left[0] in statement:
            raise OperationalError(left.pop(0), None, ConnectionError("the server is gone"))

    event.listen(pool, "before_cursor_execute", lose)
    yield
    event.remove(pool, "before_cursor_execute", lose)
    assert left == []


LOADING, RECORDING = "of_staff", "UPDATE handover h SET state = o.state"


@dataclass
class Failing(FakeMailer):
    """A mailer that raises before anything leaves, as often as it is told to."""

    times: int = 1

    def hand_over(
        self, handover_id: int, sheet: Sheet, copies: Sequence[Copy], *, before: Callable[[], bool]
    ) -> Answer | None:
        self.times -= 1
        if self.times >= 0:
            raise RuntimeError("a mistake of ours")
        return super().hand_over(handover_id, sheet, copies, before=before)


def receipts(deps: Deps, many: int, mailing: str = "still_there") -> None:
    """So many receipts, due."""
    change(deps, """INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, facts)
        SELECT who, m.id, 'test', 'receipts', :now, '{}' FROM unnest(CAST(:ids AS bigint[])) who, mailing m
        WHERE m.slug = :mailing""", ids=people(deps, many), now=NOW, mailing=mailing)  # fmt: skip


@pytest.mark.parametrize("lost", [(LOADING,), (LOADING, RECORDING)])
def test_letters_that_could_not_be_loaded_are_given_back_and_leave_later(deps: Deps, lost: tuple[str, ...]):
    enqueue(deps, letter(deps), people(deps, 20))
    with postgres_gone(deps, *lost), pytest.raises(OperationalError):
        go(deps)
    assert states(deps) == {"ready": 20}
    assert one(deps, "SELECT state FROM handover").state == "abandoned"
    assert rows(deps, "SELECT 1 FROM mailing WHERE handed > 0") == []
    deps.clock.skip(SOON)
    go(deps)
    assert states(deps) == {"handed": 20}


def test_a_mistake_of_ours_costs_no_letter_and_is_not_hidden(deps: Deps):
    receipts(deps, 3)
    own = replace(deps, mailer=Failing())
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        delivery.hand_over(own, bell.RECEIPTS)
    assert states(deps) == {"ready": 3}
    assert {row.state for row in rows(deps, "SELECT state FROM handover")} == {"abandoned"}
    deps.clock.skip(SOON)
    delivery.hand_over(own, bell.RECEIPTS)
    assert states(deps) == {"handed": 3}


@pytest.mark.parametrize("words", ["{{ 1 + 2 }}", '{{ "\\ud800" }}'])
def test_a_mailing_that_cannot_be_folded_fails_is_told_of_and_does_not_go_on_for_ever(deps: Deps, words: str):
    mailing, other = letter(deps), letter(deps)
    change(deps, "UPDATE mailing SET body_html = body_html || :words WHERE id = :id", words=words, id=mailing)
    deps.mailer.most_copies = 20
    enqueue(deps, mailing, people(deps, 60))
    enqueue(deps, other, people(deps, 5))
    for _ in range(3):
        go(deps)
    assert states(deps) == {"failed": 20, "ready": 40, "handed": 5}
    assert {row.kind for row in rows(deps, "SELECT kind FROM notice")} == {"letter failed", "mailing paused"}
    assert len(rows(deps, "SELECT 1 FROM notice")) == 2


def test_a_receipt_that_cannot_be_folded_fails_alone(deps: Deps):
    mailing = letter(deps, "broken")
    change(deps, "UPDATE mailing SET body_html = body_html || '{{ 1 + 2 }}' WHERE id = :id", id=mailing)
    receipts(deps, 1, "broken")
    receipts(deps, 2)
    delivery.hand_over(deps, bell.RECEIPTS)
    assert states(deps) == {"failed": 1, "handed": 2}
    assert "not possible here" in one(deps, "SELECT detail FROM notice").detail


def test_a_letter_whose_facts_do_not_fit_its_words_fails_alone(deps: Deps):
    mailing, ids = letter(deps), people(deps, 4)
    rows_of_it = "{% for row in rungs %}{{ row.words }}{% endfor %}"
    change(deps, "UPDATE mailing SET body_html = body_html || :words WHERE id = :id", words=rows_of_it, id=mailing)
    enqueue(deps, mailing, ids[:1], facts='{"rungs": 3}')
    enqueue(deps, mailing, ids[1:], facts='{"rungs": [{"words": "one"}]}')
    go(deps)
    assert states(deps) == {"failed": 1, "handed": 3}
