"""What comes into the inbox, of every source, and what draining its lanes makes of it."""

import json
from datetime import timedelta
from typing import Any

from engine import bell
from tests import campaigns
from tests import make_stripe as stripe
from tests.crash.driving import Act, Story
from tests.crash.processes import House
from tests.flows.house import put, run_everything
from tests.letters import Sent, element
from tests.make import actblue_body, join_body, line_item, raw
from workers import intake

ACTOR, FEEDBACK = f"actor {bell.INTAKE}", f"actor {bell.FEEDBACK}"

# Events that are applied one by one say otherwise what each of them put on record.
EACH_ALONE = ("inbound_event.reason", "inbound_event.state")


def drains(house: House, *bodies: Any, source: str = "actblue", lane: str = bell.INTAKE, kind: str = "") -> Act:
    """These bodies are there, and the bell rings."""
    for body in bodies:
        number = put(house.deps, body if isinstance(body, bytes) else raw(body), source=source, lane=lane)
        house.watch.execute("UPDATE inbound_event SET kind = %s WHERE id = %s", [kind, number])
    return lambda process: intake.drain(process.deps, lane)


def order(house: House, tag: str, *cents: int, ago: timedelta = timedelta(minutes=1), **said: Any) -> dict[str, Any]:
    """One order at ActBlue, paid a minute ago."""
    number = 400_000_000 + 10 * int(tag[3:7])
    paid = (house.world.clock.now - ago).isoformat()
    items = [line_item(number + place, amount=f"{each / 100:.2f}", paidAt=paid) for place, each in enumerate(cents)]
    return actblue_body(
        donor={"email": f"{tag}@example.org"}, contribution={"orderNumber": f"AB{number}"} | said, lineitems=items
    )


def _gift(house: House, tag: str) -> Act:
    return drains(house, order(house, tag, 2700, 500))


def _refund(house: House, tag: str) -> Act:
    gift = order(house, tag, 2700)
    back = json.loads(json.dumps(gift))
    back["lineitems"][0] |= {"refundedAt": house.world.clock.now.isoformat()}
    return drains(house, back, gift)


def _plan(house: House, tag: str) -> Act:
    gift = order(house, tag, 1000, recurringPeriod="monthly", recurringDuration="infinite", isRecurring=True)
    ended = {"cancelledAt": "2026-11-03T06:00:00-05:00", "recurringType": "initially forever", "recurCompleted": 1,
             "recurPledged": 12, "cancellationReason": "I changed jobs", "cancellationType": "Active"}  # fmt: skip
    return drains(house, gift, gift | {"contribution": gift["contribution"] | ended})


def _billing(tag: str) -> dict[str, Any]:
    return stripe.BILLING | {"email": f"{tag}@example.org"}


def _card(house: House, tag: str) -> Act:
    """A payment, its charge with who gave, a refund of a part, a dispute, and that its network calls it fraud."""
    charge, intent = stripe.key("ch"), stripe.key("pi")
    names = {"charge": charge, "payment_intent": intent}
    paid = stripe.payment_intent(id=intent, latest_charge=charge, receipt_email=f"{tag}@example.org")
    told = (
        ("refund.created", stripe.refund(**names)),
        ("payment_intent.succeeded", paid),
        ("charge.succeeded", stripe.charge(id=charge, payment_intent=intent, billing_details=_billing(tag))),
        ("charge.dispute.created", stripe.dispute(**names)),
        ("radar.early_fraud_warning.created", stripe.warning(**names)),
    )
    return drains(house, *(stripe.raw(stripe.event(*each)) for each in told), source="stripe")


def _invoice(house: House, tag: str) -> Act:
    """The first invoice of a plan, what paid it, and how the plan stands; the plan first, then its end."""
    plan, intent, invoice = stripe.key("sub"), stripe.key("pi"), stripe.key("in")
    parent = {"type": "subscription_details",
              "subscription_details": {"subscription": plan, "metadata": stripe.METADATA}}  # fmt: skip
    body = stripe.invoice(id=invoice, parent=parent, customer_email=f"{tag}@example.org")
    link = stripe.invoice_payment(invoice=invoice, payment={"type": "payment_intent", "payment_intent": intent})
    told = (
        ("customer.subscription.created", stripe.subscription(id=plan)),
        ("invoice_payment.paid", link),
        ("invoice.paid", body),
        ("customer.subscription.deleted", stripe.subscription(id=plan, status="canceled", ended_at=stripe.AT + 100)),
    )
    return drains(house, *(stripe.raw(stripe.event(*each)) for each in told), source="stripe")


def _join(house: House, tag: str) -> Act:
    body = join_body(email=f"{tag}@example.org", zip="01604")
    return drains(house, body, source="join")


def _question(house: House, tag: str) -> Act:
    return drains(house, join_body(email=f"{tag}@example.org", confirm=True), source="join")


def _sign_up(house: House, tag: str) -> Act:
    body = {"email": f"{tag}@example.org", "first_name": "Ines", "zip": "01605", "opt_in": True}
    return drains(house, body, source="signup")


def _actions(house: House, tag: str) -> Act:
    """A list of three, which is split: its parts come by themselves."""
    said = [
        {"osdi:signature": {"created_date": "2025-03-02T08:00:00Z", "identifiers": [f"action_network:{tag}{number}"],
         "person": {"given_name": "Sam", "email_addresses": [
             {"address": f"{tag}{number}@example.org", "primary": True, "status": "subscribed"}]}}}
        for number in "abc"
    ]  # fmt: skip
    return drains(house, said, source="actionnetwork")


def _poison(house: House, tag: str) -> Act:
    """Something that nobody can read, beside a gift."""
    return drains(house, f'{{"{tag}": '.encode(), order(house, tag, 2700))


def left(house: House, many: int = 3) -> list[Sent]:
    """So many people who each have a letter of a campaign."""
    ids = campaigns.people(house.deps, many)
    campaigns.enqueue(
        house.deps, campaigns.letter(house.deps), ids, due=house.world.clock.now, created=house.world.clock.now
    )
    campaigns.go(house.deps)
    found = """SELECT m.id, m.handover_id, m.contact_id, c.email, h.provider_id FROM message m
        JOIN contact c ON c.id = m.contact_id JOIN handover h ON h.id = m.handover_id WHERE m.contact_id = ANY(%s)
        ORDER BY 1"""
    return [Sent(*row) for row in house.watch.execute(found, [ids])]


def _feedback(house: House, _: str) -> Act:
    """One body of events about three letters: delivered and opened, bounced, complained of."""
    one, other, third = left(house)
    told = [
        element("delivered", one), element("open", one, 5), element("click", one, 9), element("bounce", other),
        element("delivered", third), element("spamreport", third, 60), element("delivered", one),
    ]  # fmt: skip
    return drains(house, told, source="sendgrid", lane=bell.FEEDBACK)


def _letters_leave(house: House, tag: str) -> Act:
    """Somebody who gave before gives again, and unsubscribes by the provider's header in between."""
    put(house.deps, raw(order(house, tag, 2700)))
    run_everything(house.deps)
    house.world.clock.skip(timedelta(minutes=1))
    again = order(house, tag, 4000)
    again["lineitems"][0]["lineitemId"] += 5
    again["contribution"]["orderNumber"] += "5"
    return drains(house, again)


STORIES = (
    Story("a gift of two line items at ActBlue", (ACTOR,), _gift),
    Story("an ActBlue gift and its refund, the refund first", (ACTOR,), _refund),
    Story("a monthly gift at ActBlue and its end", (ACTOR,), _plan),
    Story("a card payment with all that can come of it", (ACTOR,), _card),
    Story("an instalment by card, and the plan's end", (ACTOR,), _invoice, loose=EACH_ALONE),
    Story("somebody joins", (ACTOR,), _join),
    Story("somebody is asked whether she joins", (ACTOR,), _question),
    Story("a sign-up of another system", (ACTOR,), _sign_up),
    Story("a list of signatures, split", (ACTOR,), _actions),
    Story("somebody gives once more", (ACTOR,), _letters_leave),
    Story("what became of letters", (FEEDBACK,), _feedback),
)
