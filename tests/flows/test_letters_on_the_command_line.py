"""`groundswell letters`, `domains` and `funds`: written in files, checked, kept, read, tested; what a domain may send; whom
links may charge."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import HumanNeeded, Person
from engine.mail import allowances, handovers
from engine.reactions import react
from tests import commands
from tests.campaigns import letter, people
from tests.commands import Done
from tests.flows.house import change, one, rows
from tests.make import gift

Command = Callable[..., Done]
ENGLISH = """---
kind: news
note_until: 2030-01-01T18:00-05:00
subject: "The vote, {{ first_name }}"
---
Dear {{ first_name }} of {{ city }},

::: note
More from your chapter soon.
:::
"""
SPANISH = "---\nsubject: El voto\n---\nHola\n"


@pytest.fixture
def groundswell(deps: Deps, tmp_path: Path) -> Command:
    """One command in this house."""
    return lambda *arguments: commands.groundswell(deps, *arguments, folder=tmp_path)


def said(groundswell: Command, *arguments: str) -> str:
    """What a command says that does what it should."""
    done = groundswell(*arguments)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout


def refused(groundswell: Command, *arguments: str) -> str:
    """What a command says on standard error that cannot do it."""
    done = groundswell(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vote.md"
    path.write_text(ENGLISH)
    return path


def test_a_letter_is_checked_kept_once_a_version_and_listed(
    deps: Deps, groundswell: Command, tmp_path: Path, file: Path
):
    assert said(groundswell, "letters", "check", str(file)) == "no fault\n"
    assert rows(deps, "SELECT 1 FROM letter WHERE slug = 'vote'") == []
    people(deps, 1)
    change(deps, "UPDATE contact SET city = ''")
    kept = said(groundswell, "letters", "save", str(file)).splitlines()
    assert kept == [
        '- city is empty for 1 of 1 people at random: say what then, | default("\u2026").',
        "kept as version 1 of vote, in en",
    ]  # fmt: skip
    spanish = tmp_path / "vote.es.md"
    spanish.write_text(SPANISH)
    assert "kept as version 2 of vote, in en, es" in said(groundswell, "letters", "save", str(file), str(spanish))
    again = said(groundswell, "letters", "save", str(file), str(spanish))
    assert "nothing changed: it is version 2 of vote" in again
    (line,) = [each for each in said(groundswell, "letters", "list").splitlines() if each.startswith("vote")]
    assert " ".join(line.split()) == (
        "vote news en es version 2 0 handed over The vote, {{ first_name }} (notes until 2030-01-01)"
    )
    assert [row.action for row in rows(deps, "SELECT action FROM audit WHERE subject = 'letter'")] == [
        "letter saved"
    ] * 3


@pytest.mark.parametrize("command", ["check", "save"])
def test_faults_are_told_a_line_each_and_remarks_after(deps: Deps, groundswell: Command, file: Path, command: str):
    file.write_text(ENGLISH + "\n{{ nobody }}\n\n{% if [x] %}\n")
    done = groundswell("letters", command, str(file))
    assert (done.returncode, done.stderr) == (1, "")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "body, line 7, column 1", "body, line 9, column 1", "body, line 9, column 1",
    ]  # fmt: skip
    assert rows(deps, "SELECT 1 FROM letter WHERE slug = 'vote'") == []
    file.write_text(ENGLISH + "\n[bold] <script>x</script> Final notice!!\n")
    told = said(groundswell, "letters", command, str(file)).splitlines()
    assert told[:3] == [
        "- <script> was taken out: letters cannot hold it.", "- It has many exclamation marks.",
        "- It claims a final notice (\u201cFinal notice\u201d): be sure that you can prove it.",
    ]  # fmt: skip


def test_what_a_file_says_wrong_is_one_line(groundswell: Command, file: Path):
    file.write_text(ENGLISH.replace("kind: news", "kind: spam"))
    assert refused(groundswell, "letters", "check", str(file)).startswith("groundswell: kind: Input should be")
    file.write_text(ENGLISH.replace("kind: news", "kind: [news"))
    assert refused(groundswell, "letters", "save", str(file)).startswith("groundswell: vote.md, line ")


def test_a_letter_is_read_as_somebody_at_random_or_an_invented_person(
    deps: Deps, groundswell: Command, tmp_path: Path, file: Path
):
    (hers,) = people(deps, 1, "lowell")
    change(deps, "UPDATE contact SET first_name = 'Wilhelmina', email = 'mina@example.org'")
    said(groundswell, "letters", "save", str(file))
    invented = said(groundswell, "letters", "preview", "vote")
    assert invented.startswith("From: Common Ground Massachusetts\nSubject: The vote, Rosa\n\n")
    page = tmp_path / "vote.html"
    for as_whom in (("--as", "mina@example.org"), ("--as", str(hers)), ("--random",)):
        shown = said(groundswell, "letters", "preview", "vote", *as_whom, "--html", str(page))
        assert "From: Common Ground Massachusetts, Greater Lowell\nSubject: The vote, Wilhelmina\n" in shown
        assert "Dear Wilhelmina" in page.read_text("utf-8")
    from_there = said(groundswell, "letters", "preview", "vote", "--chapter", "springfield")
    assert "From: Common Ground Massachusetts, " in from_there
    for wrong, says in (
        (("nothing",), "there is no letter nothing"), (("vote", "--language", "es"), "this letter is not written in es"),
        (("vote", "--chapter", "nowhere"), "there is no chapter nowhere"),
        (("vote", "--as", "x@example.org"), "there is no such contact"),
    ):  # fmt: skip
        assert says in refused(groundswell, "letters", "preview", *wrong)


def test_a_test_is_on_its_way_to_that_address_and_on_the_audit(deps: Deps, groundswell: Command):
    letter(deps, "vote")
    assert (
        said(groundswell, "letters", "test", "vote", "--to", "ana@example.org", "--chapter", "lowell") == "on its way\n"
    )
    message = one(deps, """SELECT m.lane, m.state, c.email, h.slug FROM message m JOIN contact c ON c.id = m.contact_id
        JOIN chapter h ON h.id = m.chapter_id""")  # fmt: skip
    assert tuple(message) == ("receipts", "ready", "ana@example.org", "lowell")
    assert one(deps, "SELECT action, detail FROM audit")[:] == ("letter tested", {"letter": "vote"})
    assert "this is not an email address" in refused(groundswell, "letters", "test", "vote", "--to", "nobody")


def test_a_chapters_note_is_kept_and_taken_out(deps: Deps, groundswell: Command, file: Path):
    said(groundswell, "letters", "save", str(file))
    note = ("letters", "note", "vote", "--chapter", "lowell")
    assert said(groundswell, *note, "--text", "We meet *Monday*.") == "kept\n"
    assert "We meet Monday." in said(groundswell, "letters", "preview", "vote", "--chapter", "lowell")
    assert "note, line 1, column 1: a note is the same" in refused(groundswell, *note, "--text", "{{ city }}")
    assert said(groundswell, *note, "--text", "") == "taken out\n"
    assert rows(deps, "SELECT 1 FROM chapter_note") == []
    assert len(rows(deps, "SELECT 1 FROM audit WHERE action = 'note written'")) == 2
    done = groundswell("letters", "note", "vote", "--chapter", "", "--text", "x")
    assert (done.returncode, "say which chapter" in done.stderr) == (2, True)


def test_a_paused_mailing_goes_on_and_says_so_once(deps: Deps, groundswell: Command):
    letter(deps, "vote")
    change(deps, "UPDATE mailing SET paused_at = now(), paused_because = '11 of 40 came back' WHERE slug = 'vote'")
    (line,) = [each for each in said(groundswell, "letters", "list").splitlines() if each.startswith("vote")]
    assert line.endswith("The vote, {{ first_name }} (paused)")
    assert said(groundswell, "letters", "resume", "vote") == "vote goes on\n"
    again = groundswell("letters", "resume", "vote")
    assert (again.returncode, again.stdout) == (1, "vote was not paused\n")
    assert "there is no mailing nothing" in refused(groundswell, "letters", "resume", "nothing")
    assert [row.action for row in rows(deps, "SELECT action FROM audit")] == ["mailing resumed"]


def test_domains_are_warmed_up_or_known_and_show_what_they_may_send(deps: Deps, groundswell: Command):
    assert said(groundswell, "domains", "list") == "no campaign letter has left yet\n"
    with transaction(deps.sessions) as session:
        today = session.execute(text("SELECT CAST(now() AT TIME ZONE 'UTC' AS date)")).scalar_one()
    began = today - timedelta(days=1)
    warm = ("domains", "warm", "New.example.org")
    assert said(groundswell, *warm, "--since", str(began)) == f"New.example.org is warmed up since {began}\n"
    assert said(groundswell, "domains", "known", "old.example.org") == "old.example.org is known\n"
    with deps.work() as (session, _):
        allowances.count(session, "new.example.org", 1, 1234, session.scalar(text("SELECT now()")))
    new, old = (line for line in said(groundswell, "domains", "list").splitlines() if "example.org" in line)
    assert new == f"new.example.org: warmed up since {began}, 1,234 of 672 letters today"
    assert old == "old.example.org: known, 0 letters today"
    said(groundswell, "domains", "known", "new.example.org")
    assert one(deps, "SELECT warming_since FROM sending_domain WHERE domain = 'new.example.org'").warming_since is None
    said(groundswell, "domains", "warm", "old.example.org")
    since: date = one(deps, "SELECT warming_since FROM sending_domain WHERE domain = 'old.example.org'").warming_since
    assert abs((since - today).days) <= 1
    assert "a day is written like 2026-11-29" in refused(groundswell, *warm, "--since", "yesterday")
    assert "that day has not come" in refused(groundswell, *warm, "--since", str(today + timedelta(days=2)))
    assert len(rows(deps, "SELECT 1 FROM audit WHERE action = 'domain described'")) == 4


@pytest.mark.parametrize("name", ["hello@example.org", "", "no domain", "example", "a..org", "x" * 300])
def test_what_is_no_domain_is_refused(deps: Deps, groundswell: Command, name: str):
    assert "is no domain" in refused(groundswell, "domains", "known", name)
    assert rows(deps, "SELECT 1 FROM sending_domain") == []


def test_express_links_of_a_fund_are_off_until_they_are_switched_on(deps: Deps, groundswell: Command):
    assert {row.express_lane for row in rows(deps, "SELECT express_lane FROM fund")} == {False}
    assert said(groundswell, "funds", "express", "action", "on") == "express links of action are on\n"
    shown = said(groundswell, "funds", "list")
    assert (
        shown.index("action ")
        < shown.index("express links: on")
        < shown.index("pac ")
        < shown.index("express links: off")
    )
    said(groundswell, "funds", "express", "action", "off")
    assert {row.express_lane for row in rows(deps, "SELECT express_lane FROM fund")} == {False}
    details = [
        row.detail["express_lane"] for row in rows(deps, "SELECT detail FROM audit WHERE subject = 'fund' ORDER BY id")
    ]
    assert details == ["on", "off"]
    assert "there is no fund nothing" in refused(groundswell, "funds", "express", "nothing", "on")
    wrong = groundswell("funds", "express", "action", "yes")
    assert (wrong.returncode, "say on or off" in wrong.stderr) == (2, True)


def test_a_chapter_gets_a_limit_of_letters_a_day_and_loses_it(deps: Deps, groundswell: Command):
    limit = "SELECT daily_letters FROM chapter WHERE slug = 'worcester'"
    assert said(groundswell, "chapters", "limit", "worcester", "1500") == "worcester: 1,500 campaign letters a day\n"
    assert one(deps, limit).daily_letters == 1500
    assert said(groundswell, "chapters", "limit", "worcester") == "worcester: no limit\n"
    assert one(deps, limit).daily_letters is None
    assert "there is no chapter nowhere" in refused(groundswell, "chapters", "limit", "nowhere", "5")


def test_letters_that_failed_for_their_sender_are_tried_again_all_at_once_and_that_is_settled(
    deps: Deps, groundswell: Command
):
    ids = people(deps, 2)
    change(
        deps,
        "INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, state, facts) "
        "SELECT unnest(CAST(:ids AS bigint[])), :mailing, 'campaign:x', 'delivery', now(), 'failed', '{}'",
        ids=ids,
        mailing=letter(deps),
    )
    with deps.work() as (session, now):
        deps.react(session, [HumanNeeded(None, handovers.SENDER, "hello@lowell.example.org", "not verified")], now)
    first, _ = rows(deps, "SELECT id FROM message WHERE state = 'failed' ORDER BY id")
    open_ = "SELECT subject FROM notice WHERE resolved_at IS NULL"
    assert said(groundswell, "letters", "retry", str(first.id)) == "1 ready again\n"
    assert one(deps, open_).subject == "hello@lowell.example.org"
    assert said(groundswell, "letters", "retry", "--all") == "1 ready again\n"
    assert rows(deps, open_) == []


# Amounts that fit.


def test_what_somebody_is_asked_for_is_explained_for_each_form(groundswell: Command, deps: Deps):
    (hers,) = people(deps, 1)
    email = one(deps, f"SELECT email FROM contact WHERE id = {hers}").email
    assert said(groundswell, "asks", "explain", email).startswith("She has not given yet.\n\ncommon-ground: ")
    change(deps, "UPDATE fund SET limit_cents = 50000 WHERE slug = 'action'")
    told = [gift(donor=Person(email=email), amount_cents=cents, paid_at=deps.clock.now) for cents in [12000] * 4]
    with deps.work() as (session, now):
        react(session, told, now, deps.settings)
    lines = said(groundswell, "asks", "explain", str(hers), "--form", "common-ground").splitlines()
    assert lines == [
        "4 gifts: the last $120, usually $120, the highest $120.",
        "",
        "common-ground: Stand with your neighbors (Common Ground Massachusetts Action, Inc.; $20 left of the limit)",
        "  once        $5  $10  $15  $20",
        "              Her last gift was $120, less than a month ago; $20 is all that is left of the fund's limit.",
        "  each month  nothing",
        "              $20 is left of the fund's limit for her, $1.66 a month: less than the form takes, $5.",
    ]
    assert "no form nowhere is open" in refused(groundswell, "asks", "explain", email, "--form", "nowhere")


def test_a_letter_of_a_sequence_that_came_along_is_used_in_it_from_the_moment_it_is_kept(
    deps: Deps, groundswell: Command, tmp_path: Path
):
    version = "SELECT version, shipped FROM sequence WHERE slug = 'welcome'"
    before = one(deps, version)
    words = tmp_path / "welcome.md"
    words.write_text("---\nkind: news\nsubject: Good to have you\n---\nHello {{ first_name }}. {{ why }}\n")
    said(groundswell, "letters", "save", str(words))
    assert tuple(one(deps, version)) == (before.version + 1, True)
    said(groundswell, "letters", "save", str(words))
    assert one(deps, version).version == before.version + 1
