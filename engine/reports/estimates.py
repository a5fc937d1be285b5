"""What a part of the people tells of all of them: a number, and its margin with a certainty of 95 in 100. Pure."""

from dataclasses import dataclass
from math import ceil, sqrt

CERTAIN = 1.96  # standard errors to each side: 95 of 100


@dataclass(frozen=True, slots=True)
class Estimate:
    """`seen`: of how many among those who were looked at; `number`: of how many that is among all; `margin`: to each side of
    it, 0 when all were looked at."""

    seen: int
    number: int
    margin: int

    @property
    def least(self) -> int:
        """What it hardly is less than: never fewer than were seen."""
        return max(self.seen, self.number - self.margin)

    @property
    def most(self) -> int:
        """What it hardly is more than."""
        return self.number + self.margin


@dataclass(frozen=True, slots=True)
class Sample:
    """How many people were looked at, of how many."""

    looked_at: int
    people: int

    @property
    def part(self) -> float:
        """Which part of all of them that is."""
        return self.looked_at / self.people if self.people else 1.0

    def of(self, seen: int, squares: int | None = None) -> Estimate:
        """What `seen` (letters, or people) in the sample says of all. `squares`: the sum of the squares of each person's
        number; none: nobody has more than one."""
        if self.looked_at >= self.people:
            return Estimate(seen, seen, 0)
        mean = seen / self.looked_at
        spread = max(0.0, (seen if squares is None else squares) / self.looked_at - mean * mean)
        missing = (self.people - self.looked_at) / max(1, self.people - 1)  # who is looked at without being put back
        error = sqrt(spread / self.looked_at * missing)
        return Estimate(seen, round(mean * self.people), ceil(CERTAIN * error * self.people))
