"""`python -m bench [name] [options]`: lists the benchmarks, or runs one."""

import signal
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from bench import (
    answers,
    apply,
    campaign,
    delivery,
    growth,
    history,
    hosts,
    imports,
    intake,
    latency,
    pages,
    people,
    restore,
    rolling,
    segments,
    steps,
    upgrade,
)
from bench.report import Failed
from bench.torture import commands as torture

BENCHES: dict[str, tuple[str, Callable[[Sequence[str]], None]]] = {
    "intake": (
        "Stripe's events committed to Postgres and answered, beside doing nothing and the obvious design",
        intake.run,
    ),
    "apply": ("pending events applied a second, beside a bare insert of the same rows", apply.run),
    "import": ("rows a second of `groundswell import actblue`, and whether its memory stays flat", imports.run),
    "people": ("a million people imported, beside raw COPY of the rows that come of it", people.run),
    "answers": (
        "POST /join for addresses of every standing: whether the time of an answer tells them apart",
        answers.run,
    ),
    "pages": (
        "GET /join and GET /give beside a page that says one word; the other pages' times and statements",
        pages.run,
    ),
    "delivery": (
        "a campaign of a million handed over, beside the ceiling, one POST each and a task each",
        delivery.run,
    ),
    "campaign": (
        "everybody enters a campaign of a million, beside one raw INSERT … SELECT of the same audience; memory",
        campaign.run,
    ),
    "segments": (
        "rules that choose people, beside the best SQL by hand and the plain one; previews by eight at once",
        segments.run,
    ),
    "steps": (
        "people of a campaign take their step, beside a bare loop that claims, inserts and updates",
        steps.run,
    ),
    "growth": (
        "the same work with ten thousand people, a hundred thousand, a million: rates, CPU, memory, bytes",
        growth.run,
    ),
    "restore": (
        "a disaster under load, a restore to a point in time, replay: nothing lost, nothing sent twice, how long it takes",
        restore.run,
    ),
    "upgrade": (
        "migrating under load while older code works, and its processes replaced one by one: nothing fails, nothing is lost",
        upgrade.run,
    ),
    "history": (
        "ten years put away by the chores that keep the house, then the hot paths beside a house without a past",
        history.run,
    ),
    "hosts": ("several machines, one of them cut off under load: who takes over, and what is lost", hosts.run),
    "rolling": (
        "every process restarted in turn under load: no request fails, nothing is lost; --rotate: every secret, too",
        rolling.run,
    ),
    "torture": ("everything under load while everything breaks: processes, servers, providers, clocks", torture.run),
    "latency": ("webhook 200 to letter handed over, on an idle system, and how long `up` takes to start", latency.run),
}


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmark with the arguments that follow; without a name, say which there are."""
    if not arguments or arguments[0].startswith("-"):
        for name, (sentence, _) in BENCHES.items():
            Console(highlight=False, soft_wrap=True).print(f"{name:12} {sentence}")
        return 0
    if arguments[0] not in BENCHES:
        print(f"no benchmark {arguments[0]}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    _, bench = BENCHES[arguments[0]]
    bench(arguments[1:])
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
