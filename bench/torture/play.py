"""One run: a world stands, load comes, the nemesis goes through its timeline, all is healed; then everything is counted."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import psycopg

from bench import running
from bench.report import progress
from bench.torture import invariants, nemesis, stage
from bench.torture.invariants import Verdict
from bench.torture.journal import Answered, Journal
from bench.torture.load import Load
from bench.torture.nemesis import Happened, Nemesis, Planned
from bench.torture.stage import Lack, Stage
from bench.torture.watch import Watch

REST_SECONDS = 120.0  # from the last healing until all that can be done is done

# What still has something to do by itself: due now, or taken by a process that has not answered.
_UNDONE = """
SELECT (SELECT count(*) FROM inbound_event WHERE state = 'pending')
    + (SELECT count(*) FROM handover WHERE state = 'submitting')
    + (SELECT count(*) FROM message WHERE state = 'ready' AND due_at <= now())
"""


@dataclass(slots=True)
class Order:
    """What a run is to be."""

    seed: int
    minutes: float
    rate: float
    planned: Sequence[Planned]
    lack: Lack | None = None  # a negative control: it ends as soon as it is red
    rest_seconds: float = REST_SECONDS


@dataclass(slots=True)
class Played:
    """What a run was. Times are Unix times; `well_from`: nothing went wrong any more."""

    order: Order
    began: float = 0.0
    well_from: float = 0.0
    ended: float = 0.0
    happened: Sequence[Happened] = ()
    recoveries: Sequence[float | None] = ()
    answers: Sequence[Answered] = ()
    verdicts: Sequence[Verdict] = ()
    seen: dict[str, tuple[float, Verdict]] = field(
        default_factory=dict
    )  # broken during the run: when first (Unix time)
    largest: dict[str, float] = field(default_factory=dict)
    cut_short: bool = False  # a negative control that was red before its end
    drained: bool = False
    rested: float | None = None  # seconds until nothing was left to do; None: something was
    without_database: float = 0.0  # seconds in which Postgres answered nobody
    events: int = 0
    letters: int = 0


def play(order: Order, keep: Path) -> Played:
    """Do it. What it left is copied to `keep`."""
    with running.folder() as home:
        try:
            with stage.standing(home, order.seed, order.lack) as standing:
                return _played(standing, order)
        finally:
            stage.kept(home, keep)


def _played(standing: Stage, order: Order) -> Played:
    done = Played(order, began=time())
    load = Load(standing.world, standing.house, order.seed, order.rate, standing.outside.stripe.control)
    watch = Watch(standing, _looks(done, standing))
    cruel = Nemesis(standing, order.planned, nemesis.hurting(order.minutes))
    watch.start()
    load.start()
    try:
        with _ended(cruel):
            cruel.start()
            until = monotonic() + order.minutes * 60
            cruel.wait(lambda: monotonic() > until or _shown(done))
            done.well_from = max([done.began, *(each.healed for each in cruel.happened)])
            while monotonic() < until and not _shown(done):
                sleep(0.5)
        done.happened = cruel.happened
        if order.lack and order.lack.breaks and not _shown(done):
            _looks(done, standing)()  # once more: on a busy machine looks are rare
        if _shown(done):
            done.cut_short, done.ended = True, time()
            done.recoveries = [watch.recovered(each.healed, done.ended) for each in done.happened]
            return done
        progress("the load ends; what is left is done")
        done.drained = load.stop()
        standing.outside.end()
        done.rested = _rest(standing, order.rest_seconds)
        done.ended = time()
    finally:
        load.kill()
        watch.stop()
    _tell(done, standing, watch)
    stage.tables(standing)
    return done


def _shown(done: Played) -> bool:
    """Whether a negative control has turned red for what it lacks."""
    lack = done.order.lack
    return lack is not None and any(name.startswith(lack.breaks) for name in list(done.seen) if lack.breaks)


def _looks(done: Played, standing: Stage) -> Callable[[], None]:
    """A look at what must hold at every moment; what is broken is noted once, with its time."""
    journal = Journal(standing.world.home)

    def look() -> None:
        with suppress(psycopg.Error):
            for verdict in invariants.red(invariants.check_now(standing.world, journal)):
                if verdict.name not in done.seen:
                    progress(f"  BROKEN: {verdict.name} ({verdict.says}): {'; '.join(verdict.examples[:2])}")
                    done.seen[verdict.name] = time(), verdict

    return look


@contextmanager
def _ended(cruel: Nemesis) -> Any:
    """Whatever happens, it hurts nobody any more."""
    try:
        yield
    finally:
        cruel.stop()


def _rest(standing: Stage, seconds: float) -> float | None:
    """Wait until nothing can be done any more; the seconds that took."""
    began = monotonic()
    while monotonic() - began < seconds:
        try:
            with standing.database() as connection:
                (left,) = connection.execute(_UNDONE).fetchone() or (1,)
        except psycopg.OperationalError:
            left = 1
        if not left:
            return monotonic() - began
        sleep(0.5)
    return None


def _tell(done: Played, standing: Stage, watch: Watch) -> None:
    """Everything that is counted."""
    journal = Journal(standing.world.home).read()
    done.answers = journal.answers()
    done.recoveries = [watch.recovered(each.healed, done.ended) for each in done.happened]
    done.largest = watch.largest
    done.events = sum(1 for _ in journal.acked())
    done.letters = len(standing.world.mail_log.read_bytes().splitlines())
    looks = [(one.at, two.at) for one, two in zip(watch.samples, watch.samples[1:], strict=False) if one.rows is None]
    done.without_database = sum(later - earlier for earlier, later in looks)
    try:
        done.verdicts = invariants.check_end(standing.world, journal)
    except psycopg.Error as error:
        done.verdicts = [Verdict("checks", "everything could be looked at", 1, (f"{type(error).__name__}: {error}",))]


def order_of(seed: int, minutes: float, rate: float) -> Order:
    """A run whose timeline is the seed's, on this machine."""
    return Order(seed, minutes, rate, nemesis.timeline(seed, minutes, nemesis.having()))
