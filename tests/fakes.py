"""Stand-ins that come in through `Deps`: real objects with a memory, never patches."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from engine.errors import Unavailable
from engine.ports import Answer, Copy, Letter, Sheet, letter_of


@dataclass
class FakeClock:
    """A clock that stands until it is moved."""

    now: datetime = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)

    def read(self, session: Session) -> datetime:
        return self.now

    def skip(self, span: timedelta) -> None:
        self.now += span


@dataclass
class FakeBells:
    """Remembers what was rung."""

    rung: list[str] = field(default_factory=list)

    def ring(self, *queues: str) -> None:
        self.rung += queues

    def reachable(self) -> bool:
        return True

    def close(self) -> None:
        pass


@dataclass
class FakeLimiter:
    """Counts, and never forgets; `away` makes it like a dead Redis."""

    counts: Counter[str] = field(default_factory=Counter)
    away: bool = False

    def hit(self, key: str, most: int, span: timedelta) -> bool:
        if self.away:
            raise Unavailable("Redis does not answer")
        self.counts[key] += 1
        return self.counts[key] <= most

    def take(self, key: str, wanted: int, most: int, span: timedelta) -> int:
        taken = max(0, min(wanted, most - self.counts[key]))
        self.counts[key] += taken
        return taken

    def room(self, key: str, most: int, span: timedelta) -> int:
        return max(0, most - self.counts[key])


@dataclass
class FakeMailer:
    """A provider that takes everything and keeps it, and each request; `answer` makes it say something else."""

    call_seconds: float = 2.0
    accepted: list[tuple[int, Letter]] = field(default_factory=list)
    requests: list[tuple[Sheet, Sequence[Copy]]] = field(default_factory=list)
    answer: Callable[[int], Answer | None] = lambda _: None
    can_look_up: bool = True
    most_copies: int = 1000
    most_substitution_bytes: int = 10_000
    most_bytes: int = 20_000_000

    def hand_over(
        self, handover_id: int, sheet: Sheet, copies: Sequence[Copy], *, before: Callable[[], bool]
    ) -> Answer | None:
        if not before():
            return None
        self.requests.append((sheet, copies))
        said = self.answer(handover_id)
        if said is None or said.outcome == "accepted":
            self.accepted += ((handover_id, letter_of(sheet, copy)) for copy in copies)
        return said or Answer("accepted", provider_id=f"fake-{handover_id}")

    def find(self, handover_ids: Sequence[int]) -> Mapping[int, str] | None:
        if not self.can_look_up:
            return None
        return {taken: f"fake-{taken}" for taken, _ in self.accepted if taken in handover_ids}
