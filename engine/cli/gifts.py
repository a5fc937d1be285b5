"""Gifts: look at one, order one back."""

from time import monotonic, sleep
from typing import Annotated

import typer

from engine import bell, money
from engine.bootstrap import Deps
from engine.cli.terms import DEFAULT_DATA_DIR, MOST_ID, DataDir, house, out
from engine.errors import Unavailable
from engine.giving import refund_orders
from engine.money import amount
from engine.staff import audit

gifts = typer.Typer(no_args_is_help=True, help="Gifts: look at one, order one back.")

WAIT_SECONDS = 8.0
STEP_SECONDS = 0.25

Gift = Annotated[
    int, typer.Argument(metavar="CONTRIBUTION", help="The number of the contribution.", min=1, max=MOST_ID)
]


@gifts.command()
def show(contribution: Gift, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """One gift: what it was, what became of it, what of it was ordered back."""
    deps = house(data_dir)
    with deps.work() as (session, _):
        looked = refund_orders.look(session, contribution)
    gift = looked.gift
    _line("gift", f"{amount(gift.amount_cents, gift.currency)} {gift.recurring_period}, {gift.status}")
    _line("paid", f"{gift.paid_at:%Y-%m-%d %H:%M} UTC by {gift.source}, {gift.payment_key or gift.source_key}")
    _line("to", gift.receiver or "nobody of ours")
    _line("contact", gift.contact_id or "none")
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
    contribution: Gift,
    because: Annotated[str, typer.Option("--because", help="Why, in words; it stands in the record.")],
    dollars: Annotated[str, typer.Option("--amount", help="How much: 12.50. Without it all that is left.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Give a gift back, or a part of it, to the card it came from. Only gifts by Stripe; of ActBlue's it is done there."""
    deps = house(data_dir)
    cents = money.cents(dollars) if dollars else None
    if deps.payments is None:
        raise Unavailable("STRIPE_API_KEY is not set: nothing can be given back from here")
    with deps.work() as (session, now):
        ordered = refund_orders.order(session, contribution, cents, because, now)
        told = {"refund_order": ordered.id, "cents": ordered.cents}
        audit.write(session, None, "refund ordered", "contribution", contribution, told, now)
    deps.bells.ring(bell.UPKEEP)
    deps.bells.close()
    out.print(f"order {ordered.id}: {amount(ordered.cents, ordered.currency)} of contribution {contribution} goes back")
    raise typer.Exit(_outcome(deps, ordered.id))


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
    elif order.state == "refused":
        out.print(f"Stripe refused: {order.detail}. Nothing went back.", markup=False)
    else:
        out.print(
            "Stripe has not answered yet. The order stands, and is asked for again each minute: `gifts show` tells."
        )
    return 1 if order.state == "refused" else 0


def _line(name: str, said: object) -> None:
    out.print(f"{name:9}{said}", markup=False)
