"""`python -m tests.fuzz [PARSER …] [--minutes N] [--seed N]`: look for inputs that a parser does not know how to refuse.

What is found is made as small as it gets and kept in tests/corpus, which every run of the tests replays. Exits 1 when
anything was found. Without a name: all parsers, one after the other, the minutes shared among them.
"""

import argparse
import resource
import sys
from collections.abc import Sequence
from random import Random
from time import monotonic

from tests.fuzz.mutations import mutated
from tests.fuzz.parsers import PARSERS
from tests.fuzz.trying import fault, keep, samples

MOST_FOUND = 5  # different ones, of one parser
MOST_GROWTH_KB = 300_000  # of memory, by one input
SMALLER_SECONDS = 20.0


def main(arguments: Sequence[str]) -> int:
    """Fuzz; 1 when something was found."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("parser", nargs="*", choices=[*PARSERS, []], help="which; all")
    asked.add_argument("--minutes", type=float, default=1.0)
    asked.add_argument("--seed", type=int, default=None)
    given = asked.parse_args(arguments)
    names = given.parser or list(PARSERS)
    seed = given.seed if given.seed is not None else Random().randrange(2**32)
    return int(sum(fuzz(name, given.minutes * 60 / len(names), seed) for name in names) > 0)


def fuzz(name: str, seconds: float, seed: int) -> bool:
    """Try mutations of what is known, for so long. Whether anything was found."""
    random, known = Random(f"{name} {seed}"), samples(name)
    until, tried, found = monotonic() + seconds, 0, set[str]()
    while monotonic() < until and len(found) < MOST_FOUND:
        body = mutated(random, known)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wrong = fault(PARSERS[name], body)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > MOST_GROWTH_KB:
            wrong = wrong or "it took too much memory"
        tried += 1
        if wrong and alike(wrong) not in found:
            found.add(alike(wrong))
            small = smaller(name, body, wrong)
            print(f"{name}: {wrong}\n  {small[:200]!r}\n  kept as {keep(name, small)}", flush=True)
    print(f"{name}: {tried:,} tried, {len(found)} found (seed {seed})", flush=True)
    return bool(found)


def alike(wrong: str) -> str:
    """What two finds have in common when they are one: the kind of the error and its place."""
    return wrong.partition(":")[0] + wrong.rpartition(" at ")[2]


def smaller(name: str, body: bytes, wrong: str) -> bytes:
    """The smallest part of it that goes wrong in the same way."""
    until, step = monotonic() + SMALLER_SECONDS, len(body) // 2
    while step and monotonic() < until:
        place = 0
        while place < len(body) and monotonic() < until:
            less = body[:place] + body[place + step :]
            if alike(fault(PARSERS[name], less)) == alike(wrong):
                body = less
            else:
                place += step
        step //= 2
    return body


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
