"""What a gift's letter takes while a campaign of a million is handed over, and its provider tells what became of each letter.

A system in production's settings, on a Postgres as compose.yaml has it. Gifts are posted at a steady rate from before the
campaign begins until its last letter is with the provider and the provider has told of all of them (two events a letter).
"""

from dataclasses import dataclass
from time import monotonic, sleep

from bench import audience, gifts, running
from bench.gifts import Passage
from bench.provider import Provider
from bench.report import Failed, percentile, progress
from engine.db import driver_url

MOST_SECONDS = 2400.0
LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Busy:
    """Gifts by what went on meanwhile; how long the campaign's letters and their events took (s), and the largest that its
    worker was (MB)."""

    letters: int
    during_campaign: list[Passage]
    during_events: list[Passage]
    campaign_seconds: float
    events_seconds: float
    worker_mb: float

    def line(self) -> str:
        """In a sentence."""
        said = []
        for name, found in (("the campaign leaves", self.during_campaign), ("events come in", self.during_events)):
            if found:
                p50, p95 = (percentile([each.letter for each in found], n) for n in (50, 95))
                said.append(f"while {name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms ({len(found)} gifts)")
        return "; ".join(said)


def measure(found: running.Servers, system: running.System, provider: Provider, people: int, rate: float) -> Busy:
    """Let this many letters leave. Raises Failed when they do not within MOST_SECONDS."""
    url = driver_url(found.places.database_url)
    progress(f"making {people:,} people with gifts and older letters")
    audience.make(found.places.database_url, people)
    before = provider.told()
    sent, largest, times = [], 0.0, [monotonic()]
    with gifts.posting(system.port) as send:
        audience.ready(found.places.database_url, people)
        times[0] = monotonic()
        progress("the campaign leaves")
        goals = [("letters", before["letters"] + people), ("events", before["events"] + 2 * people)]
        places = [0]
        while goals:
            sent += [send() for _ in gifts.beats(max(1, int(LOOK_SECONDS * rate)), rate)]
            largest = max(largest, system.resident_mb("delivery"))
            told = provider.told()
            if told[goals[0][0]] >= goals[0][1]:
                times.append(monotonic())
                places.append(len(sent))
                progress(f"  all {goals.pop(0)[0]} after {times[-1] - times[0]:.0f} s")
            if monotonic() - times[0] > MOST_SECONDS:
                raise Failed(f"it took too long: {told['letters']:,} letters and {told['events']:,} events until then")
        done = [each.result() for each in sent]
    sleep(1.0)
    through = gifts.passages(url, provider, done, patience=120.0)
    return Busy(
        people, through[: places[1]], through[places[1] : places[2]], times[1] - times[0], times[2] - times[0], largest
    )
