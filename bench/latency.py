"""`python -m bench latency`: from the moment a webhook is answered 200 to its letter at the provider.

Three contestants take turns on one machine, each event with an address of its own, evenly spaced with a little jitter
(else they would fall in step with the pulse):

- **ours**: a whole system in production's settings, otherwise idle, gifts posted over kept-alive HTTP, letters handed over to
  a stand-in of SendGrid. From 200 to the letter.
- **floor**: the same work with nobody to wait for. One process calls the engine's own functions one after the other
  (claim, apply, claim the letter, hand it over, record the answer: four commits and one request) on a database of its
  own in the same Postgres; no webhook, bells, queues, other processes or log lines. From the commit of the inbox row on.
- **pulse only**: rows put straight into the running system's inbox, so that no bell rings for them and the pulse has
  to find them. From that commit on. What it takes longer than ours is what the bells save.

The letter's moment is when its request was whole at the provider. Applied and recorded are clocks of Postgres, read after all
is done: nothing is polled while events are under way. Each of the three rounds has servers and a system of its own. How long
`up --demo` takes to start is measured on a fresh folder (first start), and once more on the same (second start).

Then `bench/meanwhile.py`: gifts while a large campaign is handed over, and the provider tells of each of its letters.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import median

import psycopg
import structlog
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import make_url

from bench import gifts, meanwhile, provider, report, running
from bench.gifts import Passage, Sent
from bench.meanwhile import Busy
from bench.provider import Provider
from bench.report import Spread
from engine import bell, demo_organisation, inbox, migrate
from engine.adapters.sendgrid_mail import SendgridMail
from engine.bootstrap import Deps, build
from engine.db import driver_url, make_pool, make_sessions, transaction
from engine.settings import Settings
from workers import delivery, intake

EVENTS, RATE, LETTERS = 200, 5.0, 1_000_000
BUSY_RATE = 1.0  # gifts a second while the campaign leaves
COMPARED = 2  # ours has this many times the events of each of the others
P50_MS, P95_MS, BUSY_P95_MS, FIRST_SECONDS, SECOND_SECONDS = 150, 500, 2000, 15, 6  # what we aim at
OURS, FLOOR, PULSE = "ours", "floor", "pulse only"
FLOOR_DATABASE = "bench_floor"


@dataclass(slots=True)
class Round:
    """What one round measured: seconds of each start, milliseconds of the very first gift, passages by contestant."""

    number: int
    first_start: float
    second_start: float
    first_gift: float = 0.0
    passages: dict[str, list[Passage]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _House:
    """A whole system, what it stands on, and its provider."""

    servers: running.Servers
    system: running.System
    provider: Provider


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
    parser.add_argument("--letters", type=int, default=LETTERS, metavar="N", help="of the campaign; 0: none")
    asked = parser.parse_args(arguments)
    if asked.events < report.ROUNDS or asked.rate <= 0:
        parser.error(f"at least {report.ROUNDS} events, and a rate above 0")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # the floor is silent
    busy, measured = report.busy(), None
    rounds = []
    for number in range(report.ROUNDS):
        mine = asked.events // report.ROUNDS + (number < asked.events % report.ROUNDS)
        report.progress(f"round {number + 1} of {report.ROUNDS}: starting")
        rounds.append(Round(number, *_starts()))
        with _house() as house:
            _measure(house, rounds[-1], mine, asked.rate)
            if number == report.ROUNDS - 1 and asked.letters:
                measured = meanwhile.measure(house.servers, house.system, house.provider, asked.letters, BUSY_RATE)
    _tell(rounds, measured, asked.events, asked.rate, busy)


@contextmanager
def _house() -> Iterator[_House]:
    with (
        running.folder() as home,
        provider.started() as stand_in,
        running.servers(home, running.AS_COMPOSE) as servers,
        running.system(home, gifts.production(stand_in) | servers.addresses) as started,
    ):
        stand_in.events_to(f"http://127.0.0.1:{started.port}/webhooks/sendgrid")
        yield _House(servers, started, stand_in)


def _measure(house: _House, measured: Round, events: int, rate: float) -> None:
    report.progress(f"  ready in {house.system.ready_seconds:.1f} s; preparing")
    contestants = _contestants(house)
    measured.first_gift = contestants[OURS](1, rate)[0].letter
    contestants[FLOOR](1, rate)
    for name in report.turns(list(contestants), measured.number):
        count = events if name == OURS else max(1, events // COMPARED)
        report.progress(f"  {name}: {count} events at {rate:g}/s")
        measured.passages[name] = contestants[name](count, rate)


def _starts() -> tuple[float, float]:
    """What `up --demo` takes to start: on a fresh folder, and on one that is there."""
    with running.folder() as home:
        seconds = []
        for _ in range(2):
            with running.system(home) as started:
                seconds.append(started.ready_seconds)
    return seconds[0], seconds[1]


def _contestants(house: _House) -> Mapping[str, Callable[[int, float], list[Passage]]]:
    """Each as a function of how many events at what rate."""
    shipped = driver_url(house.servers.places.database_url)
    direct, url = _direct(house)

    def ours(count: int, rate: float) -> list[Passage]:
        return gifts.passages(shipped, house.provider, gifts.post(house.system.port, count, rate))

    def floor(count: int, rate: float) -> list[Passage]:
        with gifts.storing(url) as store:
            return gifts.passages(url, house.provider, [_walk(direct, store()) for _ in gifts.beats(count, rate)])

    def pulse_only(count: int, rate: float) -> list[Passage]:
        with gifts.storing(shipped) as store:
            return gifts.passages(shipped, house.provider, [store() for _ in gifts.beats(count, rate)])

    return {OURS: ours, FLOOR: floor, PULSE: pulse_only}


def _direct(house: _House) -> tuple[Deps, str]:
    """The floor's house: a database beside the system's own, bells that nobody hears; and that database's address."""
    servers = house.servers
    shipped = driver_url(servers.places.database_url)
    with psycopg.connect(shipped, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(FLOOR_DATABASE)))
    url = make_url(shipped).set(database=FLOOR_DATABASE).render_as_string(hide_password=False)
    pool = make_pool(url, size=1)
    migrate.upgrade(pool)
    with transaction(make_sessions(pool)) as session:
        demo_organisation.load(session)
    pool.dispose()
    settings = Settings(
        data_dir=servers.places.data_dir, database_url=SecretStr(url), redis_url=SecretStr(servers.places.redis_url)
    )
    return replace(build(settings), mailer=SendgridMail(gifts.KEY, house.provider.url), bells=_Silent()), url


def _walk(deps: Deps, sent: Sent) -> Sent:
    """All that follows a stored gift, without a pause."""
    claimed = inbox.claim(deps.sessions, bell.INTAKE)
    assert claimed is not None
    with claimed:
        intake.apply(deps, claimed)
    delivery.hand_over(deps, bell.RECEIPTS)
    return sent


def _tell(rounds: Sequence[Round], campaign: Busy | None, events: int, rate: float, busy: float) -> None:
    """Two tables, what a campaign changes, and the line of JSON."""

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
    if campaign is not None:
        figures |= _tell_campaign(campaign)
    figures["first_gift_ms"] = round(median(one.first_gift for one in rounds), 1)
    report.close("latency", ratios, figures)


def _tell_campaign(campaign: Busy) -> Mapping[str, object]:
    """What it changed, in a line and as figures."""
    during = [each.letter for each in (*campaign.during_campaign, *campaign.during_events)]
    p50, p95 = (report.percentile(during, percent) for percent in (50, 95))
    print(
        f"during a campaign of {campaign.letters:,}, handed over in {campaign.campaign_seconds:.0f} s, all its events after"
        f" {campaign.events_seconds:.0f} s: p50 {p50:.0f} ms, p95 {_kept(p95, BUSY_P95_MS, 'ms')}; {campaign.line()};"
        f" its worker held {campaign.worker_mb:.0f} MB"
    )
    return {
        "campaign_letters": campaign.letters, "campaign_s": round(campaign.campaign_seconds),
        "campaign_events_s": round(campaign.events_seconds), "campaign_worker_mb": round(campaign.worker_mb),
        "campaign_p50_ms": round(p50, 1), "campaign_p95_ms": round(p95, 1),
    }  # fmt: skip


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
