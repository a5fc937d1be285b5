"""What becomes of a yes on a form of ours: it counts at once, or she is asked by letter, or it is only kept on record.

It counts at once on a form that takes it so, unless her address was told to be left alone: who unsubscribed, was erased or
complained is asked first, for anyone can type in an address. Where nothing may be sent at all, nobody is asked. Of what a
stranger typed nothing replaces what is known of a person before the answer (`engine.people.strangers`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from engine.events import Event, Joined
from engine.people import confirmations, consent, strangers, wishes
from engine.people.standing import SAID_NO, Standing, standings
from engine.people.wishes import SOURCE, SaidByForm
from engine.settings import Settings

Course = Literal["counts", "ask", "keep"]


def course(at: datetime, standing: Standing, *, confirm: bool) -> Course:
    """What to do with a yes of that moment. Pure. `confirm`: the form takes none without an answer to a letter."""
    if standing.refused_at is not None and standing.refused_at > at:
        return "keep"  # her own later word
    if confirm or standing.refused_at is not None or standing.suppressed & SAID_NO:
        return "keep" if standing.unreachable else "ask"
    return "counts"


def join(session: Session, said: Sequence[SaidByForm], now: datetime, settings: Settings) -> list[Event]:
    """Follow these sign-ups, fresh on record, of contacts that are locked. Who is on the list already is not welcomed
    again."""
    if not said:
        return []
    known = standings(session, {one.contact_id for one in said}, settings)
    courses = [course(one.at, known[one.contact_id], confirm=one.wishes.confirm) for one in said]
    counting = [one for one, what in zip(said, courses, strict=True) if what == "counts"]
    asking = [one for one, what in zip(said, courses, strict=True) if what == "ask"]
    weighed = strangers.weigh_all(counting, strangers.load(session, counting)) if counting else []
    waiting = [one for one, how in zip(counting, weighed, strict=True) if how.waits]
    asking += [one for one in waiting if not known[one.contact_id].unreachable]
    consent.hear(session, map(_word, counting))
    new = {
        one.contact_id: one.cause
        for one in counting
        if not known[one.contact_id].listed and not known[one.contact_id].suppressed
    }
    return [
        *wishes.carry_out(session, [how.now for how in weighed], now),
        *confirmations.ask(session, asking, now),
        *(Joined(cause, contact_id) for contact_id, cause in new.items()),
    ]


def _word(one: SaidByForm) -> dict[str, object]:
    return {
        "contact_id": one.contact_id,
        "channel": "mail",
        "given": True,
        "at": one.at,
        "source": SOURCE,
        "place": one.wishes.form,
        "wording": one.wording,
        "cause": one.cause,
    }
