"""Campaigns as files, YAML or JSON (which is YAML, too): one in each, as `campaigns` shows. Pure but for opening them.

Read strictly, and everything that is wrong is told with its line and its field.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from engine import documents
from engine.documents import Document, Exact, Fault
from engine.outreach import campaigns
from engine.outreach.campaigns import Draft
from engine.segments import files, rules

_NAMED = "is no short name: small letters, digits, hyphens and underscores"
_SAYS = files.SAYS | {"dict_type": "must be written as names and their values"}
_PATTERNS = files.PATTERNS | {
    "segment": _NAMED,
    "gathering": "is no code: letters, digits, hyphens and underscores",
    "name": "holds signs that cannot be printed",
    "urgent": "holds signs that cannot be printed",
}


@dataclass(slots=True)
class Told:
    """A file, read: its campaign, or what is wrong. `document`: where everything stands."""

    document: Document
    draft: Draft | None = None
    faults: list[Fault] = field(default_factory=list)


def read(path: Path) -> Told:
    """Read a file. Raises Invalid when it is too large or no UTF-8, OSError."""
    return read_text(documents.written(path, "campaign"))


def read_text(words: str) -> Told:
    """The same from what the file says."""
    return read_document(documents.read(words, Exact))


def read_document(document: Document) -> Told:
    """The same from what was read already, in whatever language it was written."""
    found, faults = files.whole(
        document, "`slug: …` and `name: …`", campaigns.read, _place,
        too_much=lambda _: ("rule",), says=_SAYS, patterns=_PATTERNS,
    )  # fmt: skip
    return Told(document, found, faults)


def written(draft: Draft, zone: ZoneInfo) -> str:
    """A file that says this campaign; read again, it says the same. `zone`: its chapter's, in which its times are told."""
    said = campaigns.said(draft)
    if draft.starts_at is not None:
        said["starts_at"] = draft.starts_at.astimezone(zone).isoformat()
    if isinstance(draft.deadline, datetime):
        over = draft.deadline.astimezone(zone)
        begins = over == datetime.combine(over.date(), time(), zone)
        said["deadline"] = over.date() if begins else over.isoformat()
    return documents.write({name: files.plain(value) if name == "rule" else value for name, value in said.items()})


def _place(at: Sequence[str | int]) -> list[str | int]:
    """Where something is wrong, as the writer sees it."""
    if at[:1] == ("rule",):
        return ["rule", *rules.place(tuple(at[1:]))]
    return [step for step in at[:2] if step not in ("date", "datetime")]
