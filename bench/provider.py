"""`python -m bench.provider`: a provider that takes every letter at once, and tells of each what became of it.

Of each letter it posts two signed events, processed and delivered, to the address that the first line of standard input
says; before that line they wait. It prints its port and the public key of its signatures. `GET /` says how many letters and
events there were, and when each request for one person alone had come.
"""

import asyncio
import queue
import sys
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep, time
from typing import Any
from uuid import uuid4

import orjson
import urllib3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench import running
from bench.report import Failed
from bench.sink import Taker, serve
from webhooks.sendgrid import SIGNATURE, TIMESTAMP

TOGETHER = 500  # letters whose events come in one request
KINDS = ("processed", "delivered")


class _Provider:
    """What it took, and what it tells of that."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.letters = self.events = 0
        self.moments: defaultdict[str, list[float]] = defaultdict(list)
        self.waiting: queue.SimpleQueue[list[dict[str, Any]]] = queue.SimpleQueue()

    @property
    def public_key(self) -> str:
        """As its console would show it."""
        return b64encode(self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    def take(self, body: bytes) -> None:
        """A request that is whole."""
        at = time()
        people = orjson.loads(body)["personalizations"]
        if len(people) == 1:
            self.moments[people[0]["to"][0]["email"]].append(at)
        self.letters += len(people)
        told = [{"email": each["to"][0]["email"], **each["custom_args"]} for each in people]
        for start in range(0, len(told), TOGETHER):
            self.waiting.put(told[start : start + TOGETHER])

    def tell(self) -> Mapping[str, object]:
        """What there was until now."""
        return {"letters": self.letters, "events": self.events, "moments": self.moments}

    def post(self, url: str) -> None:
        """Post events, one request after the other, for as long as the process lives."""
        web = urllib3.PoolManager(retries=False, timeout=30.0)
        while True:
            events = [event(kind, each) for each in self.waiting.get() for kind in KINDS]
            body, at = orjson.dumps(events), str(int(time()))
            signature = b64encode(self.key.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
            headers = {"Content-Type": "application/json", SIGNATURE: signature, TIMESTAMP: at}
            while web.request("POST", url, body=body, headers=headers).status != 200:
                sleep(1.0)  # it is told to come again
            self.events += len(events)


def event(kind: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """One word about a letter, with all that SendGrid writes beside what it was given."""
    name = uuid4().hex
    return {
        **told, "event": kind, "timestamp": int(time()), "category": ["letters"], "sg_event_id": name,
        "sg_message_id": f"{name}.recvd-6fcf75d984-82gsx-1-6745f2c1-2.0", "smtp-id": f"<{name}@geopod-ismtpd-1>",
    } | ({"response": "250 2.0.0 OK"} if kind == "delivered" else {})  # fmt: skip


@dataclass(slots=True)
class Provider:
    """One that runs: where, and whose signature it writes."""

    url: str
    public_key: str
    _say: Any

    def events_to(self, url: str) -> None:
        """From now on events are posted there."""
        self._say.write(f"{url}\n")
        self._say.flush()

    def told(self) -> Mapping[str, Any]:
        """Letters and events until now, and the moments of requests for one."""
        found: Mapping[str, Any] = urllib3.request("GET", self.url).json()
        return found

    def moments(self, emails: Sequence[str]) -> Mapping[str, float]:
        """When the letter of each of these had come. Raises Failed unless there was exactly one."""
        came: Mapping[str, list[float]] = self.told()["moments"]
        if wrong := [email for email in emails if len(came.get(email, ())) != 1]:
            raise Failed(f"{len(wrong)} gifts without exactly one letter")
        return {email: came[email][0] for email in emails}


@contextmanager
def started() -> Iterator[Provider]:
    """Run one in a process of its own."""
    with running.neighbour("bench.provider") as (told, stdin):
        yield Provider(f"http://127.0.0.1:{told['port']}", told["told"], stdin)


async def _main() -> None:
    provider = _Provider()
    threading.Thread(target=lambda: provider.post(sys.stdin.readline().strip()), daemon=True).start()
    await serve(lambda: Taker(provider.take, provider.tell), provider.public_key)


if __name__ == "__main__":
    asyncio.run(_main())
