"""A house whose provider misbehaves and whose workers die: what each run of it does, and what must hold in the end."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import handovers
from tests import dying
from tests.asgi import Client
from tests.campaigns import ASK, enqueue, letter, people
from tests.dying import Orders
from tests.flows.house import change, put, rows
from tests.mail_stand_in import StandIn, signed
from tests.make import actblue_body, raw
from webhooks.app import build
from workers import delivery, intake

MANY = 3  # letters of each run that should arrive; three more should not

_NOT_WANTED = (
    "INSERT INTO suppression (email, reason, at) SELECT email, 'bounce', now() FROM contact WHERE id = :id",
    """INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, donor)
    SELECT 'actblue', 'since ' || CAST(:id AS text), :id, id, 2700, :now, '{}' FROM fund WHERE slug = 'action'""",
    "UPDATE message SET expires_at = :now WHERE contact_id = :id",
)

# Where the sum of all that was planned must come out: what became of a letter, and of its handover while it has one.
_ENDS = """
SELECT CASE WHEN m.state <> 'handed' THEN m.state ELSE h.state END AS ended, count(*) AS letters
FROM message m LEFT JOIN handover h ON h.id = m.handover_id WHERE m.lane = '{lane}' GROUP BY 1
"""


@dataclass
class FaultyHouse:
    """One house, its provider, and what is wrong with both."""

    deps: Deps
    provider: StandIn
    lane: str

    def plan(self, many: int = MANY) -> None:
        """New letters, ready; of asks some that are not to leave: she bounced, she gave, it is too late."""
        if self.lane == bell.RECEIPTS:
            for _ in range(many):
                put(self.deps, raw(actblue_body()))
            intake.drain(self.deps, bell.INTAKE)
            return
        now, ids = self.deps.clock.now, people(self.deps, many + len(_NOT_WANTED))
        mailing = letter(self.deps, markdown=ASK, kind="asks")
        enqueue(self.deps, mailing, ids, due=now, created=now - timedelta(minutes=1))
        for who, statement in zip(ids, _NOT_WANTED, strict=False):
            change(self.deps, statement, **{"id": who, "now": now} if ":now" in statement else {"id": who})

    def orders(self, step: str, **terms: object) -> Orders:
        return replace(Orders(self.deps.settings, self.provider.url, self.lane, self.deps.clock.now, step), **terms)

    def turn(self, orders: Orders, mode: str) -> int | None:
        """One worker's turn, while the provider answers its first request in this way. How the worker ended."""
        self.provider.script[:] = [mode]
        worker = dying.start(orders)
        self.provider.victim = worker.pid if orders.step == "at the provider" else None
        worker.begin()
        ended = worker.end()
        self.provider.settle()
        self.provider.victim = None
        self.provider.script.clear()
        return ended

    def later(self, span: timedelta) -> None:
        """Time passes, here and for Postgres; then everything runs that runs by itself."""
        self.deps.clock.skip(span)
        change(self.deps, """UPDATE handover SET created_at = created_at - CAST(:span AS interval),
            due_at = due_at - CAST(:span AS interval)""", span=span)  # fmt: skip
        with transaction(self.deps.sessions) as session:
            handovers.expire(session)
        delivery.settle(self.deps)
        for _ in range(4):
            delivery.hand_over(self.deps, self.lane)

    def hear(self) -> None:
        """The provider tells what became of all that it ever accepted: signed, doubled and in disorder."""
        with Client(build(self.deps)) as door:
            for body in self.provider.events("processed", "delivered", seed=len(self.provider.accepted()), copies=2):
                assert door.send("POST", "/webhooks/sendgrid", signed(body), body).status == 200
        intake.drain(self.deps, bell.FEEDBACK)

    def ends(self) -> Counter[str]:
        return Counter({row.ended: row.letters for row in rows(self.deps, _ENDS.format(lane=self.lane))})


def nothing_is_lost_or_doubled(house: FaultyHouse) -> None:
    """What must hold when everything has come to rest."""
    assert house.provider.wrong == []
    times, ends = house.provider.times(), house.ends()
    planned = {
        row.id: row for row in rows(house.deps, f"SELECT id, state, reason FROM message WHERE lane = '{house.lane}'")
    }
    assert ends.total() == len(planned)
    resting = {"accepted", "skipped", "cancelled", "expired", "failed", "uncertain", "presumed", "delivered"}
    assert set(ends) <= resting, ends
    assert set(times) <= set(planned)
    if house.lane == bell.DELIVERY:
        assert [number for number in planned if times[number] > 1] == []
        for number, row in planned.items():
            if row.state in ("failed", "skipped", "cancelled", "expired"):
                assert times[number] == 0, row
    else:
        told = {row.subject for row in rows(house.deps, "SELECT subject FROM notice WHERE kind = 'letter failed'")}
        for number, row in planned.items():
            assert times[number] <= 3
            assert times[number] >= 1 or (row.state == "failed" and handovers.name(number) in told), row


def rest(house: FaultyHouse, *, heard: bool) -> None:
    """Days pass."""
    for span in (timedelta(minutes=16), timedelta(hours=25), timedelta(hours=3)):
        if heard:
            house.hear()
        house.later(span)
    if heard:
        house.hear()
