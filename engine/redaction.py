"""The last line before a log: whatever looks like an address, a card, a key, a token or a secret of ours is not written down.

Nothing of ours logs such things. Libraries may, at levels or in errors that nobody foresaw.
"""

import re
from collections.abc import Iterable
from typing import TextIO

SHORTEST = 12  # of a secret that is looked for; a shorter one would be found in words
# What is tried at each character is bounded, and gives nothing back: a long line costs as much more as it is longer.
_KINDS = {
    "login": r"(?<=://)[^\s/@:]*+:[^\s/@]++(?=@)",
    "address": r"[\w.+'%-]{1,64}+@[\w-]++(?:\.[\w-]++)++",
    "key": r"\b(?:[sr]k_(?:live|test)_|whsec_)\w{4,}|\bSG\.[\w-]{4,}(?:\.[\w-]+)?",
    "credentials": r"\b(?:[Bb]asic|[Bb]earer)\s+[\w.~+/=-]{8,}",
    "token": r"\bW[\w-]{3,400}+\.[\w-]{40,}",  # one of ours: a list, in base64, and its signature
    "card": r"(?<![\w.-])\d(?:[ -]?\d){13,18}(?![\w.])",
}


class Redactor:
    """Knows the secrets of this installation, and what such things look like."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        own = sorted({re.escape(each) for each in secrets if len(each) >= SHORTEST}, key=len, reverse=True)
        kinds = ({"secret": "|".join(own)} if own else {}) | _KINDS
        self._looks = re.compile("|".join(f"(?P<{kind}>{looks})" for kind, looks in kinds.items()))

    def __call__(self, said: str) -> str:
        """The same without them: "[address]", "[card]" and so on in their place."""
        return self._looks.sub(_in_place_of, said)


class Guarded:
    """A stream that writes to another what a redactor leaves of it."""

    def __init__(self, stream: TextIO, redact: Redactor) -> None:
        self._stream, self._redact = stream, redact

    def write(self, said: str) -> int:
        """Write what may be written."""
        return self._stream.write(self._redact(said))

    def flush(self) -> None:
        """As the stream's."""
        self._stream.flush()


def _in_place_of(found: re.Match[str]) -> str:
    kind = found.lastgroup or "secret"
    return found[0] if kind == "card" and not _is_card(found[0]) else f"[{kind}]"


def _is_card(said: str) -> bool:
    """Whether the last digit proves the others, as that of a card does."""
    digits = [int(each) for each in said if each.isdigit()]
    return (
        sum(each if place % 2 == 0 else sum(divmod(each * 2, 10)) for place, each in enumerate(digits[::-1])) % 10 == 0
    )
