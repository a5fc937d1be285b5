"""What a campaign or sequence came to: people, letters, gifts and what is left of them, by step, variant and chapter."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.reports import results
from engine.reports.results import Numbers
from tests.gifts import MEI, ROSA, give, take_back, who
from tests.make import NOON

DAY = timedelta(days=1)
DEFINITION = {
    "slug": "rent", "name": "Before the rent vote", "steps": [
        {"key": "first", "ask": "true", "variants": [{"key": "warm", "letter": "a"}, {"key": "plain", "letter": "b"}]},
        {"key": "pause", "wait": "2 days"},
        {"key": "last", "ask": "c", "holdout": 10},
    ],
}  # fmt: skip
DEFINITION["steps"][0]["ask"] = True  # type: ignore[index]


def mailing(session: Session, slug: str) -> int:
    return int(session.scalars(text("SELECT id FROM mailing WHERE slug = :slug"), {"slug": slug}).one())


def chapter(session: Session, slug: str) -> int:
    return int(session.scalars(text("SELECT id FROM chapter WHERE slug = :slug"), {"slug": slug}).one())


def version(session: Session, sequence_id: int | None = None, number: int = 1) -> int:
    """A published version whose letters are three of the shipped ones."""
    mailings = {
        "first": {"warm": {"en": mailing(session, "thank_you")}, "plain": {"en": mailing(session, "confirm")}},
        "last": {"": {"en": mailing(session, "receipt"), "es": mailing(session, "receipt.es")}},
    }
    return int(session.scalars(
        text("""INSERT INTO sequence_version (sequence_id, version, definition, mailings, published_at)
            VALUES (:sequence, :number, CAST(:said AS jsonb), CAST(:mailings AS jsonb), :now) RETURNING id"""),
        {"sequence": sequence_id, "number": number, "said": json.dumps(DEFINITION), "mailings": json.dumps(mailings),
         "now": NOON},
    ).one())  # fmt: skip


def campaign(session: Session, version_id: int, **counts: int) -> int:
    said = {"enrolled": 0, "finished": 0, "left_early": 0} | counts
    return int(session.scalars(
        text("""INSERT INTO campaign (slug, name, version_id, rule, kind, state, enrolled, finished, left_early, changed_at)
            VALUES ('rent-vote', 'Rent vote', :version, '{}', 'asks', 'running', :enrolled, :finished, :left_early, now())
            RETURNING id"""),
        said | {"version": version_id},
    ).one())  # fmt: skip


def tally(
    session: Session, of: tuple[int, int], step: str, variant: str, slug: str, chapter_id: int, **counts: int
) -> None:
    names, values = ", ".join(counts), ", ".join(f":{name}" for name in counts)
    session.execute(
        text(f"""INSERT INTO step_tally (version_id, campaign_id, mailing_id, chapter_id, step, variant, {names})
            VALUES (:version, :campaign, :mailing, :chapter, :step, :variant, {values})"""),
        counts | {"version": of[0], "campaign": of[1], "mailing": mailing(session, slug), "chapter": chapter_id,
                  "step": step, "variant": variant},
    )  # fmt: skip


def code(session: Session, of: tuple[int, int], said: str, slug: str, chapter_slug: str = "worcester") -> None:
    session.execute(
        text("""INSERT INTO refcode (code, mailing_id, chapter_id, version_id, campaign_id)
            VALUES (:code, :mailing, (SELECT id FROM chapter WHERE slug = :chapter), :version, :campaign)"""),
        {"code": said, "mailing": mailing(session, slug), "chapter": chapter_slug, "version": of[0], "campaign": of[1]},
    )  # fmt: skip


def place(session: Session, of: tuple[int, int], contact_id: int, **terms: Any) -> None:
    said = {"state": "active", "reason": "", "history": [], "rotation": 0, "sequence": 0} | terms
    session.execute(
        text("""INSERT INTO enrollment (contact_id, version_id, campaign_id, sequence_id, rotation, state, reason, step,
                due_at, entered_at, waits_for, history)
            VALUES (:contact, :version, :campaign, :sequence, :rotation, :state, :reason, '', :now, :now, '',
                CAST(:history AS jsonb))"""),
        said | {"contact": contact_id, "version": of[0], "campaign": of[1], "now": NOON,
                "history": json.dumps(said["history"])},
    )  # fmt: skip


def test_letters_are_told_by_step_variant_and_chapter_and_gifts_beside_them(session: Session):
    of = (at := version(session), campaign(session, at, enrolled=9, finished=4, left_early=2))
    worcester, springfield = chapter(session, "worcester"), chapter(session, "springfield")
    tally(session, of, "last", "", "receipt.es", worcester, composed=3, handed=2, skipped=1)
    tally(session, of, "first", "plain", "confirm", springfield, composed=4, handed=4, delivered=3, bounced=1)
    tally(session, of, "first", "warm", "thank_you", worcester, composed=5, handed=5, clicked=2, unsubscribed=1)
    code(session, of, "warmcode2", "thank_you")
    code(session, of, "lastcode2", "receipt", "springfield")
    give(session, 2_700, refcode="warmcode2")
    give(session, 1_000, MEI, refcode="warmcode2", recurring_period="monthly", sequence=4)
    take_back(session, give(session, 5_000, MEI, refcode="lastcode2"), 2_000)
    give(session, 9_900, MEI, refcode="lastcode2", entity_id=999)  # somebody else's committee
    give(session, 9_900, MEI)
    found = results.of_campaign(session, "rent-vote")
    assert (found.name, found.state, found.enrolled, found.finished, found.left_early) == (
        "Rent vote",
        "running",
        9,
        4,
        2,
    )
    assert [(line.step, line.variant, line.language, line.chapter) for line in found.lines] == [
        ("first", "plain", "en", "Springfield"), ("first", "warm", "en", "Worcester"), ("last", "", "en", "Springfield"),
        ("last", "", "es", "Worcester"),
    ]  # fmt: skip
    assert found.by("step") == {
        ("first",): Numbers(composed=9, handed=9, delivered=3, bounced=1, clicked=2, unsubscribed=1, gifts=1, instalments=1,
                            gross_cents=3_700, net_cents=3_700),
        ("last",): Numbers(composed=3, handed=2, skipped=1, gifts=1, gross_cents=5_000, net_cents=3_000),
    }  # fmt: skip
    assert found.by("chapter")["Springfield",].net_cents == 3_000
    assert found.whole.net_cents == 6_700


def test_a_refund_of_a_refund_and_one_payment_told_twice_are_counted_as_the_ledger_has_them(session: Session):
    of = (at := version(session), campaign(session, at))
    code(session, of, "warmcode2", "thank_you")
    gift = give(session, 2_700, refcode="warmcode2")
    key = take_back(session, gift, 2_700)
    assert results.of_campaign(session, "rent-vote").whole.net_cents == 0
    take_back(session, gift, 2_700, "failed", key)
    whole = results.of_campaign(session, "rent-vote").whole
    assert (whole.gifts, whole.gross_cents, whole.net_cents) == (1, 2_700, 2_700)


def test_of_a_sequence_all_versions_count_and_its_people_are_those_who_came_by_themselves(session: Session):
    sequence = int(session.scalars(
        text("""INSERT INTO sequence (slug, name, trigger, version) VALUES ('rent', 'Rent', 'joined', 2) RETURNING id""")
    ).one())  # fmt: skip
    old, new = version(session, sequence), version(session, sequence, 2)
    give(session, 100)
    give(session, 100, MEI)
    rosa, mei = who(session), who(session, MEI)
    place(session, (old, 0), rosa, sequence=sequence, state="finished")
    place(session, (new, 0), mei, sequence=sequence, state="left", reason="gave")
    place(session, (new, 0), rosa, sequence=sequence, rotation=1)
    place(session, (new, 7), mei, sequence=sequence, state="left", reason="its time has passed")  # by a campaign
    for of in ((old, 0), (new, 0), (new, 7)):
        tally(session, of, "first", "warm", "thank_you", 0, composed=2)
    found = results.of_sequence(session, "rent")
    assert (found.enrolled, found.finished, found.left_early, found.left) == (3, 1, 1, [("gave", 1)])
    assert found.by("step", "chapter") == {("first", ""): Numbers(composed=4)}


def test_what_those_gave_who_were_held_out_stands_beside_what_the_others_gave(session: Session):
    of = (at := version(session), campaign(session, at))
    days = int((NOON - 10 * DAY).timestamp())
    give(session, 100, at=NOON - 20 * DAY)
    give(session, 100, MEI, at=NOON - 20 * DAY)
    rosa, mei = who(session), who(session, MEI)
    place(session, of, rosa, history=[["pause", "waited", "", days], ["last", "written", "", days]])
    place(
        session, of, mei, history=[["first", "written", "", days], ["last", "held out", "one of 10 in a hundred", days]]
    )
    place(session, of, rosa, rotation=1, history=[["last", "skipped", "its rule does not hold", days]])
    give(session, 2_700, at=NOON - 9 * DAY)
    take_back(session, give(session, 2_000, at=NOON - 8 * DAY), 500)
    give(session, 700, MEI, at=NOON)  # more than a week later
    (compared,) = results.of_campaign(session, "rent-vote").compared or ()
    assert (compared.step, compared.written.people, compared.written.donors, compared.written.cents) == (
        "last",
        1,
        1,
        4_200,
    )
    assert (compared.held_out.people, compared.held_out.donors, compared.held_out.cents) == (1, 0, 0)
    assert (compared.more, round(compared.margin, 2)) == (1.0, 0.75)


def test_what_there_is_not_is_told(session: Session):
    for ask in (results.of_campaign, results.of_sequence):
        with pytest.raises(NotFound, match="there is no"):
            ask(session, "nothing")
    assert ROSA.email
