"""What needs a person, by command: listed until somebody has seen to it."""

from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.staff import notices
from tests.commands import groundswell
from tests.flows.house import one, put, rows, run_everything
from tests.make import actblue_body, raw


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


def test_what_is_changed_by_these_commands_is_on_the_audit_and_what_changes_nothing_is_not(deps: Deps):
    first, second = put(deps, b"rubbish"), put(deps, b"more rubbish")
    put(deps, raw(actblue_body()))
    run_everything(deps)
    letter = one(deps, "SELECT id FROM message WHERE occasion LIKE 'gift:%'").id
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE message SET state = 'failed' WHERE id = :id"), {"id": letter})
        session.execute(text("INSERT INTO mail_hold (reason, since) VALUES ('suspended', now())"))
    notice = one(deps, f"SELECT id FROM notice WHERE subject = 'inbound event {second}'").id
    for _ in range(2):
        for command in (("notices", "resolve", str(notice)), ("events", "replay", str(first), str(second)),
                        ("letters", "retry", "--all"), ("letters", "resume")):  # fmt: skip
            groundswell(deps, *command)
    told = rows(deps, "SELECT action, subject, subject_id, detail FROM audit WHERE staff_id IS NULL ORDER BY id")
    assert [tuple(row) for row in told] == [
        ("notices resolved", "notice", notice, {"count": 1, "ids": [notice]}),
        ("events replayed", "inbound_event", None, {"count": 2, "ids": [first, second]}),
        ("letters retried", "message", letter, {"count": 1, "ids": [letter]}),
        ("letters resumed", "mail_hold", None, {"count": 1}),
    ]
