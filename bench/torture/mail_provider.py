"""`python -m bench.torture.mail_provider`: a SendGrid of its own process, which the product's faults do not touch.

It takes letters as `tests.mail_stand_in` does, and writes each to its fsynced log before it answers; for a while it behaves
as it is told to (`POST /mode`). Of what it accepted it tells by signed batches of events: doubled up to fifty times, in any
order, late, a share of them never, a few of letters that nobody knows; each batch again until it is taken.
"""

import asyncio
import heapq
import random
import signal
import sys
import threading
from pathlib import Path
from time import time
from typing import Any

import orjson

from bench.torture import envelopes
from bench.torture.journal import Writer
from bench.torture.posting import Poster
from bench.torture.standing import controlled, serve_until_told
from tests import mail_stand_in
from tests.mail_stand_in import MODES, StandIn

MIXED = "mixed"  # any of TROUBLES, a new one each request
TROUBLES = (
    "accept_then_hang", "accept_then_reset", "hang", "reset", "busy", "broken", "broken_accepted", "drip", "garbage", "no_id",
)  # fmt: skip
HANG_SECONDS = 20.0  # longer than the product waits
TOGETHER = 200  # events in a batch at the most
LATEST = 12.0  # seconds until an event is told: the two minutes of the real one, scaled
NEVER, UNKNOWN, BOUNCES, COMPLAINS = 0.03, 0.01, 0.01, 0.003
SUPPRESSES = {"bounce": "bounce", "spamreport": "complaint"}


class Provider(StandIn):
    """One account, with a mode that lasts."""

    def __init__(self, log: Path, seed: int) -> None:
        super().__init__(log)
        self.hang_seconds = HANG_SECONDS
        self._chance = random.Random(seed)
        self._mode, self._until = "ok", 0.0
        self._events: list[tuple[float, int, dict[str, Any]]] = []
        self._made = 0
        self._told = threading.Lock()

    def behave(self, mode: str, seconds: float) -> None:
        """Answer so from now on, for so long. Raises ValueError for what is no mode."""
        if mode not in (*MODES, MIXED):
            raise ValueError(f"no mode {mode}; there are {', '.join((*MODES, MIXED))}")
        self._mode, self._until = mode, time() + seconds

    def next(self) -> str:
        """How this request is met."""
        super().next()
        if time() >= self._until:
            return "ok"
        return self._chance.choice(TROUBLES) if self._mode == MIXED else self._mode

    def take(self, body: dict[str, Any], provider_id: str, mode: str) -> None:
        """Accept a request: its letters into the log, and what becomes of them to be told."""
        at = time()
        lines = [
            {
                "at": at, "message": each["custom_args"]["gs_message"], "handover": each["custom_args"]["gs_handover"],
                "to": each["to"][0]["email"], "mode": mode, "id": provider_id,
                "stop": _stop(each.get("headers", {}) or body.get("headers", {}), each.get("substitutions", {})),
            }
            for each in body["personalizations"]
        ]  # fmt: skip
        self.keep(lines)
        with self._told:
            for line in lines:
                self._foresee(line, at)

    def _foresee(self, line: dict[str, Any], at: float) -> None:
        chance = self._chance
        luck = chance.random()
        last = "bounce" if luck < BOUNCES else "delivered"
        kinds = ["processed", last] + (["spamreport"] if BOUNCES <= luck < BOUNCES + COMPLAINS else [])
        known = {"gs_message": line["message"], "gs_handover": line["handover"], "email": line["to"]}
        if chance.random() < UNKNOWN:
            known = {"gs_message": "zzzzz", "gs_handover": "zzzzz", "email": "nobody@nowhere.example.org"}
        for place, kind in enumerate(kinds):
            if chance.random() < NEVER and kind not in SUPPRESSES:
                continue
            event = known | {
                "event": kind, "timestamp": int(at) + place, "sg_message_id": f"{line['id']}.f1", "type": "bounce",
                "sg_event_id": f"{line['message']}-{line['handover']}-{kind}",
            }  # fmt: skip
            for _ in range(chance.choices((1, 2, 3, 50), (85, 11, 3.8, 0.2))[0]):
                self._made += 1
                due = at + chance.uniform(0, LATEST if chance.random() < 0.2 else 2.0)
                heapq.heappush(self._events, (due, self._made, event))

    def due(self) -> list[dict[str, Any]]:
        """Events whose time has come, in any order."""
        found: list[dict[str, Any]] = []
        with self._told:
            while self._events and self._events[0][0] <= time() and len(found) < TOGETHER:
                found.append(heapq.heappop(self._events)[2])
        self._chance.shuffle(found)
        return found

    def waiting(self) -> int:
        """How many events are still to be told."""
        return len(self._events)


def _stop(headers: dict[str, str], substitutions: dict[str, str]) -> str:
    """The one-click link of a letter, '' when it has none."""
    found = next((value for name, value in headers.items() if name.lower() == "list-unsubscribe"), "")
    for token, value in substitutions.items():
        found = found.replace(token, value)
    return next((part.strip(" <>") for part in found.split(",") if "/u/" in part), "")


async def tell(provider: Provider, poster: Poster, ended: asyncio.Event) -> None:
    """Post batch after batch until it is ended and all is told."""
    while not ended.is_set() or provider.waiting() or poster.under_way:
        events = provider.due()
        if not events:
            await asyncio.sleep(0.2)
            continue
        request, key = envelopes.sendgrid(orjson.dumps(events))
        stops = sorted({(each["email"], SUPPRESSES[each["event"]]) for each in events if each["event"] in SUPPRESSES})
        number = poster.journal.intend("mail_events", "sendgrid", key, events=len(events), suppresses=stops)
        poster.later(number, request)


async def _main(home: Path, seed: int, urls: list[str]) -> None:
    provider = Provider(home / "accepted.jsonl", seed)
    poster = Poster(urls, Writer(home / "journal-mail.jsonl"), random.Random(seed + 1))
    acts = {
        "/mode": lambda said: provider.behave(said["mode"], said["seconds"]),
        "/wrong": lambda _: {"wrong": provider.wrong[:20], "waiting": provider.waiting()},
    }
    with mail_stand_in.listening(provider), controlled(acts) as control:
        await serve_until_told(provider.url, control, lambda ended: tell(provider, poster, ended))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the bench above
    asyncio.run(_main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
