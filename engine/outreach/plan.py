"""What happens next to one person in a sequence. Pure: a definition, her place in it, facts and times come in; letters to be
written and her next place come out.
"""

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Place:
    """Where she stands: her enrollment. `step`: the key of what is next; `due_at`: when that is, or was, due."""

    contact_id: int
    step: str
    due_at: datetime
    entered_at: datetime
    waits_for: str = ""
    heard: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of her at this moment. `zone`: the IANA name of where she lives; `goal`, `leaves`: whether the goal is
    reached, the rule to leave by holds; `passes`: the keys of the steps whose `if` holds (a step without one is not in it)"""

    zone: str
    goal: bool = False
    leaves: bool = False
    passes: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for everybody in it: the moments that waits count from, and the full hours of her day in which nothing comes
    (none: it comes at any hour)."""

    deadline: datetime | None = None
    gathering: datetime | None = None
    quiet: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter to be written to her: of this step, in this variant ('': there are none). After `expires_at` it is dropped."""

    step: str
    variant: str
    due_at: datetime
    expires_at: datetime | None
    at_cap: str


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a step, for people to read: `outcome` is one word (written, skipped, held out, waited, heard, timed out,
    tagged, told, stopped), `reason` says why."""

    step: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """What follows. `step`, `due_at`, `waits_for`: her next place; in the states finished and left there is none. `tags`:
    words that she gets; `notifies`: keys of steps whose letter her chapter's leads get; `rests`: she gets no letters any more
    until she does something."""

    state: Literal["active", "finished", "left"]
    reason: str
    step: str
    due_at: datetime
    waits_for: str = ""
    letters: tuple[Letter, ...] = ()
    tags: tuple[str, ...] = ()
    notifies: tuple[str, ...] = ()
    rests: bool = False
    done: tuple[Done, ...] = ()
