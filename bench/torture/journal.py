"""The journal: what somebody outside meant, sent and was answered, a line of JSON each, written before the next is done.

Several processes write one each (the load, the stand-ins of providers); whoever checks reads them all. `intent`: a request
that must come to something (`key`: its key in the inbox, '' none; `facts`: what must come of it). `sent`: a try. `answer`:
how that one ended (0: nobody knows).
"""

import json
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

INTENT, SENT, ANSWER = "intent", "sent", "answer"
NAMES = ("journal.jsonl", "journal-mail.jsonl", "journal-stripe.jsonl")  # in the folder of a run
MAIL_LOG = "accepted.jsonl"
COMMANDS = ("merge", "erase")  # kinds of intents that are no requests but commands


class Writer:
    """Appends to one journal, from any thread. What it wrote outlives this process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._numbers = 0

    def intend(self, kind: str, source: str = "", key: str = "", **facts: Any) -> int:
        """A request that is about to be made for the first time; its number."""
        with self._lock:
            self._numbers += 1
            number = self._numbers
        self._write({"what": INTENT, "n": number, "kind": kind, "source": source, "key": key, "facts": facts})
        return number

    def sent(self, number: int) -> None:
        """It is on its way."""
        self._write({"what": SENT, "n": number})

    def answered(self, number: int, status: int, milliseconds: float) -> None:
        """How this try ended; status 0: no answer came."""
        self._write({"what": ANSWER, "n": number, "status": status, "ms": round(milliseconds, 1)})

    def _write(self, said: dict[str, Any]) -> None:
        os.write(self._file, json.dumps({"at": time(), **said}, separators=(",", ":")).encode() + b"\n")


@dataclass(slots=True)
class Answered:
    """How one try ended: when (Unix time), with which status, after how many milliseconds."""

    at: float
    status: int
    milliseconds: float


@dataclass(slots=True)
class Intent:
    """One request, with all its tries. `acked_at`: when it was first answered 2xx."""

    number: int
    at: float
    kind: str
    source: str
    key: str
    facts: Mapping[str, Any]
    sent: list[float] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    acked_at: float | None = None

    @property
    def over(self) -> bool:
        """Whether its last try was answered for good: taken, or refused so that nobody comes again."""
        return bool(self.answers) and self.answers[-1].status != 0 and not comes_again(self.answers[-1].status)


def comes_again(status: int) -> bool:
    """Whether whoever is answered so sends it again, as providers do."""
    return status in (0, 408, 429) or status >= 500


class Journal:
    """What was written so far; `read` looks for more. `intents`: by writer and number, oldest first; `mail`: the lines of the
    mail provider's own log."""

    def __init__(self, folder: Path) -> None:
        self._mail = folder / MAIL_LOG
        self._places = {folder / name: 0 for name in (*NAMES, MAIL_LOG)}
        self.intents: dict[tuple[str, int], Intent] = {}
        self.mail: list[dict[str, Any]] = []

    def read(self) -> "Journal":
        """Take in what has been written since."""
        for path in self._places:
            said = map(json.loads, self._lines(path))
            if path == self._mail:
                self.mail += said
            else:
                for each in said:
                    self._take(path.name, each)
        return self

    def of(self, *kinds: str) -> Iterator[Intent]:
        """Those of these kinds; all of them when none is named."""
        return (each for each in self.intents.values() if not kinds or each.kind in kinds)

    def acked(self, *kinds: str) -> Iterator[Intent]:
        """The same, of those that were taken."""
        return (each for each in self.of(*kinds) if each.acked_at is not None)

    def open(self) -> list[Intent]:
        """Those whose sender has not had its last word."""
        return [each for each in self.of() if not each.over]

    def answers(self) -> list[Answered]:
        """Every answer to a request, with its time: what latency is told from."""
        return [answer for each in self.of() if each.kind not in COMMANDS for answer in each.answers]

    def _lines(self, path: Path) -> list[bytes]:
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(self._places[path])
            whole, _, _ = file.read().rpartition(b"\n")  # the last line may be on its way
        if whole:
            self._places[path] += len(whole) + 1
        return whole.splitlines()

    def _take(self, writer: str, said: dict[str, Any]) -> None:
        key = writer, said["n"]
        if said["what"] == INTENT:
            self.intents[key] = Intent(said["n"], said["at"], said["kind"], said["source"], said["key"], said["facts"])
            return
        intent = self.intents[key]
        if said["what"] == SENT:
            intent.sent.append(said["at"])
            return
        intent.answers.append(Answered(said["at"], said["status"], said["ms"]))
        if intent.acked_at is None and 200 <= said["status"] < 400:
            intent.acked_at = said["at"]
