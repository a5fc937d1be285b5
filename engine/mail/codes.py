"""What a letter is called by whoever has no row of it: whom it goes to and for what, as an opaque code.

The code travels with the letter and comes back with all that is told of it. Should this database be restored, a letter that
is composed anew has the same code as the one that left in the hours that were lost: so the occasion in it is named by what
outlasts them, the payment and not the row of the gift, the slug and not the number.
"""

from engine.tokens import Signer

# SQL over message `m`: what it is for, where its occasion names rows that are made anew.
NAMED = """
CASE split_part(m.occasion, ':', 1)
    WHEN 'gift' THEN (SELECT g.source || ':' || g.source_key || ':' || split_part(m.occasion, ':', 3) FROM contribution g
        WHERE m.occasion ~ '^gift:[0-9]{1,18}:' AND g.id = CAST(split_part(m.occasion, ':', 2) AS bigint))
    WHEN 'refund' THEN (SELECT l.source || ':' || l.source_key || ':' || split_part(m.occasion, ':', 3) FROM ledger_entry l
        WHERE m.occasion ~ '^refund:[0-9]{1,18}:' AND l.id = CAST(split_part(m.occasion, ':', 2) AS bigint))
END
"""


# What these are for is named by rows that are made anew alone: one that is composed later is another letter.
NAMELESS = frozenset({"notice", "sign-in", "trial"})


def named(occasion: str, campaign: str | None, sequence: str | None) -> str:
    """The name of an occasion of a campaign or a sequence: by their slugs, where it has one. "": it has none that lasts."""
    kind, _, rest = occasion.partition(":")
    if kind in NAMELESS:
        return ""
    slug = {"campaign": campaign, "step": sequence}.get(kind)
    return f"{kind}:{slug}:{rest.partition(':')[2]}" if slug else occasion


def codes(signer: Signer, email: str, name: str) -> tuple[str, ...]:
    """The codes of a letter to this address, one a key: the last one is written. None for a letter that has no name."""
    return signer.codes(f"{email}\n{name}") if name else ()
