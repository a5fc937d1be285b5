"""The load of a torture run: everything that people, processors and staff send to the house, by a seed, so many a second.

`Load` runs it in a process of its own (`python -m bench.torture.load`), which journals each thing before it does it and sends
again what was not taken, as whoever sends it would. It goes on until it is stopped, and then until all is taken.
"""

import asyncio
import dataclasses
import json
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, time
from typing import Any

import orjson
import uvloop

from bench.torture import crowd, envelopes, people
from bench.torture.crowd import Asked, Crowd, Letterbox
from bench.torture.house import House
from bench.torture.journal import Writer
from bench.torture.money import CENTS, Account, ActBlue, Told
from bench.torture.posting import Poster, Request
from bench.torture.staffing import Staff
from bench.torture.world import World
from engine.settings import ROOT

DRAIN_SECONDS = 150.0
SHARES = {"stripe": 35, "actblue": 20, "signup": 25, "unsubscribe": 10, "sendgrid": 5, "staff": 5}
REFUSED, RACING, HOSTILE, KNOWN_GIVERS = 0.05, 0.1, 0.02, 0.5
PAGES_EVERY = 3.0  # seconds between gifts by card on our own page
NEWS = 40  # letters that one batch of the load's own tells of


class Load:
    """A load that runs, or not yet. `outside_stripe`: the control address of the Stripe outside, where donors pay."""

    def __init__(self, world: World, house: House, seed: int, rate: float, outside_stripe: str = "") -> None:
        self._told = {
            "world": _plain(world), "house": dataclasses.asdict(house), "seed": seed, "rate": rate, "stripe": outside_stripe,
        }  # fmt: skip
        self._log = world.home / "load.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin to send."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "bench.torture.load", json.dumps(self._told)), cwd=ROOT, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> bool:
        """Send nothing new, and wait until all is taken; whether it was."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        said = self._process.stdout.read()
        self._process.wait(10)
        return said.strip() == "drained"

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _plain(world: World) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in dataclasses.asdict(world).items()}


def world_of(told: dict[str, Any]) -> World:
    """The world that was told to another process."""
    told = told | {"home": Path(told["home"]), "web_urls": tuple(told["web_urls"])}
    return World(**told)


class _Sender:
    """Chooses what comes next."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.world = world_of(told["world"])
        self.chance = random.Random(told["seed"])
        self.house = House(told["house"]["token"], tuple(told["house"]["campaigns"]))
        self.poster = Poster(self.world.web_urls, Writer(self.world.journal), random.Random(told["seed"] + 3))
        self._box = Letterbox(self.world.mail_log)
        self.staff = Staff(self.world, self.house, self.poster, random.Random(told["seed"] + 4), self._box)
        self._stripe_control: str = told["stripe"]
        self._crowd = Crowd(random.Random(told["seed"] + 5))
        self._account = Account(random.Random(told["seed"] + 6))
        self._actblue = ActBlue(random.Random(told["seed"] + 7), first=100_000_000)
        self._money: dict[str, deque[Told]] = {"stripe": deque(), "actblue": deque()}
        self._stopped: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._last_page = 0.0
        self._acting: set[asyncio.Task[None]] = set()

    def next(self) -> None:
        """Let one thing happen, by the shares."""
        kind = self.chance.choices(list(SHARES), list(SHARES.values()))[0]
        acts: dict[str, Callable[[], None]] = {
            "stripe": self._by_card, "actblue": lambda: self._pay("actblue"), "signup": self._sign_up,
            "unsubscribe": self._unsubscribe, "sendgrid": self._events, "staff": self._staff,
        }  # fmt: skip
        acts[kind]()

    def _number(self, of: str) -> int:
        self._numbers[of] = self._numbers.get(of, 0) + 1
        return self._numbers[of]

    def _someone(self) -> people.Someone:
        if self.chance.random() < KNOWN_GIVERS:
            return people.reader(self.chance.randrange(people.AUDIENCE))
        return people.giver(self._number("giver"))

    # Money.

    def _by_card(self) -> None:
        if self.chance.random() < REFUSED:
            forged = self.chance.random() < 0.3
            request = self._account.forged() if forged else self._account.stale()
            self._send(Asked(request, "intruder", "stripe", json.loads(request.body)["id"]))
        elif self._stripe_control and monotonic() - self._last_page > PAGES_EVERY:
            self._last_page = monotonic()
            self._do(self._gives_on_our_page())
        else:
            self._pay("stripe")

    def _pay(self, by: str) -> None:
        waiting = self._money[by]
        if not waiting:
            who = self._someone()
            waiting.extend(self._account.happening(who) if by == "stripe" else self._actblue.order(who))
        self._tells(waiting.popleft())

    def _tells(self, told: Told) -> None:
        number = self.poster.journal.intend(told.kind, told.source, told.key, **told.facts)
        for copy in range(told.copies + 1):
            self.poster.later(number, told.request, told.delay + copy * self.chance.uniform(0, 2.0))

    async def _gives_on_our_page(self) -> None:
        who, cents = people.giver(self._number("giver")), self.chance.choice(CENTS)
        request = self._crowd.gives(who, cents)
        number = self.poster.journal.intend("page", facts_email=who.email, cents=cents)
        status, answer = await self.poster.once(number, request)
        for _ in range(5):  # the button once more: it leads to the same page
            if status == 303:
                break
            await asyncio.sleep(2.0)
            status, answer = await self.poster.once(number, request)
        place = next((line for line in answer.split(b"\r\n") if line.lower().startswith(b"location:")), b"").decode()
        if session := place.rpartition("/")[2].strip():
            paying = Request("/pay", orjson.dumps({"session": session, "email": who.email}), dict)
            outside = Poster([self._stripe_control], self.poster.journal, self.chance)
            await outside.once(self.poster.journal.intend("pays"), paying)

    # People.

    def _sign_up(self) -> None:
        luck = self.chance.random()
        if luck < HOSTILE:
            self._send(self._crowd.hostile(self._number("hostile")))
        elif luck < HOSTILE + 0.03:
            self._do(self._comes_to_be_forgotten())
        elif luck < HOSTILE + 0.06:
            self._do(self._comes_twice())
        else:
            who = people.joiner(self._number("joiner"))
            for _ in range(self.chance.choice((2, 3, 4)) if self.chance.random() < RACING else 1):
                self._send(self._crowd.signs_up(who))

    async def _comes_to_be_forgotten(self) -> None:
        word = people.canary(self.chance)
        who = people.forgotten(word, self._number("forgotten"))
        await self._send(self._crowd.signs_up(who, canary=word))
        self._stopped.add(who.email)  # nothing more comes of her
        self.staff.forgettable.append((time(), who.email, word))

    async def _comes_twice(self) -> None:
        """Under two addresses, so that staff make one person of them."""
        both = [people.joiner(self._number("joiner")) for _ in range(2)]
        await asyncio.gather(*(self._send(self._crowd.told(who)) for who in both))
        self.staff.doubles.append((time(), both[0].email, both[1].email))

    def _unsubscribe(self) -> None:
        self._box.look()
        letter = self._box.taken(self.chance, self._stopped)
        if letter is None:
            self._sign_up()
            return
        self._stopped.add(letter["to"])
        asked = crowd.stops(letter)
        number = self.poster.journal.intend(asked.kind, asked.source, asked.key, **asked.facts)
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            self.poster.later(number, asked.request)

    def _events(self) -> None:
        self._box.look()
        chosen = self.chance.sample(self._box.recent, min(len(self._box.recent), self.chance.randrange(1, NEWS)))
        letters = [each for each in chosen if people.CANARY not in each["to"]]
        if letters:
            told = list(crowd.told_of(letters, self.chance, int(time())))
            request, key = envelopes.sendgrid(orjson.dumps(told))
            self._send(Asked(request, "mail_events", "sendgrid", key, {"events": len(told), "suppresses": []}))

    def _staff(self) -> None:
        if len(self._acting) < 20:
            self._do(self.staff.act())

    def _send(self, asked: Asked) -> asyncio.Task[int]:
        number = self.poster.journal.intend(asked.kind, asked.source, asked.key, **asked.facts)
        return self.poster.later(number, asked.request)

    def _do(self, deed: Any) -> None:
        task = asyncio.get_running_loop().create_task(deed)
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    async def finish(self) -> bool:
        """What was begun is told to its end, and waited for."""
        self.staff.leaving = True
        for waiting in self._money.values():
            while waiting:
                self._tells(waiting.popleft())
        if self._acting:
            await asyncio.wait(list(self._acting), timeout=DRAIN_SECONDS)
        late = [task.cancel() for task in list(self._acting)]
        return await self.poster.drained(DRAIN_SECONDS) and not late


def _beats(rate: float) -> Iterator[float]:
    """When each thing is due, in seconds of the monotonic clock; a process that was held up does not make up for it."""
    due = monotonic()
    while True:
        yield due
        due = max(due + 1 / rate, monotonic() - 1.0)


async def _main(told: dict[str, Any]) -> None:
    sender = _Sender(told)
    ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    began, done = monotonic(), 0
    for due in _beats(told["rate"]):
        if ended.done():
            break
        await asyncio.sleep(max(0.0, due - monotonic()))
        sender.next()
        done += 1
    print(f"{done} things in {monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    print("drained" if await sender.finish() else "some is left", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvloop.run(_main(json.loads(sys.argv[1])))
