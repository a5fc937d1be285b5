"""Gifts that a webhook told and the report does not have: whoever has ActBlue's password for us can make some up.

Asked of a report that was read from its first row: of the same entities (and the same form, where the report is of one),
between its first gift and its last. Gifts that went back are in another report, and asked about by none.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row as Found
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.actblue_import.comparing import Row, masked
from engine.events import ContributionReported, RefundReported
from engine.money import dollars

AT_ONCE = 5000

_TOLD = text("""
SELECT g.id, g.source_key, g.order_number, g.paid_at, g.amount_cents, coalesce(g.donor ->> 'email', '') AS email
FROM contribution g
WHERE g.source = 'actblue' AND g.inbound_event_id IS NOT NULL AND g.paid_at BETWEEN :first AND :last
    AND (g.paid_at, g.id) > (:after, :id) AND g.entity_id = ANY(:entities) AND g.status = 'received'
    AND (CAST(:form AS text) IS NULL OR g.form_slug = :form)
ORDER BY g.paid_at, g.id LIMIT :most
""")


@dataclass(slots=True)
class Seen:
    """What a report told: eight bytes a gift, whose they are, and from when to when."""

    keys: "array[int]" = field(default_factory=lambda: array("q"))
    entities: set[int] = field(default_factory=set)
    forms: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None

    def note(self, rows: Sequence[Row]) -> None:
        """Remember the gifts of these rows; those that went back say nothing of what else there should be."""
        back = {row.line for row in rows if isinstance(row.events[0], RefundReported)}
        for row in rows:
            gift = row.events[0]
            if isinstance(gift, ContributionReported):
                self.keys.append(hash(gift.source_key))
                if row.line not in back and gift.entity_id is not None:
                    self._widen(gift, gift.entity_id)

    def _widen(self, gift: ContributionReported, entity: int) -> None:
        self.entities.add(entity)
        if len(self.forms) < 2:
            self.forms.add(gift.form_slug)
        self.first = min(self.first or gift.paid_at, gift.paid_at)
        self.last = max(self.last or gift.paid_at, gift.paid_at)


def find(session: Session, seen: Seen) -> Iterator[str]:
    """Each gift that the report should have and has not, in a line."""
    if seen.first is None or seen.last is None:
        return
    known = array("q", sorted(seen.keys))
    terms: dict[str, Any] = {
        "first": seen.first,
        "last": seen.last + timedelta(seconds=1),  # reports know whole seconds
        "entities": sorted(seen.entities),
        "form": next(iter(seen.forms)) if len(seen.forms) == 1 else None,
        "most": AT_ONCE,
    }
    after, at, more = 0, seen.first, True
    while more:
        found = session.execute(_TOLD, terms | {"after": at, "id": after}).all()
        yield from (_line(gift) for gift in found if not _has(known, hash(gift.source_key)))
        more = len(found) == AT_ONCE
        if more:
            after, at = found[-1].id, found[-1].paid_at


def _has(known: "array[int]", key: int) -> bool:
    place = bisect_left(known, key)
    return place < len(known) and known[place] == key


def _line(gift: Found[Any]) -> str:
    who = masked(gift.email) if gift.email else "nobody's address"
    day = f"{gift.paid_at:%Y-%m-%d}"
    return f"contribution {gift.id}: line item {gift.source_key}, {dollars(gift.amount_cents)} on {day}, {who}"
