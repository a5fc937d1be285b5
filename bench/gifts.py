"""Realistic gifts, posted at a rate to a system in production's settings, and when each was where.

No letter leaves the machine: the provider is our stand-in.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from time import monotonic, sleep, time
from uuid import uuid4

import psycopg
import urllib3

from bench.provider import Provider
from bench.report import Failed
from engine import bell, demo_gift, inbox

SENDERS = 8
JITTER = 0.25  # of the space between two events, to either side
CREDENTIALS = "actblue:of-the-benchmark-and-of-nothing-else-0123456789"
KEY = "SG.of-the-benchmark-and-of-nothing-else"

_STAGES = """
SELECT c.email, extract(epoch FROM e.finished_at)::float8, extract(epoch FROM h.answered_at)::float8
FROM contact c JOIN message m ON m.contact_id = c.id JOIN inbound_event e ON e.id = m.inbound_event_id
JOIN handover h ON h.id = m.handover_id
WHERE c.email = ANY(%s) AND h.answered_at IS NOT NULL
"""

chosen = random.Random(27)


@dataclass(frozen=True, slots=True)
class Sent:
    """One gift: its donor's address, and when it was sent and known to be stored (seconds since 1970)."""

    email: str
    sent_at: float
    stored_at: float


@dataclass(frozen=True, slots=True)
class Passage:
    """One gift's milliseconds: from sending it to knowing it stored; from then to applied, letter and recorded."""

    stored: float
    applied: float
    letter: float
    recorded: float


def production(provider: Provider) -> dict[str, str]:
    """The variables of a system in production whose provider is this one."""
    return {
        "GROUNDSWELL_ENV": "production", "BASE_URL": "https://bench.groundswell.test", "LOG_FORMAT": "json",
        "SECRET_KEY": "of-the-benchmark-and-of-nothing-else-0123456789", "ACTBLUE_WEBHOOK_CREDENTIALS": CREDENTIALS,
        "OPERATOR_EMAIL": "operator@example.org", "SENDGRID_API_KEY": KEY, "SENDGRID_HOST": provider.url,
        "SENDGRID_WEBHOOK_PUBLIC_KEYS": provider.public_key,
    }  # fmt: skip


def beats(count: int, rate: float) -> Iterator[int]:
    """Yield at the moments of this many events, whatever the one before took."""
    began = monotonic()
    for number in range(count):
        due = began + (number + chosen.uniform(0, 2 * JITTER)) / rate
        sleep(max(0.0, due - monotonic()))
        yield number


def gift() -> tuple[str, bytes]:
    """A realistic gift of somebody who never gave before: address and body."""
    body = demo_gift.contribution(chosen, at=datetime.now(UTC))
    email = f"{uuid4().hex}@example.org"
    body["donor"]["email"] = email
    return email, json.dumps(body).encode()


@contextmanager
def posting(port: int) -> Iterator[Callable[[], Future[Sent]]]:
    """A function that posts a gift over a few kept-alive connections; a slow answer does not hold up the next."""
    headers = urllib3.make_headers(basic_auth=CREDENTIALS) | {"Content-Type": "application/json"}
    web = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=SENDERS, block=True, timeout=10.0, retries=False)

    def send(email: str, body: bytes) -> Sent:
        sent_at = time()
        answer = web.request("POST", "/webhooks/actblue", body=body, headers=headers)
        stored_at = time()
        if answer.status != 200:
            raise Failed(f"answered {answer.status} instead of 200")
        return Sent(email, sent_at, stored_at)

    with web, ThreadPoolExecutor(SENDERS) as hands:
        web.request("GET", "/healthz")  # the first connection stands before the first gift
        yield lambda: hands.submit(send, *gift())


def post(port: int, count: int, rate: float) -> list[Sent]:
    """Post so many gifts."""
    with posting(port) as send:
        posts = [send() for _ in beats(count, rate)]
        return [each.result() for each in posts]


@contextmanager
def storing(url: str) -> Iterator[Callable[[], Sent]]:
    """A function that commits one gift to the inbox with the receiver's own statement, and rings nobody."""
    with psycopg.connect(url, autocommit=True) as connection:

        def store() -> Sent:
            email, body = gift()
            sent_at = time()
            row = ([part] for part in ("actblue", sha256(body).hexdigest(), "", bell.INTAKE, body))
            connection.execute(inbox.RECEIVE, list(row))
            return Sent(email, sent_at, time())

        yield store


def passages(url: str, provider: Provider, sent: Sequence[Sent], patience: float = 30.0) -> list[Passage]:
    """Wait until all of these are through, for `patience` seconds, then look up when each was where.

    Raises Failed unless each has one letter.
    """
    emails = [each.email for each in sent]
    deadline = monotonic() + patience
    with psycopg.connect(url, autocommit=True) as connection:
        while len(stages := connection.execute(_STAGES, [emails]).fetchall()) < len(sent):
            if monotonic() > deadline:
                raise Failed(f"{len(sent) - len(stages)} letters were not handed over in {patience:.0f} s")
            sleep(0.1)
    handed = provider.moments(emails)
    reached = {email: (applied, recorded) for email, applied, recorded in stages}
    return [
        Passage(
            stored=(each.stored_at - each.sent_at) * 1000,
            applied=(reached[each.email][0] - each.stored_at) * 1000,
            letter=(handed[each.email] - each.stored_at) * 1000,
            recorded=(reached[each.email][1] - each.stored_at) * 1000,
        )
        for each in sent
    ]
