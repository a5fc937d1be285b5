"""The development mailbox: an outside provider that is a file. No mail can leave this machine.

It behaves like a real one: it takes whatever it is handed, doubles included, says so once it is on disk (fsync), and
knows nothing of Postgres. Every "once" is counted here. One line of JSON a letter.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from engine.ports import Answer, Kept, Letter


class Mailbox:
    """The file as a Mailer, and as something to read."""

    call_seconds = 2.0

    def __init__(self, path: Path) -> None:
        self.path = path

    def hand_over(self, handover_id: int, letters: Sequence[Letter]) -> Answer:
        """Append these letters as whole lines, fsynced, before saying yes."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = [
            json.dumps({"at": at, "handover_id": handover_id} | asdict(letter), ensure_ascii=True) for letter in letters
        ]
        try:
            self._append(("\n".join(lines) + "\n").encode("ascii"))
        except OSError as error:  # a full disk may have taken half a line: only the file can tell
            return Answer("uncertain", detail=f"mailbox: {error.strerror}")
        return Answer("accepted", provider_id=f"mailbox-{handover_id}")

    def find(self, handover_ids: Sequence[int]) -> Mapping[int, str]:
        """Which of these handovers the file holds."""
        asked = set(handover_ids)
        return {kept.handover_id: f"mailbox-{kept.handover_id}" for kept in self.letters() if kept.handover_id in asked}

    def letters(self) -> Iterator[Kept]:
        """Every letter, oldest first. A line torn by a crash or a full disk is passed over."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return
        number = 0
        for line in raw.splitlines():
            try:
                letter = json.loads(line)
            except ValueError:
                continue
            number += 1
            yield Kept(number, letter.pop("at"), letter.pop("handover_id"), letter)

    def _append(self, data: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, os.SEEK_END) and not _ends_whole(file.fileno()):
                data = b"\n" + data
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())


def _ends_whole(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, 1, size - 1) == b"\n"
