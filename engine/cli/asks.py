"""Amounts that fit: why somebody is asked for what."""

from typing import Annotated

import typer

from engine.cli.terms import DEFAULT_DATA_DIR, DataDir, house, out
from engine.giving import ask_reasons
from engine.giving.asks import History, Ladder
from engine.money import dollars
from engine.people import contacts

asks = typer.Typer(no_args_is_help=True, help="Amounts that fit: what somebody is asked for, and why.")


@asks.callback()
def _asks() -> None:
    """More commands may come: this one keeps its name."""


@asks.command()
def explain(
    who: Annotated[str, typer.Argument(help="Address, or the number of the contact.")],
    form: Annotated[str, typer.Option(help="Only this donation form.")] = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say what somebody would be asked for now on each open form, once and each month, and why."""
    deps = house(data_dir)
    with deps.work() as (session, now):
        found = ask_reasons.explain(session, contacts.find(session, who), now, deps.settings.time_zone, form)
    out.print(_gave(found.history), markup=False)
    for asked in found.forms:
        left = "" if asked.left_cents is None else f"; {dollars(asked.left_cents)} left of the limit"
        out.print(f"\n{asked.form}: {asked.title} ({asked.fund}{left})", markup=False)
        _say("once", asked.once)
        if asked.monthly is not None:
            _say("each month", asked.monthly)
    if not found.forms:
        out.print("no donation form is open")


def _gave(history: History) -> str:
    if not history.gifts:
        return "She has not given yet."
    gifts = "1 gift" if history.gifts == 1 else f"{history.gifts:,} gifts"
    monthly = f"; {dollars(history.monthly_cents)} a month" if history.monthly_cents else ""
    last, usual, highest = map(dollars, (history.last_cents, history.typical_cents, history.highest_cents))
    return f"{gifts}: the last {last}, usually {usual}, the highest {highest}{monthly}."


def _say(name: str, ladder: Ladder) -> None:
    amounts = "  ".join(map(dollars, ladder.cents)) or "nothing"
    out.print(f"  {name:10}  {amounts}\n{'':14}{ladder.why}", markup=False)
