"""`groundswell demo`: one realistic gift posted over HTTP, and what became of it, in milliseconds."""

import base64
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from time import perf_counter, sleep
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.adapters.mailbox import Mailbox
from engine.db import make_pool, make_sessions
from engine.errors import Unavailable
from engine.money import dollars
from engine.settings import Settings

PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.002
PEOPLE = (
    ("Rosa", "Delgado", "14 Lincoln Street", "Worcester", "01605", "Librarian", "Worcester Public Library"),
    ("Samuel", "Okafor", "88 Sumner Avenue", "Springfield", "01108", "Nurse", "Baystate"),
    ("Hannah", "Lindqvist", "3 Pomeroy Terrace", "Northampton", "01060", "Carpenter", "Self-employed"),
    ("Minh", "Tran", "120 Merrimack Street", "Lowell", "01852", "Teacher", "Lowell Public Schools"),
    ("Grace", "Almeida", "27 Union Street", "New Bedford", "02740", "Not employed", "Not employed"),
    ("Theo", "Marchetti", "5 Central Square", "Cambridge", "02139", "Engineer", "Charles River Robotics"),
)
PRESETS = (27, 50, 100, 250)

_STATE = text("""
SELECT e.state, e.reason, c.amount_cents, p.first_name, h.name AS chapter, o.state AS handover, m.id AS message_id
FROM contribution c JOIN inbound_event e ON e.id = c.inbound_event_id JOIN contact p ON p.id = c.contact_id
LEFT JOIN chapter h ON h.id = p.chapter_id
LEFT JOIN message m ON m.contact_id = p.id AND m.occasion = format('gift:%s\\:thanks', c.id)
LEFT JOIN handover o ON o.id = m.handover_id AND o.state = 'accepted'
WHERE c.source = 'actblue' AND c.source_key = :key
""")


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline: milliseconds since the post, and what happened."""

    milliseconds: float
    what: str


def contribution(chosen: random.Random, *, at: datetime) -> dict[str, Any]:
    """A body as ActBlue posts it, of an invented donor; ids that nobody has had."""
    first, last, street, city, zip_code, occupation, employer = chosen.choice(PEOPLE)
    unique = uuid4()
    paid_at = at.astimezone(timezone(timedelta(hours=-5))).isoformat(timespec="seconds")
    return {
        "donor": {
            "firstname": first, "lastname": last, "addr1": street, "city": city, "state": "MA", "zip": zip_code,
            "country": "United States", "isEligibleForExpressLane": True,
            "employerData": {"employer": employer, "occupation": occupation},
            "email": f"{first}.{last}.{unique.hex[:6]}@example.org".lower(), "phone": "6175550100",
        },
        "contribution": {
            "createdAt": paid_at, "orderNumber": f"AB{unique.int % 10**8:08}", "contributionForm": "common-ground",
            "refcodes": {"refcode": "demo"}, "refcode": "demo", "refcode2": None, "recurringPeriod": "once",
            "recurringDuration": 1, "isRecurring": False, "isPaypal": False, "isMobile": True, "isExpress": True,
            "withExpressLane": False, "expressSignup": False, "uniqueIdentifier": str(unique),
            "textMessageOption": "unknown", "status": "approved", "thanksUrl": None,
        },
        "lineitems": [
            {
                "sequence": 0, "entityId": 12345, "fecId": None, "paidAt": paid_at, "lineitemId": unique.int % 10**12,
                "committeeName": "Common Ground Massachusetts Action, Inc.", "amount": f"{chosen.choice(PRESETS)}.0",
            }
        ],
        "form": {"name": "common-ground", "kind": "page", "managingEntityName": "Common Ground Massachusetts"},
    }  # fmt: skip


def post(settings: Settings, body: bytes) -> int:
    """Post a body to the running system as ActBlue would; returns the status. Raises OSError when nobody answers."""
    token = base64.b64encode(settings.actblue_credentials[0].encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {token}"}
    with urlopen(Request(f"{settings.base_url}/webhooks/actblue", body, headers), timeout=10) as answer:
        return int(answer.status)


def follow(settings: Settings, chosen: random.Random, now: datetime) -> Iterator[Moment]:
    """Post one gift and yield each moment as it is seen. Raises Unavailable when it does not get through in time."""
    assert settings.database_url is not None
    sessions = make_sessions(make_pool(settings.database_url.get_secret_value(), size=1))
    gift = contribution(chosen, at=now)
    with sessions() as session:
        _look(session, "warm")
        began = perf_counter()
        status = post(settings, json.dumps(gift).encode())
        yield Moment(_since(began), f"answered {status}")
        key = str(gift["lineitems"][0]["lineitemId"])
        seen = _until(session, key, lambda row: row.state == "applied")
        yield Moment(
            _since(began), f"applied: {dollars(seen.amount_cents)} from {seen.first_name}, chapter {seen.chapter}"
        )
        seen = _until(session, key, lambda row: row.handover is not None)
        number = _place(settings, seen.message_id)
        yield Moment(_since(began), f"letter in the mailbox: {settings.base_url}/dev/mailbox/{number}")


def _since(began: float) -> float:
    return (perf_counter() - began) * 1000


def _look(session: Session, key: str) -> Any:
    session.rollback()  # a fresh snapshot
    return session.execute(_STATE, {"key": key}).one_or_none()


def _until(session: Session, key: str, reached: Callable[[Any], bool]) -> Any:
    deadline = perf_counter() + PATIENCE_SECONDS
    while perf_counter() < deadline:
        row = _look(session, key)
        if row is not None and reached(row):
            return row
        sleep(POLL_SECONDS)
    raise Unavailable("the gift was stored but did not get through in time: do the workers run?")


def _place(settings: Settings, message_id: int) -> int:
    """Which letter of the mailbox it is, counting from 1."""
    found = (
        kept.number for kept in Mailbox(settings.mailbox_file).letters() if kept.letter["message_id"] == message_id
    )
    return next(found, 0)
