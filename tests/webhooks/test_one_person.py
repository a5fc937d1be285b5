"""One person as staff sees her, on her page and by command: all that we hold of her, told so that a person can read it."""

import re

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Client
from tests.commands import groundswell
from tests.staff import Desk, hire, known
from tests.webhooks.joining import said

CUSTOM = """{"tags": ["Trees", "<b>Bold"], "note": "Call in the evening", "mailchimp_notes": "likes {trains}",
    "shoe size": 41, "pets": ["cat", "dog"], "empty": ""}"""
KNOWN = """
UPDATE contact SET custom = CAST(:custom AS jsonb), time_zone = 'America/New_York', engaged_last_at = '2026-10-30 18:00Z'
    WHERE id = :id;
INSERT INTO followed_chapter (contact_id, chapter_id, at) SELECT :id, id, '2026-10-01' FROM chapter
    WHERE slug IN ('lowell', 'brockton') ON CONFLICT DO NOTHING;
INSERT INTO contact_interest (contact_id, interest_id, at, source) SELECT :id, id, '2026-10-02', 'join' FROM interest
    WHERE code = 'i3f7' ON CONFLICT DO NOTHING;
INSERT INTO ask_rest (contact_id, reason, since, until) VALUES (:id, 'many', '2026-11-01', '2126-01-04 12:00Z')
    ON CONFLICT DO NOTHING;
INSERT INTO volunteer_offer (contact_id, way_to_help_id, at, note) SELECT :id, id, '2026-10-03', 'weekends'
    FROM way_to_help WHERE code = 'w3h8' ON CONFLICT DO NOTHING
"""


@pytest.fixture
def rosa(house: Deps) -> int:
    """Somebody of whom everything is known."""
    her = known(house, "rosa.known@example.org", "01605")
    with transaction(house.sessions) as session:
        for statement in KNOWN.split(";"):
            session.execute(text(statement), {"id": her, "custom": CUSTOM})
    return her


def test_her_page_tells_fields_of_her_own_tags_time_zone_followed_chapters_and_when_she_was_last_heard_of(
    house: Deps, door: Client, rosa: int
):
    desk = Desk(door)
    desk.sign_in(house, hire(house, "looks@staff.example.org", "viewer"))
    told = said(desk.get(f"/staff/people/{rosa}"))
    for words in (
        "Time zone America/New_York", "Last heard of 30 October 2026", "Follows Brockton, Greater Lowell",
        "Tags Trees, <b>Bold", "mailchimp notes likes {trains}", "shoe size 41", "pets cat, dog",
        "Not asked for money until 4 January 2126: several gifts in few days.",
    ):  # fmt: skip
        assert words in told
    assert told.count("Call in the evening") == 1  # a note is shown as one
    assert "empty" not in told
    assert "<b>Bold" not in desk.page


def test_somebody_of_whom_little_is_known_has_a_page_without_holes(house: Deps, door: Client):
    her = known(house, "little@example.org", "01605")
    desk = Desk(door)
    house.limiter.counts.clear()
    desk.sign_in(house, hire(house, "looks.too@staff.example.org", "viewer"))
    told = said(desk.get(f"/staff/people/{her}"))
    assert "Last heard of never" in told
    assert not [word for word in ("Follows", "Tags", "Other fields") if word in told]


def test_the_command_tells_the_same_with_interests_and_offers(house: Deps, rosa: int):
    done = groundswell(house, "people", "show", str(rosa))
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.sub(r"\s+", " ", line) for line in done.stdout.splitlines()]
    for line in (
        "time zone America/New_York", "last heard of 2026-10-30", "follows Brockton since 2026-10-01",
        "follows Greater Lowell since 2026-10-01", "tags Trees, <b>Bold", "note Call in the evening",
        "field mailchimp notes: likes {trains}", "field shoe size: 41", "field pets: cat, dog",
        "interest A place to live: Housing and rent, since 2026-10-02",
        "offer Knock on doors: new since 2026-10-03 (weekends)", "not asked until 2126-01-04: several gifts in few days",
    ):  # fmt: skip
        assert line in lines, done.stdout
