"""`groundswell up` as its user meets it: it starts, says where to look, ends, and starts again whatever happened."""

import json
from pathlib import Path
from urllib.request import urlopen

import pytest

from engine.adapters.embedded import postgres_data
from engine.adapters.supervisor import remove_stale_pidfile
from tests.make import actblue_body, raw
from tests.system import System, free_port

pytestmark = pytest.mark.slow


def test_a_second_start_finds_its_data_again_and_a_third_beside_it_is_refused(folder: Path):
    system = System.start(folder, free_port(), "--demo")
    system.wait_ready()
    assert system.post(raw(actblue_body())) == 200
    system.wait_for(lambda: len(system.mailbox()) == 1, 10, "the letter")
    system.end()
    again = System.start(folder, free_port(), "--demo")
    again.wait_ready(2)
    assert again.query("SELECT count(*) FROM contribution") == [(1,)]
    assert again.query("SELECT count(*) FROM donation_form_version") == [(3,)]
    beside = again.run("up", "--port", str(free_port()))
    assert beside.returncode == 1
    assert beside.stderr.startswith("groundswell: Groundswell is already running on ")
    again.end()


def test_the_pidfile_of_a_running_postgres_is_left_alone(system: System):
    data = postgres_data(system.places)
    before = (data / "postmaster.pid").read_text()
    remove_stale_pidfile(data)
    assert (data / "postmaster.pid").read_text() == before


def test_a_child_that_dies_is_started_again_and_said_so(system: System):
    for name, word in (("web", "uvicorn"), ("worker receipts", "receipts"), ("pulse", "workers.pulse")):
        said = system.log.count(f"{name} ended (SIGKILL); starting it again")
        dead = system.find(word)
        orphans = dead.children()
        dead.kill()
        system.wait_for(lambda said=said, name=name: system.log.count(f"{name} ended (SIGKILL)") > said, 5, name)
        system.wait_for(lambda orphans=orphans: not any(o.is_running() for o in orphans), 5, "no orphan is left")
    system.wait_for(lambda: answers(system), 20, "the web is back")


def answers(system: System) -> bool:
    try:
        return system.get("/healthz")[0] == 200
    except OSError:
        return False


def test_readiness_tells_of_every_part(system: System):
    system.wait_for(lambda: answers(system), 20, "the web")
    status, body = system.get("/readyz")
    assert status == 200
    said = json.loads(body)
    assert (said["database"], said["redis"], said["migrations"]) == ("ok", "ok", "current")
    assert "oldest_due_seconds" in said


def test_the_numbers_cover_all_processes(system: System):
    system.wait_for(lambda: answers(system), 20, "the web")
    assert system.post(raw(actblue_body())) == 200
    wanted = (
        'groundswell_requests_total{method="POST",route="/webhooks/actblue",status="200"}',
        'groundswell_jobs_total{outcome="done",queue="intake"}',
        'groundswell_letters_total{lane="receipts",outcome="accepted"}',
        'groundswell_rows{lane="",what="quarantine"}',
    )
    system.wait_for(lambda: all(line in numbers(system) for line in wanted), 10, "all numbers")


def numbers(system: System) -> str:
    known = json.loads((system.data / "up.json").read_text())
    with urlopen(f"http://127.0.0.1:{known['metrics_port']}/metrics", timeout=5) as page:
        return page.read().decode()


def test_the_id_of_an_event_runs_through_the_log_from_the_request_to_the_letter(system: System):
    system.wait_for(lambda: answers(system), 20, "the web")
    sent = len(system.mailbox())
    assert system.post(raw(actblue_body())) == 200
    system.wait_for(lambda: len(system.mailbox()) > sent, 10, "the letter")
    ((event,),) = system.query("SELECT max(id) FROM inbound_event")
    said = ("[info] request", "[info] event finished", "[info] letter handed over")

    def told() -> bool:
        lines = [line for line in system.log.splitlines() if f"inbound_event={event} " in line]
        return [any(words in line for line in lines) for words in said] == [True] * 3

    system.wait_for(told, 5, f"three lines about event {event}")
    assert "rosa" not in system.log.lower()
    assert "secret-token" not in system.log


def test_a_quarantined_event_is_shown_and_replayed_by_command(system: System):
    system.wait_for(lambda: answers(system), 20, "the web")
    assert system.post(b'{"broken": "\x1b[31m"') == 200
    quarantined = "SELECT id FROM inbound_event WHERE state = 'quarantined'"
    system.wait_for(lambda: bool(system.query(quarantined)), 15, "the quarantine")
    ((event,),) = system.query(quarantined)
    shown = system.run("events", "show", str(event)).stdout
    assert "quarantined" in shown
    assert "\x1b" not in shown
    system.query("UPDATE inbound_event SET body = %s WHERE id = %s RETURNING id", raw(actblue_body()), event)
    replayed = system.run("events", "replay", str(event))
    assert (replayed.returncode, replayed.stdout) == (0, "1 back to pending\n")
    state = f"SELECT state FROM inbound_event WHERE id = {event}"
    system.wait_for(lambda: system.query(state) == [("applied",)], 15, "the replay")
    assert system.query("SELECT count(*) FROM notice WHERE resolved_at IS NULL") == [(0,)]
    again = system.run("events", "replay", "--all")
    assert (again.returncode, again.stdout) == (1, "none of these is in quarantine\n")
    assert system.run("letters", "retry", "--all").returncode == 1
    assert system.run("letters", "resume").returncode == 1


def test_a_person_lets_campaigns_go_on(system: System):
    system.query("INSERT INTO mail_hold (reason, since) VALUES ('suspended', now()) RETURNING id")
    system.query("INSERT INTO notice (kind, subject, detail) VALUES ('mail stopped', 'mail provider', '') RETURNING id")
    resumed = system.run("letters", "resume")
    assert (resumed.returncode, resumed.stdout) == (0, "campaigns go on\n")
    assert system.query("SELECT count(*) FROM mail_hold WHERE lifted_at IS NULL") == [(0,)]
    assert system.query("SELECT count(*) FROM notice WHERE resolved_at IS NULL") == [(0,)]
    again = system.run("letters", "resume")
    assert (again.returncode, again.stdout) == (1, "nothing was stopped\n")


def test_env_prints_what_scripts_need_and_masks_secrets(system: System):
    printed = dict(line.split("=", 1) for line in system.run("env").stdout.splitlines())
    assert printed["DATABASE_URL"] == system.places.database_url
    assert printed["REDIS_URL"] == system.places.redis_url
    assert printed["BASE_URL"] == system.url
    assert printed["SECRET_KEY"] == printed["ACTBLUE_WEBHOOK_CREDENTIALS"] == "********"


def test_only_we_can_enter_the_folder_of_the_sockets(system: System):
    assert oct(system.places.sockets.stat().st_mode & 0o777) == "0o700"
    assert oct(system.places.passfile.stat().st_mode & 0o777) == "0o600"


def test_a_port_that_is_taken_is_said_in_words(folder: Path, system: System):
    taken = System.start(folder, system.port)
    assert taken.process.wait(15) == 1
    assert f"port {system.port} cannot be used" in taken.log
