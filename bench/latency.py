"""`python -m bench latency`: from the moment a webhook is answered 200 to its letter in the mailbox.

Three contestants take turns on one machine, each event with an address of its own, evenly spaced with a little jitter
(else they would fall in step with the pulse):

- **ours**: a real `groundswell up --demo`, otherwise idle, gifts posted over kept-alive HTTP. From 200 to the letter.
- **floor**: the same work with nobody to wait for. One process calls the engine's own functions one after the other
  (claim, apply, claim the letter, append it, record the answer: four commits and one fsynced append) on a database of its
  own in the same Postgres; no HTTP, bells, queues, other processes or log lines. From the commit of the inbox row on.
- **pulse only**: rows put straight into the running system's inbox, so that no bell rings for them and the pulse has
  to find them. From that commit on. What it takes longer than ours is what the bells save.

The letter's moment is the `at` of its line in the mailbox file, written just before the append. Applied and recorded are
clocks of Postgres, read after all is done: nothing is polled while events are under way. Each of the three rounds has a
system of its own, started on a fresh folder (first start), ended, and started again (second start) to be measured.
"""

import argparse
import json
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import monotonic, sleep, time
from uuid import uuid4

import psycopg
import structlog
import urllib3
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import make_url

from bench import report, running
from bench.report import Failed, Spread
from engine import bell, demo_gift, demo_organisation, inbox, migrate
from engine.adapters.mailbox import Mailbox
from engine.bootstrap import Deps, build
from engine.db import driver_url, make_pool, make_sessions, transaction
from engine.settings import DEVELOPMENT_CREDENTIALS, Settings
from workers import delivery, intake

EVENTS, RATE = 200, 5.0
JITTER = 0.25  # of the space between two events, to either side
SENDERS = 8
PATIENCE_SECONDS = 30.0
COMPARED = 2  # ours has this many times the events of each of the others
P50_MS, P95_MS, FIRST_SECONDS, SECOND_SECONDS = 150, 500, 15, 6  # what we aim at
OURS, FLOOR, PULSE = "ours", "floor", "pulse only"
FLOOR_DATABASE = "bench_floor"

_STAGES = """
SELECT c.email, extract(epoch FROM e.finished_at)::float8, extract(epoch FROM h.answered_at)::float8
FROM contact c JOIN message m ON m.contact_id = c.id JOIN inbound_event e ON e.id = m.inbound_event_id
JOIN handover h ON h.id = m.handover_id
WHERE c.email = ANY(%s) AND h.answered_at IS NOT NULL
"""

_chosen = random.Random(27)


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


@dataclass(slots=True)
class Round:
    """What one round measured: seconds of each start, milliseconds of the very first gift, passages by contestant."""

    first_start: float
    second_start: float = 0.0
    first_gift: float = 0.0
    passages: dict[str, list[Passage]] = field(default_factory=dict)


class _Silent:
    """Bells that nobody hears."""

    def ring(self, *queues: str) -> None:
        """Nothing."""

    def reachable(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Nothing."""


def run(arguments: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench latency", description="webhook 200 to letter handed over")
    parser.add_argument("--events", type=int, default=EVENTS, metavar="N", help="gifts for ours, over all rounds")
    parser.add_argument("--rate", type=float, default=RATE, metavar="R", help="gifts a second")
    asked = parser.parse_args(arguments)
    if asked.events < report.ROUNDS or asked.rate <= 0:
        parser.error(f"at least {report.ROUNDS} events, and a rate above 0")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # the floor is silent
    busy = report.busy()
    rounds = []
    for number in range(report.ROUNDS):
        mine = asked.events // report.ROUNDS + (number < asked.events % report.ROUNDS)
        rounds.append(_round(number, mine, asked.rate))
    _tell(rounds, asked.events, asked.rate, busy)


def _round(number: int, events: int, rate: float) -> Round:
    with running.folder() as home:
        report.progress(f"round {number + 1} of {report.ROUNDS}: first start")
        with running.system(home) as started:
            measured = Round(first_start=started.ready_seconds)
        report.progress(f"  ready in {measured.first_start:.1f} s; second start")
        with running.system(home) as started:
            measured.second_start = started.ready_seconds
            report.progress(f"  ready in {measured.second_start:.1f} s; preparing")
            contestants = _contestants(started, home)
            measured.first_gift = contestants[OURS](1, rate)[0].letter
            contestants[FLOOR](1, rate)
            for name in report.turns(list(contestants), number):
                count = events if name == OURS else max(1, events // COMPARED)
                report.progress(f"  {name}: {count} events at {rate:g}/s")
                measured.passages[name] = contestants[name](count, rate)
    return measured


def _contestants(started: running.System, home: Path) -> Mapping[str, Callable[[int, float], list[Passage]]]:
    """Each as a function of how many events at what rate."""
    shipped = started.settings
    direct = _direct(shipped, home / "floor")

    def ours(count: int, rate: float) -> list[Passage]:
        return _passages(shipped, _post(started.port, count, rate))

    def floor(count: int, rate: float) -> list[Passage]:
        with _storing(direct.settings) as store:
            return _passages(direct.settings, [_walk(direct, store()) for _ in _beats(count, rate)])

    def pulse_only(count: int, rate: float) -> list[Passage]:
        with _storing(shipped) as store:
            return _passages(shipped, [store() for _ in _beats(count, rate)])

    return {OURS: ours, FLOOR: floor, PULSE: pulse_only}


def _beats(count: int, rate: float) -> Iterator[int]:
    """Yield at the moments of this many events, whatever the one before took."""
    began = monotonic()
    for number in range(count):
        due = began + (number + _chosen.uniform(0, 2 * JITTER)) / rate
        sleep(max(0.0, due - monotonic()))
        yield number


def _gift() -> tuple[str, bytes]:
    """A realistic gift of somebody who never gave before: address and body."""
    body = demo_gift.contribution(_chosen, at=datetime.now(UTC))
    email = f"{uuid4().hex}@example.org"
    body["donor"]["email"] = email
    return email, json.dumps(body).encode()


def _post(port: int, count: int, rate: float) -> list[Sent]:
    """Post gifts over a few kept-alive connections; a slow answer does not hold up the next."""
    headers = urllib3.make_headers(basic_auth=DEVELOPMENT_CREDENTIALS) | {"Content-Type": "application/json"}
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
        posts = [hands.submit(send, *_gift()) for _ in _beats(count, rate)]
        return [post.result() for post in posts]


@contextmanager
def _storing(settings: Settings) -> Iterator[Callable[[], Sent]]:
    """A function that commits one gift to the inbox with the receiver's own statement, and rings nobody."""
    with psycopg.connect(_url(settings), autocommit=True) as connection:

        def store() -> Sent:
            email, body = _gift()
            sent_at = time()
            row = ([part] for part in ("actblue", sha256(body).hexdigest(), "", bell.INTAKE, body))
            connection.execute(inbox.RECEIVE, list(row))
            return Sent(email, sent_at, time())

        yield store


def _direct(shipped: Settings, folder: Path) -> Deps:
    """The floor's house: a database beside the system's own, a mailbox of its own, bells that nobody hears."""
    with psycopg.connect(_url(shipped), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(FLOOR_DATABASE)))
    url = make_url(_url(shipped)).set(database=FLOOR_DATABASE).render_as_string(hide_password=False)
    pool = make_pool(url, size=1)
    migrate.upgrade(pool)
    with transaction(make_sessions(pool)) as session:
        demo_organisation.load(session)
    pool.dispose()
    settings = Settings(data_dir=folder, database_url=SecretStr(url), redis_url=shipped.redis_url)
    return replace(build(settings), bells=_Silent())


def _walk(deps: Deps, sent: Sent) -> Sent:
    """All that follows a stored gift, without a pause."""
    claimed = inbox.claim(deps.sessions, bell.INTAKE)
    assert claimed is not None
    with claimed:
        intake.apply(deps, claimed)
    delivery.hand_over(deps, bell.RECEIPTS)
    return sent


def _passages(settings: Settings, sent: Sequence[Sent]) -> list[Passage]:
    """Wait until all of these are through, then look up when each was where. Raises Failed unless each has one letter."""
    emails = [gift.email for gift in sent]
    deadline = monotonic() + PATIENCE_SECONDS
    with psycopg.connect(_url(settings), autocommit=True) as connection:
        while len(stages := connection.execute(_STAGES, [emails]).fetchall()) < len(sent):
            if monotonic() > deadline:
                raise Failed(f"{len(sent) - len(stages)} letters were not handed over in {PATIENCE_SECONDS:.0f} s")
            sleep(0.1)
    kept = [(letter.letter["to_email"], letter.at) for letter in Mailbox(settings.mailbox_file).letters()]
    times = Counter(email for email, _ in kept)
    if wrong := [email for email in emails if times[email] != 1]:
        raise Failed(f"{len(wrong)} gifts without exactly one letter")
    handed = {email: datetime.fromisoformat(at).timestamp() for email, at in kept}
    reached = {email: (applied, recorded) for email, applied, recorded in stages}
    return [
        Passage(
            stored=(gift.stored_at - gift.sent_at) * 1000,
            applied=(reached[gift.email][0] - gift.stored_at) * 1000,
            letter=(handed[gift.email] - gift.stored_at) * 1000,
            recorded=(reached[gift.email][1] - gift.stored_at) * 1000,
        )
        for gift in sent
    ]


def _url(settings: Settings) -> str:
    assert settings.database_url is not None
    return driver_url(settings.database_url.get_secret_value())


def _tell(rounds: Sequence[Round], events: int, rate: float, busy: float) -> None:
    """Two tables and the line of JSON."""

    def spread(name: str, stage: str) -> Spread:
        return Spread([[getattr(passage, stage) for passage in one.passages[name]] for one in rounds])

    shown = [
        ("ours: post to 200", spread(OURS, "stored")),
        ("ours: 200 to applied", spread(OURS, "applied")),
        ("ours: 200 to letter", spread(OURS, "letter")),
        ("ours: 200 to answer recorded", spread(OURS, "recorded")),
        ("floor: stored to applied", spread(FLOOR, "applied")),
        ("floor: stored to letter", spread(FLOOR, "letter")),
        ("pulse only: stored to letter", spread(PULSE, "letter")),
    ]
    ours, floor, pulse = (spread(name, "letter") for name in (OURS, FLOOR, PULSE))
    p50, p95 = ours.percentile(50), ours.percentile(95)
    _tell_tables(rounds, shown, f"{events} gifts at {rate:g}/s; load for each core before: {busy}")
    print(f"200 to letter: p50 {_kept(p50, P50_MS, 'ms')}, p95 {_kept(p95, P95_MS, 'ms')}")
    ratios = {
        "ours_p50_to_floor_p50": report.ratio(ours, floor),
        "pulse_only_p50_to_ours_p50": report.ratio(pulse, ours),
    }
    figures: dict[str, object] = {"events": events, "rate": rate, "load_per_core_before": busy}
    for name, measured in shown:
        key = name.replace(":", "").replace(" ", "_")
        figures |= {f"{key}_{word}_ms": round(measured.percentile(n), 1) for word, n in _PERCENTILES.items()}
    for name in ("first_start", "second_start"):
        figures[f"{name}_s"] = round(median(getattr(one, name) for one in rounds), 2)
    figures["first_gift_ms"] = round(median(one.first_gift for one in rounds), 1)
    report.close("latency", ratios, figures)


_PERCENTILES = {"p50": 50, "p95": 95, "max": 100}


def _tell_tables(rounds: Sequence[Round], shown: Sequence[tuple[str, Spread]], title: str) -> None:
    report.table(
        title,
        ("milliseconds", *_PERCENTILES, "p50 of each round"),
        [
            (name, *(f"{s.percentile(n):.1f}" for n in _PERCENTILES.values()), "  ".join(f"{p:.1f}" for p in s.p50s))
            for name, s in shown
        ],
    )
    firsts, seconds = [one.first_start for one in rounds], [one.second_start for one in rounds]
    starts = [
        ("up --demo, first start (s)", _kept(median(firsts), FIRST_SECONDS, "s"), firsts),
        ("up --demo, second start (s)", _kept(median(seconds), SECOND_SECONDS, "s"), seconds),
        ("first gift after a start, 200 to letter (ms)", "", [one.first_gift for one in rounds]),
    ]
    rows = [
        (name, said or f"{median(each):.1f} ms", "  ".join(f"{s:.1f}" for s in each)) for name, said, each in starts
    ]
    report.table("start-up", ("", "median", "each round"), rows)


def _kept(measured: float, aim: float, unit: str) -> str:
    return f"{measured:.1f} {unit} ({'within' if measured <= aim else 'OVER'} {aim:g})"
