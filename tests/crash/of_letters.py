"""Letters that leave: receipts, which may arrive twice rather than never, and asks, which never arrive twice."""

from engine import bell
from tests import campaigns
from tests.crash.driving import Act, Story
from tests.crash.of_inbox import order
from tests.crash.processes import House
from tests.flows.house import put
from tests.make import raw
from tests.sequences import alone
from workers import delivery, intake

# How a letter stands depends on whether anybody ever heard of it; what always holds of it is asked at the end.
HANDED = (
    "letters left",
    "message.state",
    "message.handed_at",
    "message.delivered_at",
    "message.handover_id",
    "message.reason",
    "mail_event",
    "counted",
    "inbound_event",
    "contact",
)


def _receipt(house: House, tag: str) -> Act:
    put(house.deps, raw(order(house, tag, 2700, 500)))
    intake.drain(house.deps, bell.INTAKE)
    return lambda process: delivery.hand_over(process.deps, bell.RECEIPTS)


def _begin_receipts(house: House) -> None:
    alone(house.deps)


def _asks(house: House, _: str) -> Act:
    """Three asks, of which one goes to somebody who has bounced, one does not render, one travels."""
    ids, now = campaigns.people(house.deps, 3), house.world.clock.now
    house.watch.execute(
        "INSERT INTO suppression (email, reason, at) SELECT email, 'bounce', now() FROM contact WHERE id = %s", [ids[0]]
    )
    for place, facts in ((0, "{}"), (1, "{}"), (2, '{"extra": "x"}')):
        campaigns.enqueue(house.deps, house.news, ids[place : place + 1], facts=facts, due=now, created=now)
    return lambda process: delivery.hand_over(process.deps, bell.DELIVERY)


def _begin_asks(house: House) -> None:
    alone(house.deps)
    house.news = campaigns.letter(house.deps, markdown=campaigns.ASK, kind="asks")


STORIES = (
    Story("receipts leave", (f"actor {bell.RECEIPTS}",), _receipt, begin=_begin_receipts, loose=HANDED, deep=True),
    Story("asks leave", (f"actor {bell.DELIVERY}",), _asks, begin=_begin_asks, loose=HANDED, deep=True),
)
