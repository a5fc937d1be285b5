"""What cannot be taken back: two records become one, a person is erased. By who may, within her reach, on the audit.

Who is asked for is looked at without a lock: money, letters and people are locked by what does it, in its own order.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.events import Event
from engine.people import erasing, merging
from engine.people.erasing import Outlook
from engine.sources.words import email_address
from engine.staff import audit, dossier
from engine.staff.accounts import Account
from engine.tokens import Signer

_BY_ADDRESS = text("SELECT coalesce(merged_into_id, id) FROM contact WHERE email = :email")


def other(session: Session, who: Account, asked: str) -> Row[Any]:
    """The record meant by an address or a number. Raises NotFound for none, and for one out of reach."""
    contact_id: int | None = None
    if asked.isascii() and asked.isdigit() and len(asked) <= 18:
        contact_id = int(asked)
    elif (email := email_address(asked)) is not None:
        contact_id = session.scalar(_BY_ADDRESS, {"email": email})
    if contact_id is None:
        raise NotFound("no such person")
    return living(session, who, contact_id)


def living(session: Session, who: Account, contact_id: int) -> Row[Any]:
    """Her record, unless it was erased or is another's by now. Raises NotFound."""
    found = dossier.find(session, who, contact_id)
    if found.erased_at is not None or found.merged_into_id is not None:
        raise NotFound("no such person any more")
    return found


def merge(session: Session, who: Account, contact_id: int, into_id: int, now: datetime) -> Sequence[Event]:
    """This record is that person. Raises NotFound when either is out of reach; Invalid, Conflict as merging does."""
    for each in (contact_id, into_id):
        living(session, who, each)
    happened = merging.merge(session, contact_id, into_id, now)
    if happened:  # else somebody merged them at the same moment
        for each, detail in ((into_id, {"merged": contact_id}), (contact_id, {"into": into_id})):
            audit.write(session, who.id, "merged", "contact", each, detail, now)
    return happened


def outlook(session: Session, who: Account, contact_id: int) -> tuple[str, Outlook]:
    """Her name, and what erasing her would take out and leave. Raises NotFound."""
    person = living(session, who, contact_id)
    return dossier.called(person), erasing.outlook(session, contact_id)


def erase(session: Session, who: Account, contact_id: int, signer: Signer, now: datetime) -> Sequence[Event]:
    """Forget her. Raises NotFound."""
    living(session, who, contact_id)
    happened = erasing.erase(session, contact_id, signer, now)
    if happened:  # likewise
        audit.write(session, who.id, "erased", "contact", contact_id, {}, now)
    return happened
