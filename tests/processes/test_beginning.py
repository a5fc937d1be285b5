"""From an empty folder to the first of the staff signed in: all from a shell, as a real organisation would begin."""

import re
import subprocess
from collections.abc import Iterator
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from engine.settings import ROOT
from tests.system import GROUNDSWELL, System, clean_environment

TOLD = {
    "name": "Marea Común", "sender-email": "hello@marea.example.org", "sender-name": "Marea Común",
    "postal-address": "7 Harbor Street, Lynn, MA 01902", "fund-name": "Marea Común Action, Inc.",
    "actblue-entity": "778899", "admin-email": "ana@marea.example.org",
}  # fmt: skip
OPTIONS = [part for name, said in TOLD.items() for part in (f"--{name}", said)]


@pytest.fixture(scope="module")
def bare() -> Iterator[System]:
    """A system without any organisation."""
    with System.started("--host", "127.0.0.1") as running:
        yield running


def typed(system: System, *lines: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GROUNDSWELL, "init", "--data-dir", str(system.data)], input="\n".join(lines) + "\n", env=clean_environment(),
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.slow
def test_an_organisation_begins_and_its_first_admin_signs_in(bare: System):
    missing = bare.run("init", "--yes", "--name", "Marea Común")
    assert (missing.returncode, "--sender-email is needed" in missing.stderr) == (2, True)
    wrong = bare.run("init", "--yes", *OPTIONS[:2], "--sender-email", "hello", *OPTIONS[4:])
    assert (wrong.returncode, wrong.stderr) == (1, "groundswell: sender email is no address that we can write to\n")
    told = ["Marea Común", "", "hello@marea.example.org", "7 Harbor Street", "Fund", "", "", "", "a@b.org", "n"]
    refused = typed(bare, *told)
    assert (refused.returncode, bare.query("SELECT count(*) FROM chapter")) == (1, [(0,)])

    done = bare.run("init", "--yes", *OPTIONS)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{bare.url}/staff/sign-in" in done.stdout
    assert bare.query("SELECT slug, kind FROM chapter") == [("marea-comun", "root")]
    assert bare.query("SELECT disclaimer, deductibility FROM fund") == [
        ("Paid for by Marea Común Action, Inc.", "Gifts are not tax-deductible.")
    ]
    again = bare.run("init", "--yes", *OPTIONS)
    assert (again.returncode, again.stderr) == (1, "groundswell: there is an organisation here already\n")
    assert "Hello" not in sign_in(bare, "stranger@example.org")
    assert "Nothing waits for you" in sign_in(bare, "ana@marea.example.org")


@pytest.mark.slow
def test_staff_is_added_listed_and_let_go_from_the_shell(bare: System):
    added = bare.run("staff", "add", "bo@marea.example.org", "--role", "treasurer", "--name", "Bo", "--may-export")
    assert (added.returncode, added.stderr) == (0, "")
    listed = bare.run("staff", "list").stdout
    assert all(word in listed for word in ("bo@marea.example.org", "treasurer", "Bo", "all chapters", "exports"))
    assert bare.run("staff", "add", "bo@marea.example.org", "--role", "admin").returncode == 1
    assert "no such role" in bare.run("staff", "add", "cy@marea.example.org", "--role", "owner").stderr
    nowhere = bare.run("staff", "add", "cy@example.org", "--role", "viewer", "--chapter", "atlantis")
    assert nowhere.stderr == "groundswell: no chapter atlantis\n"
    ended = bare.run("staff", "end", "bo@marea.example.org")
    assert (ended.returncode, bare.run("staff", "end", "bo@marea.example.org").returncode) == (0, 1)
    actions = bare.query("SELECT action FROM audit WHERE staff_id IS NULL ORDER BY id DESC LIMIT 2")
    assert actions == [("staff ended",), ("staff added",)]


def sign_in(system: System, email: str) -> str:
    """The page after signing in as a browser does it; for strangers, the page that says to look into the mail."""
    browser = build_opener(HTTPCookieProcessor(CookieJar()))

    def page(path: str, **fields: str) -> str:
        sent = urlencode(fields).encode() if fields else None
        return browser.open(system.url + path, sent, timeout=10).read().decode()

    before = len(links(system))
    form = re.search(r'name="form" value="([^"]+)"', page("/staff/sign-in"))
    assert form is not None
    said = page("/staff/sign-in", email=email, form=form[1])
    if "stranger" in email:
        return said
    system.wait_for(lambda: len(links(system)) > before, 15, "the letter with the link")
    return page(links(system)[-1], press="yes")


def links(system: System) -> list[str]:
    """The paths of all links that letters brought."""
    texts = [letter["text"] for letter in system.mailbox()]
    return [found[0] for words in texts if (found := re.search(r"/staff/sign-in/[\w.-]+", words))]
