"""A person with unmistakable words in every field comes in through every door of the real processes, gets letters, is given
out as a bundle and erased: then no table, no log, no key or value of Redis, no letter in the mailbox and no file of the data
folder tells of her; only the treasurer's snapshot does."""

import html
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener, urlopen

import pytest
import redis

from engine.adapters.limiter import RedisLimiter
from engine.settings import DEVELOPMENT_SECRET
from engine.sources import letter_ids
from tests import canary, make_stripe, people_lists, signing
from tests.make import actblue_body, basic, raw, stripe_signature
from tests.system import System
from webhooks.forms import SOONEST

WORD, PHONE = "zqcanary", "5085559731"
EMAIL = f"{WORD}@{WORD}.example.org"
LIKE = WORD.upper()
JSON = ("content-type", "application/json")
ADMIN = "ana.costa@example.org"  # of the invented organisation
TYPED = {
    "email": EMAIL,
    "zip": "01605",
    "first_name": LIKE,
    "last_name": LIKE,
    "street": f"1 {LIKE} Street",
    "city": LIKE,
}
_numbers = count(1)

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


@dataclass
class Browser:
    """Somebody's browser: it keeps cookies, and sends a form with the hidden fields of its page."""

    system: System
    page: str = ""
    opener: OpenerDirector = field(default_factory=lambda: build_opener(HTTPCookieProcessor(CookieJar())))

    def get(self, path: str) -> str:
        """Open a page."""
        with self.opener.open(self.system.url + path, timeout=10) as answer:
            self.page = answer.read().decode()
        return self.page

    def send(self, path: str, **fields: str) -> str:
        """Send the form of the page that is open."""
        hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', self.page)
        told = {name: html.unescape(value) for name, value in hidden} | fields
        with self.opener.open(self.system.url + path, urlencode(told).encode(), timeout=10) as answer:
            self.page = answer.read().decode()
        return self.page


def joined(system: System) -> None:
    """She fills in our own form, as slowly as a person does."""
    browser = Browser(system)
    browser.get("/join")
    sleep(SOONEST.total_seconds() + 0.2)
    assert LIKE in browser.send("/join", **TYPED)


def on_paper(system: System) -> None:
    """Somebody of the staff signs in by letter, and types in the sheet that she signed."""
    browser = Browser(system)
    browser.get("/staff/sign-in")
    browser.send("/staff/sign-in", email=ADMIN)
    path = newest(system, "staff/sign-in", ADMIN)
    browser.get(path)
    browser.send(path)
    browser.get("/staff/sheet")
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    row = {"first_name-0": LIKE, "last_name-0": LIKE, "email-0": EMAIL, "zip-0": "01605", "phone-0": PHONE}
    assert "1 person was taken" in browser.send("/staff/sheet", where="c:worcester", signed_on=day, **row)


def in_a_list(system: System, folder: Path) -> None:
    """She stands in a file of another tool."""
    told = people_lists.subscriber(EMAIL, NOTES=LIKE, TAGS=f'"{LIKE}"') | {"First Name": LIKE, "Phone Number": PHONE}
    path = people_lists.write(folder / "subscribed.csv", people_lists.MAILCHIMP, [told])
    done = system.run("import", "mailchimp", str(path))
    assert done.returncode == 0, done.stderr + done.stdout


def newest(system: System, door: str, email: str = EMAIL) -> str:
    """The path of the newest link of this door in a letter to somebody; waits for the letter."""

    def found() -> list[str]:
        texts = [letter["text"] for letter in system.mailbox() if letter["to_email"] == email]
        return [path for words in texts for path in re.findall(rf"/{door}/[\w.-]+", words)]

    system.wait_for(lambda: found() != [], 30, f"a letter to {email} with a link to {door}")
    return found()[-1]


def by_her_links(system: System) -> None:
    """She chooses on her own page, stops all letters by the button of her mail program, and comes back by letter."""
    hers = Browser(system)
    path = newest(system, "me")
    hers.get(path)
    hers.send(path, act="save", letters="news", chapters="yes", zip="01604", language="en")
    assert system.query("SELECT zip FROM contact WHERE email = %s", EMAIL) == [("01604",)]
    stop = Request(system.url + newest(system, "u"), b"List-Unsubscribe=One-Click")
    with urlopen(stop, timeout=10) as answer:
        assert answer.status == 200
    assert system.query("SELECT reason FROM suppression WHERE email = %s", EMAIL) == [("unsubscribe",)]
    joined(system)
    system.wait_for(lambda: system.query("SELECT 1 FROM confirmation") != [], 30, "she is asked by letter")
    path = newest(system, "confirm")
    hers.get(path)
    hers.send(path)
    assert system.query("SELECT confirmed_at IS NOT NULL FROM confirmation") == [(True,)]


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


def redis_of(system: System) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(system.places.sockets / "redis.sock"))


class PlainLimiter(RedisLimiter):
    """A limiter that is broken on purpose: it counts under the key as it stands."""

    def hit(self, key: str, most: int, span: timedelta) -> bool:
        with redis.Redis.from_url(self._url) as server:
            counted = int(server.incr(f"groundswell-limit {key}"))
            server.expire(f"groundswell-limit {key}", int(span.total_seconds()))
        return counted <= most


@pytest.mark.parametrize(("limiter", "told"), [(RedisLimiter, False), (PlainLimiter, True)])
def test_an_address_that_a_limiter_keeps_in_the_clear_is_found(servers, limiter: type[RedisLimiter], told: bool):
    email = f"plain{next(_numbers)}.{monotonic()}@example.org"
    assert limiter(servers.redis_url).hit(f"join address {email}", 5, timedelta(minutes=1))
    with redis.Redis.from_url(servers.redis_url) as server:
        assert bool(canary.in_redis(server, email)) is told


@pytest.mark.parametrize("kind", canary.VALUES)
def test_a_word_is_found_in_every_kind_of_value_of_redis(servers, kind: str):
    word = f"bird{monotonic()}"
    put = {
        "string": ("SET", f"--{word.upper()}--"), "hash": ("HSET", "name", word), "list": ("RPUSH", "other", word),
        "set": ("SADD", word), "zset": ("ZADD", "1", word), "stream": ("XADD", "*", "name", word * 500),
    }[kind]  # fmt: skip
    key = f"canary:{kind}:{next(_numbers)}"
    with redis.Redis.from_url(servers.redis_url) as server:
        server.execute_command(put[0], key, *put[1:])
        assert canary.in_redis(server, word) == [key.encode()]
        server.delete(key)


@pytest.mark.slow
def test_who_is_erased_is_nowhere_but_in_the_treasurers_record(tmp_path: Path):
    with System.started("--demo", SENDGRID_WEBHOOK_PUBLIC_KEYS=signing.public()) as system, redis_of(system) as server:
        joined(system)
        by_her_links(system)
        came_in(system)
        on_paper(system)
        in_a_list(system, tmp_path)
        system.wait_for(lambda: settled(system), 60, "all doors are heard and letters sent")
        told_of_letters(system)
        system.wait_for(lambda: settled(system), 60, "what became of the letters is heard")
        assert canary.in_tables(system, WORD) >= {
            "contact", "sign_up", "consent", "contribution", "inbound_event", "suppression", "mail_event",
        }  # fmt: skip
        assert canary.in_files(system, WORD) == [str(system.data / "mailbox" / "letters.jsonl")]
        bundled = system.run("people", "bundle", EMAIL, "--to", str(tmp_path / "her.zip"))
        assert bundled.returncode == 0, bundled.stderr
        erased = system.run("people", "erase", EMAIL, "--yes")
        assert erased.returncode == 0, erased.stderr
        for word in (WORD, PHONE):
            assert canary.in_tables(system, word) == {"contribution"}
            assert canary.in_redis(server, word) == []
            assert canary.in_files(system, word) == []
            assert word not in (bundled.stdout + erased.stdout).lower().replace(str(tmp_path).lower(), "")
        assert server.dbsize() > 0  # the limits that counted her are still there
        (snapshots,) = system.query("SELECT count(*) FROM contribution WHERE donor <> '{}'")
        assert snapshots[0] == 3
        assert system.run("books", "check").returncode == 0
        assert system.run("people", "erase", EMAIL, "--yes").returncode == 1
