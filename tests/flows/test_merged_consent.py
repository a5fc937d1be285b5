"""Whatever two histories were: after a merge the strictest of both holds. What the person said suppresses both addresses;
that letters to one of them come back is a fact about that one alone."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.people import merging
from engine.people.consent import CURRENT, STANDING_SUPPRESSIONS
from engine.reactions import react
from engine.settings import Settings
from tests.of_a_person import contact

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
EMAILS = ("a@example.org", "b@example.org")
REASONS = ("bounce", "invalid", "unsubscribe", "erased", "complaint", "manual")
OF_ONE_ADDRESS = {"bounce", "invalid"}

moments = st.integers(-6, 2).map(lambda days: NOW + timedelta(days=days))
words = st.tuples(
    st.sampled_from([("mail", ""), ("mail", "asks"), ("text", ""), ("mail", "pause"), ("mail", "chapter")]),
    st.booleans(), moments, st.sampled_from(["signup", "sendgrid", "preferences"]), st.integers(-3, 3),
)  # fmt: skip
histories = st.lists(words, max_size=6)
stops = st.dictionaries(st.sampled_from(REASONS), moments, max_size=3)

_SAY = text("""
INSERT INTO consent (contact_id, channel, kind, given, until, at, source)
VALUES (:id, :channel, :kind, :given, :until, :at, :source) ON CONFLICT DO NOTHING
""")
_STOP = text("INSERT INTO suppression (email, reason, at) VALUES (:email, :reason, :at)")


def live(session: Session, email: str, history, stopped) -> int:
    made = contact(session, email)
    for (channel, kind), given_, at, source, days in history:
        until = NOW + timedelta(days=days) if kind == "pause" and not given_ else None
        session.execute(_SAY, {"id": made, "channel": channel, "kind": kind, "given": given_, "until": until, "at": at,
                               "source": source})  # fmt: skip
    for reason, at in stopped.items():
        session.execute(_STOP, {"email": email, "reason": reason, "at": at})
    return made


def standing(session: Session, contact_id: int) -> dict[tuple[str, str], tuple[bool, datetime | None]]:
    found = session.execute(
        text(f"SELECT channel, kind, given, until FROM ({CURRENT}) w WHERE contact_id = :id"), {"id": contact_id}
    )
    return {(row.channel, row.kind): (row.given, row.until) for row in found}


def forbidden(session: Session, email: str) -> set[str]:
    return set(
        session.scalars(text(f"SELECT reason FROM ({STANDING_SUPPRESSIONS}) s WHERE email = :email"), {"email": email})
    )


def listed(session: Session, email: str) -> set[str]:
    return set(session.scalars(text("SELECT reason FROM suppression WHERE email = :email"), {"email": email}))


def forbids(word: tuple[bool, datetime | None] | None) -> bool:
    return word is not None and not word[0] and (word[1] is None or word[1] > NOW)


LATER = NOW + timedelta(days=1)


# She unsubscribed and came back: what she took back forbids nothing because another address of hers never said a word.
@example(
    [], [(("mail", ""), False, NOW, "signup", 0), (("mail", ""), True, LATER, "signup", 0)], {}, {"unsubscribe": NOW}
)
# One word told twice, with two ends: only one of the two can become hers, and the longer holds.
@example(
    [(("mail", ""), False, NOW, "signup", 0), (("mail", "pause"), False, NOW, "signup", 1)],
    [(("mail", "pause"), False, NOW, "signup", 0)],
    {},
    {},
)
@given(histories, histories, stops, stops)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_strictest_of_both_holds(session: Session, one, other, one_stops, other_stops):
    with session.begin_nested() as attempt:
        ids = [live(session, EMAILS[0], one, one_stops), live(session, EMAILS[1], other, other_stops)]
        before = [standing(session, each) for each in ids]
        stood = [forbidden(session, email) for email in EMAILS]
        react(session, merging.merge(session, *ids, NOW), NOW, Settings())
        after = standing(session, ids[1])
        for key in before[0].keys() | before[1].keys():
            pair = [each.get(key) for each in before]
            refused = [word for word in pair if forbids(word)]
            if refused:
                assert forbids(after[key]), key
                longest = max(word[1] or datetime.max.replace(tzinfo=UTC) for word in refused)
                assert (after[key][1] or datetime.max.replace(tzinfo=UTC)) >= longest
            elif key != ("mail", "") or not {"unsubscribe", "erased"} & (stood[0] | stood[1]):
                assert not forbids(after[key]), key
        assert standing(session, ids[0]).keys() <= before[0].keys() & before[1].keys()
        hers = (one_stops.keys() | other_stops.keys()) - OF_ONE_ADDRESS
        for email, stops_ in zip(EMAILS, (one_stops, other_stops), strict=True):
            assert listed(session, email) == hers | (stops_.keys() & OF_ONE_ADDRESS), email
        assert forbidden(session, EMAILS[1]) >= stood[1] | (stood[0] - OF_ONE_ADDRESS)
        attempt.rollback()
