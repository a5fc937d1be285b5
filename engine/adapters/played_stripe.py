"""A Stripe that we play ourselves: what one account holds, what is done to it, and the events that this makes.

Development walks the whole way with it, and the tests' stand-in answers with it over HTTP. No money, no network, no clock of
its own; its whole state is one JSON object, so that it can be put down and taken up again.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from engine.adapters import stripe_bodies as bodies
from engine.adapters.stripe_bodies import Object

MONTH = 30 * 86400


@dataclass
class Refused(Exception):
    """What Stripe would answer instead: an HTTP status and its error's words."""

    status: int
    message: str
    code: str = ""
    param: str = ""


class Played:
    """`state` is what it holds, changed in place: {"objects": {id: object}, "events": [{type, at, account, snapshot, …}]}.

    `now`: Unix time. `fresh(prefix)`: a new id. `page(id)`: the address of a session's page.
    """

    def __init__(
        self, state: Object, now: Callable[[], int], fresh: Callable[[str], str], page: Callable[[str], str]
    ) -> None:
        self.state, self._now, self._fresh, self._page = state, now, fresh, page
        state.setdefault("objects", {})
        state.setdefault("events", [])

    def find(self, key: str, kind: str, account: str = "") -> Object:
        """One object of an account. Raises Refused."""
        found: Object | None = self.state["objects"].get(key)
        if found is None or found["object"] != kind or found["_account"] != account:
            raise Refused(404, f"No such {kind}: '{key}'", "resource_missing", "id")
        return found

    # Sessions of Checkout.

    def open(self, asked: Object, account: str = "") -> Object:
        """A session of what was asked for (as the API takes it, numbers may be text)."""
        at = self._now()
        key = self._fresh("cs_test")
        session = bodies.session(key, asked, at, self._page(key))
        if not 50 <= session["amount_total"] <= 99_999_999:
            raise Refused(400, "The amount is too small or too large", "amount_too_small", "line_items")
        return self._keep(session, account)

    def pay(
        self, key: str, email: str = "", name: str = "Dev Donor", postal_code: str = "01605", account: str = ""
    ) -> None:
        """A card that works. One that is paid stays so. Raises Refused when the session is over."""
        session = self.find(key, "checkout.session", account)
        if session["status"] == "complete":
            return
        payment = self._attempted(session)
        owner = bodies.billing(session["customer_email"] or email, name, postal_code)
        self._take(payment, owner, good=True)
        session |= {
            "status": "complete", "payment_status": "paid", "customer_details": owner | {"tax_exempt": "none"}, "url": None,
        }  # fmt: skip
        if session["mode"] == "subscription":
            self._begin(session, owner)
        else:
            session["payment_intent"] = payment["id"]
        self._tell("checkout.session.completed", session)

    def decline(self, key: str, email: str = "", account: str = "") -> None:
        """A card that is declined; another may work."""
        session = self.find(key, "checkout.session", account)
        payment = self._attempted(session)
        self._take(payment, bodies.billing(session["customer_email"] or email, "Dev Donor", "01605"), good=False)
        if session["_invoice"]:
            self._failed(self._get(session["_invoice"]))

    def expire(self, key: str, account: str = "") -> Object:
        """Nobody paid, and nobody can any more."""
        session = self.find(key, "checkout.session", account)
        if session["status"] != "open":
            raise Refused(400, 'Only Checkout Sessions with a status in ["open"] can be expired')
        session |= {"status": "expired", "url": None}
        self._tell("checkout.session.expired", session)
        return session

    def _attempted(self, session: Object) -> Object:
        """The payment of a session that is open, made at the first attempt; of a plan with its first invoice."""
        if session["status"] != "open" or session["expires_at"] <= self._now():
            raise Refused(400, "This Checkout Session is no longer active")
        if session["_payment"]:
            return self._get(session["_payment"])
        at, account = self._now(), session["_account"]
        once = session["mode"] == "payment"
        payment = bodies.payment_intent(self._fresh("pi"), session["amount_total"], session["currency"], at)
        session["_payment"] = payment["id"]
        if once:
            payment["metadata"] = session["_carried"]
        else:
            plan = self._keep(self._plan_of(session), account)
            session["_invoice"] = payment["_invoice"] = self._invoice(plan, payment["id"], "subscription_create")["id"]
            self._tell("customer.subscription.created", plan)
        self._tell("payment_intent.created", self._keep(payment, account))
        return payment

    def _plan_of(self, session: Object) -> Object:
        at = self._now()
        customer = {"id": self._fresh("cus"), "object": "customer", "email": session["customer_email"]}
        self._keep(customer, session["_account"])
        cost = bodies.price(self._fresh("price"), self._fresh("prod"), session["amount_total"], session["currency"])
        span = {"start": at, "end": at + MONTH}
        return bodies.subscription(
            self._fresh("sub"), self._fresh("si"), cost, span, customer=customer["id"], metadata=session["_carried"]
        )

    def _begin(self, session: Object, owner: Object) -> None:
        invoice = self._get(session["_invoice"])
        plan = self._get(invoice["_subscription"])
        plan |= {"status": "active", "_owner": owner}
        session |= {"subscription": plan["id"], "customer": plan["customer"]}
        self._tell("customer.subscription.updated", plan)
        self._paid(invoice, owner)

    # Plans.

    def change(self, key: str, asked: Object, account: str = "") -> Object:
        """Another price for its item, or a pause or its end."""
        plan = self.find(key, "subscription", account)
        if plan["status"] == "canceled":
            raise Refused(400, "A canceled subscription can only update its cancellation_details and metadata.")
        for item in asked.get("items", []):
            if item.get("id") != plan["_item"]:
                raise Refused(400, f"No such subscription item: '{item.get('id')}'", "resource_missing", "items[0][id]")
            told = item["price_data"]
            if told["product"] != plan["_price"]["product"]:
                raise Refused(400, f"No such product: '{told['product']}'", "resource_missing", "items[0][price_data]")
            plan["_price"] = bodies.price(
                self._fresh("price"), told["product"], int(told["unit_amount"]), told["currency"],
                told["recurring"]["interval"],
            )  # fmt: skip
        if "pause_collection" in asked:
            paused = asked["pause_collection"]
            until = int(paused["resumes_at"]) if paused and paused.get("resumes_at") else None
            plan["pause_collection"] = {"behavior": paused["behavior"], "resumes_at": until} if paused else None
        self._tell("customer.subscription.updated", plan)
        return plan

    def cancel(self, key: str, account: str = "") -> Object:
        """Its end, as its donor asked; Stripe does not know one that is over."""
        plan = self.find(key, "subscription", account)
        if plan["status"] == "canceled":
            raise Refused(404, f"No such subscription: '{key}'", "resource_missing", "id")
        at = self._now()
        why = {"comment": None, "feedback": None, "reason": "cancellation_requested"}
        plan |= {"status": "canceled", "canceled_at": at, "ended_at": at, "cancellation_details": why}
        self._tell("customer.subscription.deleted", plan)
        return plan

    def renew(self, key: str, *, good: bool = True, account: str = "") -> None:
        """The next instalment of a plan falls due: its card works or is declined; in a pause nothing is taken."""
        plan = self.find(key, "subscription", account)
        if plan["status"] == "canceled" or plan["pause_collection"]:
            return
        start = plan["_span"]["end"]
        plan["_span"] = {"start": start, "end": start + MONTH}
        payment = bodies.payment_intent(self._fresh("pi"), plan["_price"]["unit_amount"], plan["currency"], self._now())
        invoice = self._invoice(plan, payment["id"], "subscription_cycle")
        payment["_invoice"] = invoice["id"]
        self._keep(payment, account)
        self._take(payment, plan["_owner"], good=good)
        plan["status"] = "active" if good else "past_due"
        if good:
            self._paid(invoice, plan["_owner"])
        else:
            self._failed(invoice)
        self._tell("customer.subscription.updated", plan)

    def portal(self, asked: Object, page: str, account: str = "") -> Object:
        """A page of the billing portal at this address."""
        self.find(asked["customer"], "customer", account)
        made = {"id": self._fresh("bps"), "object": "billing_portal.session", "url": page,
                "return_url": asked.get("return_url"), "customer": asked["customer"]}  # fmt: skip
        return self._keep(made, account)

    def _invoice(self, plan: Object, payment: str, reason: str) -> Object:
        made = bodies.invoice(self._fresh("in"), self._fresh("il"), plan, payment, self._now(), reason=reason)
        return self._keep(made, plan["_account"])

    def _paid(self, invoice: Object, owner: Object) -> None:
        charges = self._get(invoice["_payment"])["_charges"]
        invoice |= {
            "amount_paid": invoice["amount_due"], "amount_remaining": 0, "status": "paid",
            "attempt_count": invoice["attempt_count"] + 1, "_charge": charges[-1]["id"], "customer_email": owner["email"],
            "customer_name": owner["name"], "customer_address": owner["address"],
            "status_transitions": invoice["status_transitions"] | {"paid_at": self._now()},
        }  # fmt: skip
        self._tell("invoice.paid", invoice)
        self._tell("invoice.payment_succeeded", invoice)
        link = bodies.invoice_payment(self._fresh("inpay"), invoice, self._now())
        self._tell("invoice_payment.paid", self._keep(link, invoice["_account"]))

    def _failed(self, invoice: Object) -> None:
        invoice["attempt_count"] += 1
        invoice["_charge"] = self._get(invoice["_payment"])["_charges"][-1]["id"]
        self._tell("invoice.payment_failed", invoice)

    # Money that moves.

    def _take(self, payment: Object, owner: Object, *, good: bool) -> None:
        charge = bodies.charge(self._fresh("ch"), payment, owner, self._now(), good=good)
        self._keep(charge, payment["_account"])
        payment["_charges"].append(charge)
        if good:
            payment |= {"status": "succeeded", "amount_received": payment["amount"], "last_payment_error": None}
        else:
            payment["last_payment_error"] = bodies.declined(charge)
        self._tell("charge.succeeded" if good else "charge.failed", charge)
        self._tell("payment_intent.succeeded" if good else "payment_intent.payment_failed", payment)

    def refund(self, asked: Object, account: str = "") -> Object:
        """So much of a charge, or all that is left."""
        charge = self._charge_of(asked, account)
        left = charge["amount"] - charge["amount_refunded"]
        if not left:
            raise Refused(400, f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
        amount = int(asked.get("amount", left))
        if not 0 < amount <= left:
            raise Refused(400, "Refund amount is greater than unrefunded amount on charge", "", "amount")
        made = bodies.refund(self._fresh("re"), charge, amount, asked.get("reason"), self._now())
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        charge["_refunds"].append(bodies.rendered(made))
        self._tell("refund.created", self._keep(made, account))
        self._tell("charge.refunded", charge)
        return made

    def dispute(self, asked: Object, account: str = "") -> Object:
        """The bank of its donor takes a payment back for now."""
        charge = self._charge_of(asked, account)
        charge["disputed"] = True
        made = self._keep(bodies.dispute(self._fresh("du"), charge, self._now()), account)
        self._tell("charge.dispute.created", made)
        self._tell("charge.dispute.funds_withdrawn", made)
        return made

    def settle(self, key: str, *, won: bool, account: str = "") -> None:
        """How a dispute ends."""
        made = self.find(key, "dispute", account)
        made["status"] = "won" if won else "lost"
        self._tell("charge.dispute.closed", made)
        if won:
            self._tell("charge.dispute.funds_reinstated", made)

    def _charge_of(self, asked: Object, account: str) -> Object:
        if asked.get("charge"):
            return self.find(asked["charge"], "charge", account)
        good = [charge for charge in self.find(asked["payment_intent"], "payment_intent", account)["_charges"]
                if charge["paid"]]  # fmt: skip
        if not good:
            raise Refused(400, "This PaymentIntent does not have a successful charge to refund.")
        return self._get(good[-1]["id"])

    # What is kept and told.

    def _get(self, key: str) -> Object:
        found: Object = self.state["objects"][key]
        return found

    def _keep(self, made: Object, account: str) -> Object:
        made["_account"] = account
        self.state["objects"][made["id"]] = made
        return made

    def _tell(self, kind: str, about: Object) -> None:
        told: dict[str, Any] = {
            "id": self._fresh("evt"), "type": kind, "at": self._now(), "account": about["_account"],
            "snapshot": deepcopy(about), "delivered": False,
        }  # fmt: skip
        self.state["events"].append(told)
