"""`dramatiq workers.main:setup`: the broker, the actors and their groups.

ACTORS says what answers each bell; GROUPS which bells one process group listens to. Importing this touches nothing.
"""

import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass

import dramatiq
from dramatiq.middleware import TimeLimit

from engine import bell, metrics
from engine.bootstrap import Deps, build_broker, start
from engine.settings import Settings
from workers import delivery, intake, outreach, upkeep
from workers.middleware import Jobs
from workers.pulse import SCHEDULE

LONGEST_JOB_MS = 120_000

ACTORS: dict[str, Callable[[Deps], None]] = {
    bell.INTAKE: lambda deps: intake.drain(deps, bell.INTAKE),
    bell.FEEDBACK: lambda deps: intake.drain(deps, bell.FEEDBACK),
    bell.RECEIPTS: lambda deps: delivery.hand_over(deps, bell.RECEIPTS),
    bell.DELIVERY: lambda deps: delivery.hand_over(deps, bell.DELIVERY),
    bell.OUTREACH: outreach.work,
    bell.UPKEEP: lambda deps: upkeep.run(deps, SCHEDULE),
}


@dataclass(frozen=True, slots=True)
class Group:
    """One process group: its bells, threads, and how long (ms) it may take to notice one while idle."""

    queues: tuple[str, ...]
    threads: int
    notice_ms: int
    mails: bool = False  # needs a mail provider to start at all


GROUPS: dict[str, Group] = {
    "intake": Group((bell.INTAKE,), threads=2, notice_ms=25),
    "feedback": Group((bell.FEEDBACK,), threads=2, notice_ms=250),
    "receipts": Group((bell.RECEIPTS,), threads=2, notice_ms=25, mails=True),
    "delivery": Group((bell.DELIVERY,), threads=2, notice_ms=250, mails=True),
    "outreach": Group((bell.OUTREACH, bell.UPKEEP), threads=2, notice_ms=250),
}


def setup() -> None:
    """Make this process a worker of the group named by GROUNDSWELL_WORKER_GROUP. Called in each process after its fork."""
    group = Settings().worker_group
    deps = start(f"worker-{group}")
    if GROUPS[group].mails:
        delivery.mailer_of(deps)
    broker = build_broker(deps.settings, [TimeLimit(time_limit=LONGEST_JOB_MS), Jobs()])
    declare(broker, deps)
    dramatiq.set_broker(broker)
    gc.freeze()  # what is here now stays: collecting need not look at it


def serve_numbers() -> None:
    """The numbers of all processes of this group, from a process of its own: Dramatiq forks it beside the workers."""
    deps = start("numbers")
    metrics.serve(deps.settings.metrics_host, deps.settings.metrics_port)
    threading.Event().wait()


def declare(broker: dramatiq.Broker, deps: Deps) -> None:
    """Hang an actor on every bell."""
    for queue, act in ACTORS.items():
        dramatiq.actor(actor_name=queue, queue_name=queue, broker=broker)(_answer(act, deps))


def _answer(act: Callable[[Deps], None], deps: Deps) -> Callable[[], None]:
    return lambda: act(deps)
