"""INVARIANTS: everything that must hold, on one screen. What breaks each is found by a function of the evidence.

During a run those that hold at every moment and are cheap to look at (`check_now`); in the end, once all is quiet, all of
them (`check_end`). Numbers are those of the promises that they stand for: I of safety, L of liveness.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from bench.torture import evidence, of_inbox, of_letters, of_machinery, of_money, of_people, of_steps
from bench.torture.evidence import Evidence
from bench.torture.journal import Journal
from bench.torture.world import World

EXAMPLES, MOST = 5, 1000
LOOK_BACK_SECONDS = 60.0  # of what was taken before, an earlier look has told


@dataclass(frozen=True, slots=True)
class Invariant:
    """One of them. `always`: it holds at every moment, and is looked at during the run, too."""

    name: str
    says: str
    broken: Callable[[Evidence], Iterable[str]]
    always: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at one invariant found: how often it is broken, and some examples."""

    name: str
    says: str
    broken: int
    examples: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing breaks it."""
        return not self.broken


INVARIANTS: tuple[Invariant, ...] = (
    Invariant("I1 stored", "what was answered 2xx is in the inbox", of_inbox.stored, always=True),
    Invariant("I1 finished", "and was applied, ignored, or put aside with reason", of_inbox.finished),
    Invariant("I1 taken", "everybody outside was answered for good", of_inbox.none_lost),
    Invariant("I2 once", "no event is twice in the inbox", of_inbox.once_in, always=True),
    Invariant("I2 effects", "nothing that comes of an event is there twice", of_inbox.applied_once, always=True),
    Invariant("I2 gifts", "each gift is booked once, as it was told, and no other", of_money.as_told),
    Invariant("I3 balance", "ledger, contributions, totals and statuses agree", of_money.balance),
    Invariant("I3 I4 sums", "totals of funds and of Stripe's payments are the model's", of_money.sums),
    Invariant("I3 plans", "a plan that was ended is over", of_money.plans_ended),
    Invariant("I5 at most once", "a campaign's letter is accepted once at the most", of_letters.once, always=True),
    Invariant(
        "I6 receipts", "a receipt again only after a doubt, three times at most", of_letters.receipts, always=True
    ),
    Invariant("I6 on record", "what left had its row before, and within its lease", of_letters.on_record, always=True),
    Invariant("I7 occasions", "nobody gets the letter of one step twice", of_letters.one_occasion, always=True),
    Invariant("I8 unsubscribed", "no letter after a no", of_letters.after_no, always=True),
    Invariant("I9 nobody", "none to suppressed, erased, or who never said yes", of_letters.to_nobody, always=True),
    Invariant("I10 accounted", "what became of all letters adds up", of_letters.accounted),
    Invariant("I11 order", "steps in their order, not before their time", of_steps.in_order),
    Invariant("I11 there", "no letter of a step to who is not at it", of_steps.only_there),
    Invariant("I11 gave", "nobody is asked after her gift", of_steps.not_after_giving),
    Invariant("I12 chapters", "everybody stands in the chapter of her ZIP", of_people.at_home),
    Invariant("I12 sign-ups", "every sign-up that was taken is on record", of_people.signed_up),
    Invariant("I13 caps", "no more letters within a day than the cap", of_letters.capped, always=True),
    Invariant("I14 leases", "no lease is held by who is dead", of_machinery.held_by_nobody),
    Invariant("I15 one click", "a no that was answered holds", of_people.no_holds, always=True),
    Invariant("I15 provider", "addresses that the provider told of are suppressed", of_people.suppressed),
    Invariant("I16 erased", "of the erased no word is left", of_people.forgotten),
    Invariant("I17 logs", "no secret, token, card or address in a log", of_machinery.told_nobody),
    Invariant("I18 answers", "a request fails with 503 or not at all", of_inbox.answers, always=True),
    Invariant("I18 intruders", "replays and forgeries stay out", of_inbox.refused, always=True),
    Invariant("I19 audit", "each deed of staff's is on the audit, once", of_people.on_record),
    Invariant("I20 locks", "nobody waits long for a lock", of_machinery.locks, always=True),
    Invariant("I20 Redis", "no bell is left over", of_machinery.emptied),
    Invariant("L1 inbox", "no event waits", of_machinery.applied),
    Invariant("L2 due", "no step and no letter waits", of_machinery.taken),
    Invariant("L4 doubts", "no doubt outlives its time", of_machinery.settled),
)


def check_now(world: World, journal: Journal) -> list[Verdict]:
    """Those that hold at every moment. Raises psycopg.Error while Postgres is away."""
    with evidence.collected(world, journal) as found:
        found.since = found.now - LOOK_BACK_SECONDS
        return list(_judged(found, (each for each in INVARIANTS if each.always)))


def check_end(world: World, journal: Journal) -> list[Verdict]:
    """All of them, once everything is quiet. Raises psycopg.Error while Postgres is away."""
    with evidence.collected(world, journal) as found:
        return list(_judged(found, INVARIANTS))


def red(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Those that are broken."""
    return [each for each in verdicts if not each.holds]


def _judged(found: Evidence, invariants: Iterable[Invariant]) -> Iterator[Verdict]:
    for each in invariants:
        breaks = list(islice(each.broken(found), MOST))
        yield Verdict(each.name, each.says, len(breaks), tuple(breaks[:EXAMPLES]))
