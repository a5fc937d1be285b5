"""A house whose provider misbehaves and whose workers die: what each run of it does, and what must hold in the end."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import handovers
from engine.mail.handovers import SENDER
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
APART = 2  # of asks, beside those: one that is too long to travel with others, and one that does not render
LONG = "once upon a time " * 400

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
    planned: Counter[str] = field(default_factory=Counter)  # what should become of letters, counted as they are made
    should_arrive: set[int] = field(default_factory=set)

    def plan(self, many: int = MANY) -> None:
        """New letters, ready; of asks some that are not to leave: she bounced, she gave, it is too late, it does not render;
        and one that travels alone."""
        if self.lane == bell.RECEIPTS:
            before = self._letters()
            for _ in range(many):
                put(self.deps, raw(actblue_body()))
            intake.drain(self.deps, bell.INTAKE)
            self.should_arrive |= self._letters() - before
            self.planned["arrives"] += many
            return
        now, ids = self.deps.clock.now, people(self.deps, len(_NOT_WANTED) + many + APART)
        change(self.deps, "UPDATE contact SET custom = jsonb_build_object('story', CAST(:long AS text)) WHERE id = :id",
               id=ids[-2], long=LONG)  # fmt: skip
        mailing = letter(self.deps, markdown=ASK + "{{ custom.story | default('') }}", kind="asks")
        change(self.deps, "UPDATE mailing SET body_html = body_html || '{{ extra }}' WHERE id = :id", id=mailing)
        times = {"due": now, "created": now - timedelta(minutes=1)}
        made = enqueue(self.deps, mailing, ids[:-1], facts='{"extra": "one more"}', **times)
        enqueue(self.deps, mailing, ids[-1:], **times)  # does not render
        for who, statement in zip(ids, _NOT_WANTED, strict=False):
            change(self.deps, statement, **{"id": who, "now": now} if ":now" in statement else {"id": who})
        self.should_arrive |= set(made[len(_NOT_WANTED) :])
        self.planned += Counter({"arrives": many + 1, "fails": 1, "skipped": 1, "cancelled": 1, "expired": 1})

    def _letters(self) -> set[int]:
        return {row.id for row in rows(self.deps, f"SELECT id FROM message WHERE lane = '{self.lane}'")}

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


def nothing_is_lost_or_doubled(house: FaultyHouse, *, well: bool = False) -> None:
    """What must hold when everything has come to rest. `well`: nothing was wrong, so that each letter was accepted once."""
    assert house.provider.wrong == []
    times, ends = house.provider.times(), house.ends()
    letters = {
        row.id: row for row in rows(house.deps, f"SELECT id, state, reason FROM message WHERE lane = '{house.lane}'")
    }
    assert len(letters) == house.planned.total(), "a letter that was planned is gone"
    assert set(times) <= house.should_arrive, "a letter left that was not to leave"
    resting = {"accepted", "skipped", "cancelled", "expired", "failed", "uncertain", "presumed", "delivered"}
    assert set(ends) <= resting, ends
    for name in ("skipped", "cancelled", "expired"):
        assert ends[name] == house.planned[name], ends
    if well:
        arrived = {number: times[number] for number in house.should_arrive}
        assert arrived == dict.fromkeys(house.should_arrive, 1), "nothing was wrong, and a letter did not arrive once"
    if house.lane == bell.DELIVERY:
        assert [number for number in letters if times[number] > 1] == [], "an ask twice"
        for number, row in letters.items():
            if row.state in ("failed", "skipped", "cancelled", "expired"):
                assert times[number] == 0, row
            if row.state == "delivered":
                assert times[number] == 1, row
        assert not ends["failed"] or told(house), "letters failed, and nobody was told"
    else:
        for number in house.should_arrive:
            row = letters[number]
            assert times[number] <= 3, row
            assert times[number] >= 1 or (row.state == "failed" and (told(house) & {handovers.name(number), SENDER})), (
                row
            )


def told(house: FaultyHouse) -> set[str]:
    """Whose failing a person was told of: letters, and all of a sender."""
    found = rows(house.deps, f"SELECT kind, subject FROM notice WHERE kind IN ('letter failed', '{SENDER}')")
    return {row.subject if row.kind == "letter failed" else SENDER for row in found}


def rest(house: FaultyHouse, *, heard: bool) -> None:
    """Days pass."""
    for span in (timedelta(minutes=16), timedelta(hours=25), timedelta(hours=3)):
        if heard:
            house.hear()
        house.later(span)
    if heard:
        house.hear()
