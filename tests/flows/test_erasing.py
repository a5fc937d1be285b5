"""A person is forgotten: what goes, what stays, and what happens when her address comes again."""

import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import orjson
import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import NotFound
from engine.events import Person
from engine.giving import keeping
from engine.mail import past, readers
from engine.outreach import enrolled, past_places
from engine.people import admission, bundles, contacts, erasing
from engine.people.consent import STANDING_SUPPRESSIONS
from engine.tables.columns import metadata
from engine.tokens import Signer
from tests import letters
from tests.commands import groundswell
from tests.flows.house import one, put, rows, run_everything
from tests.make import actblue_body, join_body, raw
from tests.of_a_person import NAMING, contact, erase, fill, id_of, merge, named
from workers import upkeep

ROSA, OLD, CANARY = "rosa@example.org", "rosa.old@example.org", "Zaunkoenig"


def give(deps: Deps, email: str = ROSA, **changed) -> int:
    return put(deps, raw(actblue_body(donor={"email": email, "lastname": CANARY} | changed)))


def suppressions(deps: Deps) -> set[tuple[str, str]]:
    return {(row.email, row.reason) for row in rows(deps, f"SELECT email, reason FROM ({STANDING_SUPPRESSIONS}) s")}


def told_anywhere(deps: Deps, word: str) -> set[str]:
    """The tables that hold this word anywhere, whatever the case."""
    found = set()
    for name, table in metadata.tables.items():
        columns = " || ' ' || ".join(
            f"coalesce(encode(t.{c.name}, 'escape'), '')" if c.name == "body" else f"coalesce(t.\"{c.name}\"::text, '')"
            for c in table.c
        )
        if rows(deps, f"SELECT 1 FROM {name} t WHERE lower({columns}) LIKE lower('%{word}%') LIMIT 1"):
            found.add(name)
    return found


def test_every_table_that_names_a_contact_is_emptied_or_said_to_be_kept():
    handled = [*erasing.DELETED, *erasing.SCRUBBED, *keeping.DELETED, *keeping.KEPT, *readers.KEPT, *enrolled.KEPT]
    handled += [*past.KEPT, *past_places.KEPT]
    assert sorted(handled) == NAMING


def test_every_table_that_names_a_contact_is_in_the_bundle():
    told = {table for tables, _ in bundles.PARTS.values() for table in tables}
    assert set(NAMING) <= told


def test_the_bundle_tells_her_gifts_and_words_and_not_what_we_reckon_of_them(deps: Deps):
    with transaction(deps.sessions) as session:
        rosa = contact(session, ROSA, "Rosa")
        session.execute(text("UPDATE contact SET mail_leave = 1 WHERE id = :id"), {"id": rosa})
        (told,) = bundles.collect(session, rosa)["contact"]
    assert told["first_name"] == "Rosa"
    assert not {"mail_leave", "gave_peaks_at", "gave_peaks_cents"} & told.keys()


def test_no_table_says_anything_of_her_but_the_treasurers_snapshot(deps: Deps):
    with transaction(deps.sessions) as session:
        rosa = contact(session, ROSA, CANARY, street=CANARY, city=CANARY, state=CANARY, phone=CANARY, zip=CANARY,
                       custom=f'{{"a": "{CANARY}"}}', country=CANARY, time_zone=CANARY, language=CANARY)  # fmt: skip
        fill(session, rosa, CANARY)
    assert told_anywhere(deps, CANARY) >= set(NAMING) - {
        "recurring_plan",
        "chapter_lead",
        "followed_chapter",
        "ask_rest",
        "past_occasion",
        "past_place",
    } | {"contact"}
    erase(deps, rosa)
    assert told_anywhere(deps, CANARY) == {"contribution"}
    assert told_anywhere(deps, ROSA) == set()
    with transaction(deps.sessions) as session:
        assert named(session, rosa) == set(NAMING) - erasing.DELETED - keeping.DELETED


def test_she_and_who_was_merged_into_her_go_together_whichever_is_named(deps: Deps):
    for email in (ROSA, OLD):
        give(deps, email)
    run_everything(deps)
    merge(deps, id_of(deps, OLD), id_of(deps, ROSA))
    with transaction(deps.sessions) as session:
        session.execute(text("INSERT INTO suppression (email, reason, at) VALUES (:e, 'bounce', now())"), {"e": OLD})
    erase(deps, id_of(deps, OLD))
    assert [told_anywhere(deps, word) for word in (ROSA, OLD, CANARY)] == [{"contribution"}] * 3
    # Two addresses; that letters to the old one came back is no fact about the other.
    assert one(deps, "SELECT count(*) AS n FROM erased_address WHERE reason = 'erased'").n == 2
    assert one(deps, "SELECT count(*) AS n FROM erased_address WHERE reason = 'bounce'").n == 1
    run_everything(deps)
    give(deps, ROSA)
    give(deps, OLD)
    run_everything(deps)
    assert suppressions(deps) == {(ROSA, "erased"), (OLD, "erased"), (OLD, "bounce")}


def test_twice_is_once_and_she_is_found_no_more(deps: Deps):
    give(deps)
    run_everything(deps)
    rosa = id_of(deps, ROSA)
    assert len(erase(deps, rosa)) >= 1
    assert erase(deps, rosa) == []
    with deps.work() as (session, _):
        for ask in (bundles.collect, erasing.outlook):
            with pytest.raises(NotFound):
                ask(session, rosa)
        with pytest.raises(NotFound):
            erasing.erase(session, 10**9, deps.signer, deps.clock.now)


def test_her_gifts_stay_on_the_books_and_her_letters_do_not_leave(deps: Deps):
    give(deps)
    upkeep_free = deps.mailer.accepted
    for lane in ("intake",):
        letters.intake.drain(deps, lane)
    erase(deps, id_of(deps, ROSA))
    run_everything(deps)
    assert upkeep_free == []
    assert one(deps, "SELECT state, reason, facts FROM message") == ("cancelled", "erased", {})
    assert one(deps, "SELECT sum(amount_cents)::int AS cents FROM ledger_entry").cents == 2700
    assert one(deps, "SELECT donor ->> 'last_name' AS name FROM contribution").name == CANARY


def test_raw_bodies_that_name_her_are_empty_whatever_became_of_them(deps: Deps):
    applied, rubbish = give(deps), put(deps, f'{{"odd": "{ROSA.upper()}"}}'.encode())
    binary = put(deps, b"\xff\x00" + ROSA.encode())
    other = give(deps, "mary@example.org", lastname="Other")
    run_everything(deps)
    waiting = give(deps, orderNumber="later")
    erase(deps, id_of(deps, ROSA))
    left = {row.id for row in rows(deps, "SELECT id FROM inbound_event WHERE octet_length(body) > 0")}
    assert {applied, rubbish, binary} & left == set()
    assert {other, waiting} <= left


def test_what_is_told_of_others_whose_addresses_and_gifts_only_look_like_hers_stays(deps: Deps):
    hers = give(deps, "ana@example.org", contribution={"orderNumber": "AB7000000001"})
    others = [
        give(deps, "mariana@example.org"), give(deps, "ana@example.organic"), give(deps, "ana+news@example.org"),
        put(deps, raw(actblue_body(donor={"email": "eva@example.org"}, contribution={"orderNumber": "AB70000000012"}))),
        put(deps, b'{"email": "mariana@example.org", "amount": "a gift that nobody could read yet"}'),
        put(deps, b"id,email\n1,mariana@example.org\n"),
    ]  # fmt: skip
    of_her = [
        put(deps, b"id,email\n1,ANA@example.org\n"), put(deps, b"email=ana%40example.org&odd=1"),
        put(deps, b'{"email": "ana\\u0040example.org", "odd": 1}'),
    ]  # fmt: skip
    run_everything(deps)
    erase(deps, id_of(deps, "ana@example.org"))
    left = {row.id for row in rows(deps, "SELECT id FROM inbound_event WHERE octet_length(body) > 0")}
    assert left == set(others)
    assert hers not in left
    assert left.isdisjoint(of_her)


def test_a_list_of_people_that_waits_to_be_merged_holds_her_no_more(deps: Deps):
    with transaction(deps.sessions) as session:
        rosa = contact(session, ROSA)
        for staged in (
            "import_row (file, line, email, person, standing) VALUES (0, 2, :email, true, 'subscribed')",
            "import_person (email, outcome, refusal, tools, rows) VALUES (:email, 'known', '', 1, 1)",
        ):
            session.execute(text(f"INSERT INTO {staged}"), {"email": ROSA})
    erase(deps, rosa)
    assert told_anywhere(deps, ROSA) == set()


def test_the_snapshot_goes_when_the_funds_years_are_over(deps: Deps):
    give(deps)
    give(deps, "mary@example.org")
    run_everything(deps)
    erase(deps, id_of(deps, ROSA))
    deps.clock.skip(timedelta(days=7 * 365 - 5))
    upkeep.expire_snapshots(deps)
    assert len(rows(deps, "SELECT 1 FROM contribution WHERE donor <> '{}'")) == 2
    deps.clock.skip(timedelta(days=10))
    upkeep.expire_snapshots(deps)
    assert [
        row.email for row in rows(deps, "SELECT donor ->> 'email' AS email FROM contribution WHERE donor <> '{}'")
    ] == ["mary@example.org"]
    run_everything(deps)


def test_who_gave_to_somebody_elses_fund_is_kept_no_longer(deps: Deps):
    body = actblue_body(donor={"email": ROSA})
    body["lineitems"][0]["entityId"] = 999_999
    put(deps, raw(body))
    run_everything(deps)
    erase(deps, id_of(deps, ROSA))
    assert one(deps, "SELECT donor FROM contribution").donor == {}


def test_when_she_comes_again_what_forbade_to_write_to_her_forbids_it_still(deps: Deps):
    (sent,) = letters.sent(deps, email=ROSA)
    letters.tell(deps, [letters.element("spamreport", sent), letters.element("unsubscribe", sent)])
    erase(deps, sent.contact_id)
    assert suppressions(deps) == set()
    give(deps)
    run_everything(deps)
    assert id_of(deps, ROSA) != sent.contact_id
    assert suppressions(deps) == {(ROSA, reason) for reason in ("complaint", "unsubscribe", "erased")}
    assert len(rows(deps, "SELECT 1 FROM message WHERE state = 'skipped'")) == 1


def test_it_forbids_it_still_when_a_file_of_chapters_named_her_first(deps: Deps):
    (sent,) = letters.sent(deps, email=ROSA)
    letters.tell(deps, [letters.element("spamreport", sent)])
    erase(deps, sent.contact_id)
    with deps.work() as (session, now):
        contacts.admit(session, [(Person(email=ROSA), admission.UNTOLD)], now)  # as files of chapters name their leads
    give(deps)
    run_everything(deps)
    assert suppressions(deps) == {(ROSA, "complaint"), (ROSA, "erased")}


def test_it_forbids_it_still_when_she_is_erased_while_a_sign_up_of_hers_is_applied(deps: Deps):
    with transaction(deps.sessions) as session:
        rosa = contact(session, ROSA)
    put(deps, raw(join_body(email=ROSA)), source="join")
    with ThreadPoolExecutor(1) as hands:
        with deps.work() as (session, now):
            deps.react(session, erasing.erase(session, rosa, deps.signer, now), now)
            applying = hands.submit(run_everything, deps)
            for _ in range(200):  # until it waits for her row
                if rows(deps, "SELECT 1 FROM pg_locks WHERE NOT granted"):
                    break
                time.sleep(0.02)
            else:
                raise AssertionError("nobody waits for her row")
        applying.result()
    assert suppressions(deps) == {(ROSA, "erased")}


def test_her_own_express_yes_outweighs_that_she_was_erased(deps: Deps):
    with transaction(deps.sessions) as session:
        rosa = contact(session, ROSA)
    erase(deps, rosa)
    give(deps)
    run_everything(deps)
    assert suppressions(deps) == {(ROSA, "erased")}
    with transaction(deps.sessions) as session:
        session.execute(
            text("""INSERT INTO consent (contact_id, channel, given, at, source)
                SELECT id, 'mail', true, '2026-11-04Z', 'signup' FROM contact WHERE email = :email"""),
            {"email": ROSA},
        )
    assert suppressions(deps) == set()


def test_hashes_under_retired_keys_are_found(deps: Deps):
    before, after = Signer(["k" * 40]), Signer(["k" * 40, "n" * 40])
    with deps.work() as (session, now):
        rosa = contact(session, ROSA)
        deps.react(session, erasing.erase(session, rosa, before, now), now)
        assert erasing.forgotten(session, [ROSA, OLD], after) == {ROSA}
        assert erasing.forgotten(session, [ROSA], Signer(["n" * 40])) == set()
        erasing.recall(session, [ROSA, OLD], after)
    assert suppressions(deps) == {(ROSA, "erased")}


def test_late_news_of_her_letters_leaves_no_trace_of_her(deps: Deps):
    (sent,) = letters.sent(deps, email=ROSA)
    erase(deps, sent.contact_id)
    letters.tell(
        deps, [letters.element("click", sent, url=f"https://example.org/{CANARY}"), letters.element("bounce", sent)]
    )
    assert told_anywhere(deps, ROSA) == told_anywhere(deps, CANARY) == set()
    assert one(deps, "SELECT state FROM message").state == "bounced"


def test_by_command_it_says_what_goes_and_does_it_only_when_told_to(deps: Deps, tmp_path: Path):
    give(deps)
    run_everything(deps)
    shown = groundswell(deps, "people", "show", ROSA)
    assert (shown.returncode, CANARY in shown.stdout) == (0, True), shown.stderr
    assert "1 gift, $27\n" in shown.stdout
    told = groundswell(deps, "people", "erase", ROSA)
    assert (told.returncode, "would be erased" in told.stdout) == (0, True), told.stderr
    file = tmp_path / "rosa.zip"
    assert groundswell(deps, "people", "bundle", ROSA, "--to", str(file)).returncode == 0
    with zipfile.ZipFile(file) as archive:
        document = orjson.loads(archive.read("person.json"))
        assert document["contact"][0]["email"] == ROSA
        assert document["contributions"][0]["amount_cents"] == document["ledger"][0]["amount_cents"] == 2700
        assert "contributions.csv" in archive.namelist()
    done = groundswell(deps, "people", "erase", ROSA, "--yes")
    assert (done.returncode, "the last until 2033-11-" in done.stdout) == (0, True), done.stdout + done.stderr
    assert groundswell(deps, "people", "erase", ROSA, "--yes").returncode == 1
    assert groundswell(deps, "people", "bundle", ROSA, "--to", str(file)).returncode == 1
    assert [row.action for row in rows(deps, "SELECT action FROM audit ORDER BY id")] == ["bundled", "erased"]
    assert told_anywhere(deps, ROSA) <= {"contribution"}


def test_two_are_merged_by_command(deps: Deps):
    for email in (ROSA, OLD):
        give(deps, email)
    run_everything(deps)
    merged = groundswell(deps, "people", "merge", OLD, ROSA)
    assert merged.returncode == 0, merged.stderr
    assert one(deps, f"SELECT gave_count FROM contact WHERE email = '{ROSA}'").gave_count == 2
    assert "one person already" in groundswell(deps, "people", "merge", OLD, ROSA).stdout
    refused = groundswell(deps, "people", "merge", ROSA, OLD)
    assert (refused.returncode, "already" in refused.stderr) == (1, True)
    assert OLD in groundswell(deps, "people", "show", OLD).stdout


def test_a_cell_of_the_bundle_is_no_formula(tmp_path: Path):
    file = tmp_path / "x.zip"
    with file.open("wb") as out:
        bundles.write({"contact": [{"name": '=HYPERLINK("x")', "cents": -5, "none": None}], "empty": []}, out)
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["person.json", "contact.csv"]
        assert archive.read("contact.csv").decode().splitlines()[1] == '"\'=HYPERLINK(""x"")",-5,'
