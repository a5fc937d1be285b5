"""`python -m bench.handing DESIGN LETTERS`: one process that hands so many letters over, and says what it took.

The designs: ours; the ceiling of rendering, JSON and POST with nothing else; one POST for each recipient. What one would
write first stands in `bench/tasks.py`: nothing that it imports is in the memory of these.
"""

import gc
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic, process_time

import psutil
import structlog
from sqlalchemy import text

from bench.audience import CAMPAIGN
from engine import bell
from engine.adapters.sendgrid_mail import SendgridMail
from engine.bootstrap import Deps, build
from engine.letters.links import Links
from engine.mail import handovers
from engine.mail.handovers import Outcome
from engine.outreach import deliver
from engine.settings import Settings
from workers import delivery
from workers.main import GROUPS

KEY = "SG.of-the-benchmark"
MOST_IDLE = 20  # turns in which nothing left
CEILING_KEPT = 20  # requests whose letters are loaded once and rendered again and again

_HANDED = text("SELECT handed FROM mailing WHERE slug = :slug")
_CLAIMED = text("""
SELECT m.handover_id, array_agg(m.id) AS ids FROM message m JOIN mailing w ON w.id = m.mailing_id
WHERE w.slug = :slug AND m.state = 'handed' GROUP BY m.handover_id ORDER BY m.handover_id DESC LIMIT :most
""")


@dataclass(slots=True)
class Taken:
    """What it took: letters, wall and CPU seconds of this process, and its resident MB at a tenth, and at the most."""

    letters: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    early_mb: float = 0.0
    most_mb: float = 0.0


class NoBells:
    """Nobody listens."""

    def ring(self, *queues: str) -> None:
        """Nothing."""

    def reachable(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Nothing."""


def ours(deps: Deps, letters: int) -> Iterator[int]:
    """The product's own turns, in as many threads as its worker has."""
    before, handed, idle, threads = _handed(deps), 0, 0, GROUPS["delivery"].threads
    with ThreadPoolExecutor(threads) as pool:
        turns = [pool.submit(delivery.hand_over, deps, bell.DELIVERY) for _ in range(threads)]
        while handed < letters:
            done, _ = wait(turns, return_when=FIRST_COMPLETED)
            for turn in done:
                turn.result()
                turns[turns.index(turn)] = pool.submit(delivery.hand_over, deps, bell.DELIVERY)
            new = _handed(deps) - before - handed
            idle = 0 if new else idle + 1  # the other thread's claim may be counted already
            assert idle < MOST_IDLE, "nothing leaves any more"
            if new:
                yield new
            handed += new
    yield _handed(deps) - before - handed  # the last turns of all threads


def _handed(deps: Deps) -> int:
    with deps.work() as (session, _):
        return session.scalar(_HANDED, {"slug": CAMPAIGN}) or 0


def ceiling(deps: Deps, letters: int) -> Iterator[int]:
    """Rendering, JSON and POST of letters that were loaded before; nothing is asked of Postgres, nothing is written."""
    mailer = delivery.mailer_of(deps)
    with deps.work() as (session, now):
        links = Links(deps.signer, deps.settings.base_url, now)
        found = session.execute(_CLAIMED, {"slug": CAMPAIGN, "most": CEILING_KEPT}).all()
        parcels = [deliver.load(session, {row.handover_id: row.ids}, links, "UTC")[0] for row in found]
    yield 0
    handed = 0
    while handed < letters:
        for parcel in parcels:
            made = deliver.request(parcel, links, mailer.most_substitution_bytes)
            answer = mailer.hand_over(parcel.handover_id, made.sheet, made.copies, before=lambda: True)
            assert answer is not None
            assert answer.outcome == "accepted"
            yield len(made.copies)
            handed += len(made.copies)


def one_each(deps: Deps, letters: int) -> Iterator[int]:
    """Claimed by the thousand as ours, but a whole letter and a request of its own for each."""
    mailer = delivery.mailer_of(deps)
    handed = 0
    while handed < letters:
        batch = delivery.claim(deps, bell.DELIVERY)
        for parcel in batch.parcels:
            for reader in parcel.readers:
                alone = deliver.request(replace(parcel, readers=[reader]), batch.links, mailer.most_substitution_bytes)
                mailer.hand_over(parcel.handover_id, alone.sheet, alone.copies, before=lambda: True)
            with deps.work() as (session, now):
                handovers.record(session, [Outcome(parcel.handover_id, "accepted", "one each")], now)
            yield len(parcel.readers)
            handed += len(parcel.readers)


DESIGNS: Mapping[str, Callable[[Deps, int], Iterator[int]]] = {
    "ours": ours, "ceiling": ceiling, "one_each": one_each,
}  # fmt: skip


def most_mb() -> float:
    """The most that this process ever held (ru_maxrss would count what its parent held when it began)."""
    told = Path("/proc/self/status").read_text("ascii")
    return int(told.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def main(design: Callable[[Deps, int], Iterator[int]], letters: int) -> Taken:
    """Hand over, and measure from the first letter on."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    settings = Settings()
    mailer = SendgridMail(KEY, settings.sendgrid_host)
    careful = settings.model_copy(update={"env": "production"})
    deps = replace(build(settings), settings=careful, mailer=mailer, bells=NoBells())
    own, taken = psutil.Process(), Taken()
    gc.freeze()  # as a worker does
    began, cpu = monotonic(), process_time()
    for handed in design(deps, letters):
        if handed == 0 and not taken.letters:  # it was only made ready
            began, cpu = monotonic(), process_time()
        taken.letters += handed
        if not taken.early_mb and taken.letters >= letters / 10:
            taken.early_mb = own.memory_info().rss / 1e6
    taken.seconds, taken.cpu = monotonic() - began, process_time() - cpu
    taken.most_mb = most_mb()
    return taken


if __name__ == "__main__":
    print(json.dumps(asdict(main(DESIGNS[sys.argv[1]], int(sys.argv[2])))))
