"""What strangers and supporters send: webhooks of every source, and every page that writes something."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import text

from engine.letters import links
from engine.settings import DEVELOPMENT_SECRET
from tests import givers
from tests import make_stripe as stripe
from tests.asgi import Answer
from tests.crash.driving import Act, Story
from tests.crash.of_inbox import left, order
from tests.crash.processes import House, Process
from tests.letters import element
from tests.make import basic, raw, stripe_signature
from tests.readers import reader
from tests.sequences import alone
from tests.signing import signed
from tests.webhooks import giving, joining
from tests.webhooks.giving import Donor
from tests.webhooks.joining import PAGES, TYPE, Visitor

JSON = ("content-type", "application/json")
Headers = list[tuple[str, Any]]


def posts(path: str, headers: Headers, body: bytes) -> Act:
    """This request, at whichever process is asked."""
    return lambda process: process.door.send("POST", path, headers, body)


def form(path: str, fields: Mapping[str, Any], source: str = "127.0.0.1") -> Act:
    """This form, sent from there."""

    def act(process: Process) -> Answer:
        process.door.source = source
        return process.door.send("POST", path, [TYPE, PAGES, givers.SAME_SITE], urlencode(fields, doseq=True).encode())

    return act


def webhook(path: str, sent: Callable[[House, str], tuple[Headers, bytes]], **terms: Any) -> Story:
    """The story of a webhook: its sender repeats what is not answered."""

    def tell(house: House, tag: str) -> Act:
        headers, body = sent(house, tag)
        return posts(path.replace("{secret}", DEVELOPMENT_SECRET), [JSON, *headers], body)

    return Story(f"POST {path}", (f"POST {path}",), tell, sender=True, **terms)


def _actblue(house: House, tag: str) -> tuple[Headers, bytes]:
    return [basic()], raw(order(house, tag, 2700))


def _refund(house: House, tag: str) -> tuple[Headers, bytes]:
    back = order(house, tag, 2700)
    back["lineitems"][0] |= {"refundedAt": house.world.clock.now.isoformat()}
    return [basic()], raw(back)


def _cancelled(house: House, tag: str) -> tuple[Headers, bytes]:
    ended = {"cancelledAt": "2026-11-03T06:00:00-05:00", "recurringType": "initially forever", "recurCompleted": 1,
             "recurPledged": 12, "cancellationReason": "I changed jobs", "cancellationType": "Active"}  # fmt: skip
    return [basic()], raw(order(house, tag, 1000, recurringPeriod="monthly", recurringDuration="infinite", **ended))


def _stripe(_house: House, tag: str) -> tuple[Headers, bytes]:
    paid = stripe.payment_intent(receipt_email=f"{tag}@example.org")
    body = stripe.raw(stripe.event("payment_intent.succeeded", paid))
    return [stripe_signature(body)], body


def _sendgrid(house: House, _: str) -> tuple[Headers, bytes]:
    one, other, third = left(house)
    body = raw([element("delivered", one), element("bounce", other), element("unsubscribe", third)])
    return signed(body), body


def _signup(_house: House, tag: str) -> tuple[Headers, bytes]:
    body = {"email": f"{tag}@example.org", "first_name": "Ines", "zip": "01605", "status": "subscribed"}
    return [("authorization", f"Bearer {DEVELOPMENT_SECRET}")], raw(body)


def _action_network(_house: House, tag: str) -> tuple[Headers, bytes]:
    who = {"given_name": "Sam", "email_addresses": [
        {"address": f"{tag}@example.org", "primary": True, "status": "subscribed"}]}  # fmt: skip
    signature = {"created_date": "2025-03-02T08:00:00Z", "identifiers": [f"action_network:{tag}"], "person": who}
    return [], raw([{"osdi:signature": signature}])


def _join(house: House, tag: str, path: str = "/join") -> Act:
    visitor = Visitor(house.second.door, path)
    visitor.open((house.world.clock, 30))
    fields = {"stamp": visitor.stamp, "website": ""} | joining.ROSA | {"email": f"{tag}@example.org"}
    return form(path, fields, visitor.source)


def _introduction(house: House, tag: str) -> Act:
    """She joined where no chapter is, and was asked whether she wants to meet others there."""
    visitor = Visitor(house.second.door)
    visitor.open((house.world.clock, 30))
    visitor.press(email=f"{tag}@example.org", zip=joining.NOWHERE)
    return form("/introductions", {"stamp": joining.stamp_in(visitor.client.last) or _stamp(visitor)}, visitor.source)


def _stamp(visitor: Visitor) -> str:
    found = givers.STAMP.search(visitor.client.last.body.decode())
    assert found, visitor.client.last.body.decode()[-2000:]
    return found[1]


def _confirm(house: House, _: str) -> Act:
    who = reader(house.deps, ())
    with house.deps.work() as (session, now):
        number = session.execute(
            text("""INSERT INTO confirmation (contact_id, place, wording, asked_at, expires_at)
            VALUES (:id, 'join', 'Send me letters.', :now, :now + interval '7 days') RETURNING id"""),
            {"id": who.contact_id, "now": now},
        ).scalar_one()
    return posts(f"/confirm/{house.deps.signer.sign('confirm', number)}", [TYPE], b"")


def _preferences(house: House, _: str) -> Act:
    who = reader(house.deps)
    path = links.preferences(house.deps.signer, who.contact_id, house.world.clock.now)
    stamp = giving.hidden_in(house.second.door.send("GET", path))["form"]
    said = {"form": stamp, "act": "save", "zip": "01103", "language": "es", "letters": ["news", "gatherings"]}
    return form(path, said)


def _unsubscribe(house: House, _: str, **pressed: str) -> Act:
    who = reader(house.deps)
    path = f"/u/{house.deps.signer.sign('unsubscribe', who.contact_id, who.message_id)}"
    if not pressed:
        return posts(path, [TYPE], b"List-Unsubscribe=One-Click")
    return form(path, giving.hidden_in(house.second.door.send("GET", path)) | pressed)


def _give(house: House, tag: str) -> Act:
    donor = Donor(house.second.door)
    donor.open((house.world.clock, 30))
    return form(donor.path, donor.hidden | giving.ROSA | {"email": f"{tag}@example.org"}, donor.source)


def _begin_giving(house: House) -> None:
    giving.publish(house.deps)


def _asks_for_her_page(house: House, tag: str) -> Act:
    her = givers.giver(house.deps, email=f"{tag}@example.org")
    return form("/give/me", {"stamp": givers.stamp(house.second.door, "/give/me"), "email": her.email})


def _changes(act: str, **fields: Any) -> Callable[[House, str], Act]:
    def tell(house: House, tag: str) -> Act:
        her = givers.giver(house.deps, email=f"{tag}@example.org")
        path = givers.page_of(house.deps, her)
        pressed = {"stamp": givers.stamp(house.second.door, path), "plan": her.plan_id, "act": act}
        return form(path, pressed | fields)

    return tell


def page(path: str, what: str, tell: Callable[[House, str], Act], **terms: Any) -> Story:
    """The story of a page: who gets no answer presses once more."""
    return Story(f"POST {path}: {what}", (f"POST {path}",), tell, sender=True, **terms)


def quiet(house: House) -> None:
    """Without the sequences that come along: their letters are other stories."""
    alone(house.deps)


STORIES = (
    webhook("/webhooks/actblue", _actblue),
    webhook("/webhooks/actblue/contributions", _actblue),
    webhook("/webhooks/actblue/refunds", _refund),
    webhook("/webhooks/actblue/cancellations", _cancelled),
    webhook("/webhooks/stripe", _stripe),
    webhook("/webhooks/sendgrid", _sendgrid),
    webhook("/webhooks/signup", _signup),
    webhook("/webhooks/actionnetwork/{secret}", _action_network),
    page("/join", "she joins", _join, begin=quiet),
    page(
        "/join/{chapter}", "she joins a chapter", lambda house, tag: _join(house, tag, "/join/worcester"), begin=quiet
    ),
    page("/introductions", "she wants to meet others", _introduction, begin=quiet),
    page("/confirm/{token}", "it was she", _confirm, begin=quiet),
    page("/me/{token}", "she chooses", _preferences, begin=quiet),
    page("/u/{token}", "one click", _unsubscribe),
    page("/u/{token}", "no asks any more", lambda house, tag: _unsubscribe(house, tag, scope="asks")),
    page("/give/{form}", "she gives by card", _give, begin=_begin_giving),
    page("/give/me", "she asks for her page", _asks_for_her_page, begin=quiet),
    page("/give/me/{token}", "another amount", _changes("amount", amount="1500"), begin=quiet),
    page("/give/me/{token}", "a pause", _changes("pause", months="2"), begin=quiet),
    page("/give/me/{token}", "no more", _changes("cancel"), begin=quiet),
)
