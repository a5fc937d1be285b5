"""Invented monthly donors: their plans at Stripe and ActBlue, links to their own page, and what they press there."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from itertools import count
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import text

from engine.bootstrap import Deps
from engine.events import Event, Person, PlanReported
from engine.letters import links
from tests.asgi import Answer, Client
from tests.make import gift

FIRST, LAST = datetime(2026, 8, 2, 16, 0, tzinfo=UTC), datetime(2026, 11, 2, 17, 0, tzinfo=UTC)
FORM = ("content-type", "application/x-www-form-urlencoded")
SAME_SITE = ("sec-fetch-site", "same-origin")
STAMP = re.compile(r'name="stamp" value="([^"]+)"')
_numbers = count(1)


@dataclass(frozen=True)
class Giver:
    """One of them, with a plan."""

    contact_id: int
    email: str
    plan_id: int
    plan_key: str


def told(deps: Deps, *happened: Event) -> None:
    """These events, followed and committed."""
    with deps.work() as (session, now):
        deps.react(session, list(happened), now)


def plan(key: str, cents: int = 1000, at: datetime = LAST, **changed: Any) -> PlanReported:
    """How a plan stands."""
    terms = {"cause": None, "source": "stripe", "source_key": key, "amount_cents": cents, "period": "monthly",
             "started_at": FIRST, "told_at": at}  # fmt: skip
    return PlanReported(**terms | changed)


def instalment(key: str, email: str, number: int, cents: int = 1000, **changed: Any) -> Any:
    """One payment of a plan of $10 a month by Stripe."""
    terms = {
        "source": "stripe", "source_key": f"in_{key}_{number}", "payment_key": f"pi_{key}_{number}", "plan_key": key,
        "charge_key": f"ch_{key}_{number}", "recurring_period": "monthly", "sequence": min(number, 1), "entity_id": None,
        "donor": Person(email=email, first_name="Rosa", zip="01605"), "amount_cents": cents,
        "paid_at": LAST if number else FIRST, "form_slug": "common-ground",
    }  # fmt: skip
    return gift(**terms | changed)


def giver(deps: Deps, source: str = "stripe", email: str = "", cents: int = 1000, **standing: Any) -> Giver:
    """Somebody with one plan; `standing` changes what is told of it."""
    number = next(_numbers)
    key, address = f"sub_{number:06}", email or f"rosa.monthly.{number}@example.org"
    more = {"source": source, "order_number": key} if source == "actblue" else {}
    payments = [instalment(key, address, turn, cents, **more) for turn in (0, 1)]
    told(deps, *payments, plan(key, cents, source=source, **standing))
    with deps.work() as (session, _):
        row = session.execute(
            text("SELECT id, contact_id FROM recurring_plan WHERE source_key = :key"), {"key": key}
        ).one()
    return Giver(row.contact_id, address, row.id, key)


def page_of(deps: Deps, who: Giver) -> str:
    """The path of her page, as her letter of this moment has it."""
    with deps.work() as (_, now):
        return links.giving(deps.signer, who.contact_id, int(now.timestamp()))


def post(door: Client, path: str, *headers: tuple[str, str], **fields: Any) -> Answer:
    """A form of that page, posted with these fields."""
    return door.send("POST", path, [FORM, *(headers or (SAME_SITE,))], urlencode(fields).encode())


def stamp(door: Client, path: str) -> str:
    """What the forms of a page carry."""
    found = STAMP.search(door.send("GET", path).body.decode())
    assert found
    return unescape(found[1])


def press(door: Client, path: str, who: Giver, act: str, **fields: Any) -> Answer:
    """A button on her page as it stands."""
    return post(door, path, stamp=stamp(door, path), plan=who.plan_id, act=act, **fields)
