"""What needs a person, by command: listed until somebody has seen to it."""

import os
import subprocess
import sys

from engine.bootstrap import Deps
from engine.db import transaction
from engine.staff import notices
from tests.flows.house import one, put, rows, run_everything


def groundswell(deps: Deps, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = deps.settings
    assert settings.database_url is not None
    assert settings.redis_url is not None
    places = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "COLUMNS": "200",
    }
    argv = [sys.executable, "-m", "engine.cli", *arguments, "--data-dir", str(settings.data_dir)]
    return subprocess.run(argv, env=os.environ | places, capture_output=True, text=True, check=False, timeout=60)


def test_what_needs_a_person_is_listed_until_it_was_seen_to(deps: Deps):
    assert groundswell(deps, "notices", "list").stdout == "nothing needs a person\n"
    put(deps, b"rubbish")
    run_everything(deps)
    notice = one(deps, "SELECT id, subject FROM notice")
    listed = groundswell(deps, "notices", "list")
    assert (listed.returncode, notice.subject in listed.stdout, "event quarantined" in listed.stdout) == (0, True, True)
    seen = groundswell(deps, "notices", "resolve", str(notice.id))
    assert (seen.returncode, seen.stdout) == (0, "1 seen to\n")
    assert groundswell(deps, "notices", "resolve", str(notice.id)).returncode == 1
    assert rows(deps, "SELECT 1 FROM notice WHERE resolved_at IS NULL") == []
    with transaction(deps.sessions) as session:
        assert notices.open_notices(session) == []
