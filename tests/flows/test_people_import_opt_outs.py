"""Lists of people: a no is found wherever it stands, in another column, under an older address, in a run that was killed."""

from pathlib import Path

import pytest

from engine.bootstrap import Deps
from engine.events import Person
from engine.people import contacts, erasing, merging
from engine.people_import import running
from tests import people_lists as make
from tests.flows.house import rows
from tests.flows.lists import mailable, outcome, sources

ROSA = "rosa@example.org"


class Killed(Exception):
    """The end of the process, for a test."""


@pytest.mark.parametrize("stop", [{"is_deceased": "true"}, {"do_not_contact": "true"}])
def test_of_several_columns_that_stop_letters_each_counts(deps: Deps, tmp_path: Path, stop: dict[str, str]):
    columns = {"do_not_contact": "false", "is_deceased": "false"} | stop
    outcome(deps, make.write(tmp_path / "nb.csv", make.NATION_BUILDER, [make.signup(ROSA, **columns)]))
    assert mailable(deps) == set()


def test_of_several_columns_that_tell_her_status_the_strictest_counts(deps: Deps, tmp_path: Path):
    told = {"Email": ROSA, "Status": "active", "Email status": "unsubscribed"}
    outcome(deps, make.write(tmp_path / "list.csv", tuple(told), [told]))
    assert [row.reason for row in rows(deps, "SELECT reason FROM suppression")] == ["unsubscribe"]
    assert mailable(deps) == set()


@pytest.mark.parametrize(
    "said", ["Unsub", "Opted-out of email", "Do not email", "Spam", "Abuse complaint", "Soft bounced"]
)
def test_a_status_in_words_of_its_own_that_says_no_is_a_no(deps: Deps, tmp_path: Path, said: str):
    named = make.write(tmp_path / "list.csv", make.LIST, [{"Email": ROSA, "Subscription status": said}])
    outcome(deps, named, make.write(tmp_path / "an.csv", make.ACTION_NETWORK, [make.activist(ROSA)]))
    assert mailable(deps) == set()


@pytest.mark.parametrize("name", ["non_subscribed.csv", "Copy of nonsubscribed_1.csv"])
def test_a_renamed_file_of_mailchimps_that_says_in_its_name_who_is_in_it_makes_nobody_a_subscriber(
    deps: Deps, tmp_path: Path, name: str
):
    outcome(deps, make.write(tmp_path / name, make.MAILCHIMP, [make.subscriber(ROSA)]))
    assert mailable(deps) == set()


@pytest.mark.parametrize("order", [("alias", "herself"), ("herself", "alias"), ("both",)])
@pytest.mark.parametrize("alias", ["a@example.org", "z@example.org"])
def test_a_no_under_an_address_that_was_merged_holds_for_whom_she_is_now(
    deps: Deps, tmp_path: Path, alias: str, order: tuple[str, ...]
):
    one_is_the_other(deps, alias, ROSA)
    gone = [make.left(alias, at="2019-05-06 12:00:00")]
    files = {
        "alias": make.write(tmp_path / "unsubscribed.csv", make.MAILCHIMP_UNSUBSCRIBED, gone),
        "herself": make.write(tmp_path / "an.csv", make.ACTION_NETWORK, [make.activist(ROSA)]),
    }
    for name in order:
        outcome(deps, *(files.values() if name == "both" else [files[name]]))
    assert mailable(deps) == set()


def test_who_was_merged_is_not_moved_by_a_list_that_knows_her_old_address(deps: Deps, tmp_path: Path):
    one_is_the_other(deps, "old@example.org", ROSA)
    before = rows(deps, "SELECT contact_id, to_chapter_id FROM chapter_move ORDER BY id")
    outcome(deps, make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, [make.subscriber("old@example.org")]))
    assert rows(deps, "SELECT contact_id, to_chapter_id FROM chapter_move ORDER BY id") == before


def one_is_the_other(deps: Deps, email: str, into: str) -> None:
    with deps.work() as (session, now):
        contacts.admit(session, [contacts.Said(Person(email=each), now) for each in (email, into)], now)
        one, other = (contacts.find(session, each, as_is=True) for each in (email, into))
        deps.react(session, merging.merge(session, one, other, now), now)


def test_a_run_that_was_killed_goes_on_with_everybody_although_some_were_erased(deps: Deps, tmp_path: Path):
    addresses = [f"p{number:05}@example.org" for number in range(50_000)]
    with deps.work() as (session, now):
        contacts.admit(session, [(Person(email=each), now) for each in addresses[:3_000]], now)
        for each in addresses[:20]:
            deps.react(session, erasing.erase(session, contacts.find(session, each), deps.signer, now), now)
    told = [{"Email": each, "Subscription status": "unsubscribed"} for each in addresses]
    path = make.write(tmp_path / "many.csv", make.LIST, told)
    die_after(deps, path, 2)
    outcome(deps, path)
    assert len(rows(deps, "SELECT email FROM suppression")) == len(addresses) - 20


def die_after(deps: Deps, path: Path, batches_done: int) -> None:
    done = 0

    def tell(phase: str, *_: int) -> None:
        nonlocal done
        done += phase == "merging"
        if done == batches_done:
            raise Killed

    with pytest.raises(Killed):
        running.run(deps, sources(path), tell)
