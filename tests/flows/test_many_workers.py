"""Many workers on the same donors and letters: no deadlock, no lost update, nothing twice."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from engine import bell
from engine.bootstrap import Deps
from tests.flows.house import one, put, rows, run_everything
from tests.make import actblue_body, line_item, raw
from workers import delivery, intake

WORKERS = 4


def test_four_workers_on_twenty_donors_lose_no_cent_and_write_each_letter_once(deps: Deps):
    chosen = random.Random(4)
    arrived = Event()

    def work() -> None:
        while not arrived.is_set() or rows(deps, "SELECT 1 FROM inbound_event WHERE state = 'pending' LIMIT 1"):
            intake.drain(deps, bell.INTAKE)
            delivery.hand_over(deps, bell.RECEIPTS)

    with ThreadPoolExecutor(WORKERS) as pool:
        working = [pool.submit(work) for _ in range(WORKERS)]
        total = sum(give(deps, chosen) for _ in range(300))
        arrived.set()
        for worker in working:
            worker.result(60)
    run_everything(deps)
    assert one(deps, "SELECT sum(gave_cents) AS cents FROM contact").cents == total
    assert one(deps, "SELECT count(*) AS n FROM contact").n == 20
    assert one(deps, "SELECT max(attempts) AS most FROM inbound_event").most == 1
    letters = Counter(letter.message_id for _, letter in deps.mailer.accepted)
    assert len(letters) == one(deps, "SELECT count(*) AS n FROM contribution").n
    assert set(letters.values()) == {1}


def give(deps: Deps, chosen: random.Random) -> int:
    """One order of one to three line items, from one of twenty donors; returns its cents."""
    amounts = [chosen.choice((27, 50, 100)) for _ in range(chosen.randint(1, 3))]
    body = actblue_body(
        donor={"email": f"donor{chosen.randrange(20)}@example.org", "zip": chosen.choice(("01605", "02139"))},
        lineitems=[line_item(amount=f"{amount}.0") for amount in amounts],
    )
    put(deps, raw(body))
    return sum(amounts) * 100
