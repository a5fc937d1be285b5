"""What one look comes to: how it stands, what was looked at, what was seen, what to do."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check`: what was looked at. `seen`: what there was to see. `advice`: what to do, "" when nothing is. In none of them
    is a secret, or a person."""

    level: Level
    check: str
    seen: str
    advice: str = ""


def ok(check: str, seen: str) -> Finding:
    """As it should be."""
    return Finding("ok", check, seen)


def warning(check: str, seen: str, advice: str) -> Finding:
    """It works, and a person should look at it."""
    return Finding("warning", check, seen, advice)


def wrong(check: str, seen: str, advice: str) -> Finding:
    """Something does not work, or will be lost."""
    return Finding("wrong", check, seen, advice)


def span(seconds: float) -> str:
    """So long, in words: the largest unit of which there are at least two."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def size(number: float) -> str:
    """So many bytes, in words."""
    for unit, name in ((1024**3, "GB"), (1024**2, "MB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number / 1024:.0f} KB"
