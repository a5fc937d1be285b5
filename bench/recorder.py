"""`python -m bench.recorder LOG`: a provider that writes down each letter that it takes, fsynced, before it answers, and
tells what became of each: processed and delivered, signed, again and again until it is answered 200.

It prints its port and the public key of its signatures. The first line of its standard input says where events go, the
first of these places that takes them. `GET /` says how many letters and events there were.
"""

import asyncio
import os
import queue
import sys
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep, time
from typing import IO, Any

import orjson
import urllib3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench import running
from bench.sink import Taker, serve
from webhooks.sendgrid import SIGNATURE, TIMESTAMP

TOGETHER = 200
KINDS = ("processed", "delivered")


class _Recorder:
    def __init__(self, log: Path) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.log = log.open("ab", buffering=0)
        self.letters = self.events = 0
        self.waiting: queue.SimpleQueue[list[dict[str, Any]]] = queue.SimpleQueue()

    def take(self, body: bytes) -> None:
        said = orjson.loads(body)
        at = time()
        told = [{"email": each["to"][0]["email"], "at": at, **each["custom_args"]} for each in said["personalizations"]]
        self.log.write(b"".join(orjson.dumps(each) + b"\n" for each in told))
        os.fsync(self.log.fileno())
        self.letters += len(told)
        for start in range(0, len(told), TOGETHER):
            self.waiting.put(told[start : start + TOGETHER])

    @property
    def public(self) -> str:
        return b64encode(self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    def tell(self) -> Mapping[str, int]:
        return {"letters": self.letters, "events": self.events}

    def post(self, urls: list[str]) -> None:
        web = urllib3.PoolManager(retries=False, timeout=10.0)
        while True:
            events = [_event(kind, each) for each in self.waiting.get() for kind in KINDS]
            body = orjson.dumps(events)
            while not any(self._taken(web, url, body) for url in urls):
                sleep(0.5)
            self.events += len(events)

    def _taken(self, web: urllib3.PoolManager, url: str, body: bytes) -> bool:
        at = str(int(time()))
        signature = b64encode(self.key.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
        headers = {"Content-Type": "application/json", SIGNATURE: signature, TIMESTAMP: at}
        try:
            return web.request("POST", url, body=body, headers=headers).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def _event(kind: str, told: Mapping[str, Any]) -> dict[str, Any]:
    name = f"{told['gs_message']}-{told['gs_handover']}"
    return {
        **told, "event": kind, "timestamp": int(told["at"]), "category": ["letters"], "sg_event_id": f"{name}-{kind}",
        "sg_message_id": f"{name}.recvd-6fcf75d984", "smtp-id": f"<{name}@geopod-ismtpd-1>",
    }  # fmt: skip


@dataclass(slots=True)
class Recorder:
    """One that runs: where, whose signature it writes, and its log."""

    url: str
    public_key: str
    log: Path
    _say: IO[str]

    def events_to(self, *urls: str) -> None:
        """From now on events are posted to the first of these that takes them."""
        self._say.write(" ".join(urls) + "\n")
        self._say.flush()

    def told(self) -> Mapping[str, int]:
        """Letters and events until now."""
        found: Mapping[str, int] = urllib3.request("GET", self.url).json()
        return found

    def letters(self) -> list[dict[str, Any]]:
        """Every letter that it took, in order."""
        return [orjson.loads(line) for line in self.log.read_bytes().splitlines()]

    def doubles(self) -> Mapping[tuple[str, str], int]:
        """The letters that came more than once, by address and what they are for."""
        times = Counter((each["email"], each.get("gs_code", each["gs_message"])) for each in self.letters())
        return {which: number for which, number in times.items() if number > 1}


@contextmanager
def started(log: Path) -> Iterator[Recorder]:
    """Run one in a process of its own."""
    with running.neighbour("bench.recorder", str(log)) as (told, stdin):
        yield Recorder(f"http://127.0.0.1:{told['port']}", told["told"], log, stdin)


async def _main() -> None:
    recorder = _Recorder(Path(sys.argv[1]))
    threading.Thread(target=lambda: recorder.post(sys.stdin.readline().split()), daemon=True).start()
    await serve(lambda: Taker(recorder.take, recorder.tell), recorder.public)


if __name__ == "__main__":
    asyncio.run(_main())
