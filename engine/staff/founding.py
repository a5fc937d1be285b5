"""Founding: a real organisation's first rows, in one transaction. Root chapter, first fund, its forms, first of the staff.

The forms are those of `templates/forms`: one by card, and one at ActBlue when the organisation has one there.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid
from engine.giving import form_files, forms
from engine.giving.forms import Definition
from engine.settings import ROOT
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
FORMS = ROOT / "templates" / "forms"
CARDS = "give"  # the form that is paid by card
_FORM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}", re.ASCII)
_WORDS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Organisation:
    """What an organisation says of itself. `actblue_entity` 0: it has none yet; `actblue_form`: what its form is called
    there, "" for none."""

    name: str
    sender_email: str
    sender_name: str
    postal_address: str
    fund_name: str
    disclaimer: str
    deductibility: str
    actblue_entity: int
    admin_email: str
    actblue_form: str = ""


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
    actblue_form = told.actblue_form.strip()
    if actblue_form and not _FORM_NAME.fullmatch(actblue_form):
        raise Invalid("actblue form is what stands behind secure.actblue.com/donate/, and nothing else")
    return Organisation(
        **said,
        actblue_entity=told.actblue_entity,
        sender_email=_address("sender email", told.sender_email),
        admin_email=_address("admin email", told.admin_email),
        actblue_form=actblue_form,
    )


def found(session: Session, told: Organisation, now: datetime, *, cards: bool = True) -> int:
    """Found it; returns the id of its root chapter. `cards`: this house can take cards, so its form for them is shown; else
    it is a draft. Raises Conflict when there is an organisation, Invalid as `checked` does."""
    organisation = checked(told)
    session.execute(_ALONE, {"lock": LOCK})
    if session.scalar(_FOUNDED):
        raise Conflict("there is an organisation here already")
    values = {name: getattr(organisation, name) for name in Organisation.__slots__}
    root_id = session.scalar(_ROOT, values | {"slug": slug(organisation.name)})
    fund_id = session.scalar(_FUND, values | {"slug": slug(organisation.fund_name)})
    _bring_in_forms(session, organisation, now, cards=cards)
    if organisation.actblue_entity:
        session.execute(_ENTITY, {"entity": organisation.actblue_entity, "fund_id": fund_id})
    audit.write(session, None, "organisation founded", "chapter", root_id, {"fund_id": fund_id}, now)
    accounts.add(session, organisation.admin_email, rights.ADMIN, now)
    return int(root_id or 0)


def form_names(organisation: Organisation) -> list[str]:
    """What its forms are called: the one for cards, and that at ActBlue if it has one."""
    at_actblue = organisation.actblue_form
    return [CARDS + "-by-card", at_actblue] if at_actblue == CARDS else [CARDS, *filter(None, [at_actblue])]


def _bring_in_forms(session: Session, organisation: Organisation, now: datetime, *, cards: bool) -> None:
    for name, shipped in zip(form_names(organisation), ("give", "actblue"), strict=False):
        said = {"slug": name, "fund": slug(organisation.fund_name)}
        by_card = shipped == "give"
        forms.write(session, _shipped(shipped).model_copy(update=said), now, publish=cards or not by_card)


def _shipped(name: str) -> Definition:
    told = form_files.read(FORMS / f"{name}.yaml")
    if told.definition is None:
        raise Invalid(f"templates/forms/{name}.yaml, {told.faults[0]}")
    return told.definition


def slug(name: str) -> str:
    """A name as it can stand in an address: "Común Action, Inc." -> "comun-action-inc"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _WORDS.sub("-", plain).strip("-")[:60].rstrip("-") or "organisation"


def _address(name: str, told: str) -> str:
    known = email_address(told.strip())
    if known is None:
        raise Invalid(f"{name} is no address that we can write to")
    return known
