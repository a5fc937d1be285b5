"""Campaigns by API, from a draft to its end, and each thing that is refused: F9, F10 and F12 of the matrix are among it."""

from dataclasses import replace
from itertools import count

import pytest

from engine.bootstrap import Deps
from tests import campaigns
from tests.asgi import Client
from tests.flows.house import change, one, rows
from tests.launches import work
from tests.programs import Program, program, said
from webhooks.app import build

_numbers = count(1)
RULE = {"op": "chapter", "chapter": "worcester"}


@pytest.fixture(scope="module")
def mine(house: Deps, door: Client) -> Program:
    campaigns.letter(house, "api_vote")
    campaigns.people(house, 12)
    return program(house, door)


def campaign(**changed) -> dict:
    return {"slug": f"vote-{next(_numbers)}", "name": "Before the vote", "letter": "api_vote", "rule": RULE} | changed


def drafted(program_: Program, **changed) -> str:
    body = campaign(**changed)
    assert program_.post("/campaigns", body).status == 201
    return f"/campaigns/{body['slug']}"


def launched(program_: Program, **changed) -> str:
    place = drafted(program_, **changed)
    assert program_.post(f"{place}/launch").status == 200
    return place


def state(program_: Program, place: str) -> str:
    return said(program_.get(place))["state"]


def test_a_draft_is_written_shown_changed_and_listed(mine: Program):
    body = campaign(chapter="worcester", starts_at="2026-11-20T09:00:00-05:00")
    first = mine.post("/campaigns", body)
    place = f"/campaigns/{body['slug']}"
    assert (first.status, first.headers["location"]) == (201, f"/api/v1{place}")
    shown = said(mine.get(place))
    assert (shown["state"], shown["kind"], shown["starts_at"]) == ("draft", "news", "2026-11-20T14:00:00Z")
    assert shown["rule"] == RULE
    assert mine.put(place, body).status == 428
    changed = mine.put(place, body | {"name": "Another"}, ("if-match", first.headers["etag"]))
    assert (changed.status, said(changed)["name"]) == (200, "Another")
    assert mine.put(place, body, ("if-match", first.headers["etag"])).status == 412
    assert mine.post("/campaigns", body).status == 409
    newest = said(mine.get("/campaigns?limit=1"))
    assert [each["slug"] for each in newest["items"]] == [body["slug"]]
    behind = said(mine.get(f"/campaigns?limit=100&cursor={newest['next'] or ''}"))["items"]
    assert body["slug"] not in [each["slug"] for each in behind] or newest["next"] is None


@pytest.mark.parametrize(
    ("changed", "field", "says"),
    [
        ({"letter": None}, "", "one of these: sequence, letter"),
        ({"segment": "x"}, "", "one of these: segment, rule"),
        ({"rule": {"op": "gave", "within": "long"}}, "rule.within", "is no span"),
        ({"rule": {"op": "all", "of": [RULE, {"op": "nope"}]}}, "rule.of.1.op", "is no operator"),
        ({"rule": None, "segment": "no-such"}, "segment", "there is no segment no-such"),
        ({"letter": None, "sequence": "no-such"}, "sequence", "there is no sequence no-such"),
        ({"starts_at": "2026-11-20"}, "starts_at", "is no moment"),
        ({"starts_at": "2026-11-20T09:00:00"}, "starts_at", "is no moment"),
        ({"deadline": "2026-02-30"}, "deadline", "is no day"),
        ({"repeat": "hourly"}, "repeat", "must be daily or weekly"),
        ({"everybody": True}, "everybody", "is not known here"),
        ({"slug": "NO"}, "slug", "is no short name"),
        ({"chapter": "no-such"}, None, "there is no chapter no-such"),
        ({"letter": "no_such"}, None, "there is no letter no_such"),
    ],
)  # fmt: skip
def test_what_is_no_campaign_is_refused_with_what_is_wrong(mine: Program, changed, field, says: str):
    body = {key: value for key, value in campaign(**changed).items() if value is not None}
    answer = mine.post("/campaigns", body)
    assert answer.status == 422
    if field is None:
        assert says in said(answer)["detail"]
    else:
        told = [(error.get("field", ""), error["says"]) for error in said(answer)["errors"]]
        assert any(where == field and says in what for where, what in told), told


def test_a_campaign_is_looked_at_launched_and_leaves(house: Deps, mine: Program):
    place = drafted(mine)
    checked = said(mine.get(f"{place}/preflight"))
    assert (checked["people"], checked["refusals"], checked["hold_minutes"]) == (12, [], 0)
    house.bells.rung.clear()
    answer = mine.post(f"{place}/launch")
    assert (answer.status, said(answer)["state"], said(answer)["expected"]) == (200, "scheduled", 12)
    assert "outreach" in house.bells.rung
    work(house)
    seen = said(mine.get(f"{place}/progress"))
    assert (seen["enrolled"], seen["letters"]["composed"], seen["looked_at"]) == (12, 12, 1.0)
    assert [deed["action"] for deed in seen["done"]][-2:] == ["campaign launched", "campaign drafted"]


# F9: no postal address, an unverified sender, an empty audience: 409 with reasons


def test_f9_a_campaign_that_cannot_leave_is_refused_with_every_reason(house: Deps, mine: Program):
    before = rows(house, "SELECT id, postal_address FROM chapter")
    change(house, "UPDATE chapter SET postal_address = ''")
    try:
        nobody = {"rule": {"op": "language", "language": "qq"}}
        for changed, reason in (({}, "no postal address"), (nobody, "its audience is empty")):
            place = drafted(mine, **changed)
            answer = mine.post(f"{place}/launch")
            assert (answer.status, said(answer)["detail"]) == (409, "it cannot be launched as it is")
            assert any(reason in error["says"] for error in said(answer)["errors"])
            assert said(mine.get(f"{place}/preflight"))["refusals"] == [
                error["says"] for error in said(answer)["errors"]
            ]
            assert state(mine, place) == "draft"
    finally:
        for row in before:
            change(
                house, "UPDATE chapter SET postal_address = :said WHERE id = :id", said=row.postal_address, id=row.id
            )


# F10: launched twice: with the same key the same answer; with another one 409


def test_f10_a_launch_is_one_however_often_and_however_it_is_asked_for(house: Deps, mine: Program):
    place = drafted(mine)
    first, again, other = (mine.post(f"{place}/launch", key=key) for key in ("blast", "blast", "another"))
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert (other.status, "already launched" in said(other)["detail"]) == (409, True)
    work(house)
    assert mine.post(f"{place}/launch", key="blast").body == first.body
    number = one(house, f"SELECT id FROM campaign WHERE slug = '{place.removeprefix('/campaigns/')}'").id
    assert one(house, f"SELECT count(*) AS n FROM enrollment WHERE campaign_id = {number}").n == 12
    assert one(house, f"SELECT count(*) AS n FROM message WHERE campaign_id = {number}").n == 12


def test_f10_launches_at_once_are_one(house: Deps, mine: Program):
    place = drafted(mine)
    same = [mine.asked("POST", f"{place}/launch", key="at-once") for _ in range(3)]
    others = [mine.asked("POST", f"{place}/launch", key=f"other-{number}") for number in range(3)]
    answers = mine.door.together(*same, *others)
    statuses = [answer.status for answer in answers]
    assert statuses.count(200) in {1, 3}
    assert set(statuses) == {200, 409}
    slug = place.removeprefix("/campaigns/")
    done = f"SELECT FROM audit WHERE action = 'campaign launched' AND detail->>'campaign' = '{slug}'"
    assert len(rows(house, done)) == 1


# F12: what has been launched is not edited; pausing and cancelling while it expands


def test_f12_what_was_launched_keeps_its_words_and_is_undone_paused_and_cancelled(house: Deps, mine: Program):
    place = launched(mine)
    body = campaign(slug=place.removeprefix("/campaigns/"))
    assert mine.put(place, body, ("if-match", "*")).status == 409
    undone = mine.post(f"{place}/undo")
    assert (undone.status, said(undone)["state"]) == (200, "draft")
    assert said(mine.post(f"{place}/undo"))["state"] == "draft"
    assert mine.post(f"{place}/launch").status == 200
    for _ in range(2):
        paused = said(mine.post(f"{place}/pause", {"because": "A typo"}))
        assert (bool(paused["paused_at"]), paused["paused_because"]) == (True, "A typo")
    work(house)
    assert said(mine.get(f"{place}/progress"))["enrolled"] == 0
    assert said(mine.get(f"{place}/progress"))["waits"] == "it is paused: A typo"
    assert said(mine.post(f"{place}/resume"))["paused_at"] is None
    work(house)
    assert mine.post(f"{place}/undo").status == 409
    assert mine.post(f"{place}/archive").status == 409
    for _ in range(2):
        assert said(mine.post(f"{place}/cancel"))["state"] == "cancelled"
    work(house)
    assert said(mine.get(f"{place}/progress"))["letters"]["cancelled"] == 12
    for verb in ("pause", "resume", "approve", "launch"):
        assert mine.post(f"{place}/{verb}").status == 409
    for _ in range(2):
        assert said(mine.post(f"{place}/archive"))["archived_at"]
    assert body["slug"] not in [each["slug"] for each in said(mine.get("/campaigns?limit=100"))["items"]]
    assert body["slug"] in [each["slug"] for each in said(mine.get("/campaigns?limit=100&archived=true"))["items"]]


def test_f12_a_sequence_that_is_sent_is_versioned_moved_to_by_word_alone_and_not_archived(house: Deps, mine: Program):
    steps = [
        {"key": "one", "email": "api_vote"},
        {"key": "rest", "wait": "3 days"},
        {"key": "two", "email": "api_vote"},
    ]
    drip = {"slug": "f12-drip", "name": "Drip", "steps": steps}
    tag = mine.post("/sequences", drip).headers["etag"]
    body = {key: value for key, value in campaign(sequence="f12-drip").items() if key != "letter"}
    assert mine.post("/campaigns", body).status == 201
    assert mine.post(f"/campaigns/{body['slug']}/launch").status == 200
    archived = mine.post("/sequences/f12-drip/archive")
    assert (archived.status, body["slug"] in said(archived)["detail"]) == (409, True)
    work(house)
    of_them = (
        "SELECT DISTINCT v.version FROM enrollment e JOIN sequence_version v ON v.id = version_id WHERE campaign_id = "
    )
    number = one(house, f"SELECT id FROM campaign WHERE slug = '{body['slug']}'").id
    newer = mine.put("/sequences/f12-drip", drip | {"name": "Newer"}, ("if-match", tag))
    assert said(newer)["version"] == 2
    assert [row.version for row in rows(house, f"{of_them}{number}")] == [1]
    moved = said(mine.post("/sequences/f12-drip/move", {"campaign": body["slug"]}))
    assert (moved["people"], moved["more"], moved["stay"]) == (12, False, {})
    assert [row.version for row in rows(house, f"{of_them}{number}")] == [2]


def test_a_second_person_approves_and_nobody_her_own_launch(house: Deps, mine: Program):
    place = launched(mine, urgent="The vote was moved to Friday")
    assert said(mine.get(place))["waits_for_approval"] is True
    assert said(mine.get(f"{place}/progress"))["waits"].startswith("a second person must approve it: `groundswell")
    own = mine.post(f"{place}/approve")
    assert (own.status, "a second person does" in said(own)["detail"]) == (403, True)
    second = program(house, mine.door)
    approved = second.post(f"{place}/approve")
    assert (approved.status, said(approved)["waits_for_approval"]) == (200, False)
    assert second.post(f"{place}/approve").status == 200
    assert mine.post(f"{launched(mine)}/approve").status == 409


def test_a_campaign_over_the_size_is_held_and_can_be_undone(house: Deps):
    small = replace(house, settings=house.settings.model_copy(update={"hold_people": 5}))
    with Client(build(small)) as door:
        mine = program(small, door)
        place = launched(mine)
        assert said(mine.get(place))["held_until"] == "2026-11-03T12:10:00Z"
        work(small)
        assert state(mine, place) == "scheduled"
        assert said(mine.post(f"{place}/undo"))["state"] == "draft"


def test_last_weeks_campaign_is_duplicated_as_a_draft(mine: Program):
    place = launched(mine)
    copy = f"copy-{next(_numbers)}"
    answer = mine.post(f"{place}/duplicate", {"slug": copy, "name": "Once more"})
    assert (answer.status, answer.headers["location"]) == (201, f"/api/v1/campaigns/{copy}")
    made = said(answer)
    assert (made["state"], made["name"], made["letter"], made["rule"]) == ("draft", "Once more", "api_vote", RULE)
    assert mine.post(f"{place}/duplicate", {"slug": copy}).status == 409
    assert mine.post(f"{place}/duplicate", {"slug": "NO"}).status == 422
    assert mine.post("/campaigns/nowhere/duplicate", {"slug": "x"}).status == 404


def test_a_chapters_program_launches_within_its_chapter(house: Deps, door: Client):
    campaigns.letter(house, "api_local")
    campaigns.people(house, 2, "springfield")
    springfield = program(house, door, chapter="springfield", role="organizer")
    everybody = {"op": "not", "of": {"op": "language", "language": "qq"}}
    answer = springfield.post("/campaigns", campaign(letter="api_local", rule=everybody))
    assert (answer.status, said(answer)["errors"][0]["field"]) == (422, "chapter")
    place = drafted(springfield, letter="api_local", rule=everybody, chapter="springfield")
    assert said(springfield.get(f"{place}/preflight"))["people"] == 2
    assert springfield.post(f"{place}/launch").status == 200
    work(house)
    assert said(springfield.get(f"{place}/progress"))["enrolled"] == 2
