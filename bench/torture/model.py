"""What must be true in the end, from the journal alone: money by the outsider's own id, to the cent; who stopped letters,
who signed up, who was erased. It knows nothing of how the product works.

A thing is certain once every request about it was taken; what is not certain may have happened or not, and is not judged.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.torture.journal import Intent, Journal
from bench.torture.money import ACTBLUE, ENTITIES, STRIPE

PLACED = ("signup", "gift", "stripe")  # what tells where somebody lives


@dataclass(slots=True)
class Gift:
    """One gift by its source's id. `cents`: what is left of it in the end; `also`: another id that it may stand under."""

    source: str
    key: str
    cents: int
    gross: int
    email: str
    fund: str
    also: str = ""
    certain: bool = True


@dataclass(slots=True)
class Model:
    """All that was told. Keys of `stopped`: addresses, values when that was answered (Unix time)."""

    gifts: dict[tuple[str, str], Gift] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)  # orders whose plan was cancelled
    stopped: dict[str, float] = field(default_factory=dict)
    suppressed: set[tuple[str, str]] = field(default_factory=set)  # address and reason, by the mail provider
    signed_up: dict[tuple[str, str], str] = field(default_factory=dict)  # source and key -> address
    erased: dict[str, tuple[str, float]] = field(default_factory=dict)  # canary -> address, when
    merged: dict[str, str] = field(default_factory=dict)  # address -> into which
    merged_at: dict[str, float] = field(default_factory=dict)
    zips: dict[str, set[str]] = field(default_factory=dict)  # all that was told of an address

    def sums(self) -> Mapping[str, int]:
        """Cents by fund, of all that is certain."""
        found: defaultdict[str, int] = defaultdict(int)
        for gift in self.gifts.values():
            found[gift.fund] += gift.cents
        return found


def told(journal: Journal) -> Model:
    """The model of all that the journal holds."""
    model = Model()
    for intent in journal.of():
        reader = _READERS.get(intent.kind)
        if reader:
            reader(model, intent)
    return model


def _gift(model: Model, intent: Intent) -> None:
    facts = intent.facts
    gift = model.gifts.setdefault(
        (ACTBLUE, facts["item"]),
        Gift(ACTBLUE, facts["item"], facts["cents"], facts["cents"], facts["email"], ENTITIES[facts["entity"]]),
    )
    gift.certain &= intent.acked_at is not None


def _refund(model: Model, intent: Intent) -> None:
    gift = model.gifts.get((ACTBLUE, intent.facts["item"]))
    if gift:  # its intent is written before that of its refund
        gift.cents = 0
        gift.certain &= intent.acked_at is not None


def _stripe(model: Model, intent: Intent) -> None:
    facts = intent.facts
    if not facts.get("payment"):
        return
    gift = model.gifts.setdefault(
        (STRIPE, facts["payment"]),
        Gift(STRIPE, facts["payment"], facts["cents"] - facts["back"], facts["cents"], facts["email"], "action",
             facts["invoice"]),
    )  # fmt: skip
    gift.certain &= intent.acked_at is not None


def _cancellation(model: Model, intent: Intent) -> None:
    if intent.acked_at is not None:
        model.ended.add(intent.facts["order"])


def _unsubscribe(model: Model, intent: Intent) -> None:
    if intent.acked_at is not None:
        model.stopped.setdefault(intent.facts["email"], intent.acked_at)


def _mail_events(model: Model, intent: Intent) -> None:
    if intent.acked_at is not None:
        model.suppressed |= {(email, reason) for email, reason in intent.facts["suppresses"]}


def _signup(model: Model, intent: Intent) -> None:
    model.zips.setdefault(intent.facts["email"], set()).add(intent.facts["zip"])
    if intent.acked_at is not None:
        key = intent.facts["id"] or intent.key
        model.signed_up[intent.source, key] = intent.facts["email"]


def _erase(model: Model, intent: Intent) -> None:
    if intent.acked_at is not None:
        model.erased[intent.facts["canary"]] = (intent.facts["email"], intent.acked_at)


def _merge(model: Model, intent: Intent) -> None:
    if intent.acked_at is not None:
        model.merged[intent.facts["one"]] = intent.facts["other"]
        model.merged_at[intent.facts["one"]] = intent.acked_at


_READERS = {
    "gift": _gift, "refund": _refund, "stripe": _stripe, "cancellation": _cancellation, "unsubscribe": _unsubscribe,
    "mail_events": _mail_events, "signup": _signup, "erase": _erase, "merge": _merge,
}  # fmt: skip
