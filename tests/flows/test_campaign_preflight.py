"""What stands against a campaign before it leaves, and what one should look at."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from engine.bootstrap import Deps
from engine.errors import Invalid
from engine.letters import writing
from engine.letters.drafts import Draft
from engine.letters.finishing import Body
from engine.outreach import campaigns, contents, preflight
from engine.outreach.preflight import Checked, Refused
from engine.segments import rules
from tests.campaigns import NEWS, letter, people
from tests.flows.house import change, rows
from tests.launches import WORCESTER, draft, entered, launch, sequence, work


def look(deps: Deps, slug: str = "vote") -> Checked:
    with deps.work() as (session, now):
        return preflight.look(session, slug, now, deps.settings)


def in_spanish(deps: Deps, slug: str, **terms: str) -> None:
    """A letter with Spanish words beside its English ones."""
    body = Body("The vote", NEWS)
    with deps.work() as (session, _):
        writing.save(session, Draft(slug=slug, kind="news", bodies={"en": body, "es": Body("El voto", NEWS)}, **terms))


def reading(deps: Deps, ids: list[int], language: str) -> None:
    change(deps, "UPDATE contact SET language = :language WHERE id = ANY(:ids)", language=language, ids=ids)


def test_all_that_is_well_is_told_with_its_numbers(deps: Deps):
    hers = people(deps, 8)
    reading(deps, hers[:3], "es")
    in_spanish(deps, "rent")
    rule = draft(deps, letter="rent").rule
    found = look(deps)
    assert replace(found, steps=()) == Checked(8, {"en": 5, "es": 3}, [], [], rule=rule, chapters={"Worcester": 8})
    assert found.steps[-1] == "1. letter: the letter rent"


def test_a_launch_is_refused_with_every_reason_and_nothing_happens(deps: Deps):
    people(deps, 2)
    letter(deps, "rent")
    change(deps, "UPDATE chapter SET postal_address = '', sender_email = ''")
    draft(deps, letter="rent", deadline=(deps.clock.now - timedelta(hours=1)).isoformat())
    with pytest.raises(Refused) as refused:
        launch(deps)
    reasons = refused.value.reasons
    assert [said.partition(" ")[0] for said in reasons] == ["its", "no", "no"]
    assert reasons[0].startswith("its deadline, 2026-11-03 06:00, is over")
    assert reasons[1].startswith("no postal address for Worcester, there or above")
    assert reasons[2] == "no sender's address for Worcester, there or above"
    work(deps)
    assert (entered(deps), rows(deps, "SELECT 1 FROM sequence_version WHERE sequence_id IS NULL")) == ([], [])


def test_an_address_that_a_chapter_above_says_is_enough(deps: Deps):
    people(deps, 2)
    letter(deps, "rent")
    draft(deps, letter="rent")
    change(deps, "UPDATE chapter SET postal_address = '' WHERE parent_id IS NOT NULL")
    assert look(deps).refusals == []


def test_only_chapters_whose_people_it_reaches_must_have_a_sender(deps: Deps):
    people(deps, 2)
    letter(deps, "rent")
    draft(deps, letter="rent")
    for slug, count in (("springfield", 0), ("worcester", 1)):
        change(deps, "UPDATE chapter SET parent_id = NULL, kind = 'root' WHERE slug = :slug", slug=slug)
        change(deps, "UPDATE chapter SET sender_email = '' WHERE slug = :slug", slug=slug)
        assert len([said for said in look(deps).refusals if "sender's address" in said]) == count


def test_a_sender_that_the_provider_refuses_must_be_verified_first(deps: Deps):
    people(deps, 2)
    letter(deps, "rent")
    draft(deps, letter="rent")
    change(
        deps,
        "INSERT INTO notice (kind, subject, detail) VALUES ('sender refused', 'hello@commonground.example.org', '')",
    )
    (refusal,) = look(deps).refusals
    assert refusal.startswith("the mail provider refuses hello@commonground.example.org as a sender")
    change(deps, "UPDATE notice SET resolved_at = now()")
    assert look(deps).refusals == []


def test_a_domain_that_receivers_do_not_know_yet_is_told_of_in_production(deps: Deps):
    people(deps, 481)
    letter(deps, "rent")
    draft(deps, letter="rent")
    assert look(deps).warnings == []
    careful = replace(deps, settings=deps.settings.model_copy(update={"env": "production"}))
    (warning,) = look(careful).warnings
    says = "receivers do not know commonground.example.org yet: 480 letters leave in a day, each day 1.4 times as many"
    assert warning == says
    change(deps, "INSERT INTO sending_domain (domain) VALUES ('commonground.example.org')")
    assert look(careful).warnings == []


def test_a_letter_that_asks_for_no_fund_is_refused(deps: Deps):
    people(deps, 1)
    letter(deps, "ask", kind="asks")
    draft(deps, letter="ask")
    assert look(deps).refusals == ["ask asks for no fund: give it a form or a fund, and save it again"]


def test_an_audience_that_is_empty_or_names_what_there_is_not_is_refused(deps: Deps):
    letter(deps, "rent")
    draft(deps, letter="rent")
    assert look(deps).refusals == [preflight.EMPTY]
    change(deps, """INSERT INTO segment (slug, name, rule, changed_at)
        VALUES ('givers', 'Givers', '{"op": "gave", "fund": "nobodys"}', now())""")  # fmt: skip
    draft(deps, "of-segment", letter="rent", segment="givers")
    assert look(deps, "of-segment").refusals == ["there is no fund nobodys"]
    change(deps, "UPDATE segment SET archived_at = now()")
    assert look(deps, "of-segment").refusals == ["the segment givers is archived"]


def test_of_a_segment_that_is_changed_a_draft_asks_the_newest_rule_and_a_launched_one_keeps_it(deps: Deps):
    hers = people(deps, 3)
    people(deps, 4, chapter="springfield")
    letter(deps, "rent")
    insert = """INSERT INTO segment (slug, name, rule, changed_at, chapter_id)
        SELECT 'here', 'Here', CAST(:rule AS jsonb), now(), id FROM chapter WHERE slug = 'worcester'"""
    change(deps, insert, rule='{"op": "language", "language": "en"}')
    draft(deps, letter="rent", segment="here")
    assert look(deps).people == 3, "its own chapter's alone"
    change(deps, """UPDATE segment SET rule = '{"op": "never_gave"}'""")
    launch(deps)
    change(deps, """UPDATE segment SET rule = '{"op": "lapsed", "after": "1 year"}', chapter_id = NULL""")
    work(deps)
    assert entered(deps) == hers
    with deps.work() as (session, _):
        assert campaigns.one(session, "vote").draft.segment == "here"


def test_a_letter_that_names_what_only_an_event_knows_is_refused(deps: Deps):
    people(deps, 1)
    letter(deps, "rent")
    change(deps, "UPDATE letter SET kind = 'news' WHERE slug = 'thank_you'")
    draft(deps, letter="thank_you")
    found = look(deps).refusals
    assert "say `amount` under facts: thank_you names it" in found
    with pytest.raises(Invalid, match="needs nobody's leave"):
        draft(deps, "notice", letter="operator_notice")


def test_of_a_fact_that_nobody_says_it_is_told_once_which_letters_name_it(deps: Deps):
    people(deps, 1)
    body = Body("About {{ bill }}", "Dear {{ frist_name }},\n\n{{ bill }} is near.\n")
    with deps.work() as (session, _):
        for slug in ("call", "last"):
            writing.save(
                session, Draft(slug=slug, kind="news", bodies={"en": Body("A vote", NEWS), "es": Body("El voto", NEWS)})
            )
    change(deps, "UPDATE mailing SET subject = :subject, body_text = body_text || :text WHERE slug ~ '^(call|last)'",
           subject=body.subject, text=body.markdown)  # fmt: skip
    steps = [{"key": "one", "email": "call"}, {"key": "pause", "wait": "1 day"}, {"key": "two", "email": "last"}]
    sequence(deps, "two", steps)
    draft(deps, sequence="two")
    assert look(deps).refusals == [
        "say `bill` under facts: call, last name it",
        "say `frist_name` under facts: call, last name it, or is `first_name` meant?",
    ]


def test_a_segment_whose_rule_says_its_chapter_too_says_it_once_and_bounds_the_campaign(deps: Deps):
    people(deps, 1)
    letter(deps, "rent")
    change(
        deps,
        """INSERT INTO segment (slug, name, rule, changed_at, chapter_id)
        SELECT 'here', 'Here', '{"op": "chapter", "chapter": "worcester"}', now(), id FROM chapter
        WHERE slug = 'worcester'""",
    )
    made = draft(deps, letter="rent", segment="here")
    with deps.work() as (session, _):
        assert rules.said(contents.rule(session, made)) == WORCESTER
        assert contents.chapters(session, made, contents.of(session, made).definition) == ["worcester"]


def test_a_letter_without_a_link_to_unsubscribe_is_refused(deps: Deps):
    people(deps, 1)
    mailing = letter(deps, "rent")
    change(deps, "UPDATE mailing SET body_text = 'The vote is on Tuesday.' WHERE id = :id", id=mailing)
    draft(deps, letter="rent")
    assert look(deps).refusals == ["rent has no link to unsubscribe"]


def test_a_letter_or_a_sequence_that_stands_still_is_refused(deps: Deps):
    people(deps, 1)
    mailing = letter(deps, "rent")
    change(deps, "UPDATE mailing SET paused_at = now(), paused_because = '30 came back' WHERE id = :id", id=mailing)
    draft(deps, letter="rent")
    assert look(deps).refusals == ["rent is paused: 30 came back"]
    letter(deps, "other")
    sequence(deps, "calls", [{"key": "one", "email": "other"}])
    draft(deps, "calling", sequence="calls")
    assert look(deps, "calling").refusals == []
    change(deps, "UPDATE sequence SET paused_at = now(), archived_at = now()")
    assert look(deps, "calling").refusals == ["the sequence calls is archived", "the sequence calls is paused"]
    change(deps, "UPDATE sequence SET paused_at = NULL, archived_at = NULL, trigger = 'joined'")
    assert "nobody launches it" in look(deps, "calling").refusals[0]
    change(deps, "UPDATE sequence SET version = 0")
    assert look(deps, "calling").refusals == ["the sequence calls is not published"]


def test_what_counts_from_a_deadline_or_a_gathering_needs_one_that_is_ahead(deps: Deps):
    people(deps, 1)
    letter(deps, "rent")
    steps = [{"key": "pause", "wait": "2 days before gathering"}, {"key": "one", "email": "rent"}]
    sequence(deps, "supper", steps)
    sequence(deps, "vote", [{"key": "one", "email": "rent"}], expires="deadline")
    sequence(deps, "past", [{"key": "one", "email": "rent"}], expires="2026-11-01")
    for name in ("supper", "vote", "past"):
        draft(deps, name, sequence=name)
    assert look(deps, "supper").refusals == ["it counts from a gathering, and names none"]
    assert look(deps, "vote").refusals == ["it counts from a deadline, and has none"]
    assert look(deps, "past").refusals == ["it expires on 2026-11-01, before it would begin"]
    change(deps, """INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
        SELECT 'over', 'Supper', min(id), CAST(:at AS timestamptz) - interval '1 hour', :at, 10 FROM chapter""",
        at=deps.clock.now)  # fmt: skip
    draft(deps, "late", sequence="supper", gathering="over")
    assert look(deps, "late").refusals == ["the gathering Supper is over when it would begin"]


def test_a_deadline_that_is_a_day_is_its_beginning_where_the_chapter_is(deps: Deps):
    letter(deps, "rent")
    change(deps, "UPDATE chapter SET time_zone = 'America/Denver' WHERE slug = 'worcester'")
    found = draft(deps, letter="rent", chapter="worcester", deadline="2027-02-02")
    assert found.deadline == datetime(2027, 2, 2, 7, tzinfo=UTC)


def test_a_language_that_one_letter_lacks_is_refused_and_one_that_all_lack_is_told(deps: Deps):
    hers = people(deps, 30)
    in_spanish(deps, "rent")
    letter(deps, "second")
    sequence(
        deps,
        "two",
        [{"key": "one", "email": "rent"}, {"key": "pause", "wait": "1 day"}, {"key": "two", "email": "second"}],
    )
    draft(deps, sequence="two")
    assert look(deps).warnings == look(deps).refusals == []
    reading(deps, hers[:2], "es")
    says = "second is not written in es, which its other letters are and {} people read"
    assert (look(deps).refusals, look(deps).warnings) == ([], [says.format(2)])
    reading(deps, hers[:12], "es")
    assert (look(deps).refusals, look(deps).warnings) == ([says.format(12)], [])
    reading(deps, hers[12:], "pt")
    assert look(deps).warnings == ["18 people read pt, and none of its letters has it: they get English"]


CLAIMS = [
    ("The vote", "Every gift is matched\n", "line 1: it claims a match (“matched”)"),
    ("The vote", "Dear friend,\n\ntriple your gift now\n", "line 3: it claims a match (“triple”)"),
    ("FINAL NOTICE", "Hello\n", "subject: it claims a final notice (“FINAL NOTICE”)"),
    ("The vote", "You haven't given yet\n", "line 1: it claims that somebody has not given (“You haven't given”)"),
    ("The vote", "Your account was suspended\n", "line 1: it claims a membership that expires (“account was suspend”)"),
    ("RE: your question", "Hello\n", "subject: it pretends to be an answer (“RE: your question”)"),
    ("fwd: your question", "Hello\n", "subject: it pretends to be an answer (“fwd: your question”)"),
]


def test_claims_that_need_proof_are_told_with_where_they_stand(deps: Deps):
    people(deps, 1)
    for number, (subject, markdown, says) in enumerate(CLAIMS):
        slug = f"rent{number}"
        with deps.work() as (session, _):
            writing.save(session, Draft(slug=slug, kind="news", bodies={"en": Body(subject, markdown)}))
        draft(deps, slug, letter=slug)
        (warning,) = look(deps, slug).warnings
        assert warning.startswith(f"{slug}, {says}")
        assert look(deps, slug).refusals == []


def test_what_a_draft_names_that_there_is_not_is_refused_when_it_is_written(deps: Deps):
    letter(deps, "rent")
    for told, says in (
        ({"letter": "nobodys"}, "there is no letter nobodys"),
        ({"sequence": "nobodys"}, "there is no sequence nobodys"),
        ({"letter": "rent", "chapter": "nowhere"}, "there is no chapter nowhere"),
        ({"letter": "rent", "segment": "nobody"}, "there is no segment nobody"),
        ({"letter": "rent", "gathering": "never"}, "there is no gathering never"),
        ({"letter": "rent", "rule": {"op": "chapter", "chapter": "nowhere"}}, "there is no chapter nowhere"),
    ):
        with pytest.raises(Invalid, match=says):
            draft(deps, **told)


@pytest.mark.parametrize(
    "told",
    [
        {"sequence": "a", "letter": "b", "rule": WORCESTER},
        {"rule": WORCESTER},
        {"letter": "rent"},
        {"letter": "rent", "rule": WORCESTER, "segment": "s"},
        {"sequence": "a", "rule": WORCESTER, "repeat": "weekly"},
        {"letter": "rent", "rule": WORCESTER, "repeat": "hourly"},
        {"letter": "rent", "rule": WORCESTER, "repeat": "weekly", "urgent": "now"},
        {"letter": "rent", "rule": WORCESTER, "starts_at": "2027-01-01T09:00"},
        {"letter": "rent", "rule": WORCESTER, "starts_at": "tomorrow"},
        {"letter": "rent", "rule": WORCESTER, "starts_at": "0001-01-01T00:00:00+14:00"},
        {"letter": "rent", "rule": WORCESTER, "deadline": "2027-02-30"},
        {"letter": "rent", "rule": WORCESTER, "deadline": "9999-12-31"},
        {"letter": "rent", "rule": WORCESTER, "deadline": "9999-12-31T23:59:59-14:00"},
        {"letter": "rent", "rule": WORCESTER, "urgent": "a\nb"},
        {"letter": "rent", "rule": WORCESTER, "slug": "No Slug"},
        {"letter": "rent", "rule": WORCESTER, "state": "running"},
        {"letter": "rent", "rule": {"op": "sql", "where": "true"}},
    ],
)
def test_a_draft_that_contradicts_itself_or_says_what_it_cannot_is_none(told):
    with pytest.raises(ValueError, match="validation error"):
        campaigns.read({"slug": "vote", "name": "Vote", **told})


def test_a_draft_reads_as_it_was_written(deps: Deps):
    letter(deps, "rent")
    told = {"slug": "vote", "name": "A vote", "letter": "rent", "rule": {"op": "gave", "at_least": 27.5, "within": "30 days"},
            "starts_at": "2027-01-20T14:00:00Z", "repeat": "weekly", "chapter": "worcester"}  # fmt: skip
    assert campaigns.said(campaigns.read(told)) == told
    found = draft(deps, **{name: said for name, said in told.items() if name != "slug"})
    assert campaigns.said(found.draft) == told
    assert campaigns.read(campaigns.said(found.draft)) == found.draft
