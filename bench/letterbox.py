"""`python -m bench.letterbox`: a mail provider that remembers every letter, with keys that can be replaced.

What it is told stands in lines of JSON on standard input: `keys`, which keys of ours it takes (another is answered 401);
`sign`, with which of its two keys it signs; `to`, where its events go (see `Front`). Of each letter it posts two signed
events, as a provider does: again, until they are taken. `GET /` says how often each letter came and to whom, how
many requests were refused, and how many posts of events were not answered 200.
"""

import asyncio
import json
import queue
import ssl
import sys
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep, time
from typing import Any

import orjson
import urllib3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench import running
from bench.provider import event
from bench.sink import Taker, serve
from webhooks.sendgrid import SIGNATURE, TIMESTAMP

KEYS = 2  # that it signs with, one at a time
PAUSE_SECONDS = 0.2  # in which events gather
KINDS = ("processed", "delivered")


class _Box:
    """What it took, and whom it tells."""

    def __init__(self) -> None:
        self.signing = [ec.generate_private_key(ec.SECP256R1()) for _ in range(KEYS)]
        self.sign = 0
        self.keys: set[bytes] = set()
        self.letters: Counter[str] = Counter()
        self.readers: Counter[str] = Counter()
        self.refused = self.unheard = self.events = 0
        self.waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.front: dict[str, Any] = {}

    def public_keys(self) -> list[str]:
        """As its console would show them."""
        shown = (key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) for key in self.signing)
        return [b64encode(each).decode() for each in shown]

    def admit(self, head: bytes) -> bool:
        """Whether this request shows a key that is valid now."""
        admitted = any(b"Bearer " + key in head for key in self.keys)
        self.refused += not admitted
        return admitted

    def take(self, body: bytes) -> None:
        """A request that is whole."""
        for each in orjson.loads(body)["personalizations"]:
            email = each["to"][0]["email"]
            self.letters[each["custom_args"]["gs_message"]] += 1
            self.readers[email] += 1
            for kind in KINDS:
                self.waiting.put(event(kind, {"email": email, **each["custom_args"]}))

    def tell(self) -> Mapping[str, object]:
        """What there was until now."""
        return {
            "letters": self.letters.total(), "twice": [key for key, times in self.letters.items() if times > 1],
            "readers": self.readers, "refused": self.refused, "events": self.events, "unheard": self.unheard,
        }  # fmt: skip

    def listen(self) -> None:
        """Do as the lines of standard input say, until it ends."""
        for line in sys.stdin:
            said = json.loads(line)
            self.keys = {key.encode() for key in said.get("keys", ())} or self.keys
            self.sign = said.get("sign", self.sign)
            self.front = said.get("to", self.front)

    def post(self) -> None:
        """Post events, one request after the other, for as long as the process lives."""
        pool: urllib3.HTTPSConnectionPool | None = None
        while True:
            events = [self.waiting.get()]
            sleep(PAUSE_SECONDS)
            while not self.waiting.empty() and len(events) < 1000:
                events.append(self.waiting.get())
            while not self.front:
                sleep(PAUSE_SECONDS)
            pool = pool or Front(**self.front).pool(retries=False)
            while not self._heard(pool, orjson.dumps(events)):
                self.unheard += 1
                sleep(PAUSE_SECONDS)
            self.events += len(events)

    def _heard(self, pool: urllib3.HTTPSConnectionPool, body: bytes) -> bool:
        at = str(int(time()))
        signature = self.signing[self.sign].sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {"Content-Type": "application/json", SIGNATURE: b64encode(signature).decode(), TIMESTAMP: at}
        headers["Host"] = self.front["host"]
        try:
            return pool.request("POST", "/webhooks/sendgrid", body=body, headers=headers).status == 200
        except urllib3.exceptions.HTTPError:
            return False


class _Turns(urllib3.HTTPSConnectionPool):
    """Connections that are used in turn: none lies idle until the other side lets go of it, just as it is used again."""

    QueueCls = queue.Queue  # type: ignore[assignment]  # its stubs ask for the other order


@dataclass(frozen=True, slots=True)
class Front:
    """The door of an installation: where it listens, whose certificate it shows, signed by whom."""

    address: str
    port: int
    host: str
    authority: str

    def pool(
        self, *, connections: int = 1, retries: bool = False, timeout: float = 30.0
    ) -> urllib3.HTTPSConnectionPool:
        """Connections to it. No request is made twice."""
        trusting = ssl.create_default_context(cafile=self.authority)
        return _Turns(
            self.address, self.port, ssl_context=trusting, server_hostname=self.host, assert_hostname=self.host,
            maxsize=connections, block=True, retries=retries, timeout=timeout,
        )  # fmt: skip


@dataclass(slots=True)
class Letterbox:
    """One that runs: where, and the public keys of its signatures."""

    url: str
    public_keys: Sequence[str]
    _say: Any

    def say(self, **said: object) -> None:
        """Tell it something; see the module."""
        self._say.write(json.dumps(said) + "\n")
        self._say.flush()

    def told(self) -> Mapping[str, Any]:
        """What there was until now."""
        found: Mapping[str, Any] = urllib3.request("GET", self.url).json()
        return found


@contextmanager
def started(address: str = "127.0.0.1") -> Iterator[Letterbox]:
    """Run one in a process of its own."""
    with running.neighbour("bench.letterbox", address) as (told, stdin):
        yield Letterbox(f"http://{address}:{told['port']}", told["told"], stdin)


async def _main() -> None:
    box = _Box()
    threading.Thread(target=box.post, daemon=True).start()
    listening = asyncio.create_task(asyncio.to_thread(box.listen))
    await serve(lambda: Taker(box.take, box.tell, box.admit), box.public_keys(), sys.argv[1], until=listening)


if __name__ == "__main__":
    asyncio.run(_main())
