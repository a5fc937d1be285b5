"""Why somebody would be asked for what: her ladder on each form that is open, for staff to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.giving import asks, histories, limits
from engine.giving.asks import History, Ladder, Terms

_FORMS = text("""
SELECT d.slug, d.title, d.preset_cents, d.floor_cents, d.cap_cents, d.monthly, d.fund_id, f.name AS fund
FROM donation_form d JOIN fund f ON f.id = d.fund_id
WHERE d.closed_at IS NULL AND (:slug = '' OR d.slug = :slug) ORDER BY d.slug
""")


@dataclass(frozen=True, slots=True)
class Asked:
    """Of one form. `left_cents`: of its fund's limit, None without one; `monthly`: None where it takes nothing each month."""

    form: str
    title: str
    fund: str
    left_cents: int | None
    once: Ladder
    monthly: Ladder | None


@dataclass(frozen=True, slots=True)
class Explained:
    """What is known of one person's gifts, and what follows from that on each open form."""

    history: History
    forms: Sequence[Asked]


def explain(session: Session, contact_id: int, now: datetime, zone: str, slug: str = "") -> Explained:
    """The ladders of this contact, on all open forms or on one. Raises NotFound when no such form is open."""
    forms = session.execute(_FORMS, {"slug": slug}).all()
    if slug and not forms:
        raise NotFound(f"no form {slug[:60]} is open")
    history = histories.load(session, [contact_id], now).get(contact_id, histories.NONE)
    left: Mapping[int, int | None] = {
        fund_id: limits.left(session, [contact_id], fund_id, now, zone).get(contact_id)
        for fund_id in sorted({form.fund_id for form in forms})
    }
    return Explained(history, [
        Asked(
            form.slug, form.title, form.fund, most := left[form.fund_id],
            asks.ladder(history, terms := Terms(tuple(form.preset_cents), form.floor_cents, form.cap_cents), most),
            asks.ladder(history, terms, most, monthly=True) if form.monthly else None,
        )
        for form in forms
    ])  # fmt: skip
