"""The merge language of letters: Jinja2's syntax, by an allow-list of what it may say.

    {{ first_name | default("friend") }}      a field, through a few filters
    {% if gives_monthly %}…{% else %}…{% endif %}      a named yes or no, or `not` one
    {% for rung in ladder %}…{{ rung.words }}…{% endfor %}      one of the lists that we give

No calls, comparisons, sums or globals, and no control in a quoted word, however it is written: what a letter says can be
checked when it is written, every fault with its line and column. `read` finds all of them; `parse` gives Jinja's own tree of
a source that has none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from jinja2 import Environment, StrictUndefined, TemplateSyntaxError, nodes

from engine.errors import Invalid
from engine.letters.vocabulary import FLAG, HTML, NUMBER, TEXT, URL, Kind, Record, Rows, Vocabulary

LONGEST_SOURCE = 256 * 1024  # characters
LONGEST_TAG = 300
DEEPEST = 3
MOST_FAULTS = 20

FILTERS = frozenset({"capitalize", "default", "lower", "title", "trim", "upper", "urlencode"})
_PRINTED = (TEXT, NUMBER, URL, HTML)
_OPENING = re.compile(r"\{\{|\{%|\{#")
_INSIDE = r"""(?:"[^"\n]*"|'[^'\n]*'|[^"'\n])"""
_TAG = re.compile(
    rf"\{{\{{-?(?P<says>{_INSIDE}{{0,{LONGEST_TAG}}}?)-?\}}\}}"
    rf"|\{{%-?(?P<does>{_INSIDE}{{0,{LONGEST_TAG}}}?)-?%\}}"
    r"|\{#(?P<notes>.{0,2000}?)#\}",
    re.DOTALL,
)


class _Environment(Environment):
    """Jinja that finds nothing in a value but what stands under a name in it: no attribute, no method, no place of a list."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping):
            try:
                return obj[argument]
            except KeyError:
                pass
        return self.undefined(obj=obj, name=argument)


def environment(*, html: bool) -> Environment:
    """Jinja with our filters and nothing else. A field is never missing when a letter is rendered, but may be empty: that is
    when `default` fills in."""
    made = _Environment(autoescape=html, undefined=StrictUndefined, keep_trailing_newline=True)
    made.globals.clear()
    made.tests.clear()
    made.filters = {name: made.filters[name] for name in FILTERS} | {"default": lambda value, word: value or word}
    return made


_ENVIRONMENT = environment(html=True)


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a source: `{{ says }}`, `{% does %}` (its first word is `word`), or a note that nobody reads."""

    source: str
    start: int
    says: str | None = None
    does: str | None = None

    @property
    def word(self) -> str:
        """What a `{% … %}` does: "if", "endfor", … ; "" for any other."""
        return (self.does or "").strip().partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a source that cannot stay. `line` and `column` count from 1; `part` names the source: "body"."""

    part: str
    line: int
    column: int
    says: str

    def __str__(self) -> str:
        return f"{self.part}, line {self.line}, column {self.column}: {self.says}"


@dataclass(frozen=True, slots=True)
class Place:
    """A tag where it stands in its source. `kind`: what it prints; None for one that prints nothing."""

    tag: Tag
    part: str
    line: int
    column: int
    kind: Kind | None

    def fault(self, says: str) -> Fault:
        """A fault of this tag."""
        return Fault(self.part, self.line, self.column, says)


class Faulty(Invalid):
    """A source with faults, all of them told."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, faults)))


def tags(source: str) -> Iterator[Tag]:
    """The tags of a source, in their order. One that does not close has neither `says` nor `does`, and an empty source."""
    place = 0
    while opening := _OPENING.search(source, place):
        found = _TAG.match(source, opening.start())
        if found is None:
            yield Tag("", opening.start())
            place = opening.end()
            continue
        yield Tag(found[0], found.start(), found["says"], found["does"])
        place = found.end()


def read(source: str, vocabulary: Vocabulary, part: str) -> list[Place]:
    """The tags of this source, each with where it stands and what it is. Raises Faulty with all that cannot stay (at most
    MOST_FAULTS)."""
    if len(source) > LONGEST_SOURCE:
        raise Faulty([Fault(part, 1, 1, f"longer than {LONGEST_SOURCE:,} characters")])
    reading = _Reading(source, part, [dict(vocabulary)])
    found = []
    for tag in tags(source):
        found.append(reading.read(tag))
        if len(reading.faults) >= MOST_FAULTS:
            raise Faulty(reading.faults)
    for opened in reading.open:
        reading.fault(opened.start, f"this {opened.word} has no end{opened.word}")
    if reading.faults:
        raise Faulty(reading.faults)
    return found


def parse(source: str) -> nodes.Template:
    """Jinja's tree of a source in which `read` finds no fault. Raises Invalid for any other node than those it lets by."""
    try:
        tree = _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        raise Invalid(f"line {error.lineno}: {error.message}") from None
    except RecursionError:
        raise Invalid("nested too deeply") from None
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _NODES):
            raise Invalid(f"line {node.lineno}: {type(node).__name__} is not possible here")
    _seen(tree)
    return tree


def last_filter(tag: Tag) -> str:
    """The filter that what a tag prints goes through last; "" when there is none. Of a tag without a fault."""
    node = _expression(tag.says or "''")
    return node.name if isinstance(node, nodes.Filter) else ""


_NODES = (
    nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const, nodes.Filter, nodes.If, nodes.Not, nodes.For,
)  # fmt: skip


@dataclass(slots=True)
class _Reading:
    """How far a source was read: what can be named inside of what is open."""

    source: str
    part: str
    names: list[dict[str, Kind]]
    open: list[Tag] = field(default_factory=list)
    through: set[int] = field(default_factory=set)  # where an if began whose else has come
    faults: list[Fault] = field(default_factory=list)

    def fault(self, start: int, says: str) -> None:
        self.faults.append(Fault(self.part, *self._where(start), says))

    def read(self, tag: Tag) -> Place:
        kind = None
        try:
            kind = self._understood(tag)
        except Invalid as error:
            self.fault(tag.start, str(error))
        return Place(tag, self.part, *self._where(tag.start), kind)

    def _understood(self, tag: Tag) -> Kind | None:
        if not tag.source:
            raise Invalid("this tag is not closed, or is longer than a tag can be")
        if tag.says is not None:
            return self._say(tag.says)
        if tag.does is not None:
            self._do(tag)
        return None

    def _where(self, start: int) -> tuple[int, int]:
        return self.source.count("\n", 0, start) + 1, start - self.source.rfind("\n", 0, start)

    def _say(self, said: str) -> Kind:
        kind = self._kind(_expression(said))
        if isinstance(kind, Record | Rows):
            raise Invalid("this is a list or has parts: name one of them")
        if kind not in _PRINTED:
            raise Invalid("this is a yes or no: use it in {% if … %}")
        return kind

    def _do(self, tag: Tag) -> None:
        match tag.word:
            case "if":
                self._enter(tag)
                self._test(tag)
            case "for":
                self._enter(tag)
                self.names[-1] = self._loop(tag)
            case "elif" | "else":
                if not self.open or self.open[-1].word != "if" or self.open[-1].start in self.through:
                    raise Invalid(f"there is no if open here for this {tag.word}")
                if tag.word == "elif":
                    self._test(tag)
                else:
                    self.through.add(self.open[-1].start)
            case "endif" | "endfor":
                self._leave(tag)
            case other:
                raise Invalid(f"`{other[:20]}` is not possible here: a tag is if, for, or a field in {{{{ … }}}}")

    def _enter(self, tag: Tag) -> None:
        self.open.append(tag)
        self.names.append({})
        if len(self.open) > DEEPEST:
            raise Invalid(f"more than {DEEPEST} deep")

    def _leave(self, tag: Tag) -> None:
        if not self.open or self.open[-1].word != tag.word.removeprefix("end"):
            raise Invalid(f"there is no {tag.word.removeprefix('end')} open here for this {tag.word}")
        self.open.pop()
        self.names.pop()

    def _test(self, tag: Tag) -> None:
        """`if gives_monthly`, `if not gives_monthly`."""
        test = _statement(f"{{% if {_rest(tag)} %}}{{% endif %}}", nodes.If).test
        while isinstance(test, nodes.Not):
            test = test.node
        if self._kind(test) != FLAG:
            raise Invalid("only a named yes or no can stand here: no comparison, no text")

    def _loop(self, tag: Tag) -> dict[str, Kind]:
        """`for rung in ladder`: what can be named inside of it."""
        loop = _statement(f"{{% for {_rest(tag)} %}}{{% endfor %}}", nodes.For)
        if not isinstance(loop.target, nodes.Name) or loop.test or loop.recursive:
            raise Invalid("a loop is plain: {% for rung in ladder %}")
        over = self._kind(loop.iter)
        if not isinstance(over, Rows):
            raise Invalid("only a list that we give can stand here")
        if any(loop.target.name in names for names in self.names):
            raise Invalid(f"`{loop.target.name}` is a field already: call it something else")
        return {loop.target.name: Record(over.parts)}

    def _kind(self, node: nodes.Node) -> Kind:
        """What an expression is. Raises Invalid for one that cannot be."""
        match node:
            case nodes.Name():
                return self._named(node.name)
            case nodes.Const() if isinstance(node.value, str | int) and not isinstance(node.value, bool):
                return TEXT
            case nodes.Getattr():
                whole = self._kind(node.node)
                if not isinstance(whole, Record):
                    raise Invalid(f"there is no `{node.attr}` in this")
                return _known(node.attr, whole.parts)
            case nodes.Filter():
                return self._filtered(node)
        raise Invalid("only the name of a field can stand here: no sums, comparisons, calls or lists")

    def _filtered(self, node: nodes.Filter) -> Kind:
        if node.name not in FILTERS:
            raise Invalid(f"there is no filter `{node.name[:20]}`; there are {', '.join(sorted(FILTERS))}")
        if node.kwargs or node.dyn_args or node.dyn_kwargs or any(not isinstance(a, nodes.Const) for a in node.args):
            raise Invalid('a filter takes a plain word: | default("friend")')
        if (node.name == "default") != bool(node.args) or len(node.args) > 1:
            raise Invalid('default takes one word, no other filter takes any: | default("friend")')
        if node.node is None:
            raise Invalid("a filter needs a field before it")
        kind = self._kind(node.node)
        if kind not in (TEXT, NUMBER):
            raise Invalid("only text goes through a filter")
        return TEXT

    def _named(self, name: str) -> Kind:
        for names in reversed(self.names):
            if name in names:
                return names[name]
        return _known(name, {name: kind for names in self.names for name, kind in names.items()})


def _known(name: str, names: Mapping[str, Kind]) -> Kind:
    if name in names:
        return names[name]
    near = get_close_matches(name, names, 1)
    raise Invalid(f"there is no field `{name[:40]}`" + (f": do you mean `{near[0]}`?" if near else ""))


def _rest(tag: Tag) -> str:
    return (tag.does or "").strip().partition(" ")[2]


def _expression(said: str) -> nodes.Node:
    node: nodes.Node = _statement(f"{{{{{said}}}}}", nodes.Output).nodes[0]
    return node


def _statement(source: str, kind: type[Any]) -> Any:
    """The one statement of a source. Raises Invalid when there is none, or more."""
    try:
        tree = _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        raise Invalid(_plainly(error.message or "")) from None
    except RecursionError:
        raise Invalid("brackets within brackets, too deep") from None
    _seen(tree)
    body = tree.body
    if len(body) != 1 or not isinstance(body[0], kind):
        raise Invalid("not a tag that can be understood")
    return body[0]


def _seen(tree: nodes.Template) -> None:
    """Raises Invalid for a quoted word with something in it that is not printed: "\\n" would break a header's line."""
    if any(isinstance(each.value, str) and not each.value.isprintable() for each in tree.find_all(nodes.Const)):
        raise Invalid("this word holds a control, or something else that nobody sees")


def _plainly(said: str) -> str:
    """Jinja's own words of a fault, on one line, without the input's length."""
    return " ".join(said.split())[:160] or "not a tag that can be understood"
