"""`groundswell doctor`: in words and as JSON, its exit code, and what it says when it can look at little."""

import json
from pathlib import Path
from typing import Any

from engine.bootstrap import Deps
from tests.commands import Done, environment, groundswell, run
from tests.flows.house import change
from workers.pulse import SCHEDULE

ROOM = "disk"  # is the machine's own affair


def findings(done: Done) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in json.loads(done.stdout)}


def test_a_house_without_a_pulse_is_wrong_and_with_one_it_is_right(deps: Deps):
    wrong = groundswell(deps, "doctor", "--json")
    assert (wrong.returncode, findings(wrong)["the pulse"]["level"]) == (1, "wrong")
    assert set(findings(wrong)["the pulse"]) == {"level", "check", "seen", "advice"}
    change(deps, "INSERT INTO chore (name, due_at) SELECT unnest(CAST(:names AS text[])), now()", names=list(SCHEDULE))
    right = groundswell(deps, "doctor", "--json")
    wrongs = {name for name, finding in findings(right).items() if finding["level"] == "wrong"}
    assert wrongs <= {ROOM}
    assert right.returncode == len(wrongs)


def test_warnings_are_told_and_do_not_fail(deps: Deps):
    change(deps, "INSERT INTO chore (name, due_at) SELECT unnest(CAST(:names AS text[])), now()", names=list(SCHEDULE))
    change(deps, "INSERT INTO notice (kind, subject) VALUES ('letters failed', 'letter 7')")
    done = groundswell(deps, "doctor")
    said = {line.split()[0]: line for line in done.stdout.splitlines() if "matters" in line}
    assert "letters failed" in said["warning"]
    assert "groundswell notices list" in done.stdout
    assert "--ask" in done.stdout
    assert " wrong" in done.stdout.splitlines()[-2]
    assert done.returncode == int("\nwrong " in done.stdout)


def test_production_with_weak_secrets_is_told_all_of_them_and_no_trace(deps: Deps):
    done = run(["doctor", "--json"], environment(deps, GROUNDSWELL_ENV="production", SECRET_KEY="short"))
    seen = [finding["seen"] for finding in json.loads(done.stdout)]
    assert (done.returncode, done.stderr) == (1, "")
    for name in ("SECRET_KEY", "BASE_URL", "SENDGRID_API_KEY", "ACTBLUE_WEBHOOK_CREDENTIALS"):
        assert any(words.startswith(name) for words in seen)
    assert "short" not in done.stdout


def test_a_machine_on_which_nothing_runs_is_told_what_to_start(deps: Deps, tmp_path: Path):
    variables = environment(deps, tmp_path)
    del variables["DATABASE_URL"], variables["REDIS_URL"]
    done = run(["doctor"], variables)
    assert done.returncode == 1
    assert "groundswell up" in done.stdout
    assert "Redis does not answer" in done.stdout
