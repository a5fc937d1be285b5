"""What staff do during a torture run, by `/api/v1` and by commands: campaigns launched, stopped and let go on, sequences
published anew, people merged and erased. One thing at a time, each until it is certain."""

import asyncio
import json
import os
import random
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any

from bench.torture import envelopes
from bench.torture.crowd import Letterbox
from bench.torture.house import DRIVE, House
from bench.torture.journal import Writer
from bench.torture.posting import LONGEST_PAUSE, Poster, Request
from bench.torture.world import World
from engine.settings import ROOT

COMMAND_SECONDS = 60.0
LAUNCH_EVERY = 40.0  # seconds
SETTLED = 20.0  # seconds that everything about a person must have been quiet before she is merged or erased
NOBODY = b"nobody here"  # what a command says of somebody whom it does not know


@dataclass(slots=True)
class Staff:
    """Whoever works for the house. `forgettable`, `doubles`: people of whom nothing more will come, and since when; to be
    erased, somebody has to have been written to as well: then all that she sent was worked through."""

    world: World
    house: House
    poster: Poster
    chance: random.Random
    box: Letterbox
    forgettable: list[tuple[float, str, str]] = field(default_factory=list)
    doubles: list[tuple[float, str, str]] = field(default_factory=list)
    leaving: bool = False  # nothing new is begun
    _launched: int = 0
    _last_launch: float = 0.0
    _commands: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def act(self) -> None:
        """One thing."""
        if self._launched < len(self.house.campaigns) and monotonic() - self._last_launch > LAUNCH_EVERY:
            slug = self.house.campaigns[self._launched]
            self._launched, self._last_launch = self._launched + 1, monotonic()
            await self._program("launch", f"/api/v1/campaigns/{slug}/launch", slug)
            return
        if not self._commands.locked() and (command := self._commanded()) is not None:
            await command
            return
        await self.chance.choice((self._halt, self._halt, self._publish))()

    async def _program(self, act: str, path: str, subject: str, body: bytes = b"") -> int:
        key = f"torture-{self.chance.getrandbits(64):016x}"
        number = self.poster.journal.intend("staff", "", "", act=act, subject=subject, idempotency=key)
        return await self.poster.later(number, envelopes.program("POST", path, body, self.house.token, key))

    async def _halt(self) -> None:
        """A campaign or sequence stands still for some seconds."""
        launched = self.house.campaigns[: self._launched]
        kind, slug = self.chance.choice([*(("campaigns", each) for each in launched), ("sequences", DRIVE)])
        why = json.dumps({"because": "we look at it"}).encode()
        await self._program("pause", f"/api/v1/{kind}/{slug}/pause", f"{kind}/{slug}", why)
        await asyncio.sleep(self.chance.uniform(1.0, 5.0))
        await self._program("resume", f"/api/v1/{kind}/{slug}/resume", f"{kind}/{slug}")

    async def _publish(self) -> None:
        """The drive says something new from now on: its second wait."""
        path = f"/api/v1/sequences/{DRIVE}"
        ask = envelopes.program("GET", path, b"", self.house.token, "")
        number = self.poster.journal.intend("read", "", "")
        status, answer = await self.poster.once(number, ask)
        head, _, body = answer.partition(b"\r\n\r\n")
        tag = next(
            (line.split(b": ", 1)[1].decode() for line in head.split(b"\r\n") if line.lower()[:5] == b"etag:"), ""
        )
        if status != 200 or not tag:
            return
        definition = json.loads(body)["definition"]
        definition["steps"][3]["wait"] = f"{self.chance.randrange(1, 4)} minutes"
        told = json.dumps(definition).encode()
        headers = {"If-Match": tag, "Content-Type": "application/json", "Authorization": f"Bearer {self.house.token}"}
        number = self.poster.journal.intend("staff", "", "", act="publish", subject=f"sequences/{DRIVE}")
        await self.poster.later(number, Request(path, told, lambda: headers, "PUT"))

    def _commanded(self) -> Coroutine[Any, Any, None] | None:
        """A command about somebody of whom nothing more will come, if there is anybody."""
        known = [each for each in self.forgettable if time() - self.box.canaries.get(each[1], time()) > SETTLED]
        if known and (found := self._settled(known)) is not None:
            self.forgettable.remove(found)
            _, email, word = found
            return self._command("erase", {"email": email, "canary": word}, "people", "erase", email, "--yes")
        if (found := self._settled(self.doubles)) is not None:
            _, one, other = found
            return self._command("merge", {"one": one, "other": other}, "people", "merge", one, other)
        return None

    def _settled(self, people: list[tuple[float, str, str]]) -> tuple[float, str, str] | None:
        if people and time() - people[0][0] > SETTLED:
            return people.pop(0)
        return None

    async def _command(self, kind: str, facts: dict[str, Any], *words: str) -> None:
        """A command until it is done; or says, after a try whose end nobody knows, that nobody is here any more."""
        journal: Writer = self.poster.journal
        doubtful, pause = False, 0.5
        async with self._commands:  # each is a process that starts up: one at a time
            if self.leaving:
                return
            number = journal.intend(kind, "", "", **facts)
            while True:
                journal.sent(number)
                began = monotonic()
                ended, said = await self._run(*words)
                done = ended == 0 or (NOBODY in said and doubtful)
                journal.answered(number, 200 if done else 0, (monotonic() - began) * 1000)
                if done:
                    return
                doubtful = doubtful or NOBODY not in said
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self, *words: str) -> tuple[int | None, bytes]:
        names = {name for name in os.environ if name in self.world.settings}
        environment = {name: value for name, value in os.environ.items() if name not in names}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engine.cli", *words, cwd=ROOT, env=environment | dict(self.world.settings),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            said, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            return None, b""
        return process.returncode, said
