"""Rules as SQL over contact `c`: one small function an operator, of columns that stand here and values that are bound. Pure.

The giving totals on a contact can *prove* a condition ("gave at least $25, whenever": her highest gift says it), or only make
it *necessary* ("at least $25 in the last 12 months": without a gift in that time, or one that large, it cannot be; with both
it need not be). Then the exact question to her gifts is added, and asked only of those whom nothing proves already: so the
answer is exact, and most of it comes from one row and one index. "At least so much, in so long a time" her peaks answer: the
gifts that no later one reaches.

SQL says true of those whom a rule chooses; false or NULL of all others. `:now` is bound by whoever executes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.giving.totals import PEAKS
from engine.segments import rules
from engine.segments.names import Names
from engine.segments.rules import AnyRule, Rule
from engine.settings import SOONEST_LETTER_DAYS

# What is left of gift `g`, in cents. A status that says "received" proves that all of it is (`books check` holds that).
LEFT = """(CASE g.status WHEN 'received' THEN g.amount_cents
    ELSE (SELECT coalesce(sum(l.amount_cents), 0)::bigint FROM ledger_entry l WHERE l.contribution_id = g.id) END)"""


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL with the values that it binds, beside :now."""

    sql: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Through:
    """This time through a sequence, as SQL: when she entered, and by which campaign (0: none)."""

    entered_at: str
    campaign_id: str


@dataclass(slots=True)
class Binder:
    """What operators are given: what names stand for, and a way to bind values, under names with a prefix of their own so
    that several rules can stand in one statement. `few`: each person's gifts are looked up by the index; the planner, which
    takes a few people for many, would read everybody's. `through`: where the rules stand in a sequence that she is in.
    `gifts`: some rule asks gifts themselves, of more people than those few who have more peaks than are kept."""

    names: Names
    prefix: str = "s"
    few: bool = False
    through: Through | None = None
    gifts: bool = False
    values: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any, kind: str) -> str:
        """The value as SQL of this type."""
        name = f"{self.prefix}{len(self.values)}"
        self.values[name] = value
        return f"CAST(:{name} AS {kind})"

    def ids(self, found: Sequence[int]) -> str:
        """One of these: the right side of a comparison."""
        return f"ANY({self.bind(list(found), 'bigint[]')})"

    def since(self, span: str) -> str:
        """The moment that lies so far back."""
        return f"(CAST(:now AS timestamptz) - {self.bind(span, 'interval')})"


def compiled(rule: Rule, names: Names, prefix: str = "s") -> Compiled:
    """One rule; KeyError when `names` lacks what it names."""
    binder = Binder(names, prefix)
    return Compiled(condition(rule, binder), binder.values)


def condition(rule: AnyRule, binder: Binder) -> str:
    """One rule, with its values in the binder."""
    return OPERATORS[type(rule)](rule, binder)


def proven(needs: Sequence[str], proofs: Sequence[str], exact: str) -> str:
    """What must be (else it is false), what is each enough beside that, and the exact question for everybody between."""
    asked = " OR ".join([*proofs, exact])
    return "({})".format(" AND ".join([*needs, f"({asked})"]))


def _all(rule: rules.AllOf, to: Binder) -> str:
    return "({})".format(" AND ".join(conditions(rule.of, to)))


def conditions(together: Sequence[Rule], to: Binder) -> list[str]:
    """Rules that must all hold. Of somebody who gave, "nothing in the last 30 days" is a bound of her last gift, which the
    index that finds it can hold as well."""
    somebody_gave = any(isinstance(each, rules.Gave | rules.Lapsed) for each in together)
    return [
        f"(c.gave_last_at <= {to.since(span)})"
        if somebody_gave and (span := _nothing_since(each))
        else condition(each, to)
        for each in together
    ]


def narrowing(rule: AnyRule, to: Binder) -> list[str]:
    """What the contact's own row says of everybody whom the rule chooses, and of others as well: cheap, for an index or one
    look at each person, before anything is asked of her gifts."""
    if isinstance(rule, rules.AllOf):
        return [each for inner in rule.of for each in narrowing(inner, to)]
    if isinstance(rule, rules.Gave):
        return _needs(rule, to)
    if isinstance(rule, rules.Lapsed | rules.NeverGave | rules.Language | rules.LastEngaged):
        return [condition(rule, to)]
    if isinstance(rule, rules.Silent):
        return [f"({_LAST_SIGN} <= {to.since(rule.after)})"]
    return [condition(rule, to)] if isinstance(rule, rules.Chapter) and rule.relation == "home" else []


def _nothing_since(rule: Rule) -> str | None:
    """The span of a rule that says "gave nothing in the last …" and no more."""
    inner = rule.of if isinstance(rule, rules.Not) else None
    plain = isinstance(inner, rules.Gave) and rules.said(inner).keys() == {"op", "within"}
    return inner.within if plain and isinstance(inner, rules.Gave) else None


def _any(rule: rules.AnyOf, to: Binder) -> str:
    return "({})".format(" OR ".join(condition(each, to) for each in rule.of))


def _not(rule: rules.Not, to: Binder) -> str:
    return f"({condition(rule.of, to)} IS NOT TRUE)"


def _chapter(rule: rules.Chapter, to: Binder) -> str:
    found = to.names.ids("chapter", rule.chapter) if rule.children else [to.names.own(rule.chapter)]
    chosen = to.ids(found)
    everywhere = rule.children and to.names.whole(rule.chapter)
    home = "c.chapter_id IS NOT NULL" if everywhere else f"c.chapter_id = {chosen}"
    follows = f"EXISTS (SELECT FROM followed_chapter f WHERE f.contact_id = c.id AND f.chapter_id = {chosen})"
    return {"home": f"({home})", "followed": follows, "either": f"({home} OR {follows})"}[rule.relation]


def _territory(rule: rules.Territory, to: Binder) -> str:
    places = []
    if rule.zips:
        places.append(f"c.zip = ANY({to.bind(list(rule.zips), 'text[]')})")
    if rule.counties:
        named = to.bind(list(rule.counties), "text[]")
        places.append(f"c.zip IN (SELECT z.zip FROM zip z WHERE z.state || ':' || z.county = ANY({named}))")
    if rule.states:
        named = to.bind(list(rule.states), "text[]")
        known = f"c.zip IN (SELECT z.zip FROM zip z WHERE z.state = ANY({named}))"
        places.append(f"({known} OR (c.zip IS NULL AND upper(btrim(c.state)) = ANY({named})))")
    if rule.chapters:
        owners = to.ids([to.names.own(slug) for slug in rule.chapters])
        places.append(f"c.zip IN (SELECT r.zip FROM zip_route r WHERE r.chapter_id = {owners})")
    return f"({' OR '.join(places)})"


def _gave(rule: rules.Gave, to: Binder) -> str:
    since = to.since(rule.within) if rule.within else None
    floor = to.bind(rule.at_least, "bigint") if rule.at_least else None
    top = to.bind(rule.at_most, "bigint") if rule.at_most else None
    where, anywhere = _gifts_where(rule, to), not (rule.form or rule.fund or rule.refcode)
    needs = _needs(rule, to)
    sized = bool(floor or top)
    if anywhere and not top and (rule.count == 1 or not sized) and not (since and (sized or rule.count > 1)):
        return f"({' AND '.join(needs)})"
    where += [f"g.paid_at > {since}"] if since else []
    where += [f"{LEFT} >= {floor}" if floor else f"{LEFT} > 0"]
    where += [f"{LEFT} <= {top}"] if top else []
    gifts = f"FROM contribution g WHERE {' AND '.join(where)}"
    by_index = f"(SELECT true {gifts} LIMIT 1)"
    if anywhere and rule.count == 1 and since and floor and not top:
        return proven(needs, *_by_peaks(since, floor, by_index))
    to.gifts = True
    exact = by_index if to.few else f"EXISTS (SELECT {gifts})"
    if rule.count > 1:
        exact = f"(SELECT count(*) FROM (SELECT {gifts} LIMIT {rule.count}) g) >= {rule.count}"
    if not anywhere:
        return proven(needs, (), exact)
    proofs = [f"c.gave_last_cents BETWEEN {floor or 1} AND {top}"] if rule.count == 1 and top else []
    proofs += [f"c.gave_first_at > {since}"] if since and not sized else []
    return proven(needs, proofs, exact)


def _by_peaks(since: str, floor: str, exact: str) -> tuple[list[str], str]:
    """Whether her largest gift since then was at least that: what proves it, and the question of who may have more peaks than
    are kept. So many of her peaks are older; the next one is that gift."""
    older = f"width_bucket({since}, c.gave_peaks_at)"
    more = f"(cardinality(c.gave_peaks_at) = {PEAKS} AND {older} = 0 AND {exact})"
    return [f"c.gave_peaks_cents[1 + {older}] >= {floor}"], more


def _needs(rule: rules.Gave, to: Binder) -> list[str]:
    """What the totals say of whoever gave like that."""
    counted = rule.count > 1 or not (rule.within or rule.at_least)
    needs = [f"c.gave_count >= {to.bind(rule.count, 'bigint')}"] if counted else []
    needs += [f"c.gave_last_at > {to.since(rule.within)}"] if rule.within else []
    return [*needs, *([f"c.gave_highest_cents >= {to.bind(rule.at_least, 'bigint')}"] if rule.at_least else [])]


def _gifts_where(rule: rules.Gave, to: Binder) -> list[str]:
    """Her gifts to our own funds, as the totals count them; of one fund, one form, one refcode."""
    where = ["g.contact_id = c.id", "g.currency = 'usd'"]
    where.append(f"g.fund_id = {to.ids(to.names.ids('fund', rule.fund))}" if rule.fund else "g.fund_id IS NOT NULL")
    if rule.form:
        where.append(f"g.donation_form_id = {to.ids(to.names.ids('form', rule.form))}")
    if rule.refcode:
        where.append(f"{to.bind(rule.refcode, 'text')} IN (g.refcode, g.refcode2)")
    return where


def _lapsed(rule: rules.Lapsed, to: Binder) -> str:
    return f"(c.gave_last_at <= {to.since(rule.after)})"


def _recurring(rule: rules.Recurring, to: Binder) -> str:
    if rule.at_least is not None:
        return f"(c.gives_monthly_cents >= {to.bind(rule.at_least, 'bigint')})"
    fund = f"p.fund_id = {to.ids(to.names.ids('fund', rule.fund))}" if rule.fund else "p.fund_id IS NOT NULL"
    state = to.bind(rule.state, "text")
    return f"EXISTS (SELECT FROM recurring_plan p WHERE p.contact_id = c.id AND p.state = {state} AND {fund})"


def _never_gave(_: rules.NeverGave, __: Binder) -> str:
    return "(c.gave_count = 0)"


def _interest(rule: rules.Interest, to: Binder) -> str:
    chosen = to.ids(to.names.ids("interest", rule.code))
    return f"EXISTS (SELECT FROM contact_interest i WHERE i.contact_id = c.id AND i.interest_id = {chosen})"


def _volunteer(rule: rules.Volunteer, to: Binder) -> str:
    where = ["o.contact_id = c.id"]
    where.append(f"o.state = {to.bind(rule.state, 'text')}" if rule.state else "o.state <> 'withdrawn'")
    where += [f"o.way_to_help_id = {to.ids(to.names.ids('way', rule.way))}"] if rule.way else []
    return f"EXISTS (SELECT FROM volunteer_offer o WHERE {' AND '.join(where)})"


def _signed_up(rule: rules.SignedUp, to: Binder) -> str:
    where = ["s.contact_id = c.id"]
    where += [f"s.at > {to.since(rule.within)}"] if rule.within else []
    where += [f"s.source = {to.bind(rule.via, 'text')}"] if rule.via else []
    where += [f"s.place = {to.bind(rule.place, 'text')}"] if rule.place else []
    return f"EXISTS (SELECT FROM sign_up s WHERE {' AND '.join(where)})"


def _received(rule: rules.Received, to: Binder) -> str:
    where = ["m.contact_id = c.id", "m.state IN ('handed', 'delivered', 'complained')", *_of_letter(rule, to)]
    where += [f"m.handed_at > {to.since(rule.within)}"] if rule.within else []
    past = [] if _lately(rule.within) else [f"EXISTS (SELECT FROM past_letter m WHERE {' AND '.join(where)})"]
    return _either(f"EXISTS (SELECT FROM message m WHERE {' AND '.join(where)})", *past)


def _clicked(rule: rules.Clicked, to: Binder) -> str:
    of_hers = ["m.contact_id = c.id", *_of_letter(rule, to)]
    since = to.since(rule.within) if rule.within else ""
    where = [*of_hers, "f.kind = 'click'", "NOT f.machine", *([f"f.at > {since}"] if since else [])]
    joined = "message m JOIN mail_event f ON f.message_id = m.id"
    clicked = f"EXISTS (SELECT FROM {joined} WHERE {' AND '.join(where)})"
    if _lately(rule.within):
        return clicked
    where = [*of_hers, f"m.clicked_at > {since}" if since else "m.clicked_at IS NOT NULL"]
    return _either(clicked, f"EXISTS (SELECT FROM past_letter m WHERE {' AND '.join(where)})")


def _lately(within: str | None) -> bool:
    """Whether a span ends before the archive begins: nothing that is told of so late is in it."""
    if within is None:
        return False
    number, unit = within.split()
    return int(number) * _DAYS[unit.removesuffix("s")] <= SOONEST_LETTER_DAYS


def _either(*conditions: str) -> str:
    return conditions[0] if len(conditions) == 1 else f"({' OR '.join(conditions)})"


def _of_letter(rule: rules.Received | rules.Clicked, to: Binder) -> list[str]:
    if rule.letter:
        where = [f"m.mailing_id = {to.ids(to.names.ids('letter', rule.letter))}"]
        if to.through and rule.letter in to.names.written:  # a letter is due when it is written, or later
            where += [f"m.campaign_id = {to.through.campaign_id}", f"m.due_at >= {to.through.entered_at}"]
        return where
    return [f"m.mailing_id = {to.ids(to.names.ids('mailing', rule.mailing))}"] if rule.mailing else []


def _in_sequence(rule: rules.InSequence, to: Binder) -> str:
    where = ["e.contact_id = c.id", f"e.sequence_id = {to.ids(to.names.ids('sequence', rule.sequence))}"]
    where += [f"e.state = {to.bind(rule.state, 'text')}"] if rule.state != "any" else []
    came = "ended_at" if rule.state in ("finished", "left") else "entered_at"
    where += [f"e.{came} > {to.since(rule.within)}"] if rule.within else []
    past = [] if rule.state == "active" or _lately(rule.within) else ["past_place"]
    return _either(*(f"EXISTS (SELECT FROM {table} e WHERE {' AND '.join(where)})" for table in ("enrollment", *past)))


def _last_engaged(rule: rules.LastEngaged, to: Binder) -> str:
    return f"(c.engaged_last_at > {to.since(rule.within)})"


_DAYS = {"hour": 1 / 24, "day": 1, "week": 7, "month": 31, "year": 366}
_LAST_SIGN = "coalesce(c.engaged_last_at, c.created_at)"


def _silent(rule: rules.Silent, to: Binder) -> str:
    quiet = f"{_LAST_SIGN} <= {to.since(rule.after)}"
    if not rule.letters:
        return f"({quiet})"
    letters = (
        " UNION ALL ".join(
            f"""SELECT FROM {table} m WHERE m.contact_id = c.id AND m.lane = 'delivery'
        AND m.state IN ('handed', 'delivered') AND m.handed_at > {_LAST_SIGN}"""
            for table in ("message", "past_letter")
        )
        + f" LIMIT {rule.letters}"
    )
    return f"({quiet} AND (SELECT count(*) FROM ({letters}) m) >= {rule.letters})"


def _employer_known(rule: rules.EmployerKnown, to: Binder) -> str:
    said = ["g.contact_id = c.id", *(f"btrim(g.donor ->> '{name}') <> ''" for name in ("employer", "occupation"))]
    said += [f"g.paid_at > {to.since(rule.within)}"] if rule.within else []
    to.gifts = True
    return f"EXISTS (SELECT FROM contribution g WHERE {' AND '.join(said)})"


def _language(rule: rules.Language, to: Binder) -> str:
    return f"(c.language = {to.bind(rule.language, 'text')})"


def _custom(rule: rules.Custom, to: Binder) -> str:
    name = to.bind(rule.field, "text")
    told = f"(c.custom -> {name})"
    if rule.known:
        return f"({told} IS NOT NULL AND jsonb_typeof({told}) <> 'null')"
    if rule.equals is not None:
        return f"(jsonb_typeof({told}) NOT IN ('array', 'object') AND c.custom ->> {name} = {to.bind(rule.equals, 'text')})"
    if rule.has is not None:
        return f"(jsonb_typeof({told}) = 'array' AND {told} @> to_jsonb({to.bind(rule.has, 'text')}))"
    number = f"CAST(c.custom ->> {name} AS numeric)"
    bounds = [f"{number} {sign} {to.bind(bound, 'float8')}::numeric"
              for sign, bound in ((">=", rule.at_least), ("<=", rule.at_most)) if bound is not None]  # fmt: skip
    return f"(CASE WHEN c.custom ->> {name} ~ '^-?[0-9]{{1,12}}(\\.[0-9]{{1,9}})?$' THEN {' AND '.join(bounds)} END)"


def _random(rule: rules.Random, to: Binder) -> str:
    salted = f"md5({to.bind(rule.salt, 'text')} || ':' || c.id)"
    return f"(CAST(CAST('x' || left({salted}, 8) AS bit(32)) AS bigint) % 10000 < {round(rule.percent * 100)})"


OPERATORS: Mapping[type[AnyRule], Callable[[Any, Binder], str]] = {
    rules.AllOf: _all,
    rules.AnyOf: _any,
    rules.Not: _not,
    rules.Chapter: _chapter,
    rules.Territory: _territory,
    rules.Gave: _gave,
    rules.Lapsed: _lapsed,
    rules.Recurring: _recurring,
    rules.NeverGave: _never_gave,
    rules.Interest: _interest,
    rules.Volunteer: _volunteer,
    rules.SignedUp: _signed_up,
    rules.Received: _received,
    rules.Clicked: _clicked,
    rules.InSequence: _in_sequence,
    rules.LastEngaged: _last_engaged,
    rules.Silent: _silent,
    rules.EmployerKnown: _employer_known,
    rules.Language: _language,
    rules.Custom: _custom,
    rules.Random: _random,
}
