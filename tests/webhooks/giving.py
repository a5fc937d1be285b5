"""A giving page as a browser fills it in: opened, its hidden fields read, posted; what was begun; and who takes the money."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import GroundswellError
from engine.giving import forms
from engine.giving.forms import Definition, Picture
from engine.ports import Basket, Opened
from tests.asgi import Answer, Client
from tests.fakes import FakeClock, FakeLimiter
from tests.webhooks.joining import PAGES, execute, networks, post
from webhooks.app import build
from webhooks.donor.published import Published

SLUG = "winter"
ROSA = {
    "amount": "27", "other": "", "period": "once", "first_name": "Rosa", "last_name": "Marsh", "email": "rosa@example.org",
    "street": "12 Canal Street", "city": "Worcester", "state": "MA", "zip": "01604",
}  # fmt: skip
LAW = {"employer": "Town Library", "occupation": "Librarian"}

CLEAN = """
TRUNCATE checkout, decline RESTART IDENTITY;
DELETE FROM notice;
DELETE FROM donation_form_version v USING donation_form d WHERE d.id = v.donation_form_id AND d.slug = 'winter';
UPDATE donation_form SET closed_at = NULL, version = 0 WHERE slug = 'winter';
UPDATE fund SET employer_cents = NULL WHERE slug = 'action';
"""


@dataclass
class FakePayments:
    """A processor that keeps baskets by their keys, as Stripe does: the same key is one page.

    `mishaps`: what is raised instead, one a request; `lost`: the same, once the page is made.
    """

    base: str = "https://checkout.stripe.com/c/pay/"
    pages: dict[str, tuple[Basket, Opened]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    mishaps: list[GroundswellError] = field(default_factory=list)
    lost: list[GroundswellError] = field(default_factory=list)

    def check_out(self, basket: Basket, idempotency_key: str) -> Opened:
        self.asked.append(idempotency_key)
        if self.mishaps:
            raise self.mishaps.pop(0)
        if idempotency_key not in self.pages:
            number = f"cs_test_{len(self.pages) + 1}"
            self.pages[idempotency_key] = basket, Opened(number, self.base + number, basket.expires_at)
        known, page = self.pages[idempotency_key]
        assert known == basket, "the same key for another basket: Stripe would refuse it"
        if self.lost:
            raise self.lost.pop(0)
        return page

    @property
    def baskets(self) -> list[Basket]:
        return [basket for basket, _ in self.pages.values()]


def publish(deps: Deps, picture: Picture | None = None, **said: Any) -> Definition:
    """A donation form as it is shown from now on."""
    definition = Definition.model_validate({
        "slug": SLUG, "title": "Keep the heat on", "why": "So that nobody is cold in January.", "fund": "action",
        "processor": "stripe", **said,
    })  # fmt: skip
    with transaction(deps.sessions) as session:
        forms.write(session, definition, datetime(2026, 11, 1, tzinfo=UTC), picture=picture)
    return definition


def with_payments(deps: Deps, **settings: Any) -> Deps:
    """The same house with a processor."""
    return replace(
        deps, payments=FakePayments(), limiter=FakeLimiter(), settings=deps.settings.model_copy(update=settings)
    )


def payments(deps: Deps) -> FakePayments:
    """The processor of this house."""
    assert isinstance(deps.payments, FakePayments)
    return deps.payments


def cleaned(deps: Deps) -> Deps:
    """The house with a processor, nothing begun in it, and the form as it was at first."""
    execute(deps, CLEAN)
    publish(deps)
    return with_payments(deps)


def arrived(door: Client, deps: Deps, query: str = "", slug: str = SLUG) -> "Donor":
    """Somebody who has the form before her for half a minute."""
    donor = Donor(door, f"/give/{slug}{query}")
    assert isinstance(deps.clock, FakeClock)
    assert donor.open((deps.clock, 30)).status == 200
    return donor


def chosen(page: Answer) -> list[str]:
    """The amount and the rhythm that are ticked."""
    return re.findall(r'name="(?:amount|period)"[^>]* value="([^"]+)"[^>]* checked', page.body.decode())


def opened(deps: Deps) -> Client:
    """The application, whose forms show each change at once."""
    app = build(deps)
    app.state.published = Published(deps, 0)
    return Client(app)


@dataclass
class Donor:
    """Somebody with a browser, in a network of her own."""

    client: Client
    path: str = f"/give/{SLUG}"
    source: str = field(default_factory=lambda: next(networks))
    hidden: dict[str, str] = field(default_factory=dict)
    always: dict[str, str] = field(default_factory=dict)

    def open(self, after: tuple[FakeClock, float] | None = None) -> Answer:
        """Load the page, and take so many seconds over it."""
        self.client.source = self.source
        shown = self.client.send("GET", self.path, [PAGES])
        self.hidden = hidden_in(shown)
        if after is not None:
            after[0].skip(timedelta(seconds=after[1]))
        return shown

    def press(self, *headers: tuple[str, str], **typed: Any) -> Answer:
        """Send the form as it stands, and take over the hidden fields of the one that is answered, if one is."""
        self.client.source = self.source
        answer = post(self.client, self.path, self.hidden | ROSA | self.always | typed, *headers)
        self.hidden = hidden_in(answer) or self.hidden
        return answer


def hidden_in(answer: Answer) -> dict[str, str]:
    """The hidden fields of the giving form on this page."""
    found = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', answer.body.decode())
    return {name: html.unescape(value) for name, value in found}


def begun(deps: Deps) -> list[Mapping[str, Any]]:
    """Every checkout, oldest first."""
    with transaction(deps.sessions) as session:
        return [dict(row) for row in session.execute(text("SELECT * FROM checkout ORDER BY id")).mappings()]
