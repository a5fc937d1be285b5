"""`groundswell tokens`: made and shown once, listed, revoked; on the audit; each refusal in a line."""

import re

import pytest

from engine.bootstrap import Deps
from engine.staff import api_tokens
from tests.commands import groundswell
from tests.flows.house import one, rows
from tests.staff import hire


@pytest.fixture(autouse=True)
def ana(deps: Deps) -> None:
    hire(deps, "ana@example.org", "organizer", "central")
    hire(deps, "vic@example.org", "viewer")


def made(deps: Deps, *more: str):
    return groundswell(deps, "tokens", "create", "The website", "--for", "ana@example.org", *more)


def test_a_token_is_shown_once_kept_as_a_hash_and_holds_until_it_is_revoked(deps: Deps):
    done = made(deps, "--scope", "segments:read", "--scope", "segments:write", "--chapter", "worcester", "--days", "7")
    token = done.stdout.strip()
    assert (done.returncode, bool(re.fullmatch(r"gsw_[\w-]{43}", token))) == (0, True)
    kept = one(deps, "SELECT * FROM api_token")
    assert token not in repr(kept)
    with deps.work() as (session, now):
        caller = api_tokens.find(session, token, now)
    assert caller is not None
    assert (caller.chapter, caller.scopes) == ("worcester", {"segments:read", "segments:write"})
    listed = groundswell(deps, "tokens", "list").stdout
    for word in ("The website", "ana@example.org", "worcester", "segments:read, segments:write", "used 2026-11-03"):
        assert word in listed
    assert token not in listed
    assert groundswell(deps, "tokens", "revoke", str(kept.id)).returncode == 0
    with deps.work() as (session, now):
        assert api_tokens.find(session, token, now) is None
    assert "revoked" in groundswell(deps, "tokens", "list").stdout
    again = groundswell(deps, "tokens", "revoke", str(kept.id))
    assert (again.returncode, "revoked before" in again.stderr) == (1, True)
    did = rows(deps, "SELECT action, subject_id FROM audit WHERE subject = 'api_token' ORDER BY id")
    assert [tuple(row) for row in did] == [("token created", kept.id), ("token revoked", kept.id)]
    assert token not in repr(rows(deps, "SELECT detail FROM audit"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--scope", "everything"], "there is no scope everything"),
        (["--scope", "segments:read", "--chapter", "lowell"], "lowell is out of her reach"),
        (["--scope", "segments:read", "--chapter", "nowhere"], "there is no chapter nowhere"),
        (["--scope", "segments:read", "--for", "nobody@example.org"], "nobody of this address is on the staff"),
        (["--scope", "campaigns:launch", "--for", "vic@example.org"], "viewer is a role that may not do this"),
    ],
)
def test_what_cannot_be_a_token_is_refused_in_a_line(deps: Deps, options: list[str], says: str):
    done = made(deps, *options)
    assert (done.returncode, done.stdout, says in done.stderr) == (1, "", True)
    assert rows(deps, "SELECT FROM api_token") == []


def test_a_token_is_bound_to_the_chapter_of_who_answers_for_it_unless_it_says_less(deps: Deps):
    made(deps, "--scope", "segments:read")
    assert one(deps, "SELECT h.slug FROM api_token t JOIN chapter h ON h.id = t.chapter_id").slug == "central"
    missing = groundswell(deps, "tokens", "revoke", "999")
    assert (missing.returncode, "there is no token 999" in missing.stderr) == (1, True)
