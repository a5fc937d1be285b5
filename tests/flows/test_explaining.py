"""Every decision about one person, with its reason: why she is chosen or not, each step, each letter, what lies ahead."""

from datetime import timedelta

import pytest

from engine.bootstrap import Deps
from engine.errors import NotFound
from engine.outreach.definitions import TRIGGERS
from engine.reports import explain
from engine.reports.explain import Explained
from engine.staff import rights
from tests.campaigns import ASK, NOW, go, letter, people
from tests.flows.house import change, one, put, run_everything
from tests.launches import draft, launch
from tests.make import actblue_body, line_item, raw
from tests.sequences import enrol, publish, step
from workers import outreach

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LANGUAGE = {"op": "language", "language": "es"}


def explained(deps: Deps, contact_id: int, about: str = "") -> Explained:
    """As whoever sees everybody is told."""
    with deps.work() as (session, now):
        asked = explain.about(session, about) if about else explain.EVERYTHING
        return explain.explain(session, contact_id, now, deps.settings.time_zone, asked=asked)


def told(found: Explained) -> list[tuple[str, str]]:
    return [(said.about, said.says) for said in found.decided]


def ahead(found: Explained) -> list[tuple[str, str]]:
    return [(said.about, said.says) for said in found.ahead]


def test_her_way_through_a_sequence_is_told_step_by_step(deps: Deps):
    (her,) = people(deps, 1)
    steps = (
        {"key": "hello", "email": "call"}, {"key": "spanish", "email": "espera", "if": LANGUAGE},
        {"key": "pause", "wait": "3 days"}, {"key": "help", "wait_for": {"event": "gave", "within": "2 days"}},
        {"key": "last", "email": "last_call"},
    )  # fmt: skip
    enrol(deps, publish(deps, *steps, slug="greeting", on="joined", quiet_hours=None), [her])
    step(deps)
    change(deps, "UPDATE enrollment SET entered_at = entered_at + interval '300 ms'")  # steps are kept by the second
    go(deps)
    found = explained(deps, her)
    assert told(found) == [
        ("greeting", f"entered the sequence greeting (version 1): {TRIGGERS['joined']}"),
        ("greeting", "step hello: its letter was written"),
        ("greeting", "step spanish: was passed over: its rule does not hold"),
        ("greeting", "step pause: a wait until 2026-11-06 07:00"),
        ("letter call", "was written for the step hello, due 3 November 2026, 07:00"),
        ("letter call", "was handed to the mail provider"),
    ]
    assert ahead(found) == [("greeting", "the step help is next")]
    assert found.ahead[0].at == NOW + 3 * DAY
    step(deps, 3 * DAY)
    assert ahead(explained(deps, her)) == [
        (
            "greeting",
            "she waits at most until then for this: she gave once, or began a plan; after that comes the step last",
        )
    ]
    step(deps, 2 * DAY)
    assert ("greeting", "step help: it waited in vain for this: she gave once, or began a plan") in told(
        explained(deps, her)
    )


def test_who_is_not_in_a_campaign_is_told_which_condition_she_does_not_meet(deps: Deps):
    her, silent = people(deps, 2)
    change(deps, "UPDATE consent SET given = false WHERE contact_id = :id", id=silent)
    publish(deps, {"key": "write", "email": "call"}, slug="rent")
    draft(deps, sequence="rent", rule={"op": "all", "of": [{"op": "chapter", "chapter": "worcester"}, LANGUAGE]})
    found = explained(deps, her, "vote")
    assert found.chosen == "it has not begun; as things stand it would not choose her"
    assert [(met.says, met.met) for met in found.conditions] == [
        ("lives in Worcester", True), ("reads es", False), ("may be written to", True)
    ]  # fmt: skip
    assert explained(deps, silent, "vote").conditions[-1].why == "wants no letters"
    change(deps, "UPDATE contact SET language = 'es' WHERE id = :id", id=her)
    assert explained(deps, her, "vote").chosen == "it has not begun; as things stand it would choose her"
    launch(deps)
    outreach.work(deps)
    found = explained(deps, her, "vote")
    assert found.chosen == "it chose her"
    assert told(found)[0] == ("vote", "entered the campaign vote: it chose her")
    change(deps, "UPDATE contact SET language = 'es' WHERE id = :id", id=silent)
    change(deps, "UPDATE consent SET given = true WHERE contact_id = :id", id=silent)
    assert explained(deps, silent, "vote").chosen == (
        "it did not choose her: she met a condition of it only after it had chosen its people"
    )


def test_a_letter_that_does_not_leave_says_why_in_plain_words(deps: Deps):
    gives, capped, rests, night = people(deps, 4)
    ask = publish(deps, {"key": "ask", "ask": "plea"}, {"key": "pause", "wait": "5 days"}, {"key": "more", "ask": "plea"},
                  slug="plea", goal="gave")  # fmt: skip
    enrol(deps, ask, [gives, capped, rests, night])
    change(deps, "UPDATE contact SET email = 'rosa@example.org' WHERE id = :id", id=gives)
    change(deps, "INSERT INTO ask_rest (contact_id, reason, since, until) VALUES (:id, 'large', :now, :until)",
           id=rests, now=NOW, until=NOW + 20 * DAY)  # fmt: skip
    change(deps, """INSERT INTO message (contact_id, mailing_id, occasion, lane, kind, state, due_at, facts, handed_at)
        SELECT :id, min(m.id), 'earlier:' || n, 'delivery', 'news', 'delivered', now(), '{}', CAST(:now AS timestamptz)
        FROM mailing m, generate_series(1, 2) n GROUP BY n""", id=capped, now=NOW - HOUR)  # fmt: skip
    change(deps, "UPDATE contact SET time_zone = 'Pacific/Honolulu' WHERE id = :id", id=night)
    step(deps)
    body = actblue_body(donor={"email": "rosa@example.org"}, lineitems=[line_item(paidAt="2026-11-03T07:30:00-05:00")])
    put(deps, raw(body))
    deps.clock.skip(2 * HOUR)
    run_everything(deps)
    found = explained(deps, gives, "plea")
    assert ("plea", "left: gave (on 3 November 2026)") in told(found)
    assert [says for about, says in told(found) if "cancelled" in says] == ["was cancelled: gave (on 3 November 2026)"]
    rested = "asks of Common Ground Massachusetts Action, Inc. rest until 10 November 2026, "
    assert [says[len(rested) :] for _, says in told(found) if says.startswith(rested)] == ["07:30: she has just given"]
    assert [says for _, says in told(explained(deps, rests)) if "not sent" in says] == [
        "was not sent: asks rest until 23 November: a gift far above habit"
    ]
    (waits,) = [says for about, says in ahead(explained(deps, capped)) if about.startswith("letter")]
    assert waits.startswith("was put off until then: had enough letters for now")
    assert [said.at for said in explained(deps, night).ahead if said.about.startswith("letter")] == [NOW + 6 * HOUR]


def test_what_a_waiting_letter_would_meet_now_and_what_stands_still_is_told(deps: Deps):
    (her,) = people(deps, 1)
    published = publish(deps, {"key": "write", "email": "call"}, slug="rent")
    enrol(deps, published, [her])
    step(deps)
    change(deps, "UPDATE consent SET given = false WHERE contact_id = :id", id=her)
    (waits,) = ahead(explained(deps, her))
    assert waits == ("letter call", "leaves then at the earliest; as it stands it would not be sent: wants no letters")
    change(deps, "UPDATE sequence SET paused_at = now(), paused_because = 'too many unsubscribed' WHERE slug = 'rent'")
    (waits,) = ahead(explained(deps, her))
    assert waits[1].endswith("it stands still: the sequence is paused, too many unsubscribed")
    assert explained(deps, her).refusals["news"] == "wants no letters"


def test_one_letter_alone_is_asked_about(deps: Deps):
    (her,) = people(deps, 1)
    letter(deps, "plea", ASK, "asks")
    enrol(deps, publish(deps, {"key": "write", "email": "call"}, slug="rent"), [her])
    step(deps)
    assert {about for about, _ in told(explained(deps, her, "call"))} == {"letter call"}
    assert told(explained(deps, her, "plea")) == []
    with deps.work() as (session, _), pytest.raises(NotFound, match="no campaign, sequence or letter nothing"):
        explain.about(session, "nothing")


def test_who_is_out_of_reach_is_not_found(deps: Deps):
    (her,) = people(deps, 1)
    chapters = {row: one(deps, f"SELECT id FROM chapter WHERE slug = '{row}'").id for row in ("springfield", "central")}
    with deps.work() as (session, now):
        near, far = (rights.reach(session, chapters[slug]) for slug in ("central", "springfield"))
        assert explain.explain(session, her, now, "America/New_York", reach=near).contact_id == her
        with pytest.raises(NotFound, match="within your reach"):
            explain.explain(session, her, now, "America/New_York", reach=far)
