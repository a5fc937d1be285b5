"""Joining: what is stored, what is answered, and that a second press changes nothing."""

import re
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, text
from starlette.exceptions import HTTPException

from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions, transaction
from tests.asgi import Client
from tests.fakes import FakeLimiter
from tests.flows.house import run_everything
from tests.webhooks.joining import NOWHERE, PAGES, ROSA, SlidingLimiter, Visitor, execute, opened, post, said, stored
from webhooks.forms import Stamp
from webhooks.writer import Writer

PRESS_AGAIN = "Please press once more"
THANKS = "Thank you, Rosa. Worcester\u2019s chapter meets near you."


@pytest.fixture
def door(deps: Deps):
    with opened(deps) as client:
        yield client


def arrived(door: Client, deps: Deps, path: str = "/join", seconds: float = 30) -> Visitor:
    """Somebody who has the form before her for half a minute."""
    visitor = Visitor(door, path)
    assert visitor.open((deps.clock, seconds)).status == 200
    return visitor


def test_what_she_typed_is_stored_and_she_is_thanked_with_her_chapter(door, deps):
    visitor = Visitor(door)
    shown = visitor.open((deps.clock, 30))
    assert "Join your neighbors" in said(shown)
    thanked = visitor.press(email=" Rosa@Example.ORG ")
    assert thanked.status == 200
    assert THANKS in said(thanked)
    (kept,) = stored(deps)
    wording = kept.pop("wording")
    assert "Common Ground Massachusetts and your chapter may write to you" in wording
    assert wording in said(shown)
    assert kept == ROSA | {
        "form": "join", "at": "2026-11-03T12:00:30+00:00", "street": "", "city": "", "state": "", "phone": "",
        "language": "en", "interests": [], "ways_to_help": [], "gathering": "", "confirm": False, "introduce": False,
    }  # fmt: skip
    assert deps.bells.rung == ["intake"]


def test_what_is_stored_makes_her_a_contact_of_her_chapter(door, deps):
    assert arrived(door, deps).press(zip="01604-1234").status == 200
    run_everything(deps)
    with transaction(deps.sessions) as session:
        found = session.execute(text("""
            SELECT c.email, c.zip, h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id
        """)).all()  # fmt: skip
    assert [tuple(row) for row in found] == [("rosa@example.org", "01604", "worcester")]


def test_the_button_pressed_twice_is_answered_alike_and_stored_once(door, deps):
    visitor = arrived(door, deps)
    first = visitor.press()
    deps.clock.now = deps.clock.now.replace(hour=13)
    assert (visitor.press().body, len(stored(deps))) == (first.body, 1)


def test_the_button_pressed_twice_at_once_is_answered_alike_and_stored_once(door, deps):
    visitor = arrived(door, deps)
    form = {"stamp": visitor.stamp, **ROSA}
    body = "&".join(f"{name}={value}" for name, value in form.items()).encode()
    headers = [("content-type", "application/x-www-form-urlencoded"), PAGES]
    one, other = door.together(*[("POST", "/join", headers, body)] * 2)
    assert (one.status, one.body, len(stored(deps))) == (200, other.body, 1)
    assert THANKS in said(one)


def test_other_words_under_a_used_stamp_are_asked_for_once_more_and_then_stored(door, deps):
    visitor = arrived(door, deps)
    visitor.press()
    asked = visitor.press(email="ines@example.org", first_name="Ines")
    assert (asked.status, len(stored(deps))) == (403, 1)
    assert PRESS_AGAIN in said(asked)
    assert 'value="ines@example.org"' in asked.body.decode()
    assert "Thank you, Ines." in said(visitor.press(email="ines@example.org", first_name="Ines"))
    assert [kept["email"] for kept in stored(deps)] == ["rosa@example.org", "ines@example.org"]


def test_two_that_share_a_stamp_at_one_instant_do_not_get_mixed_up(door, deps):
    visitor = arrived(door, deps)
    bodies = [f"stamp={visitor.stamp}&email={name}@example.org&zip=01604".encode() for name in ("rosa", "ines")]
    headers = [("content-type", "application/x-www-form-urlencoded"), PAGES]
    answers = door.together(*(("POST", "/join", headers, body) for body in bodies))
    (kept,) = stored(deps)
    first = ["rosa@example.org", "ines@example.org"].index(kept["email"])
    assert (answers[first].status, answers[1 - first].status) == (200, 403)
    assert PRESS_AGAIN in said(answers[1 - first])


def test_a_lost_leading_zero_is_put_back_and_said(door, deps):
    thanked = arrived(door, deps).press(zip="1604")
    assert "We read 1604 as 01604." in said(thanked)
    assert "We read" not in said(arrived(door, deps).press(zip="01604-1234"))
    assert [kept["zip"] for kept in stored(deps)] == ["01604", "01604"]


def test_the_form_of_a_chapter_is_stored_under_its_name_and_the_nearer_one_is_told(door, deps):
    thanked = arrived(door, deps, "/join/lowell").press()
    assert "Greater Lowell\u2019s chapter would love to meet you." in said(thanked)
    assert "Worcester\u2019s chapter meets nearer to you." in said(thanked)
    assert [kept["form"] for kept in stored(deps)] == ["join/lowell"]


def test_where_no_chapter_is_she_stays_with_all_and_can_ask_to_be_introduced(door, deps):
    thanked = arrived(door, deps).press(zip=NOWHERE)
    assert "No chapter meets near Greenfield yet. Until one does, Common Ground" in said(thanked)
    stamp = re.findall(r'name="stamp" value="([^"]+)"', thanked.body.decode())[0]
    for _ in range(2):
        assert "That is how chapters begin" in said(post(door, "/introductions", {"stamp": stamp}))
    joined, introduced = stored(deps)
    assert introduced == joined | {"introduce": True, "at": introduced["at"]}
    run_everything(deps)
    with transaction(deps.sessions) as session:
        assert session.scalars(text("SELECT place FROM introduction")).all() == ["MA:Franklin County"]


@pytest.mark.parametrize("lang", ["en", "es"])
def test_a_zip_that_nobody_knows_is_said_to_be_unknown_and_nothing_is_offered_that_would_do_nothing(door, deps, lang):
    thanked = arrived(door, deps, f"/join?lang={lang}").press(zip="00000")
    words = "We do not know the ZIP 00000" if lang == "en" else "No conocemos el código postal 00000"
    assert words in said(thanked)
    assert not any(near in said(thanked) for near in ("near 00000", "cerca de 00000"))
    assert "/introductions" not in thanked.body.decode()
    gathered = arrived(door, deps, f"/join/lowell?lang={lang}").press(zip="00000", email="ines@example.org")
    assert (words in said(gathered), "Greater Lowell" in said(gathered)) == (False, True)


def test_who_can_be_introduced_to_nobody_is_not_told_that_she_will_be(door, deps):
    arrived(door, deps).press(zip="00000")
    with transaction(deps.sessions) as session:
        nonce = session.execute(text("SELECT key FROM inbound_event WHERE source = 'join'")).scalar_one()
    stamp = Stamp("introduce", int(deps.clock.now.timestamp() * 1000), nonce)
    refused = post(door, "/introductions", {"stamp": stamp.token(deps.signer)})
    assert (refused.status, len(stored(deps))) == (403, 1)
    assert "chapters begin" not in said(refused)


def test_an_introduction_without_a_sign_up_before_it_is_refused(door, deps):
    visitor = arrived(door, deps)
    for stamp in ("", "made up", visitor.stamp):
        assert post(door, "/introductions", {"stamp": stamp}).status == 403
    assert stored(deps) == []


def test_a_form_that_asks_for_a_letter_says_so(door, deps):
    execute(deps, "UPDATE chapter SET opt_in = 'double' WHERE kind = 'root'")
    thanked = arrived(door, deps).press()
    assert "Look into your inbox and press the button in our letter." in said(thanked)
    assert [kept["confirm"] for kept in stored(deps)] == [True]


def test_what_is_ticked_is_stored_and_still_ticked_when_something_else_is_wrong(door, deps):
    execute(deps, "INSERT INTO agenda (code, name) VALUES ('homes', 'Homes')")
    execute(deps, """INSERT INTO interest (code, agenda_id, name, names)
        SELECT v.code, agenda.id, v.name, '{"es": "Vivienda"}'
        FROM agenda, (VALUES ('i1', 'Housing'), ('i2', 'Heating')) v(code, name) WHERE agenda.code = 'homes'
    """)  # fmt: skip
    execute(deps, "INSERT INTO way_to_help (code, name) VALUES ('w1', 'Knock on doors')")
    visitor = arrived(door, deps)
    wrong = visitor.press(zip="", interests=["i1"], ways_to_help=["w1"]).body.decode()
    assert re.findall(r'value="(\w+)" checked', wrong) == ["i1", "w1"]
    assert wrong.count("<details open>") == 3  # her last name is in the third
    visitor.press(interests=["i1"], ways_to_help=["w1"])
    assert [(kept["interests"], kept["ways_to_help"]) for kept in stored(deps)] == [(["i1"], ["w1"])]
    assert "Vivienda" in Visitor(door, "/join?lang=es").open().body.decode()


def test_each_language_has_its_form_and_leads_to_the_other(door, deps):
    spanish = Visitor(door, "/join/worcester?lang=es").open()
    assert '<html lang="es">' in spanish.body.decode()
    assert "Únete al capítulo de Worcester" in said(spanish)
    assert '<a href="/join/worcester?lang=en" lang="en" hreflang="en">English</a>' in spanish.body.decode()
    assert "Únete" in said(door.send("GET", "/join", [("accept-language", "es-MX,es;q=0.9,en;q=0.8")]))
    visitor = arrived(door, deps, "/join?lang=es")
    assert "Dinos tu código postal" in said(visitor.press(zip=""))
    assert "El capítulo de Worcester se reúne cerca de ti." in said(visitor.press())
    (kept,) = stored(deps)
    assert (kept["language"], kept["wording"][:18]) == ("es", "Aceptas que Common")


@pytest.mark.parametrize("path", ["/join", "/join/lowell", "/join?lang=es", "/join/lowell?lang=es"])
def test_no_page_claims_where_she_belongs_for_that_may_be_elsewhere(door, deps, path):
    """What she reads is the same for everybody, also for who was placed, chose, or must first answer a letter."""
    for zip_code in ("01604", NOWHERE):
        told = said(arrived(door, deps, path).press(zip=zip_code)).lower()
        for claim in ("your chapter from", "you are with", "you belong", "you will hear", "desde ahora", "eres parte"):
            assert claim not in told, claim


def answers_about(deps: Deps, email: str) -> tuple[bytes, list[str]]:
    """What is answered to this address, and the statements that were run for it."""
    assert deps.settings.database_url is not None
    pool = make_pool(deps.settings.database_url.get_secret_value())
    statements: list[str] = []
    event.listen(pool, "before_cursor_execute", lambda *seen: statements.append(seen[2]))
    with opened(replace(deps, sessions=make_sessions(pool), limiter=FakeLimiter())) as client:
        visitor = arrived(client, deps)
        statements.clear()
        answer = visitor.press(email=email)
    pool.dispose()
    assert answer.status == 200
    return answer.body.replace(email.encode(), b"HER ADDRESS"), statements


@pytest.mark.parametrize("opt_in", ["single", "double"])
def test_new_known_suppressed_and_unconfirmed_addresses_are_answered_alike_by_the_same_work(deps, opt_in):
    execute(deps, "UPDATE chapter SET opt_in = :opt_in WHERE kind = 'root'", opt_in=opt_in)
    execute(
        deps,
        """INSERT INTO contact (email, details_at, first_name, name_at, zip, place_at, language)
        SELECT v || '@example.org', now(), 'Somebody else', now(), '02139', now(), 'es'
        FROM unnest(ARRAY['known', 'asked']) v""",
    )
    reasons = ("complaint", "bounce", "unsubscribe", "invalid", "manual", "erased")
    execute(
        deps,
        """INSERT INTO suppression (email, reason, at)
        SELECT v || '@example.org', v, now() FROM unnest(CAST(:reasons AS text[])) v""",
        reasons=list(reasons),
    )
    execute(
        deps,
        """
        INSERT INTO confirmation (contact_id, place, wording, asked_at, expires_at)
        SELECT id, 'join', '', now(), now() + interval '7 days' FROM contact WHERE email = 'asked@example.org'
    """,
    )
    names = ("fresh", "known", "asked", *reasons)
    answers = [answers_about(deps, f"{name}@example.org") for name in names]
    assert len(answers[0][1]) >= 4
    assert answers == [answers[0]] * len(names)


def test_a_sixth_from_one_network_in_an_hour_is_asked_to_wait_and_loses_nothing(deps):
    with opened(replace(deps, limiter=SlidingLimiter(deps.clock))) as door:
        for number in range(5):
            visitor = arrived(door, deps)
            visitor.source = f"203.0.113.{number}"
            assert visitor.press(email=f"n{number}@example.org").status == 200
        sixth = arrived(door, deps)
        sixth.source = "203.0.113.77"
        refused = sixth.press(email="n6@example.org")
        assert (refused.status, refused.headers["retry-after"]) == (429, "3600")
        assert 'value="n6@example.org"' in refused.body.decode()
        assert len(stored(deps)) == 5
        deps.clock.now = deps.clock.now.replace(hour=13, minute=10)
        assert sixth.press(email="n6@example.org").status == 200


def test_an_ipv6_network_is_one_customer(deps):
    with opened(replace(deps, limiter=SlidingLimiter(deps.clock))) as door:
        statuses = []
        for host in [*(f"2001:db8:1:2:{n}::1" for n in range(6)), "2001:db8:1:3::1", "::ffff:203.0.113.5"]:
            visitor = arrived(door, deps)
            visitor.source = host
            statuses.append(visitor.press(email=f"{len(statuses)}@example.org").status)
    assert statuses == [200] * 5 + [429, 200, 200]


def test_one_address_from_a_hundred_networks_is_answered_and_decided_by_letter(deps):
    with opened(replace(deps, limiter=SlidingLimiter(deps.clock))) as door:
        answers = [arrived(door, deps, seconds=3).press() for _ in range(100)]
    assert {answer.status for answer in answers} == {200}
    assert [kept["confirm"] for kept in stored(deps)] == [False] * 5 + [True] * 95
    execute(
        deps, "INSERT INTO suppression (email, reason, at) VALUES ('rosa@example.org', 'unsubscribe', '2026-01-01')"
    )
    run_everything(deps)
    with transaction(deps.sessions) as session:
        assert session.scalar(text("SELECT count(*) FROM confirmation")) == 1
        assert session.scalar(text("SELECT count(*) FROM contact")) == 1


def test_one_person_in_several_spellings_at_once_is_one_contact(door, deps):
    visitors = [arrived(door, deps) for _ in range(3)]
    bodies = [f"stamp={visitor.stamp}&zip=01604&email={email}".encode() for visitor, email in
              zip(visitors, ("Rosa@Example.org", "%20rosa@example.org+", "ROSA@EXAMPLE.ORG"), strict=True)]  # fmt: skip
    headers = [("content-type", "application/x-www-form-urlencoded"), PAGES]
    assert [a.status for a in door.together(*(("POST", "/join", headers, body) for body in bodies))] == [200] * 3
    run_everything(deps)
    with transaction(deps.sessions) as session:
        assert session.scalars(text("SELECT email FROM contact")).all() == ["rosa@example.org"]


def test_when_nothing_can_be_counted_nothing_is_taken_and_nothing_is_lost(deps):
    limiter = FakeLimiter(away=True)
    with opened(replace(deps, limiter=limiter)) as door:
        visitor = arrived(door, deps)
        refused = visitor.press()
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert "All that you typed is still here" in said(refused)
        assert 'value="rosa@example.org"' in refused.body.decode()
        assert stored(deps) == []
        limiter.away = False
        assert THANKS in said(visitor.press())


class Full(Writer):
    """A writer that can store nothing."""

    async def store(self, arrival: Any) -> int | None:
        raise HTTPException(503, "Not stored; please send it again")


def test_what_cannot_be_stored_is_said_and_kept_on_the_page(deps):
    with opened(deps, Full(deps)) as door:
        refused = arrived(door, deps).press()
    assert refused.status == 503
    assert 'value="rosa@example.org"' in refused.body.decode()


def test_a_thousand_people_who_open_the_form_cost_the_database_one_look(deps):
    assert deps.settings.database_url is not None
    pool = make_pool(deps.settings.database_url.get_secret_value())
    statements: list[str] = []
    event.listen(pool, "before_cursor_execute", lambda *seen: statements.append(seen[2]))
    with opened(replace(deps, sessions=make_sessions(pool)), keep_seconds=60) as door:
        assert {answer.status for answer in door.together(*[("GET", "/join", [PAGES])] * 1000)} == {200}
    pool.dispose()
    assert sum("JOIN interest i" in statement for statement in statements) == 1


def test_forms_are_still_shown_while_the_database_is_away(deps):
    assert deps.settings.database_url is not None
    url = deps.settings.database_url.get_secret_value()
    pool = make_pool(url)
    with opened(replace(deps, sessions=make_sessions(pool))) as door:
        assert Visitor(door).open().status == 200
        pool.dispose()
        door.app.state.deps.sessions.configure(bind=make_pool("postgresql://127.0.0.1:9/nothing"))
        visitor = arrived(door, deps)
        refused = visitor.press()
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert 'value="rosa@example.org"' in refused.body.decode()
