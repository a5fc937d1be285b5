"""The shape of the house: five literals that tell everything, files and functions that stay small, arrows one way."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import engine
from engine import bell, events, reactions, states, tables
from engine.settings import ROOT
from engine.tables.columns import metadata
from tests.__main__ import TESTS
from webhooks import app
from workers import main, pulse, upkeep

CODE = [
    path for folder in ("engine", "workers", "webhooks", "bench", "tests") for path in (ROOT / folder).rglob("*.py")
]
LONGEST_FILE, LONGEST_FUNCTION = 400, 50
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "service", "services", "manager", "managers"}


def long_files(paths: list[Path]) -> list[str]:
    return [str(path) for path in paths if len(path.read_text("utf-8").splitlines()) > LONGEST_FILE]


def long_functions(paths: list[Path]) -> list[str]:
    return [
        f"{path}:{node.name}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    ]


def inline_imports(paths: list[Path]) -> list[str]:
    return [
        f"{path}:{inner.lineno}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]


def all_events(module: ModuleType) -> set[type]:
    return {
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, events.Event) and kind is not events.Event
    }


def test_the_package_is_the_one_in_this_repository():
    assert Path(engine.__file__).resolve().parent == ROOT / "engine"


def test_no_file_is_longer_than_the_rule_allows():
    assert long_files(CODE) == []


def test_no_function_is_longer_than_the_rule_allows():
    assert long_functions(CODE) == []


def test_no_import_hides_in_a_function():
    assert inline_imports(CODE) == []


def test_the_size_and_import_rules_can_fail(tmp_path: Path):
    broken = tmp_path / "broken.py"
    broken.write_text("def f():\n    import os\n" + "    x = 1\n" * 50 + "y = 1\n" * 400)
    assert long_files([broken])
    assert long_functions([broken])
    assert inline_imports([broken])


def test_no_module_has_a_name_that_means_nothing():
    assert [str(path) for path in CODE if path.stem in FORBIDDEN_NAMES] == []


def test_every_module_says_what_it_owns():
    silent = [
        path for path in CODE if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert [str(path) for path in silent if "tests" not in path.parts] == []


def listed(package: Path) -> set[str]:
    """The modules that a package lists, one a line or several with commas: names, two spaces or more, what they are."""
    told = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8"))) or ""
    found = [re.match(r"(\w+(?:, \w+)*) {2,}\w", line) for line in told.replace("@", "").splitlines()]
    return {name for names in found if names for name in names[1].split(", ")}


def test_a_package_that_lists_its_modules_lists_all_of_them():
    told = {path.parent: names for path in CODE if path.name == "__init__.py" and (names := listed(path.parent))}
    there = {
        package: {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
        - {"__init__", "__pycache__"}
        for package in told
    }
    assert {package.name for package in told} >= {"engine", "outreach", "reports", "segments"}
    assert told == there


def test_every_kind_of_event_has_its_place_in_reactions():
    assert set(reactions.REACTIONS) == all_events(events)


def test_states_tells_every_table_that_has_states_and_every_next_state_exists():
    stateful = {
        name for name, table in metadata.tables.items()
        if "state" in table.c and any("state IN" in str(check.sqltext) for check in table.constraints
                                      if hasattr(check, "sqltext"))
    }  # fmt: skip
    assert stateful == set(states.STATES)
    for table, allowed in states.STATES.items():
        for state, following in allowed.items():
            assert set(following) <= set(allowed), (table, state)


def test_every_bell_has_an_actor_and_every_actor_a_group():
    bells = {value for name, value in vars(bell).items() if name.isupper() and isinstance(value, str)}
    assert set(main.ACTORS) == bells
    assert sorted(queue for group in main.GROUPS.values() for queue in group.queues) == sorted(bells)


def test_every_chore_of_the_schedule_can_be_done_and_none_is_left_out():
    assert set(pulse.SCHEDULE) == set(upkeep.CHORES)


def test_every_route_is_told_in_routes_and_none_twice():
    told = [(method, entry.path) for entry in app.ROUTES for method in entry.methods]
    assert len(told) == len(set(told))
    handlers = {entry.answer for entry in app.ROUTES}
    modules = {inspect.getmodule(handler) for handler in handlers}
    for module in modules:
        assert module is not None
        public = {
            member for name, member in inspect.getmembers(module, inspect.isfunction)
            if member.__module__ == module.__name__ and not name.startswith("_")
            and "Response" in str(member.__annotations__.get("return", ""))
        }  # fmt: skip
        assert public <= handlers, f"{module.__name__} answers requests that no route names"


def reads_of_bodies(paths: list[Path]) -> list[str]:
    return [
        f"{path.name}:{node.lineno}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"body", "json", "form", "stream"}
        if isinstance(node.value, ast.Name) and node.value.id == "request"
    ]


def test_only_the_door_reads_bodies_with_its_limit_and_its_deadline(tmp_path: Path):
    modules = (ROOT / "webhooks").rglob("*.py")
    assert reads_of_bodies([path for path in modules if path.name != "receive.py"]) == []
    broken = tmp_path / "broken.py"
    broken.write_text("async def f(request):\n    return await request.form()\n")
    assert reads_of_bodies([broken])


def test_every_table_is_exported_and_named_in_the_singular():
    assert {getattr(tables, name).__tablename__ for name in tables.__all__} == set(metadata.tables)
    assert [name for name in metadata.tables if name.endswith("s") and not name.endswith("ss")] == []


def test_every_module_of_the_engine_has_its_layer():
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    named = {name.strip() for layer in layers for name in layer.split("|")}
    there = {f"engine.{path.stem}" for path in (ROOT / "engine").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert {name for name in named if name.startswith("engine.")} == there - {"engine.__init__", "engine.__pycache__"}


def test_the_import_linter_fails_when_an_arrow_is_turned_round(tmp_path: Path):
    for folder in ("engine", "workers", "webhooks"):
        for path in (ROOT / folder).rglob("*.py"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    money = tmp_path / "engine" / "money.py"
    money.write_text(money.read_text("utf-8") + "\nfrom engine.giving import books\nimport starlette\n", "utf-8")
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "engine.money -> engine.giving.books" in done.stdout
    assert "Arrows point one way BROKEN" in done.stdout
    assert "No web framework inside the engine or the workers BROKEN" in done.stdout


def test_every_folder_of_tests_is_run():
    named = {place for part in TESTS for place in part if place.startswith("tests")}
    folders = {f"tests/{path.parent.name}" for path in (ROOT / "tests").glob("*/test_*.py")}
    assert {*folders, *(f"tests/{path.name}" for path in (ROOT / "tests").glob("test_*.py"))} == named
