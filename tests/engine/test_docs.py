"""What docs/ and SECURITY.md say of the code is there: settings, commands, files, modules, addresses, events, tests."""

import re
from pathlib import Path

import pytest
import typer

from engine.cli import app as command
from engine.settings import ROOT, Settings
from engine.sources import stripe
from webhooks import app as web

PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "SECURITY.md"]
EACH = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
LONGEST_LINE = 126
COMPOSES = frozenset({"POSTGRES_PASSWORD", "GROUNDSWELL_TAG"})  # what .env says to compose.yaml alone
SCRIPTS = frozenset({"GROUNDSWELL_AT", "SETTLE_SECONDS"})  # what is said to those of deploy/
_CODE = re.compile(r"`([^`]+)`")
_SETTING = re.compile(r"[A-Z]+(?:_[A-Z0-9]+)+")
_PLACE = re.compile(r"(?:bench|deploy|docs|engine|migrations|templates|tests|webhooks|workers)/[\w./-]+")
_EVENT = re.compile(r"(?m)[a-z_]+(?:\.[a-z_]+)+(?= {2,}|$)")


def spoken(page: Path) -> list[str]:
    """All that a page sets as code within its sentences, also where a line ends in it."""
    return _CODE.findall(" ".join(page.read_text("utf-8").split()))


def settings() -> set[str]:
    """The names of all variables."""
    return {str(field.validation_alias or name.upper()) for name, field in Settings.model_fields.items()}


def commands() -> dict[str, set[str]]:
    """Every command, with those below it; none below one that is called by itself."""
    group = typer.main.get_command(command)
    return {name: set(getattr(one, "commands", {})) for name, one in getattr(group, "commands", {}).items()}


def strange_calls(page: Path) -> list[str]:
    """What a page calls as a command of ours, and is none."""
    known = commands()
    said = re.findall(r"groundswell ([a-z]+)(?: ([a-z]+))?", " ".join(page.read_text("utf-8").split()))
    return [f"{one} {two}" for one, two in said if one not in known or (known[one] and two not in known[one])]


def strange_settings(page: Path) -> set[str]:
    """What a page names as a variable, and is none."""
    named = {name for code in spoken(page) for name in _SETTING.findall(code.partition("=")[0])}
    blocks = set(re.findall(r"(?m)^ +([A-Z_]+)=", page.read_text("utf-8")))
    return (named | blocks) - settings() - COMPOSES - SCRIPTS


def missing_files(page: Path) -> list[str]:
    """The files of ours that a page names, and that are not there."""
    return [code for code in spoken(page) if _PLACE.fullmatch(code) and not (ROOT / code).exists()]


def test_there_is_a_page_for_each_provider_and_the_index_leads_to_all():
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    others = {page.name for page in PAGES if page.parent.name == "docs"} - {"README.md"}
    assert others == set(re.findall(r"\]\((\w+\.md)\)", index)) >= {"actblue.md", "stripe.md", "sendgrid.md"}
    assert "(docs/README.md)" in (ROOT / "README.md").read_text("utf-8")


@EACH
def test_every_link_leads_to_a_file(page: Path):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@EACH
def test_no_line_is_longer_than_one_reads(page: Path):
    lines = page.read_text("utf-8").splitlines()
    assert [number for number, line in enumerate(lines, start=1) if len(line) > LONGEST_LINE] == []


@EACH
def test_every_setting_that_is_named_is_one(page: Path):
    assert strange_settings(page) == set()


@EACH
def test_every_file_and_module_that_is_named_is_there(page: Path):
    assert missing_files(page) == []


@EACH
def test_every_command_that_is_named_is_one(page: Path):
    assert strange_calls(page) == []


@EACH
def test_every_address_of_a_webhook_is_one_that_is_answered(page: Path):
    named = set(re.findall(r"give\.example\.org(/webhooks/[a-z/]+)", page.read_text("utf-8")))
    assert named <= {entry.path for entry in web.ROUTES}


def test_the_page_of_stripe_lists_every_event_that_somebody_acts_on_and_no_other():
    block = (ROOT / "docs" / "stripe.md").read_text("utf-8").partition("Events: these")[2].partition("Payload style")[0]
    told = {name for line in block.splitlines() if line.startswith("      ") for name in _EVENT.findall(line)}
    known = {*stripe.READERS, *stripe.IGNORED}
    assert told == {name for name in known if stripe.acted_on(name)}


def test_every_test_that_the_page_on_security_names_is_in_the_file_that_it_names():
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    pairs = re.findall(r"(?m)^- `(tests/[^`]+)`:((?:.*\n)(?:  .*\n)*)", page)
    named = [(place, name) for place, names in pairs for name in re.findall(r"`(test_\w+)`", names)]
    assert sorted(name for _, name in named) == sorted(re.findall(r"`(test_\w+)`", page)) != []
    assert [pair for pair in named if f"def {pair[1]}(" not in (ROOT / pair[0]).read_text("utf-8")] == []


def test_these_checks_can_fail(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(
        "`groundswell\nnotice list`, `groundswell notices list`, `NO_SUCH_SETTING=1`, `engine/nothing.py`\n\n    NOR_THIS=1\n"
    )
    assert strange_calls(page) == ["notice list"]
    assert strange_settings(page) == {"NO_SUCH_SETTING", "NOR_THIS"}
    assert missing_files(page) == ["engine/nothing.py"]
