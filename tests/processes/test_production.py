"""Production's own workers: they hand letters to SendGrid (a stand-in on this machine), and do not start without its key."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from engine import bell
from engine.adapters.bells import RedisBells
from engine.bootstrap import Deps
from engine.clock import PostgresClock
from engine.outreach import trying
from engine.settings import ROOT
from tests import mail_stand_in
from tests.campaigns import enqueue, in_production, letter, people
from tests.system import GROUNDSWELL, clean_environment

pytestmark = pytest.mark.slow

STRONG = "k8Jq2vX0pLw9zR4tB7nM1cY6hD3sG5fA"


def environment(deps: Deps, **more: str) -> dict[str, str]:
    assert deps.settings.database_url is not None
    assert deps.settings.redis_url is not None
    return clean_environment(
        GROUNDSWELL_ENV="production", BASE_URL="https://give.groundswell.test", SECRET_KEY=STRONG,
        DATABASE_URL=deps.settings.database_url.get_secret_value(), REDIS_URL=deps.settings.redis_url.get_secret_value(),
        ACTBLUE_WEBHOOK_CREDENTIALS=f"actblue:{STRONG}", OPERATOR_EMAIL="ops@example.org", **more,
    )  # fmt: skip


@contextmanager
def working(deps: Deps, group: str, provider: str) -> Iterator[None]:
    """A worker of this group, as production runs it, and its bell rung."""
    told = environment(deps, SENDGRID_API_KEY=mail_stand_in.KEY, SENDGRID_HOST=provider)
    bells = RedisBells(told["REDIS_URL"])
    with subprocess.Popen([*GROUNDSWELL, "worker", "--group", group], env=told, cwd=ROOT) as running:
        try:
            bells.ring(group)
            yield
        finally:
            running.terminate()
            bells.close()


def a_receipt(deps: Deps) -> None:
    with deps.work() as (session, _):
        trying.send(session, "sign_in", "ana.costa@example.org", PostgresClock().read(session))


def a_campaign_letter(deps: Deps) -> None:
    enqueue(in_production(deps), letter(deps), people(deps, 1))


@pytest.mark.parametrize(("group", "made"), [(bell.RECEIPTS, a_receipt), (bell.DELIVERY, a_campaign_letter)])
def test_the_workers_of_letters_start_in_production_and_hand_over_to_sendgrid(deps: Deps, tmp_path: Path, group, made):
    made(deps)
    with mail_stand_in.running(tmp_path) as sendgrid, working(deps, group, sendgrid.url):
        until = monotonic() + 60
        while not sendgrid.accepted() and monotonic() < until:
            sleep(0.05)
        (taken,) = sendgrid.accepted()
        assert taken["from"]["email"] == "hello@commonground.example.org"
        assert sendgrid.wrong == []


@pytest.mark.parametrize("group", [bell.RECEIPTS, bell.DELIVERY])
def test_a_worker_of_letters_without_a_key_ends_with_one_line_that_names_it(deps: Deps, group: str):
    done = subprocess.run(
        [*GROUNDSWELL, "worker", "--group", group], env=environment(deps), cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].endswith("production refuses to start: SENDGRID_API_KEY is missing")
