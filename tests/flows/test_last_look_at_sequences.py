"""The last look at letters of sequences: goals, rules to leave by, pauses, codes of their own, and what is counted."""

from datetime import timedelta

from engine.bootstrap import Deps
from engine.mail import unsubscribing
from engine.outreach import breakers
from tests import letters
from tests.campaigns import NOW, go, people
from tests.flows.house import change, one, rows
from tests.letters_of_sequences import campaign_says, queue, stands, tally
from tests.sequences import Published, enrol, publish

BEFORE = NOW - timedelta(days=1)
ASK, MAIL = {"key": "ask", "ask": "please"}, {"key": "write", "email": "news"}
SPEAKS = {"op": "language", "language": "es"}
GIVE = """INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at, donor, sequence)
    SELECT 'actblue', 'gift ' || :id || :fund, :id, f.id, 2700, :at, '{}', :sequence FROM fund f WHERE f.slug = :fund"""


def give(deps: Deps, contact_id: int, fund: str = "action", sequence: int = 0) -> None:
    """A gift of which no reaction knows: what the claim finds by itself."""
    change(deps, GIVE, id=contact_id, fund=fund, sequence=sequence, at=NOW - timedelta(hours=1))


def test_a_letter_of_a_sequence_whose_goal_is_reached_does_not_leave(deps: Deps):
    gave, others, goes, speaks, leaves = people(deps, 5)
    asks = publish(deps, MAIL, {"key": "pause", "wait": "1 day"}, ASK, goal="gave", quiet_hours=None)
    ruled = publish(deps, MAIL, goal=SPEAKS, exit_when={"op": "never_gave"}, quiet_hours=None)
    change(deps, "UPDATE contact SET gave_count = 1 WHERE id = ANY(:ids)", ids=[goes, speaks])
    change(deps, "UPDATE contact SET language = 'es' WHERE id = :id", id=speaks)
    give(deps, gave)
    give(deps, others, fund="pac")
    enrol(deps, asks, [gave, others])
    change(deps, "UPDATE enrollment SET entered_at = :before, state = 'finished'", before=BEFORE)
    found = queue(deps, asks, [gave, others]) + queue(deps, ruled, [goes, speaks, leaves])
    go(deps)
    assert [stands(deps, each) for each in found] == [
        ("cancelled", "gave"), ("handed", ""), ("handed", ""), ("cancelled", "goal reached"),
        ("cancelled", "left by its rule"),
    ]  # fmt: skip
    assert tally(deps, asks) == {"handed": 1, "cancelled": 1}
    assert tally(deps, ruled) == {"handed": 1, "cancelled": 2}


def test_a_rule_that_names_what_there_is_no_more_holds_nothing_up(deps: Deps):
    lost = publish(deps, MAIL, goal={"op": "interest", "code": "gone"}, exit_when=SPEAKS, quiet_hours=None)
    ids = people(deps, 2)
    change(deps, "UPDATE contact SET language = 'es' WHERE id = :id", id=ids[1])
    found = queue(deps, lost, ids)
    go(deps)
    assert [stands(deps, each)[0] for each in found] == ["handed", "cancelled"]


def test_nothing_leaves_of_a_campaign_or_sequence_that_stands_still_and_the_others_do(deps: Deps):
    ids = people(deps, 2)
    of = [publish(deps, MAIL, campaign=True, quiet_hours=None) for _ in range(3)]
    drip = [publish(deps, MAIL, on="joined", quiet_hours=None) for _ in range(2)]
    campaign_says(deps, of[0], paused_at=NOW)
    campaign_says(deps, of[1], state="cancelled")
    change(deps, "UPDATE sequence SET paused_at = :now WHERE id = :id", now=NOW, id=drip[0].sequence_id)
    found = [queue(deps, each, ids) for each in (*of, *drip)]
    go(deps)
    assert [stands(deps, each[0])[0] for each in found] == ["ready", "ready", "handed", "ready", "handed"]
    campaign_says(deps, of[0], paused_at=None)
    change(deps, "UPDATE sequence SET paused_at = NULL")
    deps.clock.skip(timedelta(days=1))
    go(deps)
    assert [stands(deps, each[0])[0] for each in found] == ["handed", "ready", "handed", "handed", "handed"]


def test_each_campaign_and_each_version_has_codes_of_its_own_for_the_same_words(deps: Deps):
    ids = people(deps, 1)
    of = [publish(deps, ASK, campaign=number < 2, quiet_hours=None) for number in range(3)]
    for each in of:
        queue(deps, each, ids, at_cap="exempt")
    go(deps)
    codes = rows(deps, "SELECT version_id, campaign_id, code FROM refcode ORDER BY version_id")
    assert [(row.version_id, row.campaign_id) for row in codes] == [(each.version_id, each.campaign_id) for each in of]
    assert len({row.code for row in codes}) == 3
    said = [row.code for _, letter in deps.mailer.accepted for row in codes if f"refcode={row.code}" in letter.text]
    assert sorted(said) == sorted(row.code for row in codes)


# What is counted.


def sent(deps: Deps, of: Published, many: int) -> list[letters.Sent]:
    """So many letters of it, handed over."""
    ids = people(deps, many)
    queue(deps, of, ids)
    go(deps)
    found = rows(deps, f"""SELECT m.id, m.handover_id, m.contact_id, c.email, '' FROM message m
        JOIN contact c ON c.id = m.contact_id WHERE m.contact_id >= {ids[0]} ORDER BY m.id""")  # fmt: skip
    return [letters.Sent(*row) for row in found]


def test_what_becomes_of_the_letters_of_a_step_is_counted_as_it_happens(deps: Deps):
    of = publish(deps, MAIL, campaign=True, quiet_hours=None)
    told = sent(deps, of, 6)
    assert tally(deps, of) == {"handed": 6}
    letters.tell(deps, [letters.element("delivered", each) for each in told[:4]])
    letters.tell(deps, [letters.element("bounce", told[4]), letters.element("spamreport", told[0], 9)])
    letters.tell(deps, [letters.element("delivered", told[1])])  # again
    far = {"url": "https://example.org/a"}
    letters.tell(deps, [letters.element("click", each, 600, **far) for each in told[:2]])
    letters.tell(deps, [letters.element("click", told[1], 900, **far), letters.element("unsubscribe", told[2], 60)])
    letters.tell(deps, [letters.element("click", told[5], 1)])  # before its delivery was told, as if by a person
    assert tally(deps, of) == {
        "handed": 6, "delivered": 4, "bounced": 1, "complained": 1, "clicked": 3, "unsubscribed": 1
    }  # fmt: skip
    letters.tell(deps, [letters.element("delivered", told[5])])  # the click came a second after it: a machine's
    assert tally(deps, of)["clicked"] == 2
    step = one(deps, "SELECT step, variant FROM step_tally")
    assert tuple(step) == ("write", "")


def test_whoever_stops_by_a_letter_is_counted_once_and_so_is_what_that_cancels(deps: Deps):
    of = publish(deps, MAIL, {"key": "pause", "wait": "1 day"}, {"key": "more", "email": "more"}, quiet_hours=None)
    (told,) = sent(deps, of, 1)
    queue(deps, of, [told.contact_id], step="more")
    for scope in ("news", "news", "everything"):
        with deps.work() as (session, now):
            stopped = unsubscribing.unsubscribe(session, told.contact_id, told.message_id, scope, now, source="page")
            deps.react(session, stopped, now)
    assert tally(deps, of) == {"handed": 1, "unsubscribed": 1, "cancelled": 1}


def test_what_comes_back_from_the_provider_was_not_handed_over(deps: Deps):
    of = publish(deps, MAIL, campaign=True, quiet_hours=None)
    change(deps, "UPDATE mailing SET body_html = body_html || '{{ nobody_knows }}' WHERE slug = 'news'")
    queue(deps, of, people(deps, 3))
    go(deps)
    assert tally(deps, of) == {"refused": 3}


# What annoys too many stands still.


def annoyed(deps: Deps, of: Published, kind: str, many: int, among: int) -> list[letters.Sent]:
    told = sent(deps, of, among)
    letters.tell(deps, [letters.element(kind, each, 5) for each in told[:many]])
    return told


def test_a_campaign_that_too_many_stop_stands_still_until_a_person_lets_it_go_on(deps: Deps):
    of = publish(deps, MAIL, campaign=True, quiet_hours=None)
    told = annoyed(deps, of, "unsubscribe", 10, 300)
    assert one(deps, f"SELECT paused_at FROM campaign WHERE id = {of.campaign_id}").paused_at is None
    letters.tell(deps, [letters.element("unsubscribe", told[10], 5)])
    found = one(deps, f"SELECT slug, paused_at, paused_because FROM campaign WHERE id = {of.campaign_id}")
    assert (found.paused_at, found.paused_because) == (NOW, "11 of 300 were stopped by their readers")
    notice = one(deps, f"SELECT subject, detail FROM notice WHERE kind = '{breakers.CAMPAIGN}'")
    assert (notice.subject, f"groundswell campaigns resume {found.slug}" in notice.detail) == (found.slug, True)
    campaign_says(deps, of, paused_at=None)
    with deps.work() as (session, _):
        breakers.excuse_campaign(session, of.campaign_id)
    letters.tell(deps, [letters.element("unsubscribe", each, 5) for each in told[11:40]])  # of letters of before
    assert one(deps, f"SELECT paused_at FROM campaign WHERE id = {of.campaign_id}").paused_at is None
    annoyed(deps, of, "unsubscribe", 11, 50)
    found = one(deps, f"SELECT paused_because FROM campaign WHERE id = {of.campaign_id}")
    assert found.paused_because == "11 of 50 were stopped by their readers"


def test_of_a_sequence_the_letters_of_people_who_entered_by_themselves_are_looked_at_alone(deps: Deps):
    change(deps, "UPDATE mailing SET excused = '{}'")
    drip = publish(deps, MAIL, on="joined", quiet_hours=None)
    other = publish(deps, {"key": "write", "email": "other"}, campaign=True, quiet_hours=None)
    annoyed(deps, drip, "bounce", 11, 100)
    assert one(deps, f"SELECT paused_because FROM sequence WHERE id = {drip.sequence_id}").paused_because == (
        "11 of 100 came back"
    )
    annoyed(deps, other, "spamreport", 4, 40)
    assert one(deps, f"SELECT paused_because FROM campaign WHERE id = {other.campaign_id}").paused_because == (
        "4 of 40 called it spam"
    )
    assert one(deps, f"SELECT paused_at FROM sequence WHERE id = {other.sequence_id}").paused_at is None
    with deps.work() as (session, _):
        breakers.excuse_sequence(session, drip.sequence_id)
    assert one(deps, f"SELECT excused ->> 'bounced' AS n FROM sequence WHERE id = {drip.sequence_id}").n == "11"
