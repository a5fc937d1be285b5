"""A letter split once into what is the same for all who get it and what is each reader's own. Pure.

`fold` fills in all that the sender says: what is left are holes, each a piece of the template that names something of the
reader. One small template renders all holes of one reader; the provider puts them where their tokens stand, and a full
letter is the same pieces put together here. A token is opaque, and nobody's words can hold one.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import Environment, Template, nodes

from engine.errors import Invalid
from engine.letters import language, plain
from engine.letters.vocabulary import GIVES, one_line

MOST_BYTES = 512 * 1024  # of one reader's part of a letter
_SEPARATOR = "\x00"  # neither values nor the words of a letter hold controls
_HTML, _PLAIN = language.environment(html=True), language.environment(html=False)
_PARTS = ("subject", "html", "text")
LADDER, MONTHLY, MOST_LADDERS = "ladder", "monthly_ladder", 1000
OFFERED = frozenset(GIVES)

Where = frozenset[tuple[str, bool]]  # names of conditions, and whether each holds


@dataclass(frozen=True, slots=True)
class Words:
    """What a mailing says, with its tags."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one reader reads."""

    subject: str
    html: str
    text: str


@dataclass(slots=True)
class _Holes:
    """The holes of an environment, each once: their nodes, and the token of each."""

    environment: Environment
    found: list[nodes.Node] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)

    def token(self, node: nodes.Node, mark: str) -> str:
        shape = repr(node)
        if shape not in self.known:
            self.known[shape] = f"%{mark}{len(self.found)}%"
            self.found.append(node)
            self.tokens.append(self.known[shape])
        return self.known[shape]

    def makers(self, known: Set[str]) -> Iterator["_Maker"]:
        """One template that says all holes, with a separator between; another one for those of what is offered alone."""
        for shared in (False, True):
            chosen = [place for place, node in enumerate(self.found) if (_names(node) - known <= OFFERED) is shared]
            if chosen:
                template = _template(self.environment, _apart([self.found[place] for place in chosen]))
                yield _Maker(template, [self.tokens[place] for place in chosen], shared)


@dataclass(frozen=True, slots=True)
class _Maker:
    """What renders some holes of a reader. `shared`: by what she is offered alone, which many readers are."""

    template: Template
    tokens: Sequence[str]
    shared: bool

    def made(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        return zip(self.tokens, _render(self.template, values).split(_SEPARATOR), strict=True)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is the same for all, with tokens in it; and what makes each reader's own of her values."""

    subject: str
    html: str
    text: str
    names: frozenset[str]  # what a reader's values have to say
    _makers: tuple[_Maker, ...]
    _known: Mapping[str, Any]  # what the sender says inside of a hole
    # What each said, by the identity of both ladders.
    _ladders: dict[tuple[int, int], tuple[tuple[Any, ...], dict[str, str]]] = field(default_factory=dict)

    def substitutions(self, values: Mapping[str, Any]) -> dict[str, str]:
        """What to put in place of each token. Raises Invalid for more than MOST_BYTES."""
        made: dict[str, str] = {}
        values = {**self._known, **values}
        for maker in self._makers:
            made.update(self._shared(values) if maker.shared else maker.made(values))
        if sum(map(len, made.values())) > MOST_BYTES:
            raise Invalid("this letter is too long for one reader")
        return made

    def _shared(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        """What the holes say of what is offered alone: the ladders, and the links to give that go with them; rendered once
        for each that are values (tuples)."""
        ladders = values.get(LADDER, ()), values.get(MONTHLY, ())
        links = values.get("give_url"), values.get("give_monthly_url")
        which = id(ladders[0]), id(ladders[1])
        known = self._ladders.get(which)
        if known is not None and known[0][0] is ladders[0] and known[0][1] is ladders[1] and known[0][2:] == links:
            return known[1]
        made = dict(pair for maker in self._makers if maker.shared for pair in maker.made(values))
        if all(isinstance(each, tuple) for each in ladders):
            if len(self._ladders) >= MOST_LADDERS:
                self._ladders.clear()
            self._ladders[which] = (*ladders, *links), made
        return made

    def letter(self, values: Mapping[str, Any]) -> Rendered:
        """The whole letter of one reader."""
        return filled(self, self.substitutions(values))


def filled(sheet: Sheet, substitutions: Mapping[str, str]) -> Rendered:
    """The letter that a provider makes of these."""
    said = [getattr(sheet, part) for part in _PARTS]
    for token, value in substitutions.items():
        said = [part.replace(token, value) for part in said]
    subject, html, text = said
    return Rendered(one_line(subject), html, text)


def fold(words: Words, sender: Mapping[str, Any]) -> Sheet:
    """Fill in what the sender says. Raises Invalid where the words and these values do not fit."""
    return _fold(words, tuple(sorted(sender.items())))


@lru_cache(maxsize=256)
def _fold(words: Words, sender: tuple[tuple[str, Any], ...]) -> Sheet:
    whole = words.subject + words.html + words.text
    while (mark := secrets.token_hex(5)) in whole:
        pass
    html, rest = _Holes(_HTML), _Holes(_PLAIN)
    known = dict(sender)
    subject, text = (_static(source, known, rest, mark + "t") for source in (words.subject, words.text))
    body = _static(words.html, known, html, mark + "h")
    named = frozenset(name for holes in (html, rest) for node in holes.found for name in _names(node))
    makers = tuple(maker for holes in (html, rest) for maker in holes.makers(known.keys()))
    inside = {name: known[name] for name in named & known.keys()}
    return Sheet(one_line(subject), body, plain.tidied(text), named - known.keys(), makers, inside)


def _static(source: str, known: Mapping[str, Any], holes: _Holes, mark: str) -> str:
    """The source with all that is known filled in, and a token for what is not."""
    found = list(_resolved(language.parse(source).body, known))
    told = [node for node in found if not isinstance(node, nodes.TemplateData) and _names(node) <= known.keys()]
    known_places, said_of_them = (
        {id(node) for node in told},
        iter(_render(_template(holes.environment, _apart(told)), known).split(_SEPARATOR)),
    )
    said = []
    for node in found:
        if isinstance(node, nodes.TemplateData):
            said.append(node.data)
        else:
            said.append(next(said_of_them) if id(node) in known_places else holes.token(node, mark))
    return "".join(said)


def _resolved(body: Sequence[nodes.Node], known: Mapping[str, Any]) -> Iterator[nodes.Node]:
    """The nodes of a body, one after the other: of a condition that is known, those of the branch that holds."""
    for node in body:
        if isinstance(node, nodes.Output):
            yield from node.nodes
        elif isinstance(node, nodes.If) and _names(node.test) <= known.keys():
            yield from _resolved(_branch(node, known), known)
        else:
            yield node


def _branch(node: nodes.If, known: Mapping[str, Any]) -> Sequence[nodes.Node]:
    if _holds(node.test, known):
        return node.body
    if node.elif_:
        first, *others = node.elif_
        return [nodes.If(first.test, first.body, others, node.else_, lineno=node.lineno)]
    return node.else_


def _holds(test: nodes.Node, known: Mapping[str, Any]) -> bool:
    if isinstance(test, nodes.Not):
        return not _holds(test.node, known)
    if isinstance(test, nodes.Getattr):
        raise Invalid("a condition names a yes or no of the sender")
    assert isinstance(test, nodes.Name)
    return bool(known[test.name])


def ladders(words: Words) -> bool:
    """Whether somewhere in its words a ladder is named, of either kind."""
    return any(LADDER in part for part in (words.html, words.text))


def bare_names(words: Words) -> set[tuple[str, Where]]:
    """What is named without saying what to say when it is empty, and where: under which names' yes or no."""
    sources = (words.subject, words.html, words.text)
    return {found for source in sources for found in _bare(language.parse(source), frozenset())}


def _bare(node: nodes.Node, where: Where) -> Iterator[tuple[str, Where]]:
    if isinstance(node, nodes.Name) and node.ctx == "load":
        yield node.name, where
    if isinstance(node, nodes.Filter) and node.name == "default":
        return
    branches = {id(each): where for each in node.iter_child_nodes()}
    if isinstance(node, nodes.If):
        test, holds = (node.test.node, False) if isinstance(node.test, nodes.Not) else (node.test, True)
        if isinstance(test, nodes.Name):
            branches |= {id(each): where | {(test.name, holds)} for each in node.body}
            branches |= {id(each): where | {(test.name, not holds)} for each in (*node.elif_, *node.else_)}
    for inner in node.iter_child_nodes():
        yield from _bare(inner, branches[id(inner)])


def _names(node: nodes.Node) -> set[str]:
    """What a node names, but for what its own loops name: that is never called as a field is."""
    found = [node] if isinstance(node, nodes.Name) else list(node.find_all(nodes.Name))
    return {each.name for each in found if each.ctx == "load"} - {each.name for each in found if each.ctx == "store"}


def _apart(body: Sequence[nodes.Node]) -> list[nodes.Node]:
    """Statements that print these, each with a separator after it but the last."""
    made: list[nodes.Node] = []
    for place, node in enumerate(body):
        if place:
            made.append(nodes.Output([nodes.TemplateData(_SEPARATOR, lineno=1)], lineno=1))
        made.append(nodes.Output([node], lineno=1) if isinstance(node, nodes.Expr) else node)
    return made


def _template(environment: Environment, body: list[nodes.Node]) -> Template:
    tree = nodes.Template(body, lineno=1)
    tree.set_environment(environment)
    return Template.from_code(environment, environment.compile(tree), {})


def _render(template: Template, values: Mapping[str, Any]) -> str:
    return "".join(template.root_render_func(template.new_context(dict(values), shared=True)))
