"""Lists of people of other tools: each with its own headings, several at once, and nobody mailed who opted out anywhere."""

import csv
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.people_import import running
from engine.tokens import Signer
from tests import people_lists as make
from tests.flows.house import rows
from tests.flows.lists import contact, everything, imported, mailable, outcome, sources

ROSA = "rosa@example.org"


def words(deps: Deps) -> list[tuple[str, bool, datetime, str, str]]:
    found = rows(
        deps,
        "SELECT c.email, w.given, w.at, w.source, w.place FROM consent w JOIN contact c ON c.id = w.contact_id "
        "WHERE w.channel = 'mail' ORDER BY c.email, w.at, w.given",
    )
    return [tuple(row) for row in found]


def stopped(deps: Deps) -> list[tuple[str, str]]:
    return [tuple(row) for row in rows(deps, "SELECT email, reason FROM suppression ORDER BY email, reason")]


def test_a_subscriber_of_mailchimp_comes_with_all_that_it_kept(deps: Deps, tmp_path: Path):
    path = make.write(tmp_path / "subscribed_email_audience_export_1.csv", make.MAILCHIMP, [make.subscriber(ROSA)])
    code, said = imported(deps, path)
    assert (code, "Mailchimp" in said) == (0, True)
    her = contact(deps, ROSA)
    assert (her.first_name, her.last_name, her.street, her.city) == (
        "Rosa",
        "Delgado",
        "12 Lincoln Street",
        "Worcester",
    )
    assert (her.state, her.zip, her.country, her.phone, her.time_zone) == (
        "MA", "01605", "US", "508-555-0123", "America/New_York",
    )  # fmt: skip
    assert her.custom == {"Favourite issue": "Housing", "mailchimp_rating": "4", "tags": ["Housing", "Volunteer"]}
    assert her.engaged_last_at == datetime(2023, 4, 5, 9, 10, tzinfo=UTC)
    assert words(deps) == [(ROSA, True, datetime(2023, 4, 5, 9, 10, tzinfo=UTC), "import:mailchimp", path.name)]
    assert mailable(deps) == {ROSA}


def test_who_left_or_bounced_or_complained_at_mailchimp_is_not_mailed(deps: Deps, tmp_path: Path):
    gone = [make.left("left@example.org"), make.left("angry@example.org", reason="SPAM")]
    paths = [
        make.write(tmp_path / "unsubscribed_email_audience_export_1.csv", make.MAILCHIMP_UNSUBSCRIBED, gone),
        make.write(tmp_path / "cleaned_email_audience_export_1.csv", make.MAILCHIMP_CLEANED, [make.cleaned(ROSA)]),
        make.write(tmp_path / "nonsubscribed.csv", make.MAILCHIMP, [make.subscriber("shop@example.org")]),
    ]
    code, said = imported(deps, *paths)
    assert code == 0
    assert stopped(deps) == [
        ("angry@example.org", "complaint"), ("left@example.org", "unsubscribe"), (ROSA, "bounce"),
    ]  # fmt: skip
    assert [word[:2] for word in words(deps)] == [("angry@example.org", False), ("left@example.org", False)]
    assert mailable(deps) == set()
    assert "may not: never said yes" in said


def test_a_renamed_file_of_mailchimps_is_told_by_its_columns(deps: Deps, tmp_path: Path):
    imported(deps, make.write(tmp_path / "a.csv", make.MAILCHIMP_UNSUBSCRIBED, [make.left("a@example.org", at="")]))
    imported(deps, make.write(tmp_path / "b.csv", make.MAILCHIMP_CLEANED, [make.cleaned("b@example.org")]))
    imported(deps, make.write(tmp_path / "c.csv", make.MAILCHIMP, [make.subscriber("c@example.org")]))
    assert stopped(deps) == [("a@example.org", "unsubscribe"), ("b@example.org", "bounce")]
    assert mailable(deps) == {"c@example.org"}


def test_activists_of_action_network_come_with_their_status(deps: Deps, tmp_path: Path):
    statuses = {
        "yes": "subscribed",
        "no": "unsubscribed",
        "bad": "bouncing",
        "angry": "spam complaint",
        "odd": "elsewhere",
        "none": "",
    }
    listed = [make.activist(f"{name}@example.org", status) for name, status in statuses.items()]
    imported(deps, make.write(tmp_path / "report.csv", make.ACTION_NETWORK, listed))
    assert mailable(deps) == {"yes@example.org"}
    assert stopped(deps) == [
        ("angry@example.org", "complaint"), ("bad@example.org", "bounce"), ("no@example.org", "unsubscribe"),
    ]  # fmt: skip
    her = contact(deps, "yes@example.org")
    assert (her.zip, her.street, her.custom) == (
        "01605",
        "12 Lincoln Street",
        {"Committee": "Food", "tags": ["Housing", "Transit"]},
    )


def test_people_of_nationbuilder_come_with_their_opt_in_and_bad_addresses(deps: Deps, tmp_path: Path):
    told = [
        make.signup("yes@example.org"),
        make.signup("no@example.org", "false"),
        make.signup("left@example.org", unsubscribed_at="2020-02-03T10:00:00-05:00"),
        make.signup("bad@example.org", email1_is_bad="true"),
        make.signup("gone@example.org", is_deceased="true"),
        make.signup("silent@example.org", ""),
        make.signup("two@example.org", email2="bad2@example.org", email2_is_bad="true"),
        make.signup("stop@example.org", do_not_contact="true", email2="stop2@example.org"),
    ]
    _, said = imported(deps, make.write(tmp_path / "nb.csv", make.NATION_BUILDER, told))
    assert mailable(deps) == {"yes@example.org", "two@example.org"}
    assert dict(stopped(deps)) == {
        "no@example.org": "unsubscribe", "left@example.org": "unsubscribe", "bad@example.org": "bounce",
        "gone@example.org": "unsubscribe", "bad2@example.org": "bounce", "stop@example.org": "unsubscribe",
        "stop2@example.org": "unsubscribe",
    }  # fmt: skip
    her = contact(deps, "yes@example.org")
    assert her.custom == {"precinct": "Ward 3", "nationbuilder_id": "5", "tags": ["Donor", "Housing"]}
    assert (her.zip, her.phone) == ("01605", "5085550123")
    assert "ZIPs that had lost their leading zero, which was put back: 8" in said
    assert [row.email for row in rows(deps, "SELECT email FROM contact WHERE email LIKE '%2@example.org'")] == []


def several(tmp_path: Path, count: int = 300) -> tuple[list[Path], set[str], set[str]]:
    """Files of three tools with the same people, a fifth of them opted out in one: (files, opted out, said yes)."""
    chosen = random.Random(4)
    everyone = [f"person.{number}@example.org" for number in range(count)]
    out = {
        email: chosen.choice(["mailchimp", "cleaned", "network", "nation", "abuse"])
        for email in everyone
        if chosen.random() < 0.2
    }
    where = {email: chosen.sample(["mailchimp", "network", "nation"], chosen.randint(1, 3)) for email in everyone}
    yes: set[str] = set()
    files: dict[str, list[dict[str, str]]] = {
        name: [] for name in ("mailchimp", "left", "cleaned", "network", "nation")
    }
    for email in everyone:
        why = out.get(email)
        untidy = chosen.choice([email, email.upper(), f" {email} "])
        if "mailchimp" in where[email] and why not in {"mailchimp", "cleaned", "abuse"}:
            files["mailchimp"].append(make.subscriber(untidy))
            yes.add(email)
        if why in {"mailchimp", "abuse"}:
            files["left"].append(make.left(untidy, "2021-01-01 00:00:00", "SPAM" if why == "abuse" else "NORMAL"))
        if why == "cleaned":
            files["cleaned"].append(make.cleaned(untidy))
        if "network" in where[email] or why == "network":
            files["network"].append(make.activist(untidy, "unsubscribed" if why == "network" else "subscribed"))
            yes |= {email} if why != "network" else set()
        if "nation" in where[email] or why == "nation":
            files["nation"].append(make.signup(untidy, "false" if why == "nation" else "true"))
            yes |= {email} if why != "nation" else set()
    columns = {
        "mailchimp": make.MAILCHIMP, "left": make.MAILCHIMP_UNSUBSCRIBED, "cleaned": make.MAILCHIMP_CLEANED,
        "network": make.ACTION_NETWORK, "nation": make.NATION_BUILDER,
    }  # fmt: skip
    paths = [make.write(tmp_path / f"{name}.csv", columns[name], told) for name, told in files.items()]
    return paths, set(out), yes


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("at_once", [True, False])
def test_nobody_who_opted_out_anywhere_is_mailed(deps: Deps, tmp_path: Path, order: int, at_once: bool):
    paths, out, yes = several(tmp_path)
    assert 40 < len(out) < 80
    for together in [paths[::order]] if at_once else [[path] for path in paths[::order]]:
        found = outcome(deps, *together)
    assert mailable(deps) == yes - out
    if at_once:
        assert found.summary is not None
        assert found.summary.mailable == len(yes - out)
        assert sum(found.summary.refusals.values()) == 300 - len(yes - out)
        assert found.summary.several > 50


def test_a_dry_run_says_what_would_happen_and_writes_nothing(deps: Deps, tmp_path: Path):
    paths, _, _ = several(tmp_path)
    (tmp_path / "odd.csv").write_text("Email,Name\nnot an address,Rosa\n")
    before, files = everything(deps), sorted(tmp_path.iterdir())
    dry = outcome(deps, *paths, tmp_path / "odd.csv", dry_run=True)
    assert everything(deps) == before
    assert sorted(tmp_path.iterdir()) == files
    real = outcome(deps, *paths, tmp_path / "odd.csv")
    assert dry.summary == real.summary
    assert everything(deps) != before
    assert outcome(deps, *paths, tmp_path / "odd.csv", dry_run=True).summary.outcomes == {"known": 300}


def test_twice_is_once(deps: Deps, tmp_path: Path):
    paths, _, _ = several(tmp_path)
    outcome(deps, *paths)
    once = everything(deps)
    code, said = imported(deps, *paths)
    assert (code, "were imported on 2026-11-03 12:00 UTC" in said) == (0, True)
    deps.clock.now = datetime(2026, 12, 1, tzinfo=UTC)
    code, said = imported(deps, *paths, again=True)
    assert (code, everything(deps)) == (0, once)
    assert once["import_row"] == once["import_person"] == []


def test_a_newer_word_about_a_person_is_not_overwritten_and_an_older_one_is(deps: Deps, tmp_path: Path):
    old, new = {"LAST_CHANGED": "2020-01-01 00:00:00"}, {"LAST_CHANGED": "2026-01-01 00:00:00"}
    at = [
        make.subscriber(ROSA, **old) | {"Last Name": "Before"},
        make.subscriber("b@example.org", **new) | {"Last Name": "After"},
    ]
    with transaction(deps.sessions) as session:
        session.execute(
            text(
                "INSERT INTO contact (email, first_name, last_name, zip, name_at, place_at, details_at, routed_by, custom) "
                "SELECT email, 'Rosa', 'Present', '01609', '2025-01-01', '2025-01-01', "
                '\'2025-01-01\', \'root\', \'{"Favourite issue": "Trees", "tags": ["Ours"]}\' '
                "FROM unnest(CAST(:emails AS text[])) email"
            ),
            {"emails": [ROSA, "b@example.org"]},
        )
    imported(deps, make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, at))
    kept, taken = contact(deps, ROSA), contact(deps, "b@example.org")
    assert (kept.last_name, kept.zip, kept.custom["Favourite issue"]) == ("Present", "01609", "Trees")
    assert (taken.last_name, taken.zip, taken.custom["Favourite issue"]) == ("After", "01605", "Housing")
    assert kept.custom["tags"] == ["Housing", "Ours", "Volunteer"]


def test_people_are_routed_with_their_history_and_who_chose_stays(deps: Deps, tmp_path: Path):
    route = rows(deps, "SELECT * FROM zip_route WHERE zip = '01605'")[0]
    root = rows(deps, "SELECT id FROM chapter WHERE parent_id IS NULL")[0].id
    other = rows(deps, f"SELECT id FROM chapter WHERE id NOT IN ({root}, {route.chapter_id})")[0].id
    with transaction(deps.sessions) as session:
        session.execute(
            text(
                "INSERT INTO contact (email, chapter_id, chosen_chapter_id, routed_by, details_at) "
                f"VALUES ('chose@example.org', {other}, {other}, 'choice', '2020-01-01'), "
                f"('moved@example.org', {other}, NULL, 'root', '2020-01-01')"
            )
        )
    told = [make.subscriber(f"{name}@example.org") for name in ("new", "chose", "moved")]
    imported(deps, make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, told))
    found = {
        row.email: (row.chapter_id, row.routed_by, row.routed_on)
        for row in rows(deps, "SELECT email, chapter_id, routed_by, routed_on FROM contact")
    }
    here = (route.chapter_id, route.by, "01605")
    assert found == {"new@example.org": here, "moved@example.org": here, "chose@example.org": (other, "choice", "")}
    moves = rows(
        deps,
        'SELECT c.email, m.from_chapter_id, m.to_chapter_id, m.by, m."on" FROM chapter_move m '
        "JOIN contact c ON c.id = m.contact_id ORDER BY 1",
    )
    assert [tuple(row) for row in moves] == [
        ("moved@example.org", other, *here), ("new@example.org", None, *here),
    ]  # fmt: skip


def test_who_lives_nowhere_we_know_is_the_roots_or_her_states(deps: Deps, tmp_path: Path):
    chapter = rows(deps, "SELECT id FROM chapter WHERE parent_id IS NOT NULL ORDER BY id")[0].id
    with transaction(deps.sessions) as session:
        session.execute(text(f"INSERT INTO territory (chapter_id, kind, place) VALUES ({chapter}, 'state', 'VT')"))
    told = [
        {"Email": "a@example.org", "State": "vermont"},
        {"Email": "b@example.org"},
        {"Email": "c@example.org", "ZIP": "10001", "State": "NY"},
    ]
    imported(deps, make.write(tmp_path / "list.csv", make.LIST, told))
    found = rows(deps, f"SELECT routed_by, routed_on, chapter_id = {chapter} AS hers FROM contact ORDER BY email")
    assert [tuple(row) for row in found] == [
        ("state", "VT", True), ("root", "no ZIP", False), ("root", "no chapter for 10001", False),
    ]  # fmt: skip


def test_who_withdrew_with_us_is_not_brought_back_by_a_later_yes_elsewhere(deps: Deps, tmp_path: Path):
    with transaction(deps.sessions) as session:
        session.execute(
            text(f"INSERT INTO contact (email, routed_by, details_at) VALUES ('{ROSA}', 'root', '2020-01-01')")
        )
        session.execute(
            text(
                "INSERT INTO consent (contact_id, channel, given, at, source) "
                "SELECT id, 'mail', false, '2021-01-01', 'preferences' FROM contact"
            )
        )
    found = outcome(deps, make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, [make.subscriber(ROSA)]))
    assert mailable(deps) == set()
    assert found.summary.refusals == {"wants no letters": 1}


def test_who_said_yes_to_ourselves_after_an_old_no_elsewhere_may_be_mailed(deps: Deps, tmp_path: Path):
    with transaction(deps.sessions) as session:
        session.execute(
            text(f"INSERT INTO contact (email, routed_by, details_at) VALUES ('{ROSA}', 'root', '2020-01-01')")
        )
        session.execute(
            text(
                "INSERT INTO consent (contact_id, channel, given, at, source) "
                "SELECT id, 'mail', true, '2026-01-01', 'signup' FROM contact"
            )
        )
    found = outcome(deps, make.write(tmp_path / "unsubscribed.csv", make.MAILCHIMP_UNSUBSCRIBED, [make.left(ROSA)]))
    assert mailable(deps) == {ROSA}
    assert found.summary.mailable == 1


def test_the_erased_are_counted_and_neither_brought_back_nor_named(deps: Deps, tmp_path: Path):
    erase(deps, ROSA)
    told = [make.subscriber("Rosa@Example.org"), make.subscriber("other@example.org")]
    code, said = imported(
        deps, make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, told), rows_to=tmp_path / "rows.csv"
    )
    assert [row.email for row in rows(deps, "SELECT email FROM contact")] == ["other@example.org"]
    assert (code, "erased before, and not brought back: 1" in said) == (0, True)
    assert "rosa@" not in ((tmp_path / "rows.csv").read_text() + said).lower()


def erase(deps: Deps, email: str) -> None:
    with transaction(deps.sessions) as session:
        session.execute(
            text(
                "INSERT INTO erased_address (hash, reason, at) VALUES (:hash, 'erased', now()) ON CONFLICT DO NOTHING"
            ),
            {"hash": deps.signer.hashes(email)[-1]},
        )


def test_who_was_erased_and_came_back_herself_is_known(deps: Deps, tmp_path: Path):
    erase(deps, ROSA)
    with transaction(deps.sessions) as session:
        session.execute(
            text(f"INSERT INTO contact (email, routed_by, details_at) VALUES ('{ROSA}', 'root', '2020-01-01')")
        )
    found = outcome(deps, make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, [make.subscriber(ROSA)]))
    assert (found.summary.erased, found.summary.outcomes) == (0, {"known": 1})


def test_who_is_erased_between_reading_and_merging_stays_away(deps: Deps, tmp_path: Path):
    path = make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, [make.subscriber(ROSA)])
    found = running.run(deps, sources(path), lambda *_: erase(deps, ROSA))
    assert (rows(deps, "SELECT email FROM contact"), found.summary.erased) == ([], 1)


class Erasing(Signer):
    """Signs as ever; the first time it is asked for a hash, somebody else is erased."""

    def __init__(self, deps: Deps) -> None:
        super().__init__(deps.settings.signing_keys)
        self.deps, self.asked = deps, 0

    def hashes(self, address: str) -> tuple[str, ...]:
        self.asked += 1
        if self.asked == 2:  # the first address of this batch was looked at already
            erase(self.deps, "a@example.org")
        return super().hashes(address)


def test_who_is_erased_while_her_batch_is_merged_stays_away(deps: Deps, tmp_path: Path):
    erase(deps, "nobody@example.org")
    told = [make.subscriber(f"{name}@example.org") for name in "ab"]
    signer = Erasing(deps)
    found = outcome(replace(deps, signer=signer), make.write(tmp_path / "subscribed.csv", make.MAILCHIMP, told))
    assert [row.email for row in rows(deps, "SELECT email FROM contact")] == ["b@example.org"]
    assert (found.summary.erased, signer.asked) == (1, 4)


def test_zips_that_nobody_can_read_are_counted_and_told_and_their_rows_taken(deps: Deps, tmp_path: Path):
    typed = ["ABC", "1605.0", "01604", "1604", "O1605", "SW1A 1AA", "", "123", "12", "1"]
    told = [make.signup(f"p{place}@example.org", primary_zip=zip_code) for place, zip_code in enumerate(typed)]
    told[2] |= {"primary_country_code": "U.S."}
    told[5] |= {"primary_country_code": "UK"}
    code, said = imported(deps, make.write(tmp_path / "nb.csv", make.NATION_BUILDER, told))
    assert code == 0
    assert [contact(deps, f"p{place}@example.org").zip for place in range(4)] == [None, "01605", "01604", "01604"]
    assert "ZIPs that had lost their leading zero, which was put back: 2" in said
    assert "nb.csv: 6 ZIPs could not be read; their rows were taken without them" in said
    listed = said.partition("taken without them\n")[2].splitlines()
    assert [line.strip() for line in listed[:6]] == [
        "line 2: ABC", "line 6: O1605", "line 7: SW1A 1AA (UK)", "line 9: 123", "line 10: 12", "and 1 more",
    ]  # fmt: skip
    report = tmp_path / "rows.csv"
    imported(deps, tmp_path / "nb.csv", again=True, rows_to=report)
    with report.open(encoding="utf-8", newline="") as file:
        found = {row["email"]: (row["zip_repaired"], row["zip_unread"]) for row in csv.DictReader(file)}
    assert [found[f"p{place}@example.org"] for place in (0, 1, 2, 5)] == [
        ("", "ABC"), ("01605", ""), ("", ""), ("", "SW1A 1AA (UK)"),
    ]  # fmt: skip


def test_a_file_of_every_address_says_what_came_of_it_and_why(deps: Deps, tmp_path: Path):
    told = [make.activist(ROSA), make.activist("no@example.org", "unsubscribed", zip_code="1605")]
    report = tmp_path / "rows.csv"
    imported(deps, make.write(tmp_path / "=report.csv", make.ACTION_NETWORK, told), rows_to=report)
    with report.open(encoding="utf-8", newline="") as file:
        found = {row["email"]: row for row in csv.DictReader(file)}
    assert (found[ROSA]["outcome"], found[ROSA]["mailable"], found[ROSA]["lines"]) == ("new", "yes", "'=report.csv:2")
    no = found["no@example.org"]
    assert (no["mailable"], no["why_not"], no["zip_repaired"]) == ("no", "address suppressed: unsubscribe", "01605")
    assert report.stat().st_mode & 0o077 == 0
