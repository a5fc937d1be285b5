"""What became of letters: attributed to ours alone, kept once, forward only, and only by persons where persons count."""

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from engine import events
from engine.mail import feedback, holds
from engine.settings import Settings
from tests.letters import AT, Sent, hand_over, word
from tests.make import NOON

A, B = "https://example.org/a", "https://example.org/b"


def tell(session: Session, *words: events.LetterReported) -> list[events.Event]:
    return feedback.letters_told(session, words, NOON, Settings())


def query(session: Session, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in session.execute(text(statement), values)]


def state(session: Session, letter: Sent) -> str:
    (found,) = query(session, "SELECT state FROM message WHERE id = :id", id=letter.message_id)
    return str(found[0])


def kept(session: Session) -> list[tuple[Any, ...]]:
    return query(session, "SELECT message_id, handover_id, kind FROM mail_event ORDER BY at, id")


def suppressed(session: Session) -> list[tuple[Any, ...]]:
    return query(session, "SELECT email, reason, at FROM suppression ORDER BY email, reason")


@pytest.mark.parametrize(
    ("kind", "becomes", "said"),
    [
        ("processed", "handed", events.FactRecorded),
        ("deferred", "handed", events.LetterDeferred),
        ("delivered", "delivered", events.LetterDelivered),
        ("bounce", "bounced", events.LetterBounced),
        ("blocked", "bounced", events.LetterBounced),
        ("dropped", "dropped", events.LetterDropped),
        ("spamreport", "complained", events.Complained),
        ("unsubscribe", "handed", events.Unsubscribed),
        ("open", "handed", events.LetterOpened),
        ("click", "handed", events.LetterClicked),
    ],
)
def test_each_kind_of_word_has_its_state_and_its_event_and_said_again_has_neither(
    session: Session, kind: str, becomes: str, said: type[events.Event]
):
    (letter,) = hand_over(session)
    first = tell(session, word(kind, letter, cause=None))
    assert [type(fact) for fact in first] == [said]
    assert state(session, letter) == becomes
    assert tell(session, word(kind, letter)) == []
    assert kept(session) == [(letter.message_id, letter.handover_id, kind)]


def test_only_a_hard_bounce_suppresses_the_address(session: Session):
    hard, soft = hand_over(session, 2)
    facts = tell(session, word("bounce", hard, 3), word("blocked", soft, 3))
    assert [fact.suppressed for fact in facts] == [True, False]
    assert suppressed(session) == [(hard.email, "bounce", AT + timedelta(seconds=3))]


def test_a_person_who_unsubscribes_is_suppressed_and_has_withdrawn_consent(session: Session):
    (letter,) = hand_over(session)
    assert tell(session, word("unsubscribe", letter, 60)) == [events.Unsubscribed(None, letter.contact_id)]
    at = AT + timedelta(seconds=60)
    assert suppressed(session) == [(letter.email, "unsubscribe", at)]
    assert query(session, "SELECT contact_id, channel, given, at, source FROM consent") == [
        (letter.contact_id, "mail", False, at, "sendgrid")
    ]


def test_a_letter_dropped_for_an_address_that_unsubscribed_withdraws_consent_too(session: Session):
    (letter,) = hand_over(session)
    facts = tell(session, word("dropped", letter, suppresses="unsubscribe"))
    assert facts == [events.LetterDropped(None, letter.message_id), events.Unsubscribed(None, letter.contact_id)]
    assert len(query(session, "SELECT id FROM consent WHERE NOT given")) == 1


def test_the_newest_word_of_a_suppression_counts(session: Session):
    first, second = hand_over(session, 2, email="rosa.twice@example.org")
    tell(session, word("spamreport", first, 50))
    tell(session, word("spamreport", second, 20), word("spamreport", second, 30))
    tell(session, word("spamreport", first, 90))
    assert suppressed(session) == [("rosa.twice@example.org", "complaint", AT + timedelta(seconds=90))]


@pytest.mark.parametrize("stays", ["ready", "failed", "cancelled", "skipped", "expired"])
def test_a_letter_that_is_not_on_its_way_keeps_its_state_whatever_is_told(session: Session, stays: str):
    (letter,) = hand_over(session, message=stays)
    tell(session, word("delivered", letter), word("bounce", letter, 1))
    assert state(session, letter) == stays
    assert len(kept(session)) == 2
    assert len(suppressed(session)) == 1


def test_a_letter_moves_forward_only_and_remembers_its_first_delivery(session: Session):
    (letter,) = hand_over(session)
    tell(session, word("bounce", letter, 9))
    tell(session, word("delivered", letter, 7))
    tell(session, word("delivered", letter, 5))
    assert state(session, letter) == "bounced"
    tell(session, word("spamreport", letter, 3), word("dropped", letter, 4))
    tell(session, word("bounce", letter, 11))
    assert state(session, letter) == "complained"
    assert query(session, "SELECT delivered_at FROM message WHERE id = :id", id=letter.message_id) == [
        (AT + timedelta(seconds=5),)
    ]


# Whose word is it?


@pytest.mark.parametrize(
    "changed",
    [
        {"message_id": 999_999_999},
        {"handover_id": 999_999_999},
        {"message_id": 2**63 - 1},
        {"email": "somebody.else@example.org"},
        {"message_id": None, "handover_id": None, "provider_id": "foreign"},
        {"message_id": None, "handover_id": None, "email": "somebody.else@example.org"},
        {"message_id": None, "handover_id": None, "email": None},
        {"message_id": None, "handover_id": 999_999_999},
    ],
)
@pytest.mark.parametrize("kind", ["bounce", "unsubscribe", "delivered"])
def test_a_word_about_a_letter_that_is_not_ours_changes_nothing(session: Session, kind: str, changed: dict[str, Any]):
    (letter,) = hand_over(session)
    assert tell(session, word(kind, letter, **changed | {"cause": 7})) == [events.LetterUnknown(7)]
    assert state(session, letter) == "handed"
    assert kept(session) == suppressed(session) == query(session, "SELECT id FROM consent") == []


def test_one_persons_letter_cannot_be_named_to_harm_another(session: Session):
    mine, yours = hand_over(session, 2)
    assert tell(session, word("unsubscribe", mine, email=yours.email)) == [events.LetterUnknown(None)]
    assert suppressed(session) == []


def test_without_our_ids_the_providers_id_and_the_address_name_the_letter(session: Session):
    older, newer = hand_over(session, 2, email="rosa.both@example.org")
    lost = {"message_id": None, "handover_id": None}
    tell(session, word("delivered", older, **lost), word("open", newer, 1, **lost))
    assert kept(session) == [
        (older.message_id, older.handover_id, "delivered"),
        (newer.message_id, newer.handover_id, "open"),
    ]


def test_without_any_id_a_bounce_is_about_the_letter_handed_over_last_before_it(session: Session):
    times = [AT - timedelta(hours=2), AT - timedelta(hours=1), AT + timedelta(hours=1)]
    first, second, later = (hand_over(session, email="rosa.async@example.org", at=at)[0] for at in times)
    lost = {"message_id": None, "handover_id": None, "provider_id": ""}
    for _ in range(2):  # told twice, it finds the same one
        tell(session, word("bounce", second, **lost))
    assert [state(session, letter) for letter in (first, second, later)] == ["handed", "bounced", "handed"]
    assert len(kept(session)) == len(suppressed(session)) == 1


@pytest.mark.parametrize("kind", ["processed", "delivered", "deferred", "open", "click"])
def test_without_any_id_nothing_is_believed_but_what_is_about_the_address(session: Session, kind: str):
    (letter,) = hand_over(session)
    lost = {"message_id": None, "handover_id": None, "provider_id": ""}
    assert tell(session, word(kind, letter, **lost)) == [events.LetterUnknown(None)]


def test_a_letter_whose_reader_was_erased_is_counted_without_anything_of_hers(session: Session):
    (letter,) = hand_over(session)
    session.execute(text("UPDATE contact SET email = NULL WHERE id = :id"), {"id": letter.contact_id})
    tell(session, word("open", letter), word("click", letter, url=A), word("spamreport", letter))
    assert query(session, "SELECT kind, url FROM mail_event ORDER BY kind") == [
        ("click", ""),
        ("open", ""),
        ("spamreport", ""),
    ]
    assert suppressed(session) == []
    assert tell(session, word("click", letter, url=A)) == []


# What a word proves.


@pytest.mark.parametrize("open_state", ["submitting", "uncertain"])
def test_any_word_proves_that_its_handover_was_taken(session: Session, open_state: str):
    (letter,) = hand_over(session, handover=open_state)
    tell(session, word("processed", letter, provider_id="proof"))
    assert query(session, "SELECT state, provider_id FROM handover WHERE id = :id", id=letter.handover_id) == [
        ("accepted", "proof")
    ]


@pytest.mark.parametrize("settled", ["refused", "resent", "presumed", "abandoned"])
def test_a_handover_that_is_settled_stays_so(session: Session, settled: str):
    (letter,) = hand_over(session, handover=settled)
    tell(session, word("processed", letter))
    assert query(session, "SELECT state FROM handover WHERE id = :id", id=letter.handover_id) == [(settled,)]


@pytest.mark.parametrize("waits_as", ["ready", "failed"])
@pytest.mark.parametrize(("kind", "becomes"), [
    ("processed", "handed"), ("open", "handed"), ("delivered", "delivered"), ("bounce", "bounced"),
])  # fmt: skip
def test_a_word_about_an_earlier_handover_that_was_in_doubt_moves_the_letter_forward(
    session: Session, waits_as: str, kind: str, becomes: str
):
    letter = in_doubt(session, waits_as)
    events_of = tell(session, word(kind, letter))
    found = query(session, "SELECT state, handover_id, reason FROM message WHERE id = :id", id=letter.message_id)
    assert found == [(becomes, letter.handover_id, "")]
    settled = [one for one in events_of if isinstance(one, events.MatterSettled)]
    assert [one.subject for one in settled] == [f"message {letter.message_id}"] * (waits_as == "failed")


def test_a_word_about_another_handover_moves_no_letter_that_waits(session: Session):
    letter = in_doubt(session, "ready")
    (other,) = hand_over(session)
    tell(session, word("delivered", letter, handover_id=other.handover_id))
    assert state(session, letter) == "ready"
    tell(session, word("delivered", letter, handover_id=None))
    assert state(session, letter) == "ready"
    cancelled = in_doubt(session, "cancelled")
    tell(session, word("delivered", cancelled))
    assert state(session, cancelled) == "cancelled"


def in_doubt(session: Session, state_now: str) -> Sent:
    """A letter whose handover seemed not to have arrived."""
    (letter,) = hand_over(session, handover="resent", message=state_now)
    keeps = letter.handover_id if state_now == "failed" else None
    query(session, "UPDATE message SET doubts = 1, handover_id = :keeps, reason = 'in doubt' WHERE id = :id RETURNING id",
          id=letter.message_id, keeps=keeps)  # fmt: skip
    return letter


def test_a_bounce_without_ids_proves_nothing_of_a_handover(session: Session):
    (letter,) = hand_over(session, handover="uncertain")
    tell(session, word("bounce", letter, message_id=None, handover_id=None, provider_id=""))
    assert query(session, "SELECT state FROM handover WHERE id = :id", id=letter.handover_id) == [("uncertain",)]


# Who clicked?


def clicks(session: Session) -> list[tuple[Any, ...]]:
    return query(session, "SELECT url, machine FROM mail_event WHERE kind = 'click' ORDER BY at, url")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_click_within_five_seconds_of_the_delivery_is_a_machines_in_whichever_order(session: Session, order):
    early, late = hand_over(session, 2)
    words = [
        [word("delivered", early, 10), word("delivered", late, 10)],
        [word("click", early, 15, url=A), word("click", late, 16, url=B)],
    ]
    told = [fact for place in order for fact in tell(session, *words[place]) if isinstance(fact, events.LetterClicked)]
    assert clicks(session) == [(A, True), (B, False)]
    assert [fact.machine for fact in told] == ([True, False] if order == (0, 1) else [False, False])


def test_two_links_within_three_seconds_are_a_machines_and_one_link_twice_is_not(session: Session):
    scanner, reader, slow, other = hand_over(session, 4)
    tell(session, word("click", scanner, 63, url=B), word("click", reader, 60, url=A), word("click", slow, 60, url=A))
    tell(session, word("click", scanner, 60, url=A), word("click", reader, 61, url=A), word("click", slow, 64, url=B))
    tell(session, word("click", other, 60, url=B))
    found = query(session, "SELECT message_id, machine FROM mail_event ORDER BY message_id, at")
    expected = [*[(scanner, True)] * 2, *[(reader, False)] * 2, *[(slow, False)] * 2, (other, False)]
    assert found == [(letter.message_id, machine) for letter, machine in expected]


def test_a_link_by_which_she_looks_after_her_letters_is_no_click_and_shows_a_machine_all_the_same(session: Session):
    reader, scanner = hand_over(session, 2)
    told = tell(
        session, word("click", reader, 60, url=f"{Settings().base_url}/me/token"), word("click", scanner, 60, url=A)
    )
    tell(session, word("click", scanner, 61, url=f"{Settings().base_url}/u/token"))
    assert events.LetterTended(None, reader.message_id, machine=False) in told
    found = query(session, "SELECT message_id, kind, machine FROM mail_event ORDER BY message_id, at")
    expected = [(reader, "tended", False), (scanner, "click", True), (scanner, "tended", True)]
    assert found == [(letter.message_id, kind, machine) for letter, kind, machine in expected]


def test_an_open_is_a_machines_when_it_is_told_so(session: Session):
    (letter,) = hand_over(session)
    facts = tell(session, word("open", letter, 5, machine=True), word("open", letter, 6))
    assert [fact.machine for fact in facts] == [True, False]


# Any order, any number.


def life(letter: Sent) -> list[events.LetterReported]:
    """Everything that can be told of one letter."""
    return [
        word("processed", letter, 0), word("deferred", letter, 2), word("delivered", letter, 5),
        word("open", letter, 6, machine=True), word("open", letter, 500), word("click", letter, 9, url=A),
        word("click", letter, 60, url=A), word("click", letter, 62, url=B), word("click", letter, 600, url=B),
        word("bounce", letter, 900), word("spamreport", letter, 950), word("unsubscribe", letter, 960),
    ]  # fmt: skip


def test_every_order_in_which_a_letters_life_is_told_ends_in_the_same_rows(session: Session):
    chosen = random.Random(8)
    letters = hand_over(session, 300)
    orders = [chosen.sample(life(letter), k=12) for letter in letters]
    for wave in zip(*orders, strict=True):
        tell(session, *wave, *chosen.sample(wave, k=30))
    ends = query(
        session,
        "SELECT m.id, m.state, m.delivered_at, (SELECT json_agg((e.kind, e.at, e.url, e.machine) ORDER BY e.kind, e.at)"
        " FROM mail_event e WHERE e.message_id = m.id)::text, (SELECT json_agg((s.reason, s.at) ORDER BY s.reason)"
        " FROM suppression s WHERE s.email = c.email)::text, (SELECT json_agg((o.given, o.at) ORDER BY o.at)"
        " FROM consent o WHERE o.contact_id = c.id)::text FROM message m JOIN contact c ON c.id = m.contact_id"
        " WHERE m.id = ANY(:ids)",
        ids=[letter.message_id for letter in letters],
    )
    assert len(ends) == 300
    assert len({end[1:] for end in ends}) == 1
    assert ends[0][1:3] == ("complained", AT + timedelta(seconds=5))


def test_the_number_of_statements_does_not_grow_with_the_words(session: Session):
    def statements(many: int) -> int:
        told = [each for letter in hand_over(session, many) for each in life(letter)]
        seen: list[str] = []

        def note(_: Any, __: Any, statement: str, *___: Any) -> None:
            seen.append(statement)

        connection = session.connection()
        event.listen(connection, "before_cursor_execute", note)
        tell(session, *told)
        event.remove(connection, "before_cursor_execute", note)
        return len(seen)

    assert statements(1) == statements(10) == statements(100) == 8


# The account itself.


def account(status: str, seconds: int = 0) -> events.AccountReported:
    return events.AccountReported(3, status, AT + timedelta(seconds=seconds))


def test_a_suspended_account_stops_campaigns_once_until_a_person_lifts_it(session: Session):
    def told(*words: events.AccountReported) -> list[str]:
        return [type(fact).__name__ for fact in holds.account_told(session, words, NOON, Settings())]

    assert told(account("suspended"), account("suspended", 5)) == ["MailStopped", "HumanNeeded"]
    assert told(account("suspended", 9)) == []
    assert holds.lift(session, AT + timedelta(seconds=60)) == 1
    assert holds.lift(session, AT + timedelta(seconds=61)) == 0
    assert told(account("suspended", 9)) == []  # old news
    assert told(account("suspended", 90)) == ["MailStopped", "HumanNeeded"]


def test_any_other_change_of_the_account_is_told_to_a_person_and_stops_nothing(session: Session):
    facts = holds.account_told(session, [account("reviewed")], NOON, Settings())
    assert [type(fact) for fact in facts] == [events.FactRecorded, events.HumanNeeded]
    assert query(session, "SELECT id FROM mail_hold") == []
