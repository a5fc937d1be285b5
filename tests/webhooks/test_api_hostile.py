"""What the API refuses: the rows of the matrix of bad input by their numbers, and that none leaves anything behind.

F1 and F2 (tokens, scopes, chapters), F7 and F8 (sequences, rules), F11 (keys), F13 (conditions), F14 (pages), F20 (too often)
stand here; F9, F10 and F12 (launching) in test_api_campaigns, F17 (bodies) in test_api_bodies.
"""

import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.errors import Forbidden
from engine.staff import accounts, api_requests, api_tokens
from engine.staff.api_tokens import SCOPES
from tests import campaigns
from tests.asgi import Client
from tests.flows.house import change, rows
from tests.programs import JSON, Program, program, said
from tests.webhooks.endpoints import CAMPAIGN, ENDPOINTS, PROBLEM, RULE, SEGMENT, SEQUENCE, asked, kept
from webhooks import app
from webhooks.api.gate import Endpoint
from workers import upkeep


@pytest.fixture(autouse=True)
def afresh(house: Deps) -> None:
    """Nobody has come too often."""
    house.limiter.counts.clear()


def test_every_address_under_api_v1_goes_through_the_gate():
    under = [entry for entry in app.ROUTES if entry.path.startswith("/api/v1")]
    assert [entry.path for entry in under if not isinstance(entry.answer, Endpoint)] == []
    assert {entry.part for entry in app.ROUTES if entry.path.startswith("/api")} == {app.API}
    assert {endpoint.scope for _, _, endpoint in ENDPOINTS} - {""} <= set(SCOPES)


def test_an_address_that_there_is_not_says_where_those_stand_that_there_are(mine: Program):
    answer = mine.get("/campaign")
    assert answer.status == 404
    assert said(answer)["detail"] == "there is nothing at this address: /api/docs lists what there is"


# F1: no / malformed / revoked / expired token; token in query: 401


@pytest.mark.usefixtures("nothing_is_done")
@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in ENDPOINTS])
def test_f1_nothing_is_answered_to_who_has_no_token(door: Client, mine: Program, method: str, path: str):
    sent = replace(mine, token="").asked(*asked(method, path))
    answer = door.together(sent)[0]
    assert (answer.status, answer.headers["content-type"]) == (401, PROBLEM)
    assert answer.headers["www-authenticate"] == 'Bearer realm="api"'
    for name in ("token", "access_token", "authorization"):
        in_query = door.together((sent[0], f"{sent[1]}?{name}={mine.token}", *sent[2:]))[0]
        assert (in_query.status, answer.body) == (401, in_query.body)


@pytest.fixture(scope="module")
def over(house: Deps, door: Client) -> dict[str, Program]:
    """Tokens that held once."""
    found = {name: program(house, door) for name in ("revoked", "expired", "of who was let go")}
    with house.work() as (session, now):
        api_tokens.revoke(session, found["revoked"].number, now)
        email = session.scalar(
            text("SELECT email FROM staff WHERE id = :id"), {"id": found["of who was let go"].staff_id}
        )
        accounts.end(session, email, now)
        session.execute(
            text("UPDATE api_token SET expires_at = :now WHERE id = :id"), {"now": now, "id": found["expired"].number}
        )
    return found


@pytest.mark.usefixtures("nothing_is_done")
def test_f1_a_token_that_does_not_hold_opens_nothing(house: Deps, door: Client, mine: Program, over):
    good = mine.token
    bearing = {name: f"Bearer {program.token}" for name, program in over.items()} | {
        "empty": "", "no scheme": good, "another scheme": f"Basic {good}", "no token": "Bearer ",
        "no such": "Bearer gsw_" + "A" * 43,
        "another's": "Bearer development-only-and-refused-in-production", "cut": f"Bearer {good[:-1]}",
        "altered": f"Bearer {good[:-1]}{'A' if good[-1] != 'A' else 'B'}", "longer": f"Bearer {good}{'a' * 100_000}",
        "no ASCII": "Bearer gsw_\xff\xfe", "its hash": f"Bearer gsw_{rows(house, 'SELECT token_hash FROM api_token')[0][0]}",
        "two in one": f"Bearer {good}, Bearer {good}",
    }  # fmt: skip
    sent = {name: [("authorization", value)] for name, value in bearing.items()} | {
        "twice": [("authorization", f"Bearer {good}")] * 2, "in a cookie": [("cookie", f"token={good}")],
        "in the header of another door": [("osdi-api-token", good)],
    }  # fmt: skip
    beside = (JSON, ("idempotency-key", "k"))
    for name, headers in sent.items():
        answer = door.send(
            "POST", "/api/v1/segments", [*headers, *beside], json.dumps(SEGMENT | {"slug": "f1"}).encode()
        )
        assert (name, answer.status, answer.headers["content-type"]) == (name, 401, PROBLEM)
        assert good.encode() not in answer.body
    assert mine.get("/token").status == 200


# F2: valid token, missing scope: 403; other chapter's object: 404


@pytest.mark.usefixtures("theirs", "nothing_is_done")
@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, endpoint in ENDPOINTS if endpoint.scope])
def test_f2_a_token_without_the_scope_is_refused_and_told_which(house: Deps, door: Client, method: str, path: str):
    (needed,) = (endpoint.scope for m, p, endpoint in ENDPOINTS if (m, p) == (method, path))
    others = program(house, door, *(set(SCOPES) - {needed}))
    answer = others.send(*asked(method, path), ("if-match", "*"))
    assert (answer.status, said(answer)["detail"]) == (403, f"this token has not the scope {needed}")
    assert f'scope="{needed}"' in answer.headers["www-authenticate"]


@pytest.mark.usefixtures("theirs", "nothing_is_done")
@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, _ in ENDPOINTS if "{slug}" in p])
def test_f2_what_is_another_chapters_does_not_exist(house: Deps, door: Client, method: str, path: str):
    springfield = program(house, door, chapter="springfield")
    answers = [springfield.send(*asked(method, path, name), ("if-match", "*")) for name in ("hostile", "nowhere")]
    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].body.replace(b"hostile", b"nowhere") == answers[1].body


@pytest.mark.usefixtures("theirs")
def test_f2_lists_and_rules_end_at_the_tokens_chapter(house: Deps, door: Client):
    springfield = program(house, door, chapter="springfield")
    for name in ("segments", "sequences", "campaigns"):
        found = said(springfield.get(f"/{name}?limit=100"))["items"]
        assert {each["chapter"] for each in found} <= {""}
    for chapter in ("worcester", "no-such"):
        answer = springfield.post("/segments", SEGMENT | {"slug": "f2", "chapter": chapter})
        assert answer.status == 422
        assert said(answer)["errors"][0]["says"].startswith(f"there is no chapter {chapter}")
    without = {key: value for key, value in SEGMENT.items() if key != "chapter"}
    (error,) = said(springfield.post("/segments", without))["errors"]
    assert error == {"line": 1, "field": "chapter", "says": "must be springfield, or one below it"}


BESIDE = {"op": "in_sequence", "sequence": "@"}
NAMED_IN_BODIES = [
    *(("/segments" + end, SEGMENT | {"chapter": "springfield", "rule": BESIDE}) for end in ("", "/check", "/preview")),
    *(("/sequences" + end, SEQUENCE | {"chapter": "springfield", "slug": "f2"} | said)
      for end in ("", "/check", "/simulate") for said in ({"if": BESIDE}, {"goal": BESIDE}, {"exit_when": BESIDE})),
    ("/sequences/check", SEQUENCE | {"chapter": "springfield", "steps": [{"key": "a", "tag": "a", "if": BESIDE}]}),
    *(("/campaigns", {"slug": "f2", "name": "f2", "chapter": "springfield"} | said) for said in (
        {"letter": "hostile_news", "rule": BESIDE}, {"letter": "hostile_news", "segment": "@"},
        {"sequence": "@", "rule": RULE})),
    *(("/people/" + end, {"who": "nell@example.org", "about": "@"}) for end in ("explain", "simulate")),
]  # fmt: skip


@pytest.fixture(name="nell", scope="module")
def _nell(house: Deps) -> None:
    """A neighbour of theirs."""
    (nell,) = campaigns.people(house, 1, chapter="springfield")
    change(house, "UPDATE contact SET email = 'nell@example.org' WHERE id = :id", id=nell)


@pytest.mark.usefixtures("theirs", "nell", "nothing_is_done")
@pytest.mark.parametrize(("path", "body"), NAMED_IN_BODIES)
def test_f2_what_is_another_chapters_is_none_in_a_body(house: Deps, door: Client, path: str, body: dict[str, object]):
    springfield = program(house, door, chapter="springfield")
    answers = [
        springfield.post(path, json.loads(json.dumps(body).replace('@"', f'{name}"')))
        for name in ("hostile", "nowhere")
    ]
    assert [answer.status for answer in answers] == [404 if "/people" in path else 422] * 2
    assert all(b"there is no " in answer.body for answer in answers)
    assert answers[0].body.replace(b"hostile", b"nowhere") == answers[1].body.replace(b"hostile", b"nowhere")


@pytest.mark.usefixtures("theirs", "nell")
@pytest.mark.parametrize("end", ["explain", "simulate"])
def test_f2_a_campaign_of_the_root_is_nothing_to_ask_a_chapters_token_about(
    house: Deps, door: Client, mine: Program, end: str
):
    root = {key: value for key, value in CAMPAIGN.items() if key != "chapter"} | {"slug": f"f2-root-{end}"}
    assert mine.post("/campaigns", root).status == 201
    body = {"who": "nell@example.org", "about": root["slug"]}
    assert [
        program(house, door, chapter="springfield").post(f"/people/{end}", body).status,
        mine.post(f"/people/{end}", body).status,
    ] == [
        404,
        200,
    ]


def test_f2_a_token_can_do_no_more_than_who_answers_for_it(house: Deps, door: Client):
    with house.work() as (session, now):
        accounts.add(session, "viewer@staff.example.org", "viewer", now)
        with pytest.raises(Forbidden, match="viewer is a role that may not do this: segments:write"):
            api_tokens.create(session, "x", "viewer@staff.example.org", ["segments:read", "segments:write"], now)
    bound = program(house, door, role="organizer", chapter="central")
    assert said(bound.get("/token"))["chapter"] == "central"


# F7: a sequence with no steps, a negative wait, one of ten years; a campaign of a segment that is gone: 422. (Sequences are
# lists: none has a cycle.)


NO_SEQUENCES = {
    "steps": {"steps": []}, "steps.0.wait": {"steps": [{"key": "a", "wait": "-1 days"}]}, "on": {"on": "everything"},
    "steps.1.wait": {"steps": [{"key": "a", "wait": "1 day"}, {"key": "b", "wait": "3650 days"}]},
    "steps.0": {"steps": [{"key": "a"}]}, "steps.1.key": {"steps": [{"key": "a", "email": "hostile_news"}] * 2},
    "steps.0.goto": {"steps": [{"key": "a", "goto": "a"}]}, "steps.0.email": {"steps": [{"key": "a", "email": "no_such"}]},
    "goal.form": {"goal": {"op": "gave", "form": "nope"}},
    "exit_when.of.op": {"exit_when": {"op": "not", "of": {"op": "no"}}},
    "expires": {"expires": "never"},
}  # fmt: skip


@pytest.mark.usefixtures("theirs", "nothing_is_done")
def test_f7_a_sequence_that_cannot_be_meant_is_refused_with_its_place(mine: Program):
    for field, changed in NO_SEQUENCES.items():
        for method, path in (("POST", "/sequences/check"), ("POST", "/sequences"), ("PUT", "/sequences/hostile")):
            answer = mine.send(method, path, SEQUENCE | changed, ("if-match", "*"))
            assert (answer.status, answer.headers["content-type"]) == (422, PROBLEM)
            assert field in {error["field"] for error in said(answer)["errors"]}, said(answer)["errors"]


@pytest.mark.usefixtures("theirs")
def test_f7_a_campaign_of_a_segment_that_is_gone_is_refused(mine: Program):
    mine.post("/segments", SEGMENT | {"slug": "f7-gone"})
    without_rule = {key: value for key, value in CAMPAIGN.items() if key != "rule"} | {"segment": "f7-gone"}
    assert mine.post("/campaigns", without_rule | {"slug": "f7-before"}).status == 201
    mine.post("/segments/f7-gone/archive")
    after = mine.post("/campaigns", without_rule | {"slug": "f7-after"})
    assert (after.status, said(after)["errors"][0]["says"]) == (422, "the segment f7-gone is archived")
    before = mine.post("/campaigns/f7-before/launch")
    assert (before.status, said(before)["errors"][0]["says"]) == (409, "the segment f7-gone is archived")


# F8: a rule with 1,000 conditions, deep nesting, a regex, SQL


@pytest.mark.usefixtures("nothing_is_done")
@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"op": "all", "of": [RULE] * 1000}, "more than 100 operators"),
        (json.loads('{"op": "not", "of": ' * 12 + json.dumps(RULE) + "}" * 12), "more than 8 levels deep"),
        ({"op": "chapter", "chapter": "(a+)+$"}, "is no short name"),
        ({"op": "chapter", "chapter": "x'; DROP TABLE contact; --"}, "is no short name"),
        ({"op": "custom", "field": "tags", "matches": "(a+)+$"}, "is not known here"),
        ({"op": "sql", "where": "true"}, "is no operator"),
        ({"op": "gave", "at_least": "25"}, "is no amount"),
        ({"op": "gave", "within": "10000 years"}, "is no span"),
        ([], "must be written as"), ("true", "must be written as"), (None, "must be written as"),
    ],
)  # fmt: skip
def test_f8_a_rule_that_is_none_is_refused_with_its_line(mine: Program, rule, says: str):
    for path in ("/segments/check", "/segments/preview", "/segments"):
        answer = mine.post(path, SEGMENT | {"slug": "f8", "rule": rule})
        assert answer.status == 422
        assert says in " ".join(error["says"] for error in said(answer)["errors"])
        assert all(error["field"].startswith("rule") and error["line"] == 1 for error in said(answer)["errors"])


def test_f8_what_looks_like_sql_is_a_value_like_any_other(house: Deps, mine: Program):
    rule = {"op": "custom", "field": "x' OR '1'='1", "equals": "'); DROP TABLE segment; --"}
    assert said(mine.post("/segments/preview", SEGMENT | {"rule": rule}))["people"] == 0
    assert kept(house)


# F11: a key that was used for another request: 409; one that is none: 400


@pytest.mark.parametrize("key", ["", " ", "k" * 256, "with\ttab", "caf\xe9", "k" * 100_000])
@pytest.mark.usefixtures("nothing_is_done")
def test_f11_without_a_key_that_is_one_nothing_is_created(door: Client, mine: Program, key: str):
    method, path, headers, body = mine.asked("POST", "/segments", SEGMENT | {"slug": "f11"}, key="")
    keyed = [("idempotency-key", key)] if key else []
    assert door.send(method, path, [*headers, *keyed], body).status == 400
    assert door.send(method, path, [*headers, ("idempotency-key", "a"), ("idempotency-key", "a")], body).status == 400


def test_f11_the_same_request_twice_is_one_and_another_under_its_key_is_refused(
    house: Deps, door: Client, mine: Program
):
    body = SEGMENT | {"slug": "f11-once"}
    key = "k" * 255
    first, second = mine.post("/segments", body, key=key), mine.post("/segments", body, key=key)
    assert (first.status, second.status, second.body) == (201, 201, first.body)
    for name in ("location", "etag"):
        assert first.headers[name] == second.headers[name]
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert len(rows(house, "SELECT FROM audit WHERE detail->>'segment' = 'f11-once'")) == 1
    other = mine.post("/segments", body | {"name": "Other"}, key=key)
    assert (other.status, "was used for another request" in said(other)["detail"]) == (409, True)
    assert mine.post("/segments/f11-once/archive", key=key).status == 409
    somebody_else = program(house, door)
    assert somebody_else.post("/segments", body | {"slug": "f11-theirs"}, key=key).status == 201


def test_f11_the_same_request_at_once_is_done_once_and_answered_alike(house: Deps, door: Client, mine: Program):
    request = mine.asked("POST", "/segments", SEGMENT | {"slug": "f11-race"}, key="race")
    answers = door.together(*[request] * 6)
    assert {(answer.status, answer.body) for answer in answers} == {(201, answers[0].body)}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(rows(house, "SELECT FROM audit WHERE detail->>'segment' = 'f11-race'")) == 1


def test_f11_what_was_refused_keeps_no_key_and_may_be_tried_again(mine: Program):
    body = SEGMENT | {"slug": "f11-again"}
    assert mine.post("/segments", body | {"chapter": "no-such"}, key="again").status == 422
    assert mine.post("/segments", body, key="again").status == 201


def test_f11_answers_are_kept_for_thirty_days_and_then_forgotten(house: Deps, mine: Program):
    mine.post("/segments", SEGMENT | {"slug": "f11-old"}, key="old")
    mine.post("/segments", SEGMENT | {"slug": "f11-new"}, key="new")
    change(house, "UPDATE api_request SET at = :at WHERE key = 'old'", at=house.clock.now - api_requests.KEPT * 1.01)
    upkeep.forget_api_requests(house)
    found = [row.key for row in rows(house, "SELECT key FROM api_request WHERE key IN ('old', 'new')")]
    assert found == ["new"]


# F13: a stale If-Match: 412 (F13), a missing one where it is needed: 428


@pytest.mark.usefixtures("theirs", "nothing_is_done")
@pytest.mark.parametrize(
    ("method", "path"), [(m, p) for m, p, e in ENDPOINTS if m != "GET" and "{slug}" in p and not e.idle]
)
def test_f13_nothing_is_done_to_what_has_changed_since_it_was_read(mine: Program, method: str, path: str):
    for stale in ('"0123"', '"0123", "4567"', 'W/"0123"', "nonsense", '"' + "a" * 5000 + '"'):
        answer = mine.send(*asked(method, path), ("if-match", stale))
        assert (answer.status, answer.headers["content-type"]) == (412, PROBLEM), stale


@pytest.mark.usefixtures("theirs", "nothing_is_done")
@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p, endpoint in ENDPOINTS if endpoint.conditional])
def test_f13_a_change_that_does_not_say_of_what_is_refused(mine: Program, method: str, path: str):
    assert mine.send(*asked(method, path)).status == 428


# F14: page cursor tampered, limit 0, -1, 10^9, abc


LISTS = [path.removeprefix("/api/v1") for method, path, e in ENDPOINTS if "cursor" in e.query.model_fields]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=abc", "limit=", "limit=1.5", "limit=1e3", "limit=" + "9" * 5000, "limit=1&limit=2",
     "cursor=abc", "cursor=%00", "cursor=" + "A" * 5000, "cursor=%ff", "order=name", "limit=1%00"],
)  # fmt: skip
def test_f14_a_page_that_nobody_can_have_been_led_to_is_refused(mine: Program, path: str, query: str):
    answer = mine.get(f"{path}?{query}")
    assert (answer.status, answer.headers["content-type"]) == (400, PROBLEM)


def test_f14_a_limit_beyond_the_most_is_the_most_and_a_cursor_is_good_for_its_list_alone(house: Deps, mine: Program):
    for number in range(3):
        mine.post("/segments", SEGMENT | {"slug": f"f14-{number}"})
    assert mine.get("/segments?limit=1000000000").status == 200
    cursor = said(mine.get("/segments?limit=1"))["next"]
    assert mine.get(f"/segments?limit=1&cursor={cursor}").status == 200
    flipped = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for bad in (flipped, cursor[:-1], cursor + "A", house.signer.sign("page", "others", "a"),
                house.signer.sign("form", "segments", "a"), house.signer.sign("page", "segments", 1)):  # fmt: skip
        assert mine.get(f"/segments?cursor={bad}").status == 400


def test_a_name_that_can_be_none_is_not_found(mine: Program):
    for name in ("%00", "%2e%2e", "A", "a b", "%ff", "a" * 5000, "'", "\u202e"):
        assert mine.get(f"/segments/{name}").status in {404, 400}


def test_what_is_not_there_is_a_problem_too(mine: Program):
    for method, path in (("GET", "/nothing"), ("DELETE", "/segments"), ("GET", "/segments/a/b/c")):
        answer = mine.send(method, path)
        assert answer.status in {404, 405}
        assert answer.headers["content-type"] == PROBLEM
        assert said(answer)["type"] == "about:blank"


# F20: 10,000 requests a minute with one token: 429, others unaffected


def test_f20_a_token_that_comes_too_often_is_slowed_and_no_other(house: Deps, door: Client):
    often, other = program(house, door), program(house, door)
    most = house.settings.api_minute
    house.limiter.counts[f"api:{often.number}"] = most - 2
    answers = [often.get("/token") for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429, 429]
    assert answers[-1].headers["retry-after"] == "10"
    assert said(answers[-1])["detail"] == f"a token may come {most} times a minute"
    assert other.get("/token").status == 200


def test_every_answer_stays_out_of_caches_and_names_itself(mine: Program):
    answer = mine.get("/token")
    assert (answer.headers["cache-control"], answer.headers["content-type"]) == ("no-store", "application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert mine.get("/nothing").headers["cache-control"] == "no-store"
