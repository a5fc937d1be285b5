"""`groundswell funds` and `groundswell forms`: from files to what people see, with what was done on the audit."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.bootstrap import Deps
from engine.giving import form_shelf, forms, fund_files, funds, previews
from engine.giving.forms import Definition
from tests.commands import Done, groundswell
from tests.flows.house import rows

FORM = "slug: rent\ntitle: Rent\nfund: action\nprocessor: stripe\npresets: [10, 27.50]\ngoal: 500\n"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture
def shell(deps: Deps, tmp_path: Path) -> "Shell":
    """A shell in this house, in a folder of its own."""
    return Shell(deps, tmp_path)


class Shell:
    """Runs our command in this folder."""

    def __init__(self, deps: Deps, folder: Path) -> None:
        self.deps, self.folder = deps, folder

    def __call__(self, *arguments: str) -> Done:
        return groundswell(self.deps, *arguments, cwd=self.folder)

    def says(self, *arguments: str) -> str:
        """What a command says that must go well."""
        done = self(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def refused(self, *arguments: str) -> list[str]:
        """What it says when it must not."""
        done = self(*arguments)
        assert done.returncode == 1, done
        return [*done.stdout.splitlines(), *(line.removeprefix("groundswell: ") for line in done.stderr.splitlines())]

    def audited(self) -> list[tuple[Any, ...]]:
        """What is on the audit."""
        return [tuple(row) for row in rows(self.deps, "SELECT action, detail FROM audit ORDER BY id")]


def test_a_form_goes_from_a_file_to_people_and_back_into_the_file(shell: Shell, tmp_path: Path):
    (tmp_path / "p.png").write_bytes(PNG)
    (tmp_path / "rent.yaml").write_text(
        FORM + "picture: p.png\npicture_shows: A door\nwhy: 'We [b]need[/b] you :heart:'\n"
    )
    assert shell.says("forms", "import", "rent.yaml", "--dry-run") == "it would be version 1 of rent (new)\n"
    assert shell.audited() == []
    assert shell.says("forms", "import", "rent.yaml", "--draft").endswith(
        "version 1 of rent, a draft: groundswell forms publish rent 1\n"
    )
    assert "rent           Rent: a draft, stripe, for action, open\n" in shell.says("forms", "list")
    assert shell.says("forms", "publish", "rent", "1") == "rent shows version 1\n"
    assert shell.says("forms", "publish", "rent", "1") == "rent shows version 1 already\n"
    assert "rent           Rent: version 1, stripe, for action, $0 of $500, open\n" in shell.says("forms", "list")
    shell.says("forms", "show", "rent", "--to", "shown")
    assert (tmp_path / "shown" / "rent.png").read_bytes() == PNG
    assert "nothing new was written" in shell.says("forms", "import", "shown/rent.yaml")
    assert shell.says("forms", "show", "rent") == (tmp_path / "shown" / "rent.yaml").read_text()
    assert shell.audited() == [
        ("form drafted", {"form": "rent", "version": 1}), ("form published", {"form": "rent", "version": 1}),
    ]  # fmt: skip


def test_another_file_is_another_version_and_what_differs_is_said(shell: Shell, tmp_path: Path):
    (tmp_path / "rent.yaml").write_text(FORM)
    shell.says("forms", "import", "rent.yaml")
    (tmp_path / "rent.yaml").write_text(FORM.replace("title: Rent", "title: Rent [bold]"))
    said = shell.says("forms", "import", "rent.yaml")
    assert said == "  title: Rent, then Rent [bold]\nversion 2 of rent, shown from now on\n"
    found = shell.says("forms", "versions", "rent").splitlines()
    assert [line[:24] for line in found] == ["   2  Rent [bold]: writt", "   1  Rent: written 2026-"[:24]]
    assert (found[0].endswith(", shown now"), found[1].endswith(", shown now")) == (True, False)
    assert "title: Rent\n" in shell.says("forms", "show", "rent", "--version", "1")


def test_a_form_with_faults_is_told_by_file_line_and_field_and_changes_nothing(shell: Shell, tmp_path: Path):
    (tmp_path / "rent.yaml").write_text(FORM.replace("action", "gold") + "colour: red\nfloor: x\nthanks_letter: none\n")
    assert shell.refused("forms", "import", "rent.yaml") == [
        "rent.yaml, line 3: fund: there is no fund gold",
        "rent.yaml, line 7: colour: is not known here",
        "rent.yaml, line 8: floor: is no amount of dollars: write it like 27 or 27.50",
        "rent.yaml, line 9: thanks_letter: there is no letter none", "nothing was changed",
    ]  # fmt: skip
    (tmp_path / "rent.yaml").write_text(FORM.replace("fund: action", "fund: gold"))
    assert shell.refused("forms", "import", "rent.yaml") == [
        "rent.yaml, line 3: fund: there is no fund gold", "nothing was changed",
    ]  # fmt: skip
    assert shell.audited() == []


def test_a_form_is_closed_with_a_reason_and_opened_again(shell: Shell):
    shell.says("forms", "close", "pac", "--because", "The election is over.")
    assert "for pac, closed: The election is over.\n" in shell.says("forms", "list")
    shell.says("forms", "open", "pac")
    assert [action for action, _ in shell.audited()] == ["form closed", "form opened"]
    assert shell.refused("forms", "close", "gold", "--because", "x") == ["there is no donation form gold"]


def test_a_preview_and_a_snippet_are_printed_to_be_copied(shell: Shell):
    link = re.fullmatch(r"http://\S+/give/pac\?preview=(\S+)\n", shell.says("forms", "preview", "pac", "1"))
    assert link is not None
    with shell.deps.work() as (session, _):
        assert previews.read(shell.deps.signer, link[1], datetime.now(UTC)) == form_shelf.one(session, "pac").id
    said = shell.says("forms", "snippet", "common-ground")
    assert '/give/common-ground?embed=1" title="Stand with your neighbors" width="100%" height="1200"' in said
    assert 'width="100%" height="2600"' in shell.says("forms", "snippet", "pac")
    assert 'loading="lazy" referrerpolicy="strict-origin-when-cross-origin"></iframe>' in said
    assert "EMBED_ORIGINS" in said
    assert said.endswith("  https://secure.actblue.com/donate/common-ground?amount=1000\n")


def test_funds_come_from_a_file_and_what_changed_is_on_the_audit(shell: Shell, tmp_path: Path):
    (tmp_path / "funds.yaml").write_text("funds:\n  - {slug: pac, limit: 750.50, employer: }\n")
    dry = shell.says("funds", "import", "funds.yaml", "--dry-run")
    assert (dry, shell.audited()) == ("pac would be changed: limit, employer\n", [])
    assert shell.says("funds", "import", "funds.yaml") == "pac is changed: limit, employer\n"
    assert shell.says("funds", "import", "funds.yaml") == "it is all as the file says already\n"
    assert "        $750.50 a person and calendar year\n" in shell.says("funds", "list")
    (tmp_path / "pac.yaml").write_text(shell.says("funds", "show", "pac"))
    assert "limit: 750.50\n" in (tmp_path / "pac.yaml").read_text()
    assert "already" in shell.says("funds", "import", "pac.yaml")
    shell.says("funds", "express", "pac", "on")
    assert shell.audited() == [
        ("fund changed", {"fields": ["limit", "employer"]}), ("express links switched", {"express_lane": "on"}),
    ]  # fmt: skip
    (tmp_path / "funds.yaml").write_text("funds: [{slug: gold}]\n")
    assert (
        shell.refused("funds", "import", "funds.yaml")[0]
        == "funds.yaml, line 1: funds 1, name: is missing: the fund is new"
    )


def test_of_writers_at_once_each_finds_what_the_one_before_has_written(deps: Deps):
    said = Definition(slug="rent", title="Rent", fund="action", processor="stripe")
    fund = fund_files.read_text(
        "funds: [{slug: gold, name: G, disclaimer: D, deductibility: N, actblue_entities: [9]}]"
    )

    def write(_: int) -> tuple[int, int]:
        with deps.work() as (session, now):
            made = form_shelf.bring_in(session, said, None, now).number
            return made, len(funds.bring_in(session, fund, now).changed)

    with ThreadPoolExecutor(4) as writers:
        assert sorted(writers.map(write, range(4))) == [(0, 0), (0, 0), (0, 0), (1, 1)]
    with deps.work() as (session, now):
        assert forms.giving(session, now).forms["rent"].version == 1
