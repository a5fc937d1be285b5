"""Invented people of a torture run, by numbers: who is prepared, who gives, who joins. Nobody's address is anybody else's."""

import random
from dataclasses import dataclass

AUDIENCE = 3_000  # prepared contacts, whom the campaigns write to
# Places of the invented organisation: ZIP, and the chapter whose territory it is.
PLACES = (
    ("01604", "worcester"), ("01605", "worcester"), ("01103", "springfield"), ("01060", "pioneer-valley"),
    ("01201", "berkshires"), ("01850", "lowell"), ("01840", "merrimack-valley"), ("01970", "north-shore"),
    ("02139", "cambridge-somerville"), ("01701", "metrowest"), ("02169", "south-shore"), ("02301", "brockton"),
    ("02740", "south-coast"),
)  # fmt: skip
CHAPTERS = dict(PLACES)
CANARY = "zqx"  # begins a word that stands nowhere else; then 16 hexadecimal digits
CARD = "4242424242424242"


@dataclass(frozen=True, slots=True)
class Someone:
    """A person as she tells of herself."""

    email: str
    first_name: str
    last_name: str
    zip: str

    @property
    def chapter(self) -> str:
        """The chapter near her."""
        return CHAPTERS[self.zip]


def place(number: int) -> str:
    """The ZIP of the person of this number."""
    return PLACES[number % len(PLACES)][0]


def reader(number: int) -> Someone:
    """One of the prepared audience."""
    return Someone(f"reader{number}@readers.example.org", "Rosa", f"Delgado {number}", place(number))


def giver(number: int) -> Someone:
    """Somebody who was nobody before she gave."""
    return Someone(f"giver{number}@givers.example.org", "Hannah", f"Lindqvist {number}", place(number))


def joiner(number: int) -> Someone:
    """Somebody who signs up."""
    return Someone(f"joiner{number}@joiners.example.org", "Ines", f"Okafor {number}", place(number))


def canary(chance: random.Random) -> str:
    """A word that nobody else has."""
    return f"{CANARY}{chance.getrandbits(64):016x}"


def forgotten(word: str, number: int) -> Someone:
    """Somebody who will be erased: her words are all this canary."""
    return Someone(f"{word}@joiners.example.org", word, word, place(number))
