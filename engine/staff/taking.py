"""Taking people's data out of the house: a right of its own, and every time on the audit."""

import io
from datetime import datetime

from sqlalchemy.orm import Session

from engine.errors import Forbidden
from engine.people import bundles
from engine.staff import audit, dossier, rights
from engine.staff.accounts import Account


def may_take(who: Account) -> bool:
    """Whether she may take out everything about a person: it holds the treasurer's record as well."""
    return who.may(rights.EXPORT) and who.may(rights.SEE_SNAPSHOTS)


def bundle(session: Session, who: Account, contact_id: int, now: datetime) -> bytes:
    """Everything about one person, as a zip. Raises Forbidden; NotFound out of reach, and for one who was erased."""
    dossier.find(session, who, contact_id)
    if not may_take(who):
        raise Forbidden("A bundle holds the treasurer's record: it takes the right to export, as treasurer.")
    told = bundles.collect(session, contact_id)
    file = io.BytesIO()
    bundles.write(told, file)
    audit.write(session, who.id, "bundle taken", "contact", contact_id, {"parts": len(told)}, now)
    return file.getvalue()
