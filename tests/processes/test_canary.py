"""A person with unmistakable words in every field comes in through every door of the real processes, gets letters, is given
out as a bundle and erased: then no table, no line of a log, no key of Redis and no letter in the mailbox tells of her; only
the treasurer's snapshot does."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import redis

from engine.db import metadata
from engine.settings import DEVELOPMENT_SECRET
from engine.sources import letter_ids
from tests import make_stripe, signing
from tests.make import actblue_body, basic, raw, stripe_signature
from tests.system import System

WORD, PHONE = "zqcanary", "5085559731"
EMAIL = f"{WORD}@{WORD}.example.org"
LIKE = WORD.upper()
JSON = ("content-type", "application/json")
BODIES = {"body"}  # columns of bytes

PERSON = {
    "first_name": LIKE, "last_name": f"{LIKE} {LIKE}", "street": f"1 {LIKE} Street", "city": LIKE, "state": "MA",
    "zip": "01605", "phone": PHONE,
}  # fmt: skip
DONOR = {
    "firstname": LIKE, "lastname": LIKE, "addr1": f"1 {LIKE} Street", "city": LIKE, "zip": "01605", "phone": PHONE,
    "email": EMAIL.upper(), "employerData": {"employer": LIKE, "occupation": LIKE, "employerAddr1": LIKE},
}  # fmt: skip
BILLING = {
    "email": EMAIL, "name": f"{LIKE} {LIKE}", "phone": PHONE, "tax_id": None,
    "address": {"city": LIKE, "country": "US", "line1": LIKE, "line2": LIKE, "postal_code": "01605", "state": "MA"},
}  # fmt: skip


def post(system: System, path: str, body: bytes, *headers: tuple[str, str]) -> int:
    try:
        with urlopen(Request(system.url + path, body, dict((JSON, *headers))), timeout=10) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


def came_in(system: System) -> None:
    bearer = ("authorization", f"Bearer {DEVELOPMENT_SECRET}")
    paid = make_stripe.payment_intent(
        receipt_email=EMAIL, metadata=make_stripe.METADATA | {"employer": LIKE, "occupation": LIKE}
    )
    finished = make_stripe.session(payment_intent=paid["id"], customer_details=BILLING, customer_email=EMAIL)
    plan = make_stripe.invoice(
        customer_email=EMAIL, customer_name=LIKE, customer_address=BILLING["address"], customer_phone=PHONE
    )
    charged = make_stripe.charge(payment_intent=paid["id"], billing_details=BILLING | {"email": None})
    signed_up = PERSON | {
        "email": EMAIL,
        "id": "s-1",
        "status": "subscribed",
        "place": LIKE,
        "wording": LIKE,
        "tags": [LIKE],
    }
    mail = [{"address": EMAIL, "primary": True, "status": "subscribed"}]
    home = [{"address_lines": [LIKE], "locality": LIKE, "postal_code": "01605"}]
    acted = {"osdi:signature": {
        "created_date": "2026-03-02T08:00:00Z", "identifiers": ["action_network:9"], "comments": LIKE,
        "person": {"given_name": LIKE, "family_name": LIKE, "email_addresses": mail, "postal_addresses": home,
                   "phone_numbers": [{"number": PHONE}], "custom_fields": {"note": LIKE}},
    }}  # fmt: skip
    for answer in (
        post(system, "/webhooks/actblue", raw(actblue_body(donor=DONOR)), basic()),
        post(system, "/webhooks/signup", raw(signed_up), bearer),
        post(system, "/webhooks/signup", raw(signed_up | {"id": "s-2", "at": LIKE}), bearer),  # to be quarantined
        post(system, f"/webhooks/actionnetwork/{DEVELOPMENT_SECRET}", raw([acted, acted])),
    ):
        assert answer == 200
    for kind, told in (
        ("payment_intent.succeeded", paid), ("checkout.session.completed", finished), ("invoice.paid", plan),
        ("charge.succeeded", charged), ("charge.refunded", charged | {"amount_refunded": 500}),
    ):  # fmt: skip
        body = make_stripe.raw(make_stripe.event(kind, told))
        assert post(system, "/webhooks/stripe", body, stripe_signature(body)) == 200
    joined = PERSON | {
        "form": "join", "at": datetime.now(UTC).isoformat(), "email": EMAIL, "language": "en", "interests": [],
        "ways_to_help": [], "gathering": "", "confirm": False, "introduce": True, "wording": LIKE,
    }  # fmt: skip
    system.query(
        "INSERT INTO inbound_event (source, key, lane, body) VALUES ('join', 'j-1', 'intake', %s) RETURNING id",
        raw(joined),
    )


def settled(system: System) -> bool:
    return not system.query("SELECT 1 FROM inbound_event WHERE state = 'pending' UNION ALL SELECT 1 FROM message WHERE"
                            " state = 'ready' UNION ALL SELECT 1 FROM handover WHERE state = 'submitting'")  # fmt: skip


def told_of_letters(system: System) -> None:
    letters = [letter for letter in system.mailbox() if letter["to_email"] == EMAIL]
    assert letters
    elements = [
        {
            "email": EMAIL, "timestamp": int(datetime.now(UTC).timestamp()), "event": event, "url": f"https://x.example/{WORD}",
            "reason": f"550 <{EMAIL}>", "gs_message": letter_ids.encode(letter["message_id"]), "sg_message_id": f"{WORD}.1",
            "gs_handover": letter_ids.encode(letter["handover_id"]), "sg_event_id": f"{event}{letter['message_id']}",
        }
        for letter in letters for event in ("delivered", "click", "deferred", "unsubscribe")
    ]  # fmt: skip
    body = raw([*elements, {"email": EMAIL, "event": "bounce", "timestamp": 1_793_620_800, "type": "bounce"}])
    assert post(system, "/webhooks/sendgrid", body, *signing.signed(body)) == 200


def tables_with(system: System, word: str) -> set[str]:
    found = set()
    for name, table in metadata.tables.items():
        said = " || ' ' || ".join(
            f"coalesce(encode(t.{c.name}, 'escape'), '')" if c.name in BODIES and c.table.name == "inbound_event"
            else f"coalesce(t.\"{c.name}\"::text, '')" for c in table.c
        )  # fmt: skip
        if system.query(f"SELECT 1 FROM {name} t WHERE position(%s IN lower({said})) > 0 LIMIT 1", word):
            found.add(name)
    return found


def redis_with(system: System, word: bytes) -> list[bytes]:
    server = redis.Redis(unix_socket_path=str(system.places.sockets / "redis.sock"))
    with server:
        return [key for key in server.scan_iter() if word in key.lower() or word in (server.dump(key) or b"").lower()]


def logs_with(system: System, word: str) -> list[str]:
    files = [system.folder / "up.log", *(file for file in system.data.rglob("*.log") if file.is_file())]
    return [str(file) for file in files if word in file.read_text("utf-8", "replace").lower()]


@pytest.mark.slow
def test_who_is_erased_is_nowhere_but_in_the_treasurers_record(tmp_path: Path):
    with System.started("--demo", SENDGRID_WEBHOOK_PUBLIC_KEYS=signing.public()) as system:
        came_in(system)
        system.wait_for(lambda: settled(system), 60, "all doors are heard and letters sent")
        told_of_letters(system)
        system.wait_for(lambda: settled(system), 60, "what became of the letters is heard")
        assert {
            "contact",
            "sign_up",
            "consent",
            "contribution",
            "inbound_event",
            "suppression",
            "mail_event",
        } <= tables_with(system, WORD)
        bundled = system.run("people", "bundle", EMAIL, "--to", str(tmp_path / "her.zip"))
        assert bundled.returncode == 0, bundled.stderr
        erased = system.run("people", "erase", EMAIL, "--yes")
        assert erased.returncode == 0, erased.stderr
        for word in (WORD, PHONE):
            assert tables_with(system, word) == {"contribution"}
            assert redis_with(system, word.encode()) == []
            assert logs_with(system, word) == []
            assert word not in (bundled.stdout + erased.stdout).lower().replace(str(tmp_path).lower(), "")
            assert word not in json.dumps(system.mailbox()).lower()
        (snapshots,) = system.query("SELECT count(*) FROM contribution WHERE donor <> '{}'")
        assert snapshots[0] == 3
        assert system.run("books", "check").returncode == 0
        assert system.run("people", "erase", EMAIL, "--yes").returncode == 1
