"""Random people with everything that rules ask about, few values of each so that they meet; made by a seed."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.giving import totals

CHAPTERS = ("massachusetts", "central", "worcester", "springfield", "western")
ZIPS = ("01604", "01301", "01103", "99999")
SPANS = ("1 hour", "30 days", "2 weeks", "6 months", "12 months", "2 years")
CENTS = (100, 500, 2500, 2700, 10000)
LETTERS = ("thank_you", "confirm")
SEQUENCES = ("hello", "rent")


def make(session: Session, seed: int, many: int, now: datetime) -> list[int]:
    """So many of them, alone in this house; their ids."""
    dice = Random(seed)
    version_id = _sequences(session, now)
    ids = [_person(session, dice, number, now) for number in range(many)]
    for contact_id in ids:
        for _ in range(dice.choice((0, 0, 1, 1, 2, 4))):
            _gift(session, dice, contact_id, now)
        for age in range(1, dice.choice((1,) * 9 + (25,))):  # less each time: more peaks than are kept
            smaller = {"amount_cents": age * 500, "paid_at": now - timedelta(days=25 * age, hours=1)}
            _gift(session, dice, contact_id, now, status="received", currency="usd", fund="action", **smaller)
        _habits(session, dice, contact_id, now)
        _letters(session, dice, contact_id, now)
        _places(session, dice, contact_id, version_id, now)
        _allowed(session, dice, contact_id, now)
    totals.refresh(session, ids)
    return ids


def _person(session: Session, dice: Random, number: int, now: datetime) -> int:
    told = {
        "email": None if dice.random() < 0.1 else f"p{number}@strangers.example.org",
        "zip": dice.choice((None, *ZIPS)), "state": dice.choice(("", "MA", " ma ", "NY")),
        "language": dice.choice(("en", "es")), "details_at": now, "chapter": dice.choice((None, *CHAPTERS)),
        "engaged_last_at": dice.choice((None, moment(dice, now))),
        "rested_at": dice.choice((None,) * 5 + (moment(dice, now),)), "created_at": moment(dice, now),
        "custom": dice.choice(({}, {"tags": ["captain", "driver"]}, {"score": "7"}, {"score": 7.5}, {"score": None},
                               {"score": "many"}, {"tags": "captain"}, {"score": True}, {"score": {"a": 1}})),
        "erased_at": now if dice.random() < 0.05 else None,
    }  # fmt: skip
    return _put(session, "contact", ("chapter",), told)


def _gift(session: Session, dice: Random, contact_id: int, now: datetime, **known: Any) -> None:
    cents = known.get("amount_cents") or dice.choice(CENTS)
    status = known.get("status") or dice.choice(("received",) * 4 + ("refunded", "partly_refunded", "duplicate"))
    told = {
        "contact_id": contact_id, "source": "actblue", "source_key": str(dice.random()), "amount_cents": cents,
        "currency": dice.choice(("usd", "usd", "usd", "eur")), "status": status, "paid_at": moment(dice, now),
        "donor": dice.choice(({}, {"employer": "Library", "occupation": "Librarian"}, {"employer": " ", "occupation": "x"})),
        "fund": dice.choice(("action", "pac", None)), "refcode": dice.choice(("", "door")),
        "refcode2": dice.choice(("", "door")),
        "form": dice.choice((None, "common-ground")),
    }  # fmt: skip
    gift_id = _put(session, "contribution", ("fund", "form"), told | known)
    back = {"received": 0, "partly_refunded": cents - 100 or 50}.get(status, cents)
    for kind, amount in (("gift", cents), ("duplicate" if status == "duplicate" else "refund", -back)):
        if amount:
            entry = {"contribution_id": gift_id, "kind": kind, "source": "actblue", "source_key": str(dice.random()),
                     "amount_cents": amount, "occurred_at": now}  # fmt: skip
            _put(session, "ledger_entry", (), entry)


def _habits(session: Session, dice: Random, contact_id: int, now: datetime) -> None:
    her = {"contact_id": contact_id}
    if dice.random() < 0.3:
        plan = {"source": "stripe", "source_key": str(dice.random()), "amount_cents": dice.choice(CENTS), "period": "monthly",
                "state": dice.choice(("active", "active", "paused", "failing", "cancelled", "lapsed")), "started_at": now,
                "told_at": now, "fund": dice.choice(("action", "pac", None))}  # fmt: skip
        _put(session, "recurring_plan", ("fund",), her | plan)
    if dice.random() < 0.3:
        _put(session, "followed_chapter", ("chapter",), her | {"chapter": dice.choice(CHAPTERS)})
    if dice.random() < 0.3:
        _put(
            session,
            "contact_interest",
            ("interest",),
            her | {"at": now, "source": "join", "interest": dice.choice((0, 1))},
        )
    if dice.random() < 0.3:
        offer = {
            "state": dice.choice(("new", "contacted", "placed", "withdrawn")),
            "at": now,
            "way": dice.choice((0, 1)),
        }
        _put(session, "volunteer_offer", ("way",), her | offer)
    if dice.random() < 0.4:
        signed = {"source": dice.choice(("join", "signup", "actionnetwork")), "source_key": str(dice.random()),
                  "kind": "signup", "person": {}, "at": moment(dice, now), "place": dice.choice(("", "join"))}  # fmt: skip
        _put(session, "sign_up", (), her | signed)


def _letters(session: Session, dice: Random, contact_id: int, now: datetime) -> None:
    for slug in LETTERS:
        if dice.random() < 0.4:
            state = dice.choice(("ready", "handed", "delivered", "bounced", "complained", "cancelled"))
            handed = None if state in ("ready", "cancelled") else moment(dice, now)
            letter = {"contact_id": contact_id, "occasion": slug, "lane": "delivery", "state": state, "due_at": now,
                      "facts": {}, "handed_at": handed, "mailing": dice.choice((slug, f"{slug}.es"))}  # fmt: skip
            message_id = _put(session, "message", ("mailing",), letter)
            if dice.random() < 0.5:
                told = {"message_id": message_id, "handover_id": 1, "kind": dice.choice(("click", "click", "open")),
                        "at": moment(dice, now), "url": "", "machine": dice.random() < 0.4}  # fmt: skip
                _put(session, "mail_event", (), told)


def _sequences(session: Session, now: datetime) -> int:
    """The sequences that these people go through; a version of them."""
    for slug in SEQUENCES:
        _put(session, "sequence", (), {"slug": slug, "name": slug.title(), "trigger": "", "version": 1, "shipped": False,
             "paused_because": "", "excused": {}, "created_at": now})  # fmt: skip
    version = {"version": 1, "definition": {}, "mailings": {}, "fund_ids": [], "published_at": now}
    return _put(session, "sequence_version", ("sequence",), version | {"sequence": SEQUENCES[0]})


def _places(session: Session, dice: Random, contact_id: int, version_id: int, now: datetime) -> None:
    for rotation in range(dice.choice((0, 0, 1, 2))):
        state = dice.choice(("active", "finished", "left"))
        place = {"contact_id": contact_id, "version_id": version_id, "sequence": dice.choice(SEQUENCES), "state": state,
                 "campaign_id": dice.choice((0, 7)), "rotation": rotation, "reason": "", "step": "", "due_at": now,
                 "entered_at": moment(dice, now), "waits_for": "", "heard": False, "facts": {}, "history": [],
                 "ended_at": None if state == "active" else moment(dice, now)}  # fmt: skip
        _put(session, "enrollment", ("sequence",), place)


def _allowed(session: Session, dice: Random, contact_id: int, now: datetime) -> None:
    for _ in range(dice.choice((0, 1, 1, 2, 2, 3))):
        word = {"contact_id": contact_id, "channel": dice.choice(("mail", "mail", "mail", "text")),
                "kind": dice.choice(("", "", "", "", "news", "asks", "chapter", "pause")), "given": dice.random() < 0.85,
                "at": moment(dice, now), "until": now + timedelta(days=dice.choice((-5, 5))),
                "source": str(dice.random())}  # fmt: skip
        _put(session, "consent", (), word)
    if dice.random() < 0.2:
        reason = dice.choice(("bounce", "unsubscribe", "manual"))
        session.execute(
            text("INSERT INTO suppression (email, reason, at) SELECT email, :reason, :at FROM contact WHERE id = :id"
                 " AND email IS NOT NULL"),
            {"reason": reason, "at": moment(dice, now), "id": contact_id},
        )  # fmt: skip


def moment(dice: Random, now: datetime) -> datetime:
    """One of few moments: near the edges of spans, too."""
    days = dice.choice((0, 13, 14, 29, 30, 31, 180, 364, 365, 366, 800))
    return now - timedelta(days=days, seconds=dice.choice((-1, 0, 1)))


_BY_NAME = {
    "chapter": ("chapter_id", "(SELECT id FROM chapter WHERE slug = v.chapter)", "text"),
    "fund": ("fund_id", "(SELECT id FROM fund WHERE slug = v.fund)", "text"),
    "form": ("donation_form_id", "(SELECT id FROM donation_form WHERE slug = v.form)", "text"),
    "mailing": ("mailing_id", "(SELECT id FROM mailing WHERE slug = v.mailing)", "text"),
    "sequence": ("sequence_id", "(SELECT id FROM sequence WHERE slug = v.sequence)", "text"),
    "interest": ("interest_id", "(SELECT id FROM interest ORDER BY code OFFSET v.interest LIMIT 1)", "int"),
    "way": ("way_to_help_id", "(SELECT id FROM way_to_help ORDER BY code OFFSET v.way LIMIT 1)", "int"),
}


def _put(session: Session, table: str, by_name: tuple[str, ...], told: dict[str, Any]) -> int:
    """A row of these columns; those that are told by a name are looked up."""
    columns = [name for name in told if name not in by_name]
    names = [*columns, *(_BY_NAME[name][0] for name in by_name)]
    values = [*(f"r.{name}" for name in columns), *(_BY_NAME[name][1] for name in by_name)]
    more = ", ".join(f'"{name}" {_BY_NAME[name][2]}' for name in by_name)
    looked_up = f"json_to_record(CAST(:row AS json)) AS v({more})" if by_name else "(SELECT) v"
    statement = f"""INSERT INTO {table} ({", ".join(names)}) SELECT {", ".join(values)}
        FROM json_populate_record(CAST(NULL AS {table}), CAST(:row AS json)) r, {looked_up} RETURNING *"""
    return int(session.execute(text(statement), {"row": rows([told])[1:-1]}).one()[0])
