"""Where whoever joins belongs from the first moment on, and why, as it is said of her."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.people import confirmations, explaining, relocation, routing
from tests.flows.house import one, put, rows, run_everything
from tests.make import actblue_body, join_body, raw

INES = "ines@example.org"


def come(deps: Deps, **said: Any) -> None:
    put(deps, raw(join_body(**{"at": deps.clock.now.isoformat()} | said)), source="join")
    run_everything(deps)


def explained(deps: Deps) -> list[str]:
    with transaction(deps.sessions) as session:
        return explaining.explain(session, INES)


def host(deps: Deps) -> None:
    with transaction(deps.sessions) as session:
        session.execute(
            text("""INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
            SELECT 'May1', 'May Day', id, :at, :at + interval '1 hour', 10 FROM chapter WHERE slug = 'brockton'"""),
            {"at": deps.clock.now},
        )


def test_who_joins_has_come_to_the_chapter_near_her_and_from_nowhere(deps: Deps):
    come(deps)
    assert explained(deps) == [
        "Ines Okafor belongs to Worcester, because their ZIP 01605 lies in its territory.",
        "Nobody placed them elsewhere, they chose no chapter themselves and they gave to no chapter's own ActBlue entity.",
        "History: on November 3, 2026 they came to Worcester (by ZIP 01605).",
    ]


def test_who_joins_on_a_chapters_form_has_come_to_that_chapter(deps: Deps):
    come(deps, form="join/lowell")
    assert explained(deps)[0] == "Ines Okafor belongs to Greater Lowell, because they chose it themselves."
    assert explained(deps)[-1] == "History: on November 3, 2026 they came to Greater Lowell (their own choice)."


@pytest.mark.parametrize("form", ["join", "join/worcester", "sheet/brockton"])
def test_who_signs_up_at_a_gathering_belongs_to_its_host_and_that_is_said(deps: Deps, form: str):
    host(deps)
    come(deps, form=form, gathering="May1")
    assert (
        explained(deps)[0] == "Ines Okafor belongs to Brockton, because they signed up at a gathering of that chapter."
    )
    assert explained(deps)[-1] == "History: on November 3, 2026 they came to Brockton (at a gathering of that chapter)."


def test_who_has_not_answered_yet_belongs_nowhere_and_comes_with_her_answer(deps: Deps):
    come(deps, confirm=True)
    assert explained(deps) == [
        "This person belongs to no chapter yet: they have not confirmed yet that it was they who signed up.",
        "No move is on record.",
    ]
    deps.clock.skip(timedelta(days=1))
    with deps.work() as (session, now):
        asked = session.scalar(text("SELECT id FROM confirmation"))
        assert asked is not None
        deps.react(session, confirmations.confirm(session, asked, now), now)
    assert explained(deps)[-1] == "History: on November 4, 2026 they came to Worcester (by ZIP 01605)."


def test_who_gives_before_she_answers_comes_with_her_gift(deps: Deps):
    come(deps, confirm=True)
    put(deps, raw(actblue_body(donor={"email": INES, "zip": "01108"})))
    run_everything(deps)
    assert explained(deps)[-1] == "History: on November 3, 2026 they came to Springfield (by ZIP 01108)."


def test_who_has_not_answered_yet_is_moved_by_no_change_of_territories(deps: Deps):
    come(deps, confirm=True)
    with transaction(deps.sessions) as session:
        drawn = routing.settle(routing.places(session), routing.claims(session), routing.seats(session))
        assert relocation.would_move(session, drawn, {}) == ([], 0)
        assert relocation.move(session, range(1, 1000), deps.clock.now, 1) == 0
    assert rows(deps, "SELECT 1 FROM chapter_move") == []
    assert one(deps, "SELECT chapter_id FROM contact").chapter_id is None
