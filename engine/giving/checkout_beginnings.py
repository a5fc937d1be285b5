"""Gifts that somebody begins on a page of ours: the rows of `checkout`, from the button to the processor's page.

A row is committed before the processor is asked, and its number is the idempotency key: whatever happens in between, the same
press leads to the same page of the processor's, and the same words from a second tab to that of the first. Nothing here asks
the processor, and nothing makes a gift: that is for its webhooks.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.events import Person
from engine.giving.forms import Shown
from engine.languages import ENGLISH
from engine.ports import Basket, Opened

# Stripe takes 30 minutes to 24 hours from the moment when it makes the page: a press to be repeated has half an hour.
LASTS = timedelta(minutes=60)
LONGEST_METADATA = 500  # characters of one value, as Stripe promises


@dataclass(frozen=True, slots=True)
class Wish:
    """What she asked for. `amount_cents` is within the rules of the form: whoever read it saw to that. `account`: the
    processor's connected account that takes it, "" our own."""

    form_id: int
    form_version: int
    amount_cents: int
    period: Literal["once", "monthly"]
    donor: Person
    language: str = ENGLISH
    refcode: str = ""
    refcode2: str = ""
    account: str = ""

    @property
    def words(self) -> dict[str, Any]:
        """The columns of a checkout that say it."""
        told = asdict(self)
        return {"donation_form_id": told.pop("form_id"), **told}

    def digest(self, network: str) -> str:
        """All of it and where it came from in one word: somebody else's checkout is nobody's to be led to."""
        return hashlib.sha256(orjson.dumps([self.words, network])).hexdigest()


@dataclass(frozen=True, slots=True)
class Begun:
    """A checkout as it stands. new: nobody has begun it. open: she is to be led to `url`. opening: the processor is to be
    asked for its page, perhaps once more. paid: the money is there. other: her press belongs to other words, or its page is
    over: it may be paid, without our knowing yet. refused: the processor made no page of it, so nobody paid.

    `word`: what the processor is to name it by, see `engine.tables.paying.Checkout`."""

    state: Literal["new", "open", "opening", "paid", "other", "refused"]
    id: int = 0
    url: str = ""
    expires_at: datetime | None = None
    word: str = ""


NEW = Begun("new")

_COLUMNS = """id, nonce, digest, donation_form_id, form_version, amount_cents, period, donor, language, refcode, refcode2,
    account, state, url, expires_at"""
_PRESSED = text(f"SELECT {_COLUMNS} FROM checkout WHERE nonce = :nonce")
_PAID = text("SELECT EXISTS (SELECT FROM checkout WHERE nonce = :nonce AND state = 'paid')")
_ALIKE = text(f"""
SELECT {_COLUMNS} FROM checkout WHERE digest = :digest AND state IN ('opening', 'open') AND expires_at > :now
ORDER BY id LIMIT 1
""")
_TURNS = text("SELECT pg_advisory_xact_lock(hashtextextended('checkout ' || :digest, 0))")
_BEGIN = text("""
INSERT INTO checkout (nonce, digest, donation_form_id, form_version, amount_cents, period, donor, language, refcode, refcode2,
    account, created_at, expires_at)
VALUES (:nonce, :digest, :donation_form_id, :form_version, :amount_cents, :period, CAST(:donor AS jsonb), :language, :refcode,
    :refcode2, :account, :now, :expires_at)
ON CONFLICT (nonce) DO NOTHING RETURNING id, expires_at
""")
_OPENED = text("""
UPDATE checkout SET state = CASE state WHEN 'opening' THEN 'open' ELSE state END, session_key = :key, url = :url,
    expires_at = :expires_at
WHERE id = :id AND session_key = ''
""")
_REFUSED = text("UPDATE checkout SET state = 'refused', donor = '{}' WHERE id = :id AND state = 'opening'")


def find(session: Session, wish: Wish, nonce: str, network: str, now: datetime) -> Begun:
    """What there is already of this press, or of the same words from the same network."""
    pressed = session.execute(_PRESSED, {"nonce": nonce}).one_or_none()
    if pressed is not None:
        return _as_it_stands(pressed, wish, now)
    alike = session.execute(_ALIKE, {"digest": wish.digest(network), "now": now}).one_or_none()
    return _begun(alike) if alike else NEW


def begin(session: Session, wish: Wish, nonce: str, network: str, now: datetime) -> Begun:
    """As `find`; where there is nothing, begun. To be committed before the processor is asked."""
    session.execute(_TURNS, {"digest": wish.digest(network)})
    found = find(session, wish, nonce, network, now)
    if found.state != "new":
        return found
    said = wish.words | {"donor": orjson.dumps(asdict(wish.donor)).decode(), "digest": wish.digest(network)}
    made = session.execute(_BEGIN, said | {"nonce": nonce, "now": now, "expires_at": now + LASTS}).one_or_none()
    # None: the same press with other words, at the same instant.
    return Begun("opening", made.id, "", made.expires_at, nonce) if made else Begun("other")


def is_paid(session: Session, nonce: str) -> bool:
    """Whether what was begun by this press is paid."""
    return bool(session.scalar(_PAID, {"nonce": nonce}))


def opened(session: Session, checkout_id: int, page: Opened) -> None:
    """The processor has made its page. One that was told twice, or paid meanwhile, stays as it is."""
    session.execute(_OPENED, {"id": checkout_id, "key": page.key, "url": page.url, "expires_at": page.expires_at})


def refused(session: Session, checkout_id: int) -> None:
    """The processor will never make a page of this one."""
    session.execute(_REFUSED, {"id": checkout_id})


def idempotency_key(checkout_id: int) -> str:
    """What the processor knows this checkout by."""
    return f"checkout-{checkout_id}"


def basket(wish: Wish, begun: Begun, form: Shown, *, success_url: str, cancel_url: str) -> Basket:
    """What the processor is asked for: the same for the same checkout, however often."""
    assert begun.expires_at is not None
    return Basket(
        amount_cents=wish.amount_cents,
        monthly=wish.period == "monthly",
        title=form.definition.said(wish.language).title,
        email=wish.donor.email or "",
        metadata=_metadata(wish, begun.word, form),
        success_url=success_url,
        cancel_url=cancel_url,
        expires_at=begun.expires_at,
        language=wish.language,
        account=wish.account,
    )


def _metadata(wish: Wish, word: str, form: Shown) -> Mapping[str, str]:
    said = {
        "form": form.definition.slug, "form_version": str(wish.form_version), "checkout": word,
        "refcode": wish.refcode, "refcode2": wish.refcode2, "employer": wish.donor.employer,
        "occupation": wish.donor.occupation,
    }  # fmt: skip
    return {name: value[:LONGEST_METADATA] for name, value in said.items() if value}


def _as_it_stands(row: Row[Any], wish: Wish, now: datetime) -> Begun:
    """What she pressed before: the same words, or others? Of what is paid that makes no difference: it is done, and by no
    press of hers, however late, from wherever and with whatever words, is she to give twice."""
    if row.state in ("paid", "refused"):
        return _begun(row)
    over = row.state == "expired" or row.expires_at <= now
    same = all(getattr(row, name) == said for name, said in (wish.words | {"donor": asdict(wish.donor)}).items())
    return _begun(row) if same and not over else Begun("other")


def _begun(row: Row[Any]) -> Begun:
    return Begun(row.state, row.id, row.url, row.expires_at, row.nonce)
