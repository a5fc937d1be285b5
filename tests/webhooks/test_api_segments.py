"""Segments by API: what each endpoint does, and each thing that it refuses."""

from itertools import count

from engine.bootstrap import Deps
from tests import campaigns
from tests.asgi import Client
from tests.flows.house import one, rows
from tests.programs import Program, program, said

_numbers = count(1)
RULE = {
    "op": "all",
    "of": [{"op": "chapter", "chapter": "worcester"}, {"op": "gave", "at_least": 25, "within": "12 months"}],
}


def segment(**changed) -> dict:
    return {"slug": f"givers-{next(_numbers)}", "name": "Gave within a year", "rule": RULE} | changed


def test_a_segment_is_checked_and_said_in_english_and_nothing_is_kept(house: Deps, mine: Program):
    before = one(house, "SELECT count(*) FROM segment")
    answer = mine.post("/segments/check", segment(slug="checked"), key="")
    assert answer.status == 200
    assert said(answer) == {"slug": "checked", "says": "lives in Worcester, gave at least $25 in the last 12 months"}
    assert one(house, "SELECT count(*) FROM segment") == before


def test_every_fault_of_a_segment_is_told_with_its_line_and_its_field(mine: Program):
    body = b"""{"slug": "No good", "name": "x",
 "rule": {"op": "all", "of": [
  {"op": "chapter", "chapter": "worcestre"},
  {"op": "gave", "at_least": 0.001, "within": "a while"},
  {"op": "frobnicate"}]}, "extra": 1}"""
    answer = mine.post("/segments/check", body)
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    told = {(each["line"], each["field"]): each["says"] for each in said(answer)["errors"]}
    assert set(told) == {
        (1, "slug"),
        (5, "extra"),
        (4, "rule.of.1.at_least"),
        (4, "rule.of.1.within"),
        (5, "rule.of.2.op"),
    }
    assert told[4, "rule.of.1.within"] == "is no span: write it like 12 months, 30 days or 1 year"


def test_a_name_that_is_none_is_told_with_the_one_that_was_meant(mine: Program):
    rule = {"op": "chapter", "chapter": "worcestre"}
    (error,) = said(mine.post("/segments/check", segment(rule=rule)))["errors"]
    assert error == {"line": 1, "field": "rule.chapter", "says": "there is no chapter worcestre; worcester?"}


def test_a_new_segment_is_saved_once_shown_listed_and_on_the_audit(house: Deps, mine: Program):
    body = segment(chapter="worcester")
    answer = mine.post("/segments", body)
    place = f"/segments/{body['slug']}"
    assert (answer.status, answer.headers["location"]) == (201, f"/api/v1{place}")
    shown = mine.get(place)
    assert shown.body == answer.body
    assert shown.headers["etag"] == answer.headers["etag"]
    assert said(shown)["rule"] == RULE
    assert said(shown)["chapter"] == "worcester"
    assert body["slug"] in [each["slug"] for each in said(mine.get("/segments?limit=100"))["items"]]
    did = one(
        house,
        f"SELECT staff_id, detail FROM audit WHERE action = 'segment begun' AND detail->>'segment' = '{body['slug']}'",
    )
    assert (did.staff_id, did.detail["api_token"]) == (mine.staff_id, mine.number)
    again = mine.post("/segments", body)
    assert (again.status, said(again)["detail"]) == (
        409,
        f"{body['slug']} is taken: there is a segment of this short name",
    )


def test_a_change_needs_what_was_read_and_is_refused_when_somebody_was_faster(mine: Program):
    body = segment()
    first = mine.post("/segments", body).headers["etag"]
    place = f"/segments/{body['slug']}"
    assert mine.put(place, body | {"name": "Another"}).status == 428
    changed = mine.put(place, body | {"name": "Another"}, ("if-match", first))
    assert (changed.status, said(changed)["name"]) == (200, "Another")
    late = mine.put(place, body | {"name": "A third"}, ("if-match", first))
    assert late.status == 412
    assert said(mine.get(place))["name"] == "Another"
    both = mine.put(place, body | {"name": "A fourth"}, ("if-match", f"{first}, {changed.headers['etag']}"))
    assert both.status == 200
    assert mine.put(place, body | {"slug": "elsewhere"}, ("if-match", "*")).status == 422
    assert mine.put("/segments/nowhere", body, ("if-match", "*")).status == 404


def test_an_archived_segment_is_on_no_list_and_back_when_it_is_changed(house: Deps, mine: Program):
    body = segment()
    mine.post("/segments", body)
    place = f"/segments/{body['slug']}"
    for _ in range(2):
        answer = mine.post(f"{place}/archive")
        assert answer.status == 200
        assert said(answer)["archived_at"]
    assert body["slug"] not in [each["slug"] for each in said(mine.get("/segments?limit=100"))["items"]]
    assert (
        len(
            rows(
                house, f"SELECT FROM audit WHERE action = 'segment archived' AND detail->>'segment' = '{body['slug']}'"
            )
        )
        == 1
    )
    assert mine.post(f"{place}/archive", None, ("if-match", '"older"')).status == 412
    back = mine.put(place, body, ("if-match", answer.headers["etag"]))
    assert said(back)["archived_at"] is None
    assert mine.post("/segments/nowhere/archive").status == 404


def test_what_was_read_before_is_not_sent_again(mine: Program):
    body = segment()
    tag = mine.post("/segments", body).headers["etag"]
    known_ = mine.get(f"/segments/{body['slug']}", ("if-none-match", f'W/{tag}, "other"'))
    assert (known_.status, known_.body, known_.headers["etag"]) == (304, b"", tag)
    assert mine.get(f"/segments/{body['slug']}", ("if-none-match", '"other"')).status == 200


def test_a_preview_counts_and_shows_people_only_to_whom_it_may(house: Deps, door: Client, mine: Program):
    campaigns.people(house, 25, "worcester")
    campaigns.people(house, 2, "springfield")
    rule = {
        "op": "all",
        "of": [{"op": "never_gave"}, {"op": "not", "of": {"op": "chapter", "chapter": "springfield"}}],
    }
    answer = said(mine.post("/segments/preview?kind=news", segment(rule=rule)))
    assert answer["people"] == 25
    assert [left["people"] for left in answer["conditions"]] == [27, 25, 25]
    assert answer["conditions"][-1]["says"] == "may be written to"
    assert len(answer["shown"]) == 20
    assert set(answer["shown"][0]) == {"id", "email", "name", "city", "chapter"}
    body = segment(rule=rule)
    mine.post("/segments", body)
    blind = program(house, door, "segments:read")
    for kind in ("", "?kind=actions"):
        seen = said(blind.get(f"/segments/{body['slug']}/preview{kind}"))
        assert (seen["people"], seen["shown"]) == (25, None)
    assert blind.get("/segments/nowhere/preview").status == 404
    springfield = program(house, door, chapter="springfield")
    of_all = segment(rule={"op": "not", "of": {"op": "language", "language": "es"}}, chapter="springfield")
    assert said(springfield.post("/segments/preview", of_all))["people"] == 2


def test_a_list_comes_in_pages_each_once_and_in_order(house: Deps, door: Client):
    lowell = program(house, door, chapter="lowell")
    bodies = [segment(slug=f"lowell-{number}", chapter="lowell") for number in range(5)]
    for body in bodies:
        assert lowell.post("/segments", body).status == 201
    found, cursor = [], ""
    while cursor is not None:
        page = said(lowell.get(f"/segments?limit=2&cursor={cursor}"))
        found.append([each["slug"] for each in page["items"]])
        cursor = page["next"]
    assert max(map(len, found)) == 2
    every = [slug for page in found for slug in page]
    assert every == sorted(set(every))
    assert [slug for slug in every if slug.startswith("lowell")] == [body["slug"] for body in bodies]
