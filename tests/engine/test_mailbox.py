"""The development mailbox as a provider: whole lines or nothing, in time or not at all, doubles kept."""

import fcntl
import resource
import signal
from pathlib import Path
from threading import Timer
from time import monotonic

import pytest

from engine.adapters.mailbox import Mailbox
from engine.ports import Answer, Copy, Sheet

SHEET = Sheet("hello@example.org", "Us", "", "Thank you, %n%", "<p>Thank you, %n%</p>", "Thank you, %n%\n")


def hand_over(mailbox: Mailbox, handover_id: int, *, awake: bool = True) -> Answer | None:
    copy = Copy(1, "rosa@example.org", "Rosa", {"%n%": "Rosa"}, {})
    return mailbox.hand_over(handover_id, SHEET, [copy], before=lambda: awake)


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    return Mailbox(tmp_path / "mailbox" / "letters.jsonl")


def test_what_is_handed_over_is_kept_doubles_included(mailbox: Mailbox):
    for _ in range(2):
        assert hand_over(mailbox, 7).outcome == "accepted"
    assert [(kept.number, kept.handover_id) for kept in mailbox.letters()] == [(1, 7), (2, 7)]
    assert mailbox.find([6, 7, 70]) == {7: "mailbox-7"}


def test_a_mailbox_that_is_not_there_yet_is_empty(mailbox: Mailbox):
    assert list(mailbox.letters()) == []
    assert mailbox.find([1]) == {}


def test_a_line_torn_by_a_crash_is_passed_over_and_the_next_letter_is_whole(mailbox: Mailbox):
    hand_over(mailbox, 1)
    with mailbox.path.open("ab") as file:
        file.write(b'{"handover_id": 2, "at": "2026')
    assert hand_over(mailbox, 3).outcome == "accepted"
    assert [kept.handover_id for kept in mailbox.letters()] == [1, 3]


def test_a_full_disk_takes_nothing_and_leaves_no_half_letter(mailbox: Mailbox):
    hand_over(mailbox, 1)
    size = mailbox.path.stat().st_size
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
    try:
        answer = hand_over(mailbox, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert answer.outcome == "away"
    assert mailbox.path.stat().st_size == size
    assert hand_over(mailbox, 2).outcome == "accepted"


def test_a_mailbox_that_somebody_holds_is_refused_in_time_and_cannot_be_asked(mailbox: Mailbox):
    hand_over(mailbox, 1)
    mailbox.call_seconds = 0.3
    with mailbox.path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        began = monotonic()
        assert hand_over(mailbox, 2).outcome == "away"
        assert mailbox.find([1]) is None
        assert monotonic() - began < 5
    assert [kept.handover_id for kept in mailbox.letters()] == [1]


def test_a_mailbox_that_is_let_go_in_time_takes_the_letter(mailbox: Mailbox):
    hand_over(mailbox, 1)
    with mailbox.path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        Timer(0.2, lambda: fcntl.flock(held, fcntl.LOCK_UN)).start()
        assert hand_over(mailbox, 2).outcome == "accepted"
