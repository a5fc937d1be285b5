"""YAML files that staff write, read strictly: all that is wrong in one is told at once, each with its line. Pure but for
opening the file. What a file means is its reader's: catalogues, funds, donation forms.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from engine.errors import Invalid

LARGEST = 1_000_000  # bytes

# What is wrong, by pydantic's word for it, with its numbers; anything else is told in pydantic's own sentence.
SAYS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "invalid_key": "is not known here",
    "string_type": "must be words; put them in quotation marks",
    "string_too_short": "is empty",
    "string_too_long": "is too long",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "is empty",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "date_type": "must be a day, written like 2026-11-03",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "too_long": "at most {max_length}",
}
_UNPRINTABLE = "holds signs that cannot be printed"
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,17})\.\d{1,9}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TAG = "tag:yaml.org,2002:"


class Plain(yaml.SafeLoader):
    """YAML without aliases: a few lines of them can say more than memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Raises YAMLError for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError
        return super().compose_node(parent, index)


class Exact(Plain):
    """The same, of numbers and days that are written as people write them: 27 an int, 27.50 a Decimal, 2026-11-03 a day.
    What YAML would make of others (010 eight, 1:30 ninety, 1_0 ten) nobody meant: they stay words. So do all keys, and none
    of them merges."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Keys are words."""
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = _TAG + "str"


def _number(loader: Plain, node: yaml.ScalarNode) -> int | Decimal | str:
    written = str(loader.construct_scalar(node))
    if _WHOLE.fullmatch(written):
        return int(written)
    return Decimal(written) if _DECIMAL.fullmatch(written) else written


def _day(loader: Plain, node: yaml.ScalarNode) -> date | str:
    written = str(loader.construct_scalar(node))
    try:
        return date.fromisoformat(written) if _DAY.fullmatch(written) else written
    except ValueError:
        return written


Exact.yaml_constructors = {  # without bytes, sets and pairs, which nobody needs here
    tag: made
    for tag, made in Plain.yaml_constructors.items()
    if tag in {None, *(_TAG + kind for kind in ("str", "bool", "null", "seq", "map"))}
}
for _kind, _made in (("int", _number), ("float", _number), ("timestamp", _day)):
    Exact.add_constructor(_TAG + _kind, _made)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and in which line; 0: with the file as a whole. `path`: the place that `says` begins with."""

    line: int
    says: str
    path: tuple[str | int, ...] = field(default=(), compare=False)

    @property
    def bare(self) -> str:
        """What is wrong, without the place."""
        return self.says.removeprefix(f"{_said_as(self.path)}: ")

    def __str__(self) -> str:
        return f"line {self.line}: {self.says}" if self.line else self.says


@dataclass(slots=True)
class Document:
    """A file, read: what it says, and where. `faults`: what is wrong with it whatever it is about."""

    node: Any = None
    said: Any = None
    faults: list[Fault] = field(default_factory=list)

    def line(self, path: Sequence[str | int]) -> int:
        """The line of what stands there, or of what it should stand in."""
        return _line(self.node, path)

    def inside(self, path: Sequence[str | int]) -> int:
        """The line before the first of a text that stands there: its words may begin below their key."""
        found = _find(self.node, path)
        if isinstance(found, yaml.ScalarNode) and found.style in ("|", ">"):
            return int(found.start_mark.line) + 1
        return int(found.start_mark.line) if found is not None else self.line(path) - 1

    def fault(self, path: Sequence[str | int], says: str) -> Fault:
        """Something that is wrong in this place."""
        where = _said_as(path)
        return Fault(self.line(path), f"{where}: {says}" if where else says, tuple(path))

    def told(
        self,
        error: ValidationError,
        patterns: Mapping[str, str],
        says: Mapping[str, str] = SAYS,
        unwritten: str = "",
        under: Sequence[str | int] = (),
    ) -> Iterator[Fault]:
        """What a model finds wrong. `patterns`: what to say of a field whose words are not like that, by its name; a key that
        nobody writes is `unwritten`. `under`: where that stands which the model has read."""
        for problem in error.errors():
            path = [*under, *(step for step in problem["loc"] if step != unwritten)]
            name = str(path[-1]) if path else "the file"
            if problem["type"] == "string_pattern_mismatch":
                yield self.fault(path, patterns.get(name, _UNPRINTABLE))
            elif problem["type"] == "literal_error":
                yield self.fault(path, f"must be {problem['ctx']['expected'].replace(chr(39), '')}")
            else:
                known = says.get(problem["type"])
                yield self.fault(path, known.format(**problem.get("ctx", {})) if known else problem["msg"])


def written(path: Path, what: str) -> str:
    """The words of a file. Raises Invalid when it is too large or no UTF-8 ("that is no catalogue"), OSError."""
    if path.stat().st_size > LARGEST:
        raise Invalid(f"the file is larger than {LARGEST // 1_000_000} MB: that is no {what}")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"the file is not UTF-8 (byte {error.start:,})") from None


def read(words: str, loader: type[Plain] = Plain) -> Document:
    """What a file says; when it cannot be read as YAML, that is its only fault. Keys that stand twice are told."""
    try:
        reader = loader(words)
        node = reader.get_single_node()
        said = reader.construct_document(node) if node is not None else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that there is not
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        says = f"cannot be read as YAML: {problem}" if problem else "cannot be read as YAML"
        return Document(faults=[Fault(mark.line + 1 if mark else 0, says)])
    return Document(node, said, list(_said_twice(node)))


class _Written(yaml.SafeDumper):
    """Indents lists below their key, never writes an alias, and texts of several lines as a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001 PyYAML's
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Always."""
        return True


def _text_node(dumper: yaml.SafeDumper, words: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(_TAG + "str", words, style="|" if "\n" in words else None)


def _list_node(dumper: yaml.SafeDumper, listed: Sequence[Any]) -> yaml.SequenceNode:
    short = all(isinstance(each, int | Decimal | date) for each in listed)
    return dumper.represent_sequence(_TAG + "seq", listed, flow_style=short)


_Written.add_representer(str, _text_node)
_Written.add_representer(list, _list_node)
_Written.add_representer(tuple, _list_node)
_Written.add_representer(Decimal, lambda dumper, amount: dumper.represent_scalar(_TAG + "float", f"{amount:f}"))


def write(said: Mapping[str, Any]) -> str:
    """A file that says this, in this order; `read` with `Exact` finds the same in it."""
    return yaml.dump(said, Dumper=_Written, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False)


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Each once, from top to bottom."""
    return sorted(dict.fromkeys(faults), key=lambda fault: fault.line)


def _said_as(path: Sequence[str | int]) -> str:
    """A place in words, counted from one: "agendas 2, interests 1, name"."""
    said: list[str] = []
    for step in path:
        if isinstance(step, int) and said:
            said[-1] += f" {step + 1}"
        else:
            said.append(str(step)[:60])
    return ", ".join(said)


def _line(node: Any, path: Sequence[str | int]) -> int:
    line = node.start_mark.line + 1 if node is not None else 1
    for step in path:
        found, line = _below(node, step, line)
        if found is None:
            break
        node = found
    return int(line)


def _find(node: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        node, _ = _below(node, step, 0)
    return node


def _below(node: Any, step: str | int, line: int) -> tuple[Any, int]:
    """What stands under this key or number, and its line; None, and the line that was given."""
    found: Any = None
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found = node.value[step]
        line = found.start_mark.line + 1
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                found, line = value, key.start_mark.line + 1
    return found, line


def _said_twice(node: Any) -> Iterator[Fault]:
    """Keys that stand twice in one mapping: YAML would take the last without a word."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if str(key.value) in seen:
                yield Fault(key.start_mark.line + 1, f"{str(key.value)[:60]} stands twice")
            seen.add(str(key.value))
            yield from _said_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _said_twice(each)
