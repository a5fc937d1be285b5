"""Who comes to an installation through its proxy: providers that post gifts and sign-ups, people who open pages and stop
letters, programs that use the API. At a steady rate, each request on record: when, what, how it was answered, how long it
took.

`patient`: like providers, they come again with what was not answered 2xx, until it is.
"""

import random
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from threading import Event, Lock, Thread
from time import monotonic, sleep, time
from uuid import uuid4

import orjson
import urllib3

from bench import bodies
from bench.letterbox import Front
from bench.report import percentile
from tests.make import stripe_signature

HANDS = 32
TURNS = 100
KINDS: Mapping[str, float] = {
    "stripe": 0.40, "actblue": 0.20, "signup": 0.05, "page": 0.22, "link": 0.02, "stop": 0.01, "api": 0.10,
}  # fmt: skip
PAGES = ("/give/common-ground", "/join", "/join/worcester", "/give", "/healthz")
CALLS = ("/api/v1/token", "/api/v1/segments", "/api/v1/campaigns")


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: when it was made (monotonic), of which kind, its status (0: none came), milliseconds."""

    at: float
    kind: str
    status: int
    milliseconds: float


@dataclass(slots=True)
class Known:
    """What senders know of the installation, as long as nobody tells them otherwise; and links of letters."""

    actblue: str
    stripe: str
    signup: str
    token: str
    links: Sequence[str]


@dataclass(slots=True)
class Visitors:
    """They come until they are told to stop."""

    front: Front
    known: Known
    rate: float
    patient: bool = False
    seed: int = 27
    answered: list[Answered] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)  # the key of each gift that was sent: its donor's address
    unheard: int = 0  # what they gave up
    _stopping: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _thread: Thread | None = None

    def start(self) -> None:
        """Let them come."""
        self._thread = Thread(target=self._come, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait until those who are there have their answers."""
        self._stopping.set()
        assert self._thread is not None
        self._thread.join()

    def _come(self) -> None:
        chosen = random.Random(self.seed)
        acts: Mapping[str, Callable[[urllib3.HTTPSConnectionPool, int, random.Random], int]] = {
            "stripe": self._stripe, "actblue": self._actblue, "signup": self._signup, "page": self._page,
            "link": self._link, "stop": self._stop, "api": self._api,
        }  # fmt: skip
        began, base = monotonic(), int(time()) * 10_000
        with self.front.pool(connections=HANDS, timeout=40.0) as pool, ThreadPoolExecutor(HANDS) as hands:
            for number in count():
                sleep(max(0.0, began + number / self.rate - monotonic()))
                if self._stopping.is_set():
                    break
                kind = chosen.choices([*KINDS], [*KINDS.values()])[0]
                hands.submit(self._do, kind, acts[kind], pool, base + number)

    def _do(self, kind: str, act: Callable[..., int], pool: urllib3.HTTPSConnectionPool, number: int) -> None:
        for turn in range(TURNS):
            at, status = monotonic(), 0
            with suppress(urllib3.exceptions.HTTPError):
                status = act(pool, number, random.Random(number))
            with self._lock:
                self.answered.append(Answered(at, kind, status, (monotonic() - at) * 1000))
            if 200 <= status < 400 or not self.patient:
                return
            sleep(min(0.5 * (turn + 1), 3.0))
        self.unheard += 1

    def _ask(
        self, pool: urllib3.HTTPSConnectionPool, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> int:
        told = {name.replace("_", "-"): value for name, value in headers.items()} | {"Host": self.front.host}
        return pool.request(method, path, body=body, headers=told, redirect=False).status

    def _stripe(self, pool: urllib3.HTTPSConnectionPool, number: int, _: random.Random) -> int:
        email = f"s{number}@example.org"
        body = bodies.stripe_payment(number, email).replace(b'"livemode": false', b'"livemode": true')
        self.given[f"pi_{number}"] = email
        name, value = stripe_signature(body, secret=self.known.stripe)
        return self._ask(pool, "POST", "/webhooks/stripe", body, **{name: value, "Content_Type": "application/json"})

    def _actblue(self, pool: urllib3.HTTPSConnectionPool, number: int, _: random.Random) -> int:
        email = f"a{number}@example.org"
        self.given[str(1_000_000_000 + number)] = email
        shown = "Basic " + b64encode(self.known.actblue.encode()).decode()
        body = bodies.actblue(number, email)
        return self._ask(pool, "POST", "/webhooks/actblue", body, Authorization=shown, Content_Type="application/json")

    def _signup(self, pool: urllib3.HTTPSConnectionPool, number: int, _: random.Random) -> int:
        body = orjson.dumps({
            "id": f"website-{number}", "email": f"j{number}@example.org", "first_name": "Ines", "zip": "01605",
            "status": "subscribed", "at": datetime.now(UTC).isoformat(), "place": "https://www.example.org/join",
        })  # fmt: skip
        shown = f"Bearer {self.known.signup}"
        return self._ask(pool, "POST", "/webhooks/signup", body, Authorization=shown, Content_Type="application/json")

    def _page(self, pool: urllib3.HTTPSConnectionPool, _: int, chosen: random.Random) -> int:
        return self._ask(pool, "GET", chosen.choice(PAGES))

    def _link(self, pool: urllib3.HTTPSConnectionPool, _: int, chosen: random.Random) -> int:
        return self._ask(pool, "GET", chosen.choice(self.known.links))

    def _stop(self, pool: urllib3.HTTPSConnectionPool, _: int, chosen: random.Random) -> int:
        body, form = b"List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"
        return self._ask(pool, "POST", chosen.choice(self.known.links), body, Content_Type=form)

    def _api(self, pool: urllib3.HTTPSConnectionPool, _: int, chosen: random.Random) -> int:
        return self._ask(pool, "GET", chosen.choice(CALLS), Authorization=f"Bearer {self.known.token}")

    def failed(self) -> list[Answered]:
        """What was not answered 2xx."""
        with self._lock:
            return [one for one in self.answered if not 200 <= one.status < 300]

    def latency(self, since: float, until: float) -> tuple[int, float, float, float]:
        """Of what was asked between these moments: how many, p50, p99 and the longest, in milliseconds."""
        with self._lock:
            found = [one.milliseconds for one in self.answered if since <= one.at < until]
        if not found:
            return 0, 0.0, 0.0, 0.0
        return len(found), percentile(found, 50), percentile(found, 99), max(found)


def secret(*words: str) -> str:
    """A strong secret that nobody has used."""
    return sha256("".join((*words, uuid4().hex)).encode()).hexdigest()
