"""Four web processes on one database: the same event through all doors at once is one row and one gift."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic, sleep

import pytest
import urllib3

from engine import command_lines
from engine.bootstrap import Deps
from engine.settings import ROOT
from tests.flows.house import one, rows, run_everything
from tests.make import actblue_body, basic, raw, stripe_signature
from tests.system import clean_environment, free_port

WEBS, TIMES = 4, 50
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def ports(deps: Deps, servers) -> Iterator[list[int]]:
    """The ports of four web processes that answer."""
    assert deps.settings.database_url is not None
    environment = clean_environment(
        DATABASE_URL=deps.settings.database_url.get_secret_value(),
        REDIS_URL=servers.redis_url,
        GROUNDSWELL_DATA_DIR=str(deps.settings.data_dir),
        GROUNDSWELL_SUPERVISED="1",
    )
    with ExitStack() as ending:
        found = []
        for _ in range(WEBS):
            found.append(free_port())
            process = subprocess.Popen(
                command_lines.web("127.0.0.1", found[-1], end_seconds=2), env=environment, cwd=ROOT,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            ending.callback(process.wait, 10)
            ending.callback(process.terminate)
        for port in found:
            await_answer(port)
        yield found


def await_answer(port: int) -> None:
    deadline = monotonic() + 30
    while monotonic() < deadline:
        try:
            if urllib3.request("GET", f"http://127.0.0.1:{port}/healthz", retries=False, timeout=5).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            sleep(0.05)
    raise AssertionError(f"nobody answers at {port}")


@pytest.mark.parametrize("source", ["actblue", "stripe"])
def test_fifty_posts_of_one_event_through_four_processes_at_once_are_all_answered_200_and_stored_once(
    deps: Deps, ports: list[int], source: str
):
    body = raw(actblue_body() if source == "actblue" else {"id": "evt_four", "object": "event", "livemode": False})
    header = basic() if source == "actblue" else stripe_signature(body)

    def post(number: int) -> int:
        url = f"http://127.0.0.1:{ports[number % WEBS]}/webhooks/{source}"
        headers = JSON | dict([header])
        return urllib3.request("POST", url, body=body, headers=headers, retries=False, timeout=10).status

    with ThreadPoolExecutor(TIMES) as pool:
        assert Counter(pool.map(post, range(TIMES))) == {200: TIMES}
    assert [(row.source, bytes(row.body)) for row in rows(deps, "SELECT source, body FROM inbound_event")] == [
        (source, body)
    ]
    if source == "actblue":
        run_everything(deps)
        assert one(deps, "SELECT count(*) AS n FROM contribution").n == 1
