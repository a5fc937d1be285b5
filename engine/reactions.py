"""REACTIONS: everything that follows from an event, on one screen. All in the transaction of the event itself."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy.orm import Session

from engine import events
from engine.giving import (
    ask_rests,
    checkout_ends,
    contributions,
    declines,
    excesses,
    gift_consent,
    keeping,
    payment_words,
    plans,
    reversals,
)
from engine.mail import feedback, holds, past, readers, suppressions
from engine.outreach import (
    attribution,
    awaited,
    confirm,
    enrolled,
    past_places,
    reached,
    receipts,
    refund_notices,
    tallies,
    thanks,
    triggers,
)
from engine.people import admission, engagement, erasing, merging, sign_ups, traces
from engine.settings import Settings
from engine.staff import notices

Reaction = Callable[[Session, Sequence[Any], datetime, Settings], list[events.Event]]

REACTIONS: dict[type[events.Event], tuple[Reaction, ...]] = {
    # Money, as told. The order of this table is the order in which kinds that come together are followed.
    events.CheckoutReported: (payment_words.check_out, checkout_ends.pay, attribution.learn),
    events.CheckoutEndReported: (checkout_ends.end,),
    events.DeclineReported: (declines.record,),
    events.PaymentLinked: (payment_words.link, receipts.renumber, attribution.learn),
    events.ContributionReported: (contributions.record, attribution.learn),
    events.RefundReported: (reversals.refund,),
    events.RefundTotalReported: (reversals.refund,),
    events.DisputeReported: (reversals.dispute,),
    events.FraudWarningReported: (reversals.warn,),
    events.PlanReported: (plans.tell,),
    events.PlanPaymentFailed: (plans.fail,),
    events.PlanEndReported: (plans.end,),
    # People and letters, as told.
    events.SignUpReported: (sign_ups.record, suppressions.opted_out),
    events.LetterReported: (feedback.letters_told,),
    events.AccountReported: (holds.account_told,),
    # Money, as it stands.
    events.ContributionRecorded: (
        gift_consent.allow,
        excesses.weigh,
        ask_rests.gave,
        reached.gave,
        awaited.gave,
        triggers.gave,
        thanks.compose,
        receipts.compose,
        refund_notices.compose,
    ),
    events.InstalmentRecorded: (
        excesses.weigh,
        reached.happened,
        awaited.paid,
        triggers.paid,
        thanks.compose,
        receipts.compose,
        refund_notices.compose,
    ),
    events.DonorLearned: (
        gift_consent.allow,
        excesses.weigh,
        ask_rests.gave,
        reached.gave,
        awaited.gave,
        triggers.gave,
        thanks.compose,
        receipts.compose,
        refund_notices.compose,
    ),
    events.CardDeclined: (),
    events.RefundRecorded: (excesses.weigh_again, ask_rests.went_back, reached.happened, refund_notices.compose),
    events.RefundFailed: (excesses.weigh_again, ask_rests.came_back, reached.happened, refund_notices.failed),
    events.DisputeRecorded: (excesses.weigh_again, ask_rests.asked_about, reached.happened),
    events.FraudWarned: (),
    events.PlanStarted: (reached.happened, awaited.began),
    events.PlanChanged: (reached.happened,),
    events.PlanFailed: (ask_rests.failing, reached.happened, triggers.failed),
    events.PlanCancelled: (reached.happened, triggers.ended),
    events.FactRecorded: (),
    # People.
    events.SignedUp: (engagement.signed_up, reached.happened),
    events.ConfirmationAsked: (confirm.compose,),
    events.Joined: (reached.happened, triggers.joined, awaited.joined),
    events.HelpOffered: (reached.happened, triggers.offered, awaited.offered),
    events.ChapterChanged: (reached.happened,),
    events.ContactMerged: (
        merging.take_over,
        keeping.take_over,
        excesses.weigh_together,
        readers.take_over,
        past.take_over,
        enrolled.take_over,
        past_places.take_over,
        attribution.take_over,
        reached.happened,
    ),
    events.ContactErased: (traces.forget, erasing.forget, keeping.forget, readers.forget, past.forget, enrolled.forget),
    # Letters.
    events.LetterUnknown: (),
    events.LetterDelivered: (),
    events.LetterDeferred: (),
    events.LetterBounced: (),
    events.LetterDropped: (),
    events.Complained: (),
    events.Unsubscribed: (),
    events.LetterOpened: (engagement.opened, reached.happened),
    events.LetterClicked: (
        engagement.clicked,
        ask_rests.clicked,
        reached.happened,
        awaited.clicked,
        attribution.clicked,
    ),
    events.LetterTended: (engagement.tended, reached.happened, attribution.clicked),
    events.MailStopped: (),
    # The house itself.
    events.HumanNeeded: (notices.tell,),
    events.MatterSettled: (notices.close,),
    events.LettersComposed: (),  # the edge rings the bell of their lane
    events.StepsDue: (),  # likewise
    # What is counted, once nothing else follows: everybody waits for these rows.
    events.PlacesLeft: (tallies.places,),
    events.StepCounted: (tallies.letters,),
}
LAST = (events.PlacesLeft, events.StepCounted)


def react(session: Session, happened: Sequence[events.Event], now: datetime, settings: Settings) -> list[events.Event]:
    """Admit everyone whom these events name, then follow them, kind by kind, until nothing more follows; those of LAST
    after all others. Returns them and all that came of them.

    Each reaction gets all events of its kind at once: the number of statements does not grow with the batch.
    """
    everything: list[events.Event] = []
    happened = checkout_ends.recall(session, happened)
    waiting = [*happened, *admission.admit(session, happened, now, settings)]
    order = list(REACTIONS)
    while waiting:
        wave = [event for event in waiting if not isinstance(event, LAST)] or waiting
        waiting = [event for event in waiting if isinstance(event, LAST)] if wave is not waiting else []
        everything += wave
        wave.sort(key=lambda event: order.index(type(event)))
        waiting += [
            following
            for kind, same in groupby(wave, key=type)
            for batch in (list(same),)
            for reaction in REACTIONS[kind]
            for following in reaction(session, batch, now, settings)
        ]
    return everything
