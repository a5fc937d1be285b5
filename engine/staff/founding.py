"""Founding: a real organisation's first rows, in one transaction. Root chapter, first fund, first of the staff."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid
from engine.sources.words import clean, email_address
from engine.staff import accounts, audit, rights

LOCK = 0x67726D66  # one founding at a time
LONGEST = 300
MOST_ENTITY = 2**63 - 1

_ALONE = text("SELECT pg_advisory_xact_lock(:lock)")
_FOUNDED = text("SELECT EXISTS (SELECT FROM chapter WHERE parent_id IS NULL)")
_ROOT = text("""
INSERT INTO chapter (kind, slug, name, sender_name, sender_email, reply_to, postal_address)
VALUES ('root', :slug, :name, :sender_name, :sender_email, :sender_email, :postal_address) RETURNING id
""")
_FUND = text("""
INSERT INTO fund (slug, name, disclaimer, deductibility) VALUES (:slug, :fund_name, :disclaimer, :deductibility)
RETURNING id
""")
_ENTITY = text("INSERT INTO actblue_entity (entity_id, fund_id) VALUES (:entity, :fund_id)")
_WORDS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Organisation:
    """What an organisation says of itself. `actblue_entity` 0: it has none yet."""

    name: str
    sender_email: str
    sender_name: str
    postal_address: str
    fund_name: str
    disclaimer: str
    deductibility: str
    actblue_entity: int
    admin_email: str


def checked(told: Organisation) -> Organisation:
    """The same with its words cleaned and its addresses as we know them. Raises Invalid naming the first that is wrong."""
    needed = ("name", "sender_name", "postal_address", "fund_name", "disclaimer")
    said = {name: clean(getattr(told, name)) for name in (*needed, "deductibility")}
    for name in needed:
        if not said[name]:
            raise Invalid(f"{name.replace('_', ' ')} is needed")
    for name, words in said.items():
        if len(words) > LONGEST:
            raise Invalid(f"{name.replace('_', ' ')} is longer than {LONGEST} characters")
    if not 0 <= told.actblue_entity <= MOST_ENTITY:
        raise Invalid("actblue entity is no number of ActBlue's")
    return Organisation(
        **said,
        actblue_entity=told.actblue_entity,
        sender_email=_address("sender email", told.sender_email),
        admin_email=_address("admin email", told.admin_email),
    )


def found(session: Session, told: Organisation, now: datetime) -> int:
    """Found it; returns the id of its root chapter. Raises Conflict when there is one, Invalid as `checked` does."""
    organisation = checked(told)
    session.execute(_ALONE, {"lock": LOCK})
    if session.scalar(_FOUNDED):
        raise Conflict("there is an organisation here already")
    values = {name: getattr(organisation, name) for name in Organisation.__slots__}
    root_id = session.scalar(_ROOT, values | {"slug": slug(organisation.name)})
    fund_id = session.scalar(_FUND, values | {"slug": slug(organisation.fund_name)})
    if organisation.actblue_entity:
        session.execute(_ENTITY, {"entity": organisation.actblue_entity, "fund_id": fund_id})
    audit.write(session, None, "organisation founded", "chapter", root_id, {"fund_id": fund_id}, now)
    accounts.add(session, organisation.admin_email, rights.ADMIN, now)
    return int(root_id or 0)


def slug(name: str) -> str:
    """A name as it can stand in an address: "Común Action, Inc." -> "comun-action-inc"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _WORDS.sub("-", plain).strip("-")[:60] or "organisation"


def _address(name: str, told: str) -> str:
    known = email_address(told.strip())
    if known is None:
        raise Invalid(f"{name} is no address that we can write to")
    return known
