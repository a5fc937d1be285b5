"""The provider's lists of addresses that it does not write to, held against ours. Ours is the authority: what it has and we
have not becomes ours; what we have and it has not is only counted; whoever unsubscribed and came back since is to come off
its list.

An address of somebody who was erased is not written down again: what is new of it joins its hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.mail import suppressions
from engine.people import contacts, erasing
from engine.people.consent import STANDING_SUPPRESSIONS
from engine.ports import Suppressed
from engine.sources.words import clean, email_address
from engine.tokens import Signer

SOURCE = "sendgrid"
KINDS = ("bounce", "complaint", "invalid", "unsubscribe")  # reasons of ours; the provider has a list for each

_OURS = text(f"""
SELECT x.email FROM ({STANDING_SUPPRESSIONS}) x WHERE x.reason = :reason AND x.email = ANY(:emails)
""")
# Who came back since ours, and is listed with a newer day, has unsubscribed once more.
_KNOWN = text(f"""
SELECT s.email FROM json_to_recordset(CAST(:rows AS json)) AS v(email text, at timestamptz)
JOIN suppression s ON s.email = v.email AND s.reason = :reason
WHERE s.at >= v.at OR (s.email, s.reason) IN (
    SELECT x.email, x.reason FROM ({STANDING_SUPPRESSIONS}) x WHERE x.reason = :reason AND x.email = ANY(:emails))
""")
_HOW_MANY = text(f"SELECT count(*) FROM ({STANDING_SUPPRESSIONS}) x WHERE x.reason = :reason")
_HASH = text("""
INSERT INTO erased_address (hash, reason, at)
SELECT hash, :reason, at FROM json_to_recordset(CAST(:rows AS json)) AS v(hash text, at timestamptz)
ON CONFLICT (hash, reason) DO NOTHING
""")


@dataclass(frozen=True, slots=True)
class Compared:
    """Of one page: how many of its addresses are new to us, how many stand on our list, too, by now, and those, as the
    provider writes them, who unsubscribed once and came back to us since: it still drops their letters."""

    new: int
    shared: int
    came_back: Sequence[str]


def compare(session: Session, reason: str, page: Sequence[Suppressed], signer: Signer) -> Compared:
    """Take over what we have not. What it lists as unsubscribed is a withdrawal of that moment, too."""
    told: dict[str, datetime] = {}
    for one in page:
        if email := email_address(clean(one.email)):
            told[email] = max(told.get(email, one.at), one.at)
    erased = erasing.forgotten(session, told, signer)
    hashed = [{"hash": signer.hashes(email)[-1], "at": told.pop(email)} for email in sorted(erased)]
    if hashed:
        session.execute(_HASH, {"rows": rows(hashed), "reason": reason})
    values = {"reason": reason, "emails": list(told)}
    listed = rows({"email": email, "at": at} for email, at in told.items())
    known_before = set(session.scalars(_KNOWN, values | {"rows": listed}))
    came_back = known_before - set(session.scalars(_OURS, values)) if reason == "unsubscribe" else set()
    new = set(told) - known_before
    suppressions.suppress(session, (suppressions.Suppressed(email, reason, told[email], None) for email in sorted(new)))
    if reason == "unsubscribe" and new:
        known = contacts.known(session, new)
        words = (suppressions.Withdrawn(known[email], told[email], SOURCE, None) for email in sorted(known))
        suppressions.withdraw(session, words)
    theirs = [one.email for one in page if email_address(clean(one.email)) in came_back]
    return Compared(len(new), len(set(session.scalars(_OURS, values))), theirs)


def ours(session: Session, reason: str) -> int:
    """How many addresses stand on our list for this reason."""
    return int(session.scalar(_HOW_MANY, {"reason": reason}) or 0)
