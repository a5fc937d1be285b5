"""Harm that is too rare to be waited for, done on purpose, in a process of a negative control: with its safeguard nothing of
it shows. Each of these changes the process that calls it."""

import os
import random
import signal
import subprocess
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any
from zlib import crc32

from sqlalchemy import Engine, event

from engine import sources
from engine.adapters.sendgrid_mail import SendgridMail
from engine.events import RawEvent

TWICE = 0.2  # how many statements that write letters are sent again
CLAIM_SECONDS = 0.4  # how much longer a claim of letters takes before it is committed
SLEEP_SECONDS = 32.0  # longer than any lease of letters
AWAKE_SECONDS = 15.0  # between two such sleeps of one process
POISON = b'"open"'  # an event of the mail provider by which nobody counts anything
ONE_OF = 600  # of such events


def letters_written_twice() -> None:
    """A statement that writes letters is sent again in its transaction, as if its answer had been lost."""

    @event.listens_for(Engine, "after_cursor_execute")
    def again(connection: Any, _: Any, statement: str, values: Any, *__: Any) -> None:
        if "INSERT INTO message (" in statement and "UPDATE" not in statement and random.random() < TWICE:
            connection.connection.cursor().execute(statement, values)


def slow_claims() -> None:
    """A claim of a campaign's letters takes its time between the look and the commit."""

    @event.listens_for(Engine, "after_cursor_execute")
    def slow(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "'delivery', letters, now()" in statement:
            sleep(CLAIM_SECONDS)


def asleep_after_the_claim() -> None:
    """A process that has claimed letters is stopped before their request leaves, for longer than its lease."""
    given: Callable[..., Any] = SendgridMail.hand_over
    woke = [monotonic()]

    def hand_over(self: SendgridMail, *what: Any, **how: Any) -> Any:
        if monotonic() - woke[0] > AWAKE_SECONDS:
            subprocess.Popen(["/bin/sh", "-c", f"sleep {SLEEP_SECONDS}; kill -CONT {os.getpid()}"])
            os.kill(os.getpid(), signal.SIGSTOP)
            woke[0] = monotonic()
        return given(self, *what, **how)

    SendgridMail.hand_over = hand_over  # type: ignore[method-assign]


def poison() -> None:
    """Some events kill whoever reads them."""
    given = sources.parse

    def parse(raw: RawEvent) -> Any:
        if raw.source == "sendgrid" and POISON in raw.body and raw.body[:1] == b"{" and not crc32(raw.body) % ONE_OF:
            os.kill(os.getpid(), signal.SIGKILL)
        return given(raw)

    sources.parse = parse
