"""What every benchmark has in common: rounds in turns, percentiles, the table, the closing line of JSON."""

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

ROUNDS = 3


class Failed(Exception):
    """What was to be measured did not work, so there is nothing to report."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One thing measured many times, in rounds. Percentiles are over all of it, by nearest rank."""

    rounds: Sequence[Sequence[float]]

    def percentile(self, percent: float) -> float:
        """The smallest value that `percent` of all values do not exceed."""
        return percentile([value for values in self.rounds for value in values], percent)

    @property
    def p50s(self) -> list[float]:
        """The middle of each round."""
        return [percentile(values, 50) for values in self.rounds]


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank: the smallest value that `percent` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def turns(contestants: Sequence[str], number: int) -> list[str]:
    """Their order in this round: each goes first once, so that none always follows the same one."""
    first = number % len(contestants)
    return [*contestants[first:], *contestants[:first]]


def ratio(of: Spread, to: Spread) -> float:
    """How many times `of` is as much as `to`: the middle of the rounds' ratios, each of two neighbours in time."""
    return round(median(a / b for a, b in zip(of.p50s, to.p50s, strict=True)), 2)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; every column but the first holds numbers."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for place, column in enumerate(columns):
        made.add_column(column, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    Console(highlight=False, width=max(120, Console().width)).print(made)


def close(bench: str, ratios: Mapping[str, float], figures: Mapping[str, object]) -> None:
    """Print the last line."""
    print(json.dumps({"bench": bench, "ratios": ratios, "figures": figures}), flush=True)


def progress(line: str) -> None:
    """Say on standard error what is being done."""
    print(line, file=sys.stderr, flush=True)


def busy() -> float:
    """How many processes wanted a core over the last minute, for each core there is. Above 1 nothing is to be believed."""
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)
