"""What campaigns came to and would do, and why one person got what she got, by API; and each thing that is refused."""

from itertools import count

import pytest

from engine.bootstrap import Deps
from tests import campaigns
from tests.asgi import Client
from tests.flows.house import rows
from tests.launches import leave
from tests.programs import Program, program, said

_numbers = count(1)
RULE = {"op": "chapter", "chapter": "worcester"}
DRIP = [
    {"key": "one", "email": "report_news"}, {"key": "rest", "wait": "3 days"}, {"key": "two", "email": "report_news"},
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def people(house: Deps) -> list[int]:
    campaigns.letter(house, "report_news")
    return campaigns.people(house, 5)


def drafted(mine: Program, **changed) -> str:
    slug = f"report-{next(_numbers)}"
    body = {"slug": slug, "name": "Report", "letter": "report_news", "rule": RULE, "chapter": "worcester"} | changed
    assert mine.post("/campaigns", body).status == 201
    return slug


def test_a_campaign_is_simulated_before_it_leaves_and_nothing_is_changed(house: Deps, mine: Program):
    slug = drafted(mine)
    before = rows(house, "SELECT count(*) FROM message")
    found = said(mine.get(f"/campaigns/{slug}/simulate?days=30&sample=100"))
    assert (found["people"], found["looked_at"], found["letters"]) == (5, 5, {"number": 5, "margin": 0})
    assert [(day["day"], day["number"]) for day in found["by_day"]] == [("2026-11-03", 5)]
    assert found["by_chapter"] == [{"number": 5, "margin": 0, "what": ["Worcester"]}]
    assert rows(house, "SELECT count(*) FROM message") == before
    for query in ("days=0", "days=1000", "sample=0", "sample=1000000", "days=x"):
        assert mine.get(f"/campaigns/{slug}/simulate?{query}").status == 400
    assert mine.get("/campaigns/nowhere/simulate").status == 404
    nobody = drafted(mine, rule={"op": "language", "language": "qq"})
    assert mine.get(f"/campaigns/{nobody}/simulate").status == 422


def test_a_campaign_says_what_it_came_to(house: Deps, mine: Program):
    slug = drafted(mine)
    mine.post(f"/campaigns/{slug}/launch")
    leave(house)
    found = said(mine.get(f"/campaigns/{slug}/results"))
    assert (found["enrolled"], found["whole"]["composed"], found["whole"]["gifts"]) == (5, 5, 0)
    (line,) = found["lines"]
    assert (line["step"], line["language"], line["chapter"], line["numbers"]["composed"]) == (
        "letter",
        "en",
        "Worcester",
        5,
    )
    assert mine.get(f"/campaigns/{slug}/simulate").status == 409
    assert mine.get("/campaigns/nowhere/results").status == 404


def test_a_sequence_is_simulated_written_and_published_and_says_what_it_came_to(
    house: Deps, door: Client, mine: Program
):
    body = {"slug": "report-drip", "name": "Drip", "chapter": "worcester", "steps": DRIP}
    written = said(mine.post("/sequences/simulate?days=10", body, key=""))
    assert (written["people"], written["letters"]["number"], len(written["by_day"])) == (5, 10, 2)
    assert mine.post("/sequences/simulate", body | {"steps": []}).status == 422
    assert mine.post("/sequences", body).status == 201
    published = said(mine.get("/sequences/report-drip/simulate?days=10"))
    assert published["by_step"] == written["by_step"]
    assert said(mine.get("/sequences/report-drip/results"))["whole"]["composed"] == 0
    for path in ("simulate", "results"):
        assert mine.get(f"/sequences/nowhere/{path}").status == 404
    mine.post("/sequences", body | {"slug": "root-drip", "chapter": None})
    worcester = program(house, door, chapter="worcester")
    assert said(worcester.get("/sequences/root-drip/simulate"))["people"] == 5
    assert worcester.get("/sequences/root-drip/results").status == 404


def test_every_decision_about_one_person_is_explained_within_reach_alone(
    house: Deps, door: Client, mine: Program, people
):
    slug = drafted(mine)
    mine.post(f"/campaigns/{slug}/launch")
    leave(house)
    (row,) = rows(house, f"SELECT email FROM contact WHERE id = {people[0]}")
    for who in (row.email, str(people[0])):
        found = said(mine.post("/people/explain", {"who": who, "about": slug}))
        assert (found["id"], found["email"], found["about"]) == (people[0], row.email, slug)
        assert any("was written" in each["says"] for each in found["decided"])
        assert found["conditions"]
    assert said(mine.post("/people/explain", {"who": row.email}))["decided"]
    assert mine.post("/people/explain", {"who": row.email, "about": "nowhere"}).status == 404
    assert mine.post("/people/explain", {"who": "nobody@example.org"}).status == 404
    assert mine.post("/people/explain", {"who": ""}).status == 422
    springfield = program(house, door, chapter="springfield")
    answers = [springfield.post("/people/explain", {"who": who}) for who in (row.email, "nobody@example.org")]
    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].body == answers[1].body
    (theirs,) = campaigns.people(house, 1, "springfield")
    assert springfield.post("/people/explain", {"who": str(theirs)}).status == 200
    assert springfield.post("/people/explain", {"who": str(theirs), "about": slug}).status == 404


def test_what_one_person_would_get_is_told_with_dates(house: Deps, mine: Program, people):
    slug = drafted(mine)
    found = said(mine.post("/people/simulate", {"who": str(people[1]), "about": slug, "days": 30}))
    assert found["about"] == slug
    assert any("letter" in each["about"] for each in found["decided"])
    assert (
        rows(house, f"SELECT FROM enrollment e JOIN campaign k ON k.id = e.campaign_id WHERE k.slug = '{slug}'") == []
    )
    assert mine.post("/people/simulate", {"who": str(people[1]), "about": "report_news"}).status == 422
    assert mine.post("/people/simulate", {"who": str(people[1]), "days": 0}).status == 422
    assert mine.post("/people/simulate", {"who": "nobody@example.org"}).status == 404
