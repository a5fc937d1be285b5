"""What letters of sequences and campaigns say beside their other fields: words in several languages, deadlines, facts of a
campaign, amounts of a month; and the form that letters which come along ask by."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import languages
from engine.giving import own_form
from engine.letters.finishing import Body, finish
from engine.letters.language import Faulty
from engine.letters.vocabulary import days_of, fact, vocabulary
from engine.outreach.campaign_facts import MOST, Facts

HERE = ZoneInfo("America/New_York")


def test_a_fact_in_several_languages_is_said_in_the_letters_own_or_in_english():
    said = {"en": "a month", "es": "al mes"}
    assert [fact(said, spoken) for spoken in ("en", "es", "fr")] == ["a month", "al mes", "a month"]
    assert fact({"es": "al mes"}, "en") == ""
    assert fact({"en": " a\nmonth "}, "en") == "a month"
    assert (fact(True, "es"), fact(7, "es"), fact([{"a": "b\n"}], "es")) == (True, 7, [{"a": "b"}])
    assert languages.in_each(str.upper) == {"en": "EN", "es": "ES"}


@pytest.mark.parametrize(
    ("deadline", "spoken", "before", "last"),
    [(datetime(2027, 2, 2, tzinfo=HERE), "en", "February 2", "February 1"),
     (datetime(2027, 2, 2, tzinfo=HERE), "es", "2 de febrero", "1 de febrero"),
     (datetime(2027, 2, 2, 17, tzinfo=HERE), "en", "February 2", "February 2"),
     (datetime(2027, 1, 1, tzinfo=HERE), "en", "January 1", "December 31"), (None, "en", "", "")],
)  # fmt: skip
def test_a_deadline_is_told_as_days(deadline: datetime | None, spoken: str, before: str, last: str):
    assert days_of(deadline, spoken) == {"deadline": before, "last_day": last}


class Said(BaseModel, strict=True):
    facts: Facts


def test_a_campaign_says_facts_in_words_or_by_language():
    told = {"bill": "the Act", "because": {"en": "It helps.", "es": "Ayuda."}, "action_url": "https://act.example.org/"}
    assert Said.model_validate({"facts": told}).facts == told


@pytest.mark.parametrize(
    ("told", "says"),
    [({"first_name": "Rosa"}, "first_name is a field of letters already"),
     ({"deadline": "soon"}, "deadline is a field of letters already"), ({"bill": {"es": "la ley"}}, "in English first"),
     ({"action_url": "http://act.example.org/"}, "begins with https://"), ({"Bill": "x"}, "match"),
     ({"bill": ""}, "at least"), ({"bill": "a\nb"}, "match"), ({"bill": 7}, "valid"),
     ({"action_url": "javascript:alert(1)"}, "begins with https://"),
     ({f"f{number}": "x" for number in range(MOST + 1)}, "at most")],
    ids=repr,
)  # fmt: skip
def test_a_fact_that_cannot_be_one_is_refused(told: dict[str, object], says: str):
    with pytest.raises(ValidationError, match=says):
        Said.model_validate({"facts": told})


def test_a_monthly_ladder_says_amounts_of_a_month_in_html_and_text():
    words = finish(Body("A subject", "Hello\n\n::: ladder monthly\n:::\n"), "letter", "en", vocabulary({})).words
    for part in (words.html, words.text):
        assert part.count("{% for rung in monthly_ladder %}") == part.count("{{ give_monthly_url }}") == 1
        assert "in ladder" not in part
        assert "{{ give_url }}" not in part
    with pytest.raises(Faulty, match="behind ::: ladder stands nothing, or monthly"):
        finish(Body("A subject", "::: ladder weekly\n:::\n"), "letter", "en", vocabulary({}))


def test_letters_that_come_along_and_ask_lead_to_the_first_form_of_the_organisation(session: Session):
    asked = "SELECT DISTINCT donation_form_id, fund_id FROM letter WHERE shipped AND kind = 'asks'"
    first = session.execute(text("SELECT id, fund_id FROM donation_form WHERE slug = 'common-ground'")).one()
    assert [tuple(row) for row in session.execute(text(asked))] == [tuple(first)]
    session.execute(text("UPDATE letter SET donation_form_id = NULL, fund_id = NULL WHERE slug <> 'quarter_ask'"))
    session.execute(text("UPDATE letter SET shipped = false WHERE slug = 'lapsed_ask'"))
    session.execute(text("UPDATE donation_form SET closed_at = :at WHERE slug <> 'pac'"), {"at": datetime.now(UTC)})
    own_form.lend(session)
    found = session.execute(text("""SELECT l.slug, f.slug FROM letter l LEFT JOIN donation_form f ON f.id = l.donation_form_id
        WHERE l.kind = 'asks' AND l.slug IN ('quarter_ask', 'quarter_last', 'lapsed_ask') ORDER BY 1"""))  # fmt: skip
    assert [tuple(row) for row in found] == [
        ("lapsed_ask", None), ("quarter_ask", "common-ground"), ("quarter_last", "pac"),
    ]  # fmt: skip
