"""Gifts: look at one, order one back."""

from time import monotonic, sleep
from typing import Annotated, Any

import typer
from sqlalchemy import Row
from sqlalchemy.orm import Session

from engine import bell, money
from engine.bootstrap import Deps
from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, out
from engine.errors import Unavailable
from engine.giving import ledger, refund_orders
from engine.money import amount
from engine.staff import audit

gifts = typer.Typer(no_args_is_help=True, help="Gifts: look at one, order one back.")

WAIT_SECONDS = 8.0
STEP_SECONDS = 0.25

Gift = Annotated[
    str, typer.Argument(metavar="NUMBER", help="Of the contribution; or as a donor quotes it: pi_…, ch_…, in_…, AB….")
]


@gifts.command()
def show(number: Gift, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """One gift: what it was, what became of it, what of it was ordered back. Of several with the number, a list of them."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        looked = refund_orders.look(session, _one(session, number))
    gift = looked.gift
    stands = ledger.STATUS_WORDS.get(gift.status, gift.status)
    _line("gift", f"{gift.id}: {amount(gift.amount_cents, gift.currency)} {gift.recurring_period}, {stands}")
    _line("paid", f"{gift.paid_at:%Y-%m-%d %H:%M} UTC by {gift.source}")
    for name, said in _numbers(gift):
        _line(name, said)
    _line("to", f"{gift.receiver or 'nobody of ours'}" + (f" ({gift.slug})" if gift.slug else ""))
    _line("form", gift.form or "none of ours")
    _line("donor", _donor(gift))
    for entry in looked.entries:
        moved = amount(abs(entry.amount_cents), gift.currency)
        sign = "-" if entry.amount_cents < 0 else " "
        _line("ledger", f"{entry.occurred_at:%Y-%m-%d} {sign}{moved} {entry.kind} {entry.source_key}")
    for order in looked.orders:
        told = ", ".join(filter(None, (order.state, order.detail, order.provider_id)))
        said = f"{order.ordered_at:%Y-%m-%d} {amount(order.amount_cents, gift.currency)} by {order.who}: {order.reason}"
        _line("order", f"{order.id}, {said} ({told})")
    _line("left", amount(looked.left_cents, gift.currency))


@gifts.command()
def refund(
    number: Gift,
    because: Annotated[str, typer.Option("--because", help="Why, in words; it stands in the record.")],
    much: Annotated[
        str, typer.Option("--amount", help="How much, in the gift's currency: 12.50. Without it all that is left.")
    ] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Give a gift back, or a part of it, to the card it came from. Only gifts by Stripe; of ActBlue's it is done there."""
    deps = house(data_dir)
    if deps.payments is None:
        raise Unavailable("STRIPE_API_KEY is not set: nothing can be given back from here")
    with deps.work() as (session, now):
        contribution = _one(session, number)
        currency = refund_orders.look(session, contribution).gift.currency
        cents = money.minor_units(much, currency) if much else None
        ordered = refund_orders.order(session, contribution, cents, because, now)
        told = {"refund_order": ordered.id, "cents": ordered.cents}
        audit.write(session, None, "refund ordered", "contribution", contribution, told, now)
    deps.bells.ring(bell.UPKEEP)
    deps.bells.close()
    out.print(f"order {ordered.id}: {amount(ordered.cents, ordered.currency)} of contribution {contribution} goes back")
    raise typer.Exit(_outcome(deps, ordered.id))


def _one(session: Session, number: str) -> int:
    """The one gift that has this number. Of several it prints each, and ends."""
    found = refund_orders.find(session, number.strip())
    if len(found) == 1:
        return int(found[0].id)
    out.print(f"{number} is a number of {len(found)} gifts: say which, by the first of its numbers", markup=False)
    for gift in found:
        said = f"{amount(gift.amount_cents, gift.currency):>12}  {gift.paid_at:%Y-%m-%d}  {gift.source}"
        out.print(f"{gift.id:>9}  {said}  {gift.payment_key or gift.source_key}", markup=False)
    raise typer.Exit(1)


def _numbers(gift: Row[Any]) -> list[tuple[str, str]]:
    """Every number that somebody may quote, each once, by what it is called."""
    named = {"payment": gift.payment_key, "charge": gift.charge_key, "number": gift.source_key,
             "order": gift.order_number, "plan": gift.plan_key, "account": gift.account}  # fmt: skip
    if gift.source_key in (gift.payment_key, gift.charge_key):
        del named["number"]
    return [(name, said) for name, said in named.items() if said]


def _donor(gift: Row[Any]) -> str:
    if gift.contact_id is None:
        return "nobody was named"
    name = f"{gift.first_name} {gift.last_name}".strip()
    told = "erased" if gift.erased_at else ", ".join(filter(None, (name, gift.email))) or "without a name"
    return f"{told} (contact {gift.contact_id})"


def _outcome(deps: Deps, order_id: int) -> int:
    """Wait a little for what the processor says, and print it. The exit code: 1 when it refused."""
    ends = monotonic() + WAIT_SECONDS
    while True:
        with deps.work() as (session, _):
            order = refund_orders.state(session, order_id)
        if order.state != "due" or monotonic() > ends:
            break
        sleep(STEP_SECONDS)
    if order.state == "refunded":
        out.print(
            f"Stripe has taken it: {order.provider_id}. The books follow as soon as its event is here.", markup=False
        )
    elif order.state == "uncertain":
        out.print(f"{order.detail}.", markup=False)
    elif order.state == "refused":
        out.print(f"Stripe refused: {order.detail}. Nothing went back.", markup=False)
    else:
        out.print(
            "Stripe has not answered yet. The order stands, and is asked for again each minute: `gifts show` tells."
        )
    return 1 if order.state in ("refused", "uncertain") else 0


def _line(name: str, said: object) -> None:
    out.print(f"{name:9}{said}", markup=False)
