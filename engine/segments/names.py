"""What a rule names (chapters, funds, forms, letters, sequences …), found in one query before it becomes SQL: so that a name
that is none is told at once, and so that a chapter that got a new town has it from then on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.segments import rules
from engine.segments.rules import AnyRule, Rule

# Of each kind: what of a rule names it, and what people call it.
CALLED = {
    "chapter": "chapter",
    "fund": "fund",
    "form": "donation form",
    "interest": "interest",
    "way": "way to help",
    "letter": "letter",
    "mailing": "mailing",
    "sequence": "sequence",
}

# Of what is a chapter's own, that of :within and the root's; NULL: all.
_SEEN = "(CAST(:within AS bigint[]) IS NULL OR q.chapter_id IS NULL OR q.chapter_id = ANY(:within))"
# A chapter's `ids` are its own first, then those of all that are below it.
_FIND = text(f"""
WITH RECURSIVE below AS (
    SELECT slug AS of, name AS title, id, 0 AS level, parent_id IS NULL AS root FROM chapter WHERE slug = ANY(:chapter)
    UNION ALL
    SELECT b.of, b.title, h.id, b.level + 1, b.root FROM chapter h JOIN below b ON h.parent_id = b.id
)
SELECT 'chapter' AS kind, of AS name, title, array_agg(id ORDER BY level, id) AS ids, root FROM below GROUP BY of, title, root
UNION ALL SELECT 'fund', slug, name, ARRAY[id], false FROM fund WHERE slug = ANY(:fund)
UNION ALL SELECT 'form', slug, title, ARRAY[id], false FROM donation_form WHERE slug = ANY(:form)
UNION ALL SELECT 'interest', code, name, ARRAY[id], false FROM interest WHERE code = ANY(:interest)
UNION ALL SELECT 'way', code, name, ARRAY[id], false FROM way_to_help WHERE code = ANY(:way)
UNION ALL SELECT 'letter', l.slug, l.slug, array_agg(m.id), false
    FROM letter l LEFT JOIN mailing m ON m.letter_id = l.id WHERE l.slug = ANY(:letter) GROUP BY l.slug
UNION ALL SELECT 'mailing', slug, slug, ARRAY[id], false FROM mailing WHERE slug = ANY(:mailing)
UNION ALL SELECT 'sequence', slug, name, ARRAY[id], false FROM sequence q WHERE slug = ANY(:sequence) AND {_SEEN}
""")
_ALL = text(f"""
SELECT 'chapter' AS kind, slug AS name FROM chapter UNION ALL SELECT 'fund', slug FROM fund
UNION ALL SELECT 'form', slug FROM donation_form UNION ALL SELECT 'interest', code FROM interest
UNION ALL SELECT 'way', code FROM way_to_help UNION ALL SELECT 'letter', slug FROM letter
UNION ALL SELECT 'mailing', slug FROM mailing UNION ALL SELECT 'sequence', slug FROM sequence q WHERE {_SEEN}
""")


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for: the ids that a rule asks for, and what people call it. `whole`: all chapters there are."""

    ids: tuple[int, ...]
    title: str
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Names:
    """What was found, by kind and name. `within`: what is a chapter's own was looked for in these (ids) and the root; None:
    everywhere. `written`: the letters that the sequence writes in which a rule stands: what is said there of these is about
    this time through it."""

    found: Mapping[tuple[str, str], Found] = field(default_factory=dict)
    within: Sequence[int] | None = None
    written: frozenset[str] = frozenset()

    def ids(self, kind: str, *named: str) -> list[int]:
        """All that these stand for. KeyError: they were not looked up, or are none (`unknown`)."""
        return sorted({number for name in named for number in self.found[kind, name].ids})

    def own(self, chapter: str) -> int:
        """The id of a chapter itself."""
        return self.found["chapter", chapter].ids[0]

    def title(self, kind: str, name: str) -> str:
        """What people call it; of what was not looked up, its name."""
        found = self.found.get((kind, name))
        return found.title if found else name

    def whole(self, chapter: str) -> bool:
        """Whether all other chapters are below it."""
        found = self.found.get(("chapter", chapter))
        return found is not None and found.whole

    def alone(self, chapter: str) -> bool:
        """Whether no chapter is below it."""
        found = self.found.get(("chapter", chapter))
        return found is not None and len(found.ids) == 1


def find(session: Session, *asked: Rule, chapters: Sequence[str] = (), within: Sequence[int] | None = None) -> Names:
    """Everything that these rules name, and these chapters; what there is not is left out, and with `within` (chapters by
    their ids) what belongs to others than these and the root."""
    wanted: dict[str, set[str]] = {kind: set() for kind in CALLED}
    wanted["chapter"].update(chapters)
    for rule in asked:
        for each in rules.every(rule):
            for kind, _, name in named(each):
                wanted[kind].add(name)
    if not any(wanted.values()):
        return Names(within=within)
    named_so = {kind: sorted(names) for kind, names in wanted.items()}
    rows = session.execute(_FIND, named_so | {"within": within})
    return Names(
        {(row.kind, row.name): Found(tuple(n for n in row.ids if n is not None), row.title, row.root) for row in rows},
        within,
    )


def unknown(session: Session, rule: Rule, names: Names) -> list[tuple[list[str | int], str]]:
    """Where in the rule something is named that is none, and what to say of it."""
    missing = [
        ([*path, *step], kind, name)
        for path, each in _placed(rule, [])
        for kind, step, name in named(each)
        if (kind, name) not in names.found
    ]
    if not missing:
        return []
    there: dict[str, list[str]] = {kind: [] for kind in CALLED}
    for row in session.execute(_ALL, {"within": names.within}):
        there[row.kind].append(row.name)
    return [(path, _no_such(kind, name, there[kind])) for path, kind, name in missing]


def named(rule: AnyRule) -> Iterator[tuple[str, tuple[str | int, ...], str]]:
    """What one operator names: its kind, in which field, its name."""
    if isinstance(rule, rules.Territory):
        yield from (("chapter", ("chapters", place), slug) for place, slug in enumerate(rule.chapters))
    elif isinstance(rule, rules.Interest):
        yield "interest", ("code",), rule.code
    else:
        for kind in CALLED:
            name = getattr(rule, kind, None)
            if isinstance(name, str):
                yield kind, (kind,), name


def _placed(rule: Rule, path: list[str | int]) -> Iterator[tuple[list[str | int], Rule]]:
    yield path, rule
    if isinstance(rule, rules.AllOf | rules.AnyOf):
        for place, each in enumerate(rule.of):
            yield from _placed(each, [*path, "of", place])
    elif isinstance(rule, rules.Not):
        yield from _placed(rule.of, [*path, "of"])


def _no_such(kind: str, name: str, there: Sequence[str]) -> str:
    near = get_close_matches(name, there, 1)
    return f"there is no {CALLED[kind]} {name}" + (f"; {near[0]}?" if near else "")
