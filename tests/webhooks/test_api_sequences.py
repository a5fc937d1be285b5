"""Sequences by API: checked, published in versions, paused, archived, people moved; and each thing that is refused."""

from itertools import count

import pytest

from engine.bootstrap import Deps
from tests import campaigns
from tests.asgi import Client
from tests.flows.house import change, one, rows
from tests.programs import Program, program, said

_numbers = count(1)


@pytest.fixture(scope="module")
def mine(house: Deps, door: Client) -> Program:
    campaigns.letter(house, "api_news")
    return program(house, door)


def sequence(**changed) -> dict:
    return {
        "slug": f"drip-{next(_numbers)}", "name": "A drip",
        "steps": [
            {"key": "one", "email": "api_news"}, {"key": "rest", "wait": "3 days"}, {"key": "two", "email": "api_news"},
        ],
    } | changed  # fmt: skip


def test_a_sequence_is_checked_and_read_aloud_and_nothing_is_kept(house: Deps, mine: Program):
    answer = mine.post("/sequences/check", sequence(slug="checked"), key="")
    assert answer.status == 200
    assert said(answer)["slug"] == "checked"
    assert any("3 days" in line for line in said(answer)["says"])
    assert rows(house, "SELECT FROM sequence WHERE slug = 'checked'") == []


def test_every_fault_of_a_sequence_is_told_with_its_line_and_its_field(mine: Program):
    body = b"""{"slug": "x", "name": "x", "steps": [
  {"key": "one", "email": "no_such_letter"},
  {"key": "rest", "wait": "-3 days"},
  {"key": "two"}]}"""
    errors = said(mine.post("/sequences/check", body))["errors"]
    assert [(each["line"], each["field"]) for each in errors] == [(3, "steps.1.wait"), (4, "steps.2")]
    body = sequence(steps=[{"key": "one", "email": "no_such_letter"}])
    (error,) = said(mine.post("/sequences/check", body))["errors"]
    assert (error["field"], "there is no letter no_such_letter" in error["says"]) == ("steps.0.email", True)


def test_a_sequence_is_published_in_versions_that_stay_and_each_can_be_read(house: Deps, mine: Program):
    body = sequence(chapter="worcester")
    place = f"/sequences/{body['slug']}"
    first = mine.post("/sequences", body)
    assert (first.status, first.headers["location"], said(first)["version"]) == (201, f"/api/v1{place}", 1)
    assert first.headers["etag"] == mine.get(place).headers["etag"]
    assert mine.post("/sequences", body).status == 409
    assert mine.post("/sequences", body | {"name": "Other"}).status == 409
    assert mine.put(place, body | {"name": "Longer"}).status == 428
    second = mine.put(place, body | {"name": "Longer"}, ("if-match", first.headers["etag"]))
    assert (second.status, said(second)["version"], said(second)["definition"]["name"]) == (200, 2, "Longer")
    assert mine.put(place, body, ("if-match", first.headers["etag"])).status == 412
    same = mine.put(place, body | {"name": "Longer"}, ("if-match", second.headers["etag"]))
    assert (same.status, said(same)["version"]) == (200, 2)
    assert said(mine.get(f"{place}?version=1"))["definition"]["name"] == "A drip"
    assert said(mine.get(place))["definition"]["chapter"] == "worcester"
    assert [mine.get(f"{place}?version={number}").status for number in ("3", "0", "x", "9" * 30)] == [
        404,
        400,
        400,
        400,
    ]
    wrong = mine.put(place, body | {"slug": "elsewhere"}, ("if-match", second.headers["etag"]))
    assert (wrong.status, said(wrong)["errors"][0]["field"]) == (422, "slug")
    did = rows(
        house,
        f"SELECT staff_id FROM audit WHERE action = 'sequence published' AND detail->>'sequence' = '{body['slug']}'",
    )
    assert [row.staff_id for row in did] == [mine.staff_id] * 2


def test_a_sequence_takes_up_the_newest_words_of_its_letters(house: Deps, mine: Program):
    campaigns.letter(house, "api_weekly")
    body = sequence(steps=[{"key": "one", "email": "api_weekly"}])
    mine.post("/sequences", body)
    assert said(mine.post(f"/sequences/{body['slug']}/renew"))["version"] == 1
    campaigns.letter(house, "api_weekly", "Dear friend,\n\nNew words.\n")
    assert said(mine.post(f"/sequences/{body['slug']}/renew"))["version"] == 2


def test_a_sequence_is_paused_with_a_reason_resumed_and_archived(house: Deps, mine: Program):
    body = sequence()
    mine.post("/sequences", body)
    place = f"/sequences/{body['slug']}"
    assert mine.post(f"{place}/pause").status == 415
    (error,) = said(mine.post(f"{place}/pause", {}))["errors"]
    assert error == {"line": 1, "field": "because", "says": "is missing"}
    for _ in range(2):
        paused = said(mine.post(f"{place}/pause", {"because": "A typo"}))
        assert (paused["paused_because"], bool(paused["paused_at"])) == ("A typo", True)
    house.bells.rung.clear()
    assert said(mine.post(f"{place}/resume"))["paused_at"] is None
    assert {"outreach", "delivery"} <= set(house.bells.rung)
    assert said(mine.post(f"{place}/resume"))["paused_at"] is None
    assert said(mine.post(f"{place}/archive"))["archived_at"]
    listed = [each["slug"] for each in said(mine.get("/sequences?limit=100"))["items"]]
    assert body["slug"] not in listed
    assert body["slug"] in [each["slug"] for each in said(mine.get("/sequences?limit=100&archived=true"))["items"]]
    for verb in ("pause", "resume", "archive", "renew", "move"):
        assert mine.post(f"/sequences/nowhere/{verb}", {"because": "x"} if verb == "pause" else None).status == 404


def test_people_are_moved_to_the_newest_version_and_who_stays_is_told(house: Deps, mine: Program):
    body = sequence()
    first = mine.post("/sequences", body)
    place = f"/sequences/{body['slug']}"
    named = f"SELECT id FROM sequence WHERE slug = '{body['slug']}'"
    version = one(house, f"SELECT id, sequence_id FROM sequence_version WHERE sequence_id = ({named})")
    for contact, step in zip(campaigns.people(house, 3), ("rest", "two", "rest"), strict=True):
        change(
            house, "INSERT INTO enrollment (contact_id, version_id, sequence_id, step, due_at, entered_at)"
            " VALUES (:contact, :version, :sequence, :step, :now, :now)",
            contact=contact, version=version.id, sequence=version.sequence_id, step=step, now=house.clock.now,
        )  # fmt: skip
    mine.put(place, body | {"steps": body["steps"][1:]}, ("if-match", first.headers["etag"]))
    mine.put(place, body | {"steps": [body["steps"][0], body["steps"][1]]}, ("if-match", "*"))
    moved = said(mine.post(f"{place}/move"))
    assert moved == {"people": 2, "version": 3, "more": False, "stay": {"two": 1}}
    assert said(mine.post(f"{place}/move", {}))["people"] == 0
    assert mine.post(f"{place}/move", {"campaign": "nowhere"}).status == 404


def test_what_is_the_roots_a_chapters_token_may_read_and_use_but_not_change(house: Deps, door: Client, mine: Program):
    worcester = program(house, door, chapter="worcester")
    shared, rule = sequence(), {"op": "language", "language": "en"}
    mine.post("/sequences", shared)
    mine.post("/segments", {"slug": "shared", "name": "Shared", "rule": rule})
    assert worcester.get(f"/sequences/{shared['slug']}").status == 200
    assert worcester.get("/segments/shared/preview").status == 200
    assert shared["slug"] in [each["slug"] for each in said(worcester.get("/sequences?limit=100"))["items"]]
    for answer in (
        worcester.put(f"/sequences/{shared['slug']}", shared, ("if-match", "*")),
        worcester.post(f"/sequences/{shared['slug']}/pause", {"because": "x"}),
        worcester.post("/segments/shared/archive"),
    ):
        assert (answer.status, "the token is bound to worcester" in said(answer)["detail"]) == (403, True)
    own = {
        "slug": "worcester-drip",
        "name": "Ours",
        "chapter": "worcester",
        "sequence": shared["slug"],
        "segment": "shared",
    }
    assert worcester.post("/campaigns", own).status == 201
