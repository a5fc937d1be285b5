"""Where a person stands with our mail: whether she is on the list, what she refused, and what forbids writing to her.

Of erased people only a keyed hash of the address is left; it is asked for here too.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.people.consent import STANDING_SUPPRESSIONS
from engine.settings import Settings
from engine.tokens import Signer

NEVER = frozenset({"bounce", "complaint", "invalid", "manual"})  # such an address gets nothing, not even a question
SAID_NO = frozenset({"unsubscribe", "erased", "complaint", "manual"})
EXPRESSLY = frozenset({"signup", "confirm", "preferences"})  # sources of a yes that outweighs an earlier no

_STANDING = text(f"""
SELECT c.id, c.email, w.given, w.at, (
    SELECT max(yes.at) FROM consent yes
    WHERE yes.contact_id = c.id AND yes.channel = 'mail' AND yes.kind = '' AND yes.given AND yes.source = ANY(:expressly)
    AND NOT EXISTS (SELECT FROM consent no WHERE no.contact_id = c.id AND no.channel = 'mail' AND no.kind = ''
        AND NOT no.given AND no.at >= yes.at)) AS agreed_at, (
    SELECT coalesce(json_agg(json_build_object('reason', s.reason, 'at', s.at)), '[]')
    FROM ({STANDING_SUPPRESSIONS}) s WHERE s.email = c.email) AS suppressions
FROM contact c LEFT JOIN LATERAL (
    SELECT given, at FROM consent WHERE contact_id = c.id AND channel = 'mail' AND kind = ''
    ORDER BY at DESC, given LIMIT 1
) w ON true
WHERE c.id = ANY(:ids)
""")

_ERASED = text("SELECT hash, reason, at FROM erased_address WHERE hash = ANY(:hashes)")


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one contact.

    `listed`: her last word on mail is a yes, and nothing forbids it. `suppressed`: the reasons that stand. `refused_at`:
    when she last said no, if that stands.
    """

    listed: bool = False
    suppressed: frozenset[str] = field(default_factory=frozenset)
    refused_at: datetime | None = None

    @property
    def unreachable(self) -> bool:
        """Whether nothing at all may go to her address."""
        return bool(self.suppressed & NEVER)


def standings(session: Session, contact_ids: Collection[int], settings: Settings) -> Mapping[int, Standing]:
    """How it stands with each of these contacts: two statements, however many."""
    found = session.execute(_STANDING, {"ids": list(contact_ids), "expressly": sorted(EXPRESSLY)}).all()
    erased = _erased(session, [row.email for row in found if row.email], settings)
    return {row.id: _standing(row, erased.get(row.email, ())) for row in found}


def _erased(
    session: Session, emails: Collection[str], settings: Settings
) -> Mapping[str, Sequence[tuple[str, datetime]]]:
    """Reasons and moments by address, of those whose owner was erased."""
    signer = Signer(settings.signing_keys)
    owners = {digest: email for email in emails for digest in signer.hashes(email)}
    told: dict[str, list[tuple[str, datetime]]] = {}
    for row in session.execute(_ERASED, {"hashes": list(owners)}):
        told.setdefault(owners[row.hash], []).append((row.reason, row.at))
    return told


def _standing(row: Row[Any], erased: Sequence[tuple[str, datetime]]) -> Standing:
    stops = [(stop["reason"], datetime.fromisoformat(stop["at"])) for stop in row.suppressions]
    stops += [
        (reason, at) for reason, at in erased if reason in NEVER or row.agreed_at is None or row.agreed_at <= at
    ]  # fmt: skip
    refusals = [at for reason, at in stops if reason in SAID_NO]
    refusals += [row.at] if row.given is False else []
    return Standing(
        listed=bool(row.given) and not stops,
        suppressed=frozenset(reason for reason, _ in stops),
        refused_at=max(refusals, default=None),
    )
