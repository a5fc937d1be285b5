"""What we are built on has no hole that is known to us: the lowest version of a package that may be asked for, pinned, run.

FLOORS says which holes were closed by then. Whoever hears of another one adds it, raises the floor, and then `make lock`.
A package that nobody needs any more leaves the table; one that another would use if it were there stays, as `optional`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from engine.settings import ROOT

LOCKS = ("requirements.txt", "requirements-dev.txt")
BOUNDS = frozenset({">=", "==", "~=", ">"})  # what says how low a version may be
_PIN = re.compile(r"(?m)^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)")


@dataclass(frozen=True, slots=True)
class Floor:
    """A package, its lowest version, and what each earlier release closed. `optional`: nobody of ours depends on it, but it
    would be used if it were there."""

    package: str
    lowest: str
    closed: Mapping[str, str]
    optional: bool = False


FLOORS = (
    Floor(
        "starlette",
        "1.10",
        {
            "CVE-2024-47874: a form of many parts fills the memory": "0.40.0",
            "CVE-2025-54121: a large upload stops the event loop": "0.47.2",
            "CVE-2025-62727: a Range header costs the square of its length": "0.49.1",
            "CVE-2026-48710: the Host header changes request.url.path": "1.0.1",
            "absolute paths among static files are not refused": "1.1.0",
            "CVE-2026-54282: a path without its slash changes request.url.hostname": "1.3.0",
            "CVE-2026-54283: the limits of request.form() pass over urlencoded bodies": "1.3.1",
        },
    ),
    Floor(
        "python-multipart",
        "0.0.32",
        {
            "CVE-2024-24762: a Content-Type header that takes for ever to read": "0.0.7",
            "CVE-2024-53981: a line of log for each byte around the parts": "0.0.18",
            "CVE-2026-24486: an upload is written outside its folder": "0.0.22",
            "CVE-2026-40347: large bytes before and after the parts": "0.0.26",
            "CVE-2026-42561: headers of a part without bound": "0.0.27",
            "CVE-2026-53539, GHSA-6jv3-5f52-599m: a semicolon as a separator, read in square time": "0.0.30",
            "GHSA-v9pg-7xvm-68hf: a Content-Length below nothing": "0.0.31",
        },
        optional=True,  # Starlette reads forms with it; we read them ourselves, and refuse those of many parts
    ),
    Floor(
        "jinja2",
        "3.1.6",
        {
            "CVE-2024-56201: the name of a template runs code": "3.1.5",
            "CVE-2024-56326: str.format leaves the sandbox": "3.1.5",
            "CVE-2025-27516: the filter attr leaves the sandbox": "3.1.6",
        },
    ),
    Floor(
        "urllib3",
        "2.7",
        {
            "CVE-2025-66418, CVE-2025-66471, CVE-2026-21441, CVE-2026-44432: an answer that unpacks without end": "2.7",
        },
    ),
    Floor("h11", "0.16", {"CVE-2025-43859: chunks that two servers read in two ways": "0.16.0"}),
    Floor("dramatiq", "2.0.1", {"issue 791: a TimeoutError of an async actor loops until memory ends": "2.0.1"}),
)
EACH = pytest.mark.parametrize("floor", FLOORS, ids=lambda floor: floor.package)


def asked(project: Mapping[str, Any]) -> list[Requirement]:
    """All that a pyproject.toml asks for, extras too."""
    extras = project["project"].get("optional-dependencies", {}).values()
    return [Requirement(line) for lines in (project["project"]["dependencies"], *extras) for line in lines]


def asked_too_low(floor: Floor, requirements: Iterable[Requirement]) -> list[str]:
    """The requirements of this package by which an older one could be installed."""
    return [
        str(requirement)
        for requirement in requirements
        if canonicalize_name(requirement.name) == floor.package
        and not any(
            bound.operator in BOUNDS and Version(bound.version.removesuffix(".*")) >= Version(floor.lowest)
            for bound in requirement.specifier
        )
    ]


def pins(locked: str, package: str) -> list[str]:
    """The versions of a package that a file of requirements pins: none, one, or one for each marker."""
    return [found for name, found in _PIN.findall(locked) if canonicalize_name(name) == package]


def too_low(floor: Floor, versions: Sequence[str]) -> list[str]:
    """Those that are older than they may be."""
    return [found for found in versions if Version(found) < Version(floor.lowest)]


def installed(package: str) -> list[str]:
    """Its version here, if it is here."""
    try:
        return [version(package)]
    except PackageNotFoundError:
        return []


def locked() -> list[str]:
    """What our files of requirements say."""
    return [(ROOT / name).read_text("utf-8") for name in LOCKS]


@EACH
def test_no_floor_lies_below_a_release_that_closed_a_hole(floor: Floor):
    assert floor.closed
    assert [hole for hole, since in floor.closed.items() if Version(since) > Version(floor.lowest)] == []


@EACH
def test_the_project_asks_for_no_version_with_a_known_hole(floor: Floor):
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert asked_too_low(floor, asked(tomllib.load(file))) == []


@EACH
@pytest.mark.parametrize("name", LOCKS)
def test_no_version_with_a_known_hole_is_pinned(floor: Floor, name: str):
    assert too_low(floor, pins((ROOT / name).read_text("utf-8"), floor.package)) == []


@EACH
def test_no_version_with_a_known_hole_is_installed(floor: Floor):
    here = installed(floor.package)
    assert here or floor.optional, f"{floor.package} is not installed"
    assert too_low(floor, here) == []


@EACH
def test_every_package_of_the_table_is_one_that_we_depend_on_or_is_said_to_be_optional(floor: Floor):
    pinned = [found for lock in locked() for found in pins(lock, floor.package)]
    assert pinned or floor.optional, f"nobody depends on {floor.package} any more: take it off the table"


def test_each_package_stands_once_in_the_table_under_its_plain_name():
    names = [floor.package for floor in FLOORS]
    assert names == [canonicalize_name(name) for name in names]
    assert len(names) == len(set(names))


def test_these_checks_can_fail():
    floor = Floor("jinja2", "3.1.6", {"a hole": "3.1.6"})
    project = {
        "project": {
            "dependencies": ["Jinja2>=3.1.5", "starlette>=1.10"],
            "optional-dependencies": {"dev": ["jinja2<4", "jinja2", "jinja2>=3.1.6,<4", "jinja2~=3.2"]},
        }
    }
    assert asked_too_low(floor, asked(project)) == ["Jinja2>=3.1.5", "jinja2<4", "jinja2"]
    lines = 'Jinja2==3.1.5 ; python_version < "3.12" \\\n    --hash=sha256:00\njinja2-time==0.2.0\njinja2==3.10.0 \\\n'
    assert pins(lines, "jinja2") == ["3.1.5", "3.10.0"]
    assert too_low(floor, pins(lines, "jinja2")) == ["3.1.5"]
    assert installed("no-package-has-this-name") == []
