"""Rules: SQL and a slow judge of them agree on whatever people there are, and say the same in English."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.giving import totals
from engine.people import consent, leave
from engine.segments import audience, names, rules, sql, words
from engine.segments.names import Names
from engine.segments.rules import Rule
from tests import oracle, random_people
from tests.oracle import World
from tests.random_people import CHAPTERS, SPANS, ZIPS

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)  # a month before it has no such day
MAY_GET_NEWS = consent.mailable("'news'")
LATELY = {"op": "not", "of": {"op": "gave", "within": "30 days"}}
GIVERS = {
    "op": "all",
    "of": [{"op": "chapter", "chapter": "central"}, {"op": "gave", "at_least": 25, "within": "12 months"}, LATELY],
}


def some(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Rules of one operator: each optional field is there or not."""
    must = {name: st.just(told) if isinstance(told, str) else told for name, told in fields.items() if name[0] != "_"}
    may = {name[1:]: told for name, told in fields.items() if name[0] == "_"}
    return st.fixed_dictionaries(must, optional=may)


def vocabulary(codes: list[str], ways: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Rules of one operator about the people that there are."""
    span, slug = st.sampled_from(SPANS), st.sampled_from(CHAPTERS)
    floor, top = st.sampled_from((1, 5, 25, 27)), st.sampled_from((27, 100))
    letters = {"_within": span, "_letter": st.sampled_from(random_people.LETTERS)}
    places = st.lists(st.sampled_from(ZIPS), max_size=2)
    return st.one_of(
        some(op="chapter", chapter=slug, _children=st.booleans(), _relation=st.sampled_from(("home", "followed", "either"))),
        some(op="territory", zips=places, counties=st.just(["MA:Franklin County"]), _chapters=st.just(["worcester"])),
        some(op="territory", states=st.sampled_from((["MA"], ["NY", "CT"])), _zips=places),
        some(op="gave", _at_least=floor, _at_most=top, _within=span, _count=st.integers(1, 3)),
        some(op="gave", _at_least=floor, within=span, _fund=st.sampled_from(("action", "pac")),
             _form=st.just("common-ground"), _refcode=st.just("door"), _count=st.integers(1, 2)),
        some(op="lapsed", after=span),
        some(op="recurring", _state=st.sampled_from(("active", "paused", "failing", "cancelled", "lapsed")),
             _fund=st.sampled_from(("action", "pac"))),
        some(op="recurring", at_least=floor),
        some(op="never_gave"),
        some(op="silent", after=span, _letters=st.sampled_from((0, 1, 2))),
        some(op="employer_known", _within=span),
        some(op="interest", code=st.sampled_from(codes)),
        some(op="volunteer", _way=st.sampled_from(ways), _state=st.sampled_from(("new", "contacted", "placed"))),
        some(op="signed_up", _within=span, _via=st.sampled_from(("join", "signup", "actionnetwork")), _place=st.just("join")),
        some(op="received", **letters), some(op="clicked", **letters),
        some(op="received", mailing=st.just("thank_you.es")),
        some(op="in_sequence", sequence=st.sampled_from(random_people.SEQUENCES), _within=span,
             _state=st.sampled_from(("active", "finished", "left", "any"))),
        some(op="last_engaged", within=span),
        some(op="language", language=st.sampled_from(("en", "es"))),
        some(op="custom", field=st.sampled_from(("tags", "score")), known=st.just(True)),
        some(op="custom", field=st.sampled_from(("tags", "score")), has=st.just("captain")),
        some(op="custom", field=st.sampled_from(("tags", "score")), equals=st.sampled_from(("captain", "7", "7.5", "true"))),
        some(op="custom", field="score", at_least=st.sampled_from((7, 7.5)), _at_most=st.just(8)),
        some(op="random", percent=st.sampled_from((33, 50)), salt=st.sampled_from(("a", "b"))),
    )  # fmt: skip


def trees(leaves: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Rules of several operators."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            some(op=st.sampled_from(("all", "any")), of=st.lists(inner, min_size=1, max_size=3)),
            some(op="not", of=inner),
            st.builds(lambda of: {"op": "all", "of": [of, {"op": "gave", "within": "12 months"}, LATELY]}, inner),
        ),
        max_leaves=5,
    )  # fmt: skip


def chosen(session: Session, rule: Rule, found: Names) -> set[int]:
    """Whom its SQL chooses of all contacts."""
    return whom(session, sql.compiled(rule, found))


def whom(session: Session, compiled: sql.Compiled) -> set[int]:
    """Of which contacts this is true."""
    values = dict(compiled.values) | {"now": NOW}
    return set(session.scalars(text(f"SELECT c.id FROM contact c WHERE {compiled.sql}"), values))


def codes(session: Session, table: str) -> list[str]:
    """The first two of a catalogue."""
    return list(session.scalars(text(f"SELECT code FROM {table} ORDER BY code LIMIT 2")))


def agree(session: Session, world: World, said: dict[str, Any], mailable: set[int]) -> Rule:
    """SQL, judge, count and preview of one rule are of one mind."""
    rule = rules.read(said)
    found = names.find(session, rule)
    judged = {person["id"] for person in world.tables["contact"] if oracle.chooses(rule, person, world)}
    assert chosen(session, rule, found) == judged, words.english(rule, found)
    assert whom(session, audience.where(rule, found, "news", prefix="a_")) == judged & mailable
    preview = audience.preview(session, rule, NOW, kind="news")
    assert preview.people == len(judged & mailable) == audience.count(session, rule, NOW, kind="news")
    assert {person.id for person in preview.shown} <= judged & mailable
    assert len(preview.shown) == min(preview.people, audience.SHOWN)
    assert rules.read(rules.said(rule)) == rule
    return rule


def test_sql_chooses_exactly_whom_a_slow_judge_chooses_and_a_preview_counts_them(session: Session):
    told = trees(vocabulary(codes(session, "interest"), codes(session, "way_to_help")))
    seen: set[type] = set()
    for number in (1, 2):
        with session.begin_nested() as alone:
            random_people.make(session, number, 40, NOW)
            if number % 2:
                assert leave.sum_up(session)[0] >= 40
            world = World.read(session, NOW)
            mailable = set(session.scalars(text(f"SELECT c.id FROM contact c WHERE {MAY_GET_NEWS}"), {"now": NOW}))
            assert 5 < len(mailable) < 35

            @seed(number)
            @settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(told)
            def of_one_mind(said: dict[str, Any]) -> None:
                rule = agree(session, world, said, mailable)  # noqa: B023 it is called here
                seen.update(type(each) for each in rules.every(rule))

            of_one_mind()
            alone.rollback()
    assert seen == set(sql.OPERATORS), "an operator was never asked"


@pytest.mark.parametrize("within", ["6 months", "12 months", "2 years"])
def test_at_least_so_much_in_so_long_a_time_is_exact_for_who_gave_a_little_less_each_time(
    session: Session, within: str
):
    random_people.make(session, 7, 40, NOW)
    longest = session.scalar(text("SELECT max(cardinality(gave_peaks_at)) FROM contact"))
    assert longest == totals.PEAKS, "somebody has more of them than are kept"
    world = World.read(session, NOW)
    mailable = set(session.scalars(text(f"SELECT c.id FROM contact c WHERE {MAY_GET_NEWS}"), {"now": NOW}))
    chose = {
        len(chosen(session, agree(session, world, said, mailable), Names()))
        for said in ({"op": "gave", "within": within, "at_least": dollars} for dollars in range(5, 126, 15))
    }
    assert len(chose) > 2


def test_every_operator_has_its_example_its_sql_its_english_and_its_judge():
    assert set(sql.OPERATORS) == set(words.OPERATORS) == set(oracle.JUDGES) == set(rules.KINDS.values())
    for kind in rules.KINDS.values():
        rule = rules.read(kind.example)
        assert isinstance(rule, kind)
        assert words.english(rule)


def test_a_rule_reads_like_a_sentence(session: Session):
    rule = rules.read(GIVERS)
    found = names.find(session, rule)
    assert words.english(rule, found) == (
        "lives in Central Massachusetts or its towns, gave at least $25 in the last 12 months, not in the last 30 days"
    )
    neither = {
        "op": "not",
        "of": {"op": "any", "of": [{"op": "gave", "at_most": 7.5, "count": 2}, {"op": "language", "language": "es"}]},
    }
    assert words.english(rules.read(neither)) == "gave fewer than 2 times, at most $7.50 each, and does not read es"


def test_the_totals_prove_what_they_can_and_gifts_are_asked_for_the_rest_alone(session: Session):
    def asked(**gave: Any) -> str:
        rule = rules.read({"op": "gave", **gave})
        return sql.compiled(rule, names.find(session, rule)).sql

    for proven in ({}, {"within": "1 year"}, {"at_least": 25}, {"count": 3}):
        assert "contribution" not in asked(**proven)
    for not_proven in ({"within": "1 year", "at_least": 25}, {"count": 2, "at_least": 25}, {"fund": "pac"}, {"at_most": 25},
                       {"count": 2, "within": "1 year"}):  # fmt: skip
        assert "contribution" in asked(**not_proven)
    assert "gave_highest_cents >=" in asked(within="1 year", at_least=25)
    compiled = sql.compiled(rules.read(GIVERS), names.find(session, rules.read(GIVERS)))
    assert "c.gave_last_at <=" in compiled.sql
    assert "2500" not in compiled.sql
    assert 2500 in compiled.values.values()


def test_a_rule_that_is_wrong_deep_or_large_is_refused():
    for wrong in (
        {"op": "gave", "at_least": 25, "currency": "eur"}, {"op": "gave", "at_least": 2.555},
        {"op": "gave", "at_least": "25"},
        {"op": "gave", "at_least": 50, "at_most": 25}, {"op": "took"}, {"op": "all", "of": []}, {"op": "territory"}, [], None,
        {"op": "lapsed", "after": "12 moons"}, {"op": "custom", "field": "a"}, {"op": "random", "percent": 0, "salt": "a"},
        {"op": "chapter", "chapter": "a' OR true --"}, {"op": "recurring", "at_least": 5, "state": "paused"},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            rules.read(wrong)
    deep: Any = {"op": "never_gave"}
    for _ in range(rules.DEEPEST - 1):
        deep = {"op": "not", "of": deep}
    rules.read(deep)
    wide = {"op": "all", "of": [{"op": "any", "of": [{"op": "never_gave"}] * 50}] * 2}
    for too_much in ({"op": "not", "of": deep}, wide):
        with pytest.raises(Invalid):
            rules.read(too_much)
