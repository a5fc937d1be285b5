"""The development mailbox: an outside provider that is a file. No mail can leave this machine.

It behaves like a real one: it takes whatever it is handed, doubles included, says so once it is on disk (fsync), and
knows nothing of Postgres. Every "once" is counted here. One line of JSON a letter.
"""

import fcntl
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import IO

from engine.errors import Unavailable
from engine.ports import Answer, Copy, Kept, Sheet, letter_of

WAIT_SECONDS = 0.01
_STAYS = ("handover_id", "at", "message_id")
_HANDOVER = re.compile(rb'\{"handover_id": (\d+), "at": "')


class Mailbox:
    """The file as a Mailer, and as something to read."""

    call_seconds = 2.0
    most_copies = 1000
    most_substitution_bytes = 10_000  # as the provider of production
    most_bytes = 100_000_000

    def __init__(self, path: Path) -> None:
        self.path = path

    def hand_over(
        self, handover_id: int, sheet: Sheet, copies: Sequence[Copy], *, before: Callable[[], bool]
    ) -> Answer | None:
        """Append these letters as whole lines, fsynced, before saying yes; all of it within `call_seconds`."""
        deadline = monotonic() + self.call_seconds
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = (json.dumps({"handover_id": handover_id, "at": at} | asdict(letter_of(sheet, copy))) for copy in copies)
        data = ("\n".join(lines) + "\n").encode("ascii")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("ab+", buffering=0)
        except OSError as error:
            return Answer("away", detail=f"mailbox: {error.strerror}")
        with file:
            if not _locked(file, fcntl.LOCK_EX, deadline):
                return Answer("away", detail="mailbox: somebody else holds it")
            return _appended(file, data, handover_id) if before() else None

    def find(self, handover_ids: Sequence[int]) -> Mapping[int, str] | None:
        """Which of these handovers the file holds; None while somebody is writing to it."""
        asked = set(handover_ids)
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            if not _locked(file, fcntl.LOCK_SH, monotonic() + self.call_seconds):
                return None
            found = {int(match[1]) for line in file if (match := _HANDOVER.match(line))}
            return {taken: _provider_id(taken) for taken in asked & found}
        return {}

    def letters(self) -> Iterator[Kept]:
        """Every letter, oldest first, line by line. One torn by a crash or a full disk is passed over."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            for number, line in enumerate((line for line in file if _whole(line)), 1):
                letter = json.loads(line)
                yield Kept(number, letter.pop("at"), letter.pop("handover_id"), letter)

    def forget(self, emails: Collection[str]) -> int:
        """Overwrite each line with what is left of it, in its place and of its length: a crash in between tears nothing."""
        forgotten = {email.lower() for email in emails}
        emptied, place = 0, 0
        with suppress(FileNotFoundError), self.path.open("rb+", buffering=0) as file:
            if not _locked(file, fcntl.LOCK_EX, monotonic() + self.call_seconds):
                raise Unavailable("the mailbox is in use: try again")
            for line in file.read().splitlines(keepends=True):
                if _whole(line) and (left := _emptied(line, forgotten)):
                    os.pwrite(file.fileno(), left, place)
                    emptied += 1
                place += len(line)
            os.fsync(file.fileno())
        return emptied


def _emptied(line: bytes, emails: Collection[str]) -> bytes | None:
    """The line without what it tells of its reader, as long as before; None when it is not to one of these."""
    kept = json.loads(line)
    if kept["to_email"].lower() not in emails:
        return None
    blank = {name: {} if isinstance(value, dict) else "" for name, value in kept.items() if name not in _STAYS}
    left = json.dumps(kept | blank).encode("ascii")
    return left[:-1].ljust(len(line) - 2) + b"}\n"


def _locked(file: IO[bytes], kind: int, deadline: float) -> bool:
    """Get the file's lock by the deadline, or not at all: a request may not outlive its time."""
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            sleep(WAIT_SECONDS)
        else:
            return monotonic() < deadline
        if monotonic() > deadline:
            return False


def _appended(file: IO[bytes], data: bytes, handover_id: int) -> Answer:
    """Write under the lock. What could not be written whole is taken back: then nothing was accepted."""
    size = file.seek(0, os.SEEK_END)
    torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
    rest = b"\n" + data if torn else data
    try:
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError as error:
        try:
            file.truncate(size)
        except OSError:
            return Answer("uncertain", detail=f"mailbox: {error.strerror}")
        return Answer("away", detail=f"mailbox: {error.strerror}")
    return Answer("accepted", provider_id=_provider_id(handover_id))


def _whole(line: bytes) -> bool:
    return line.endswith(b"}\n") and _HANDOVER.match(line) is not None


def _provider_id(handover_id: int) -> str:
    return f"mailbox-{handover_id}"
