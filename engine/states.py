"""STATES: every state a row can be in and what it may become next.

The database's CHECKs and the diagrams of the docs come from here. Reasons (`quarantined` why, `skipped` why) are
columns beside the state. A contribution's `status` is none of these: it follows from the ledger (`engine.giving.ledger`).
"""

STATES: dict[str, dict[str, tuple[str, ...]]] = {
    "inbound_event": {
        "pending": ("applied", "ignored", "split", "quarantined"),
        "applied": (),
        "ignored": ("pending",),  # told of a letter that a restore lost, and that is known now
        "split": (),
        "quarantined": ("pending",),  # by replay
    },
    "message": {
        # Further than handed only when a handover in doubt is proven that seemed not to have arrived.
        "ready": (
            "handed",
            "skipped",
            "cancelled",
            "expired",
            "failed",
            "delivered",
            "bounced",
            "dropped",
            "complained",
        ),
        # Back to ready only through a handover that ended refused(retryable), abandoned, split or resent.
        # Skipped before the request: an ask that would have asked for nothing.
        "handed": ("delivered", "bounced", "dropped", "complained", "ready", "failed", "skipped"),
        # What became of a letter is told in any order, and of each of its handovers: it moves forward only, from dropped
        # to delivered to bounced to complained.
        "delivered": ("bounced", "complained"),
        "bounced": ("complained",),
        "dropped": ("delivered", "bounced", "complained"),
        "complained": (),
        "skipped": (),
        "cancelled": (),
        "expired": (),
        "failed": ("ready", "handed", "delivered", "bounced", "dropped", "complained"),  # by retry; likewise
    },
    "handover": {
        "submitting": ("accepted", "refused", "abandoned", "split", "uncertain"),
        "uncertain": ("accepted", "resent", "presumed"),
        "accepted": (),
        "refused": (),
        "abandoned": (),
        "split": (),
        "resent": (),
        "presumed": (),
    },
    # A place in a sequence. Why somebody left is its reason.
    "enrollment": {
        "active": ("finished", "left"),
        "finished": (),
        "left": (),
    },
    # Scheduled once more: the next run of a campaign that repeats. Back to draft: undone while it was held.
    "campaign": {
        "draft": ("scheduled", "cancelled"),
        "scheduled": ("expanding", "draft", "cancelled"),
        "expanding": ("running", "cancelled"),
        "running": ("finished", "scheduled", "cancelled"),
        "finished": (),
        "cancelled": (),
    },
    # Facts about money arrive in any order: the writer moves them forward only, whatever comes late.
    "refund": {
        "succeeded": ("failed",),
        "failed": (),
    },
    "dispute": {
        "inquiry": ("closed", "open", "won", "lost"),
        "closed": ("open", "won", "lost"),
        "open": ("won", "lost"),
        "won": ("lost",),
        "lost": ("won",),
    },
    "fraud_warning": {
        "told": (),
        "refund_due": ("refunded", "refused"),
        "refunded": (),
        "refused": (),
    },
    # A gift begun on a page of ours. The processor may tell of the money before we have its answer, or after its page ended.
    "checkout": {
        "opening": ("open", "refused", "expired", "paid"),
        "open": ("paid", "expired"),
        "refused": (),
        "expired": ("paid",),
        "paid": (),
    },
    "refund_order": {
        "due": ("refunded", "refused", "uncertain"),
        "refunded": (),
        "refused": (),
        "uncertain": (),
    },
    "recurring_plan": {
        "active": ("paused", "failing", "cancelled", "lapsed"),
        "paused": ("active", "failing", "cancelled", "lapsed"),
        "failing": ("active", "paused", "cancelled", "lapsed"),
        "cancelled": (),
        "lapsed": (),
    },
    "volunteer_offer": {
        "new": ("contacted", "placed", "withdrawn"),
        "contacted": ("new", "placed", "withdrawn"),
        "placed": ("contacted", "withdrawn"),
        "withdrawn": ("new",),
    },
    "territory_change": {
        "proposed": ("approved", "declined"),
        "approved": ("applied",),
        "applied": (),
        "declined": (),
    },
    "spark": {
        "proposed": ("approved", "declined"),
        "approved": (),
        "declined": (),
    },
}


def check_clause(table: str) -> str:
    """The SQL of the CHECK that holds `table.state` to STATES."""
    return "state IN ({})".format(", ".join(f"'{state}'" for state in STATES[table]))
