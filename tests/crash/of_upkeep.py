"""Every chore of the schedule, with something to do."""

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

from engine import bell
from engine.giving import refund_orders
from engine.people import lands, territories
from engine.people.lands import Proposal
from engine.ports import Listed, Suppressed
from tests import campaigns
from tests import make_stripe as stripe
from tests.crash.driving import Act, Story
from tests.crash.faults import Fault
from tests.crash.of_inbox import order
from tests.crash.processes import House
from tests.flows.house import one, put, rows, run_everything
from tests.givers import instalment, told
from tests.make import join_body, raw
from tests.of_a_person import erase, id_of
from tests.programs import program
from tests.sequences import alone, publish
from tests.staff import known
from workers import pulse, upkeep

Tell = Callable[[House, str], None]
DAY = timedelta(days=1)
_numbers = count(1)


def _nothing(_house: House, _: str) -> None:
    """There is nothing wrong: it looks, and is done."""


def _bodies(house: House, tag: str) -> None:
    _came(house, tag, 99)


def _events(house: House, tag: str) -> None:
    _came(house, tag, 3000)


def _came(house: House, tag: str, days: int) -> None:
    """A gift, whose event came so many days ago."""
    number = put(house.deps, raw(order(house, tag, 2700)))
    run_everything(house.deps)
    house.watch.execute(
        "UPDATE inbound_event SET received_at = received_at - make_interval(days => %s) WHERE id = %s", [days, number]
    )


def _archive(house: House, tag: str) -> None:
    """A letter of two years ago; it arrived, and she followed a link in it."""
    (who,) = campaigns.people(house.deps, 1)
    house.watch.execute(
        """WITH carried AS (
            INSERT INTO handover (mailing_id, lane, state, provider_id, due_at, created_at, heard_at)
            SELECT min(id), 'receipts', 'accepted', %(tag)s, %(old)s, %(old)s, %(old)s FROM mailing RETURNING id, mailing_id
        ), letter AS (
            INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, state, due_at, handover_id, handed_at,
                delivered_at, facts, created_at)
            SELECT %(who)s, mailing_id, %(tag)s, 'receipts', '', 'delivered', %(old)s, id, %(old)s, %(old)s, '{}', %(old)s
            FROM carried RETURNING id, handover_id
        )
        INSERT INTO mail_event (message_id, handover_id, kind, at) SELECT id, handover_id, 'click', %(old)s FROM letter""",
        {"tag": tag, "who": who, "old": house.world.clock.now - 730 * DAY},
    )


def _api_requests(house: House, tag: str) -> None:
    house.watch.execute(
        """INSERT INTO api_request (api_token_id, key, request_hash, status, headers, answer, at)
        SELECT min(id), %s, 'x', 200, '{}', '{}', %s FROM api_token""",
        [tag, house.world.clock.now - 9 * DAY],
    )


def _begin_api_requests(house: House) -> None:
    program(house.deps, house.first.door)


def _unconfirmed(house: House, tag: str) -> None:
    put(house.deps, raw(join_body(email=f"{tag}@example.org", confirm=True)), source="join")
    run_everything(house.deps)
    who = id_of(house.deps, f"{tag}@example.org")
    for table, column in (("confirmation", "asked_at"), ("sign_up", "at")):
        house.watch.execute(f"UPDATE {table} SET {column} = {column} - interval '31 days' WHERE contact_id = %s", [who])


def _catch_up(house: House, tag: str) -> None:
    at = house.world.clock.now - timedelta(hours=1)
    events = [
        stripe.event(
            "payment_intent.succeeded", stripe.payment_intent(receipt_email=f"{tag}@example.org"),
            created=int(at.timestamp()),
        )
        for _ in range(2)
    ]  # fmt: skip
    house.world.stripe.listed = [Listed(each["id"], each["type"], at, False, stripe.raw(each)) for each in events]


def _fraud(house: House, tag: str) -> None:
    for part in "ab":
        house.watch.execute(
            """INSERT INTO fraud_warning (source, source_key, payment_key, charge_key, state, warned_at)
            VALUES ('stripe', %s, %s, '', 'refund_due', now())""",
            [f"issfr_{tag}{part}", f"pi_{tag}{part}"],
        )


def _orders(house: House, tag: str) -> None:
    told(house.deps, instalment(tag, f"{tag}@example.org", 0, 2700))
    gift = one(house.deps, f"SELECT id FROM contribution WHERE plan_key = '{tag}'").id
    with house.deps.work() as (session, now):
        refund_orders.order(session, gift, 1000, "she asked for it", now)


def _territories(house: House, tag: str) -> None:
    """One more postal code for Lowell, in which two people live."""
    (code,) = rows(house.deps, f"""SELECT zip FROM zip WHERE state = 'MA' AND county = 'Worcester County' AND zip NOT IN (
        SELECT zip FROM zip_route WHERE by = 'zip') ORDER BY zip OFFSET {next(_numbers)} LIMIT 1""")[0]  # fmt: skip
    for part in "ab":
        known(house.deps, f"{tag}{part}@example.org", code)
    with house.deps.work() as (session, now):
        land = lands.held(session, ["lowell"])["lowell"]
        proposal = Proposal(chapters={"lowell": land.model_copy(update={"zips": (*land.zips, code)})})
        change = territories.propose(session, proposal, tag, None, now).id
    house.watch.execute("UPDATE territory_change SET state = 'approved', decided_at = now() WHERE id = %s", [change])


def _sparks(house: House, tag: str) -> None:
    """Three people of one county want to meet."""
    row = rows(house.deps, f"""SELECT min(zip) AS zip, county FROM zip WHERE state = 'TX' GROUP BY county
        ORDER BY county OFFSET {next(_numbers)} LIMIT 1""")[0]  # fmt: skip
    for part in "abc":
        who = known(house.deps, f"{tag}{part}@example.org", row.zip)
        house.watch.execute(
            "INSERT INTO introduction (contact_id, place, at) VALUES (%s, %s, now())", [who, f"TX:{row.county}"]
        )
        house.watch.execute(
            """INSERT INTO consent (contact_id, channel, kind, given, at, source)
            VALUES (%s, 'mail', '', true, 'epoch', 'signup')""", [who],
        )  # fmt: skip


def _suppressions(house: House, _: str) -> None:
    """One address bounced there, one unsubscribed there, and one came back to us since."""
    ids, now = campaigns.people(house.deps, 3), house.world.clock.now
    emails = [row.email for row in rows(house.deps, f"SELECT email FROM contact WHERE id >= {ids[0]} ORDER BY id")]
    bounced, left, back = (Suppressed(email, now - DAY) for email in emails)
    house.watch.execute(
        "INSERT INTO suppression (email, reason, at) VALUES (%s, 'unsubscribe', %s)", [back.email, now - DAY]
    )
    house.watch.execute(
        """INSERT INTO consent (contact_id, channel, kind, given, at, source)
        VALUES (%s, 'mail', '', true, %s, 'preferences')""", [ids[2], now],
    )  # fmt: skip
    house.world.lists.on = {"bounce": [bounced], "unsubscribe": [left, back]}


def _snapshots(house: House, tag: str) -> None:
    put(house.deps, raw(order(house, tag, 2700, ago=9 * 365 * DAY)))
    run_everything(house.deps)
    erase(house.deps, id_of(house.deps, f"{tag}@example.org"))


def _hearing(house: House, tag: str) -> None:
    """Letters were handed over seven hours ago, and nothing was heard since."""
    house.watch.execute(
        """INSERT INTO handover (mailing_id, lane, state, provider_id, due_at, created_at)
        SELECT min(id), 'receipts', 'accepted', %s, now(), now() - interval '7 hours' FROM mailing""",
        [tag],
    )


def _checkouts(house: House, tag: str) -> None:
    """A page whose hour is over; another of a form that was closed over declined cards."""
    for place, hours in enumerate((-2, 1)):
        house.watch.execute(
            """INSERT INTO checkout (nonce, digest, donation_form_id, form_version, amount_cents, period, donor, created_at,
                expires_at, state, session_key) SELECT %(key)s, %(key)s, id, 1, 2700, 'once', '{"email": "x@example.org"}',
                %(now)s, %(ends)s, 'open', %(key)s FROM donation_form WHERE slug = 'common-ground'""",
            {
                "key": f"{tag}{place}",
                "now": house.world.clock.now,
                "ends": house.world.clock.now + timedelta(hours=hours),
            },
        )


def _begin_checkouts(house: House) -> None:
    house.watch.execute("UPDATE donation_form SET closed_at = %(now)s, attempts_from = %(now)s, closed_because = 'x'",
                        {"now": house.world.clock.now})  # fmt: skip


def _leave(house: House, _: str) -> None:
    campaigns.people(house.deps, 2)


def _entrances(house: House, _: str) -> None:
    campaigns.people(house.deps, 2)


def _begin_entrances(house: House) -> None:
    alone(house.deps)
    publish(house.deps, {"key": "mark", "tag": "seen"}, on="daily", **{"if": {"op": "never_gave"}})


def chore(name: str, tell: Tell, **terms: Any) -> Story:
    """The story of this chore: it alone is due, and upkeep runs."""

    def prepared(house: House, tag: str) -> Act:
        tell(house, tag)
        with house.deps.work() as (session, _):
            pulse.plan(session)
        house.watch.execute("UPDATE chore SET due_at = now() - interval '1 second' WHERE name = %s", [name])
        every = {name: pulse.SCHEDULE[name]}
        return lambda process: upkeep.run(process.deps, every)

    return Story(f"chore {name}", (f"chore {name}", f"actor {bell.UPKEEP}"), prepared, chore=name, **terms)


STORIES = (
    chore("books", _nothing),
    chore("bodies", _bodies),
    chore("api_requests", _api_requests, begin=_begin_api_requests),
    chore("events", _events),
    chore("archive", _archive),
    chore("unconfirmed", _unconfirmed),
    chore("stripe_catch_up", _catch_up),
    chore("fraud_refunds", _fraud, settings={"refund_fraud_warnings": True}),
    chore("refund_orders", _orders),
    chore("territories", _territories, faults=(Fault.CRASH,)),
    chore("sparks", _sparks, settings={"spark_people": 3}),
    chore("suppressions", _suppressions),
    chore("snapshots", _snapshots),
    chore("hearing", _hearing, settings={"env": "production"}),
    chore("checkouts", _checkouts, begin=_begin_checkouts),
    chore("forms", _nothing),
    chore("leave", _leave),
    chore("entrances", _entrances, begin=_begin_entrances),
)
