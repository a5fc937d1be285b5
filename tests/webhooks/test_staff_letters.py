"""Letters on the pages of staff: written, checked, kept, read as anybody would, tested, with notes of chapters."""

import html
import re
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import text

from engine import bell, demo_organisation
from engine.bootstrap import Deps
from engine.db import transaction
from engine.letters import writing
from tests.asgi import Answer, Client
from tests.flows.house import change, one, rows
from tests.staff import Desk, hire, known
from workers import delivery

BODY = 'Dear {{ first_name | default("friend") }},\n\nThe vote is on **Tuesday**.\n\n::: note\nCome.\n:::\n'
_numbers = count(1)


@pytest.fixture
def desk(house: Deps, door: Client) -> Desk:
    return of(house, door, "admin")


@pytest.fixture(autouse=True)
def letter(house: Deps) -> None:
    with transaction(house.sessions) as session:
        demo_organisation.load_letters(session)


def of(house: Deps, door: Client, role: str, chapter: str = "") -> Desk:
    house.limiter.counts.clear()
    desk = Desk(door)
    desk.sign_in(house, hire(house, f"letters.{next(_numbers)}@staff.example.org", role, chapter=chapter))
    return desk


def posted(desk: Desk, path: str, **fields: str) -> Answer:
    """Send a form of the page that is open; of a page that is not there any more, one of the letter's."""
    if 'name="form"' not in desk.page:
        desk.get("/staff/letters")
    return desk.post(path, **fields)


def where(answer: Answer) -> str:
    return answer.headers["location"]


def typed(**changed: str) -> dict[str, str]:
    return {
        "slug": f"letter-{next(_numbers)}", "kind": "news", "layout": "letter", "form_of": "", "note_until": "",
        "quiet_from": "", "quiet_until": "", "subject-en": "The vote, {{ first_name }}", "preview-en": "",
        "body-en": BODY, "text-en": "", "do": "save",
    } | changed  # fmt: skip


def test_all_letters_are_listed_those_of_the_house_apart(desk: Desk):
    assert desk.get("/staff/letters").status == 200
    own, _, shipped = desk.page.partition("writes by itself")
    assert "The rent vote is on Tuesday" in own
    assert "EN ES" in own
    assert "thank_you" in shipped
    assert "{{" not in desk.page


def test_a_letter_is_written_checked_and_kept_and_then_changed(house: Deps, desk: Desk):
    desk.get("/staff/letters/new")
    told = typed(quiet_from="21", quiet_until="8", note_until="2030-01-02T18:00")
    assert posted(desk, "/staff/letters/new", **told | {"do": "check"}).status == 200
    assert "It has no fault" in desk.page
    assert html.escape(BODY.splitlines()[2]) in desk.page
    assert rows(house, f"SELECT 1 FROM letter WHERE slug = '{told['slug']}'") == []
    answer = posted(desk, "/staff/letters/new", **told)
    assert (answer.status, where(answer)) == (303, f"/staff/letters/{told['slug']}?said=kept")
    kept = one(house, f"SELECT * FROM letter WHERE slug = '{told['slug']}'")
    assert (kept.kind, kept.quiet_from, kept.quiet_until, f"{kept.note_until:%H:%M}") == ("news", 21, 8, "23:00")
    path = f"/staff/letters/{told['slug']}/edit"
    desk.get(path)
    assert "2030-01-02T18:00" in desk.page
    changed = typed(**{"subject-es": "El voto", "body-es": "Hola.", "quiet_from": "21", "quiet_until": "8"})
    assert where(posted(desk, path, **changed)) == f"/staff/letters/{told['slug']}?said=kept"
    found = rows(house, f"SELECT language, version FROM mailing WHERE letter_id = {kept.id} ORDER BY id")
    assert [tuple(row) for row in found] == [("en", 1), ("en", 2), ("es", 2)]
    assert where(posted(desk, path, **changed)).endswith("?said=same")
    actions = rows(house, f"SELECT action FROM audit WHERE subject = 'letter' AND subject_id = {kept.id}")
    assert [row.action for row in actions] == ["letter saved"] * 3


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"body-en": "Dear {{ frist_name }},"}, "Body, line 1, column 6:"), ({"subject-en": ""}, "a letter has a subject"),
     ({"body-en": "Hi {% if a > b %}x{% endif %}"}, "Body, line 1, column 4:"), ({"slug": "no good"}, "slug:"),
     ({"form_of": "none"}, "there is no donation form none"), ({"quiet_from": "21"}, "quiet hours are written like 21-8"),
     ({"note_until": "tomorrow"}, "the deadline for notes is a day and an hour"),
     ({"note_until": "9999-12-31T23:59"}, "the deadline for notes is more than five years away"), ({"kind": "spam"}, "kind:"),
     ({"layout": "../../etc"}, "there is no layout"), ({"body-en": "::: ladder\n:::"}, "say which, as form"),
     ({"body-en": "x" * 300_000}, "longer than"), ({"body-es": "Hola {{"}, "Subject, line 1, column 1:")],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place_and_nothing_typed_is_lost(
    house: Deps, desk: Desk, changed: dict[str, str], says: str
):
    desk.get("/staff/letters/new")
    told = typed(**{"preview-en": "Precious words"} | changed)
    assert posted(desk, "/staff/letters/new", **told).status == 422
    assert says in html.unescape(desk.page).replace("</strong>", "")
    assert "Precious words" in desk.page
    assert rows(house, "SELECT 1 FROM mailing WHERE preview = 'Precious words'") == []


def test_a_name_that_is_taken_is_not_written_over_and_nothing_typed_is_lost(house: Deps, desk: Desk):
    for name in ("rent-vote", "thank_you", "new"):
        for do in ("save", "check"):
            desk.get("/staff/letters/new")
            told = typed(slug=name, do=do, **{"preview-en": "Precious words"})
            assert posted(desk, "/staff/letters/new", **told).status == 422
            says = "the page on which letters begin" if name == "new" else f"there is a letter {name} already"
            assert says in html.unescape(desk.page)
            assert "Precious words" in desk.page
            assert '<select id="kind"' in desk.page  # it is not that letter
            assert f'name="slug" value="{name}"' in desk.page
            assert 'action="/staff/letters/new"' in desk.page
    assert rows(house, "SELECT 1 FROM letter WHERE slug = 'new'") == []
    assert rows(house, "SELECT 1 FROM mailing WHERE preview = 'Precious words'") == []


def test_a_letter_with_a_fund_and_no_form_keeps_it_when_it_is_edited(house: Deps, desk: Desk):
    desk.get("/staff/letters/new")
    told = typed(fund="pac")
    answer = posted(desk, "/staff/letters/new", **told)
    path = f"/staff/letters/{told['slug']}"
    assert where(answer) == f"{path}?said=kept"
    desk.get(f"{path}/edit")
    (chosen,) = re.findall(r'<option value="([^"]+)" selected>[^<]+PAC', desk.page)
    assert posted(desk, f"{path}/edit", **typed(fund=chosen, **{"body-en": "Anew"})).status == 303
    query = f"SELECT f.slug, l.id FROM letter l LEFT JOIN fund f ON f.id = l.fund_id WHERE l.slug = '{told['slug']}'"
    assert one(house, query).slug == "pac"
    desk.get(f"{path}/edit")
    assert posted(desk, f"{path}/edit", **typed(fund="pac", form_of="common-ground")).status == 422
    assert "the donation form is another fund" in html.unescape(desk.page)
    assert posted(desk, f"{path}/edit", **typed(fund="none")).status == 422
    assert posted(desk, f"{path}/edit", **typed(form_of="common-ground")).status == 303
    assert one(house, query).slug == "action"
    desk.get(f"{path}/edit")  # the form says whose it is
    assert not re.findall(r'<option value="[^"]+" selected>[^<]+PAC', desk.page)


def test_the_kind_of_a_letter_that_the_house_writes_stays(house: Deps, desk: Desk):
    desk.get("/staff/letters/thank_you/edit")
    assert 'name="kind" value=""' in desk.page
    words = {"body-en": "Thank you, {{ first_name }}, for {{ amount }}.", "kind": "asks"}
    answer = posted(desk, "/staff/letters/thank_you/edit", **typed(**words))
    assert answer.status == 303, desk.page
    assert one(house, "SELECT kind FROM letter WHERE slug = 'thank_you'").kind == ""
    change(house, "DELETE FROM mailing WHERE slug = 'thank_you~2'")  # the house is shared by this file
    change(house, "UPDATE letter SET shipped = true WHERE slug = 'thank_you'")


def test_a_letter_is_read_as_anybody_within_reach_would(house: Deps, desk: Desk):
    rosa = known(house, f"reader.{next(_numbers)}@example.org", "01605")
    change(house, "UPDATE contact SET first_name = 'Wilhelmina', language = 'es' WHERE id = :id", id=rosa)
    assert desk.get(f"/staff/letters/rent-vote?as={rosa}").status == 200
    assert "Hola, Wilhelmina" in desk.page
    frame = desk.get(f"/staff/letters/rent-vote/html?as={rosa}&language=en")
    assert "sandbox" in frame.headers["content-security-policy"]
    assert "Dear Wilhelmina" in frame.body.decode()
    assert "express_lane" not in frame.body.decode()
    with transaction(house.sessions) as session:
        email = session.scalar(text("SELECT email FROM contact WHERE id = :id"), {"id": rosa})
    assert desk.get(f"/staff/letters/rent-vote?as={email}").status == 200
    assert desk.get("/staff/letters/rent-vote?as=nobody@example.org").status == 404
    assert desk.get("/staff/letters/rent-vote?as=99999999999999999999999").status == 404
    assert desk.get("/staff/letters/nothing").status == 404
    answer = desk.get("/staff/letters/rent-vote?random=1")
    assert answer.status == 303
    assert desk.get(where(answer)).status == 200


def test_amounts_are_read_by_who_may_see_gifts_and_by_nobody_else(house: Deps, door: Client):
    hers = known(house, f"reader.{next(_numbers)}@example.org", "01605")
    change(
        house, "UPDATE contact SET gave_count = 1, gave_cents = 8300, gave_last_cents = 4100 WHERE id = :id", id=hers
    )
    desk, told = of(house, door, "admin"), typed(**{"body-en": "{{ last_gift }} of {{ given_in_all }}"})
    desk.get("/staff/letters/new")
    path = where(posted(desk, "/staff/letters/new", **told)).partition("?")[0]
    for role, sees in (("admin", True), ("treasurer", True), ("organizer", False), ("viewer", False)):
        desk = of(house, door, role)
        framed = desk.get(f"{path}/html?as={hers}").body.decode()
        desk.get(f"{path}?as={hers}")
        for page in (framed, desk.page):
            assert ("$41 of $83" in page, "$27 of $154" in page) == (sees, not sees)
        assert ("Amounts are for the treasurer and admins" in desk.page) is not sees


def test_a_preview_gives_nobody_a_link_that_acts_for_its_reader(house: Deps, desk: Desk):
    rosa = known(house, f"reader.{next(_numbers)}@example.org", "01605")
    desk.get(f"/staff/letters/rent-vote?as={rosa}")
    token = desk.page.partition("/u/")[2].partition("\n")[0].split()[0]
    assert house.signer.read("unsubscribe", token) == (0, 0)


def test_who_works_for_one_chapter_reads_as_its_people_alone_and_writes_its_note(house: Deps, door: Client):
    hers, far = (known(house, f"reader.{next(_numbers)}@example.org", code) for code in ("01605", "01103"))
    desk = of(house, door, "organizer", "worcester")
    assert desk.get(f"/staff/letters/rent-vote?as={hers}").status == 200
    assert desk.get(f"/staff/letters/rent-vote?as={far}").status == 404
    there, elsewhere = (
        str(one(house, f"SELECT id FROM chapter WHERE slug = '{slug}'").id) for slug in ("worcester", "springfield")
    )
    desk.get("/staff/letters/rent-vote")
    note = {"chapter": there, "language": "en", "note": "We meet at the **library**."}
    assert where(posted(desk, "/staff/letters/rent-vote/note", **note)).endswith("said=note")
    assert "library</strong>" in desk.get(f"/staff/letters/rent-vote/html?chapter={there}").body.decode()
    desk.get("/staff/letters/rent-vote")
    assert posted(desk, "/staff/letters/rent-vote/note", **note | {"chapter": elsewhere}).status == 403
    desk.get("/staff/letters/rent-vote")
    assert posted(desk, "/staff/letters/rent-vote/note", **note | {"note": "{{ first_name }}"}).status == 422
    assert "the same for all its readers" in desk.page
    assert 'aria-invalid="true" aria-describedby="note-faults note-hint"' in desk.page
    assert '<div id="note-faults">' in desk.page
    assert "{{ first_name }}" in html.unescape(desk.page)
    assert where(posted(desk, "/staff/letters/rent-vote/note", **note | {"note": " "})).endswith("said=unnoted")
    assert rows(house, "SELECT 1 FROM chapter_note") == []
    assert desk.get("/staff/letters/new").status == 403
    desk.get("/staff/letters/rent-vote")
    assert posted(desk, "/staff/letters/rent-vote/edit", **typed()).status == 403
    assert posted(desk, "/staff/letters/rent-vote/resume", mailing="rent-vote").status == 403


def test_a_note_is_too_late_after_its_deadline(house: Deps, desk: Desk):
    desk.get("/staff/letters/rent-vote")
    there = str(one(house, "SELECT id FROM chapter WHERE slug = 'worcester'").id)
    until = one(house, "SELECT note_until FROM letter WHERE slug = 'rent-vote'").note_until
    change(
        house,
        "UPDATE letter SET note_until = :then WHERE slug = 'rent-vote'",
        then=house.clock.now - timedelta(hours=1),
    )
    answer = posted(desk, "/staff/letters/rent-vote/note", chapter=there, language="en", note="Late")
    assert answer.status == 409
    assert "(America/New_York)" in desk.page
    desk.get("/staff/letters/rent-vote")
    assert "aria-invalid" not in desk.page
    assert "<caption" in desk.page.partition("How it fared")[2]
    assert "Which chapter writes" not in desk.page
    change(house, "UPDATE letter SET note_until = :then WHERE slug = 'rent-vote'", then=until)


def test_a_test_comes_to_who_is_signed_in_and_to_nobody_else(house: Deps, desk: Desk):
    delivery.hand_over(house, bell.RECEIPTS)
    house.mailer.accepted.clear()
    desk.get("/staff/letters/rent-vote")
    assert where(posted(desk, "/staff/letters/rent-vote/test", email="else@example.org")).endswith("said=tested")
    delivery.hand_over(house, bell.RECEIPTS)
    letters = [each for _, each in house.mailer.accepted]
    assert {each.subject[:7] for each in letters} == {"[Test] "}
    assert len(letters) == 2
    assert {each.to_email.partition(".")[0] for each in letters} == {"letters"}


def test_a_mailing_that_stands_still_says_why_and_goes_on_by_button(house: Deps, desk: Desk):
    change(house, """UPDATE mailing SET paused_at = now(), paused_because = '11 of 40 came back', bounced = 11, handed = 40
        WHERE slug = 'rent-vote'""")  # fmt: skip
    desk.get("/staff/letters")
    assert "paused" in desk.page
    desk.get("/staff/letters/rent-vote")
    assert "11 of 40 came back" in desk.page
    assert posted(desk, "/staff/letters/rent-vote/resume", mailing="thank_you").status == 404
    desk.get("/staff/letters/rent-vote")
    assert where(posted(desk, "/staff/letters/rent-vote/resume", mailing="rent-vote")).endswith("said=resumed")
    found = one(house, "SELECT paused_at, excused FROM mailing WHERE slug = 'rent-vote'")
    assert found.paused_at is None
    assert found.excused["bounced"] == 11


def test_the_words_of_a_letter_cannot_leave_their_place_on_the_page(house: Deps, desk: Desk):
    desk.get("/staff/letters/new")
    hostile = "</textarea><script>alert(1)</script>"
    posted(desk, "/staff/letters/new", **typed(**{"body-en": hostile, "subject-en": hostile, "do": "check"}))
    assert "<script>" not in desk.page
    with transaction(house.sessions) as session:
        assert writing.english(session, "rent-vote") is not None
