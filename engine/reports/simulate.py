"""What would happen: a campaign or sequence is run for a random part of its real audience in a clone of the world, by the
very code that would run it, on a clock that jumps from one due moment to the next.

People do nothing meanwhile: nobody gives, follows a link or unsubscribes; who is waited for is waited for in vain. What else
is on its way to them (other sequences, letters that are ready) goes on beside it and takes its part of their caps.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Conflict, Invalid
from engine.outreach import campaigns, contents, enrolling, expanding, sequences
from engine.outreach.campaigns import DRAFT, SCHEDULED, Standing
from engine.outreach.contents import Content
from engine.outreach.definitions import LAUNCH, Definition
from engine.outreach.enrolling import Entrant
from engine.reports import explain, outcomes, world
from engine.reports.clockwork import Clockwork
from engine.reports.estimates import Sample
from engine.reports.explain import About, Explained
from engine.reports.outcomes import Simulated
from engine.segments import audience, rules
from engine.segments.rules import Rule
from engine.settings import Settings
from engine.staff.rights import Reach

SAMPLE = 20_000
DAYS, LONGEST = 90, 400  # how far ahead it looks
SECONDS = 60.0  # all of it takes no longer
ALONE = (
    1000  # people up to whom everything is done at its very moment; of more, what is due within GRAIN is done together
)
GRAIN = timedelta(minutes=5)
SEED = 20_270_101
ONE = Sample(1, 1)
AS_IF = "it is paused, and this is as if it went on"
EVERYBODY = rules.read({"op": "random", "percent": 100, "salt": "everybody"})

_CHOOSE = """
WITH chosen AS MATERIALIZED (SELECT c.id {people})
SELECT (SELECT count(*) FROM chosen) AS people,
    ARRAY(SELECT id FROM chosen ORDER BY hashint8extended(id, :seed), id LIMIT :most) AS ids
"""
# Whether they are in something whose rules ask for letters.
_ASK_FOR_LETTERS = text("""
SELECT EXISTS (SELECT FROM sequence_version v WHERE v.definition::text ~ '"op": "(received|clicked)"'
    AND v.id IN (SELECT e.version_id FROM enrollment e WHERE e.contact_id = ANY(:ids) AND e.state = 'active'))
""")
_KIND = text("SELECT kind FROM letter WHERE slug = :slug")
_LAUNCH = text("""
UPDATE campaign SET state = 'running', version_id = :version_id, kind = :kind, paused_at = NULL WHERE id = :id
""")
_RESUME = text("UPDATE sequence SET paused_at = NULL WHERE id = :id AND paused_at IS NOT NULL")
_INVENT = text("""
INSERT INTO campaign (slug, name, sequence_id, version_id, rule, kind, state, deadline, changed_at)
VALUES ('simulated ' || CAST(:slug AS text), :name, :sequence_id, :version_id, CAST(:rule AS jsonb), :kind, 'running',
    :deadline, :now)
RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a simulation goes. `people`: looked at, at most; `days` ahead; `seconds` that it may take."""

    people: int = SAMPLE
    days: int = DAYS
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        if not 1 <= self.people <= SAMPLE:
            raise Invalid(f"a simulation looks at 1 to {SAMPLE:,} people")
        if not 1 <= self.days <= LONGEST:
            raise Invalid(f"a simulation looks 1 to {LONGEST} days ahead")


USUAL = Bounds()


def of_campaign(session: Session, slug: str, now: datetime, settings: Settings, bounds: Bounds = USUAL) -> Simulated:
    """What a campaign that has not begun would do, as it stands. Raises NotFound; Conflict when it has begun; Invalid when
    there is nothing to send, nobody to send it to, or it takes too long."""
    campaign = campaigns.one(session, slug)
    content = _unsent(session, campaign)
    assert content.definition is not None
    rule, scopes = contents.audience(session, campaign, content.definition)
    run = _Run(session, settings, now, max(now, campaign.starts_at or now), bounds)
    with run.cloned(rule, content.kind, scopes, content.definition):
        launched = _launched(session, campaign, content, run.start)
        run.enter(launched, content.definition, rule, scopes)
        return run.told(campaign.name, launched.version_id, launched.id)


def of_sequence(
    session: Session, which: str | Definition, now: datetime, settings: Settings, bounds: Bounds = USUAL, *,
    among: Rule = EVERYBODY, scopes: Sequence[str] = (), deadline: datetime | None = None,
) -> Simulated:  # fmt: skip
    """What a sequence would do, a published one (its slug) or one that is written only, if the people whom `among` chooses
    entered it at once: as by a launch with this deadline, or each by what lets her in. One that is paused goes on. `scopes`:
    chapters that they belong to. Raises as `of_campaign`."""
    definition = _published(session, which).definition if isinstance(which, str) else which
    assert definition is not None
    chosen = among if definition.when is None else rules.AllOf(op="all", of=(among, definition.when))
    bounding = [*scopes, definition.chapter or ""]
    run = _Run(session, settings, now, now, bounds)
    with run.cloned(chosen, _kind(session, definition), bounding, definition):
        version = (
            _published(session, which) if isinstance(which, str) else sequences.publish(session, which, now).sequence
        )
        campaign_id = 0
        session.execute(_RESUME, {"id": version.id})
        if definition.on == LAUNCH:
            invented = _invented(session, version, among, now, deadline)
            run.enter(invented, definition, chosen, bounding)
            campaign_id = invented.id
        else:
            run.let_in(definition.on)
        found = run.told(version.name, version.version_id, campaign_id)
        return replace(found, paused=version.paused_at is not None)


def for_person(
    session: Session, contact_id: int, now: datetime, settings: Settings, *, asked: About = explain.EVERYTHING,
    days: int = DAYS, reach: Reach = explain.EVERYWHERE,
) -> Explained:  # fmt: skip
    """Exactly what one person would get, on which dates and why: of all that she is in and all that is ready; of a campaign
    that has not begun, if it chooses her; of a sequence, if she entered it now. Raises as `of_campaign`, NotFound when she is
    not within reach."""
    explain.who(session, reach, str(contact_id))
    run = _Run(session, settings, now, now, Bounds(1, days))
    paused = False
    with run.alone(contact_id):
        if asked.what == "campaign":
            _join_campaign(run, campaigns.one(session, asked.slug))
        elif asked.what == "sequence":
            version = _published(session, asked.slug)
            paused = version.paused_at is not None
            _join_sequence(run, version)
        run.clock.run()
        found = outcomes.of_person(session, contact_id, run.clock, asked, now)
    return replace(found, chosen=f"{found.chosen}; {AS_IF}") if paused else found


def _join_campaign(run: "_Run", standing: Standing) -> None:
    if standing.state not in (DRAFT, SCHEDULED):
        return  # she is in it, or it did not choose her
    content = _unsent(run.session, standing)
    assert content.definition is not None
    rule, scopes = contents.audience(run.session, standing, content.definition)
    run.start = run.clock.now = max(run.now, standing.starts_at or run.now)
    run.enter(_launched(run.session, standing, content, run.start), content.definition, rule, scopes)


def _join_sequence(run: "_Run", version: sequences.Standing) -> None:
    definition = version.definition
    assert definition is not None
    run.session.execute(_RESUME, {"id": version.id})
    if definition.on != LAUNCH:
        run.let_in(definition.on)
        return
    chosen = definition.when or EVERYBODY
    run.enter(_invented(run.session, version, chosen, run.now), definition, chosen, [version.chapter])


@dataclass(slots=True)
class _Run:
    """One simulation. `start`: when people enter; `sample`, `ids`: who they are, of how many."""

    session: Session
    settings: Settings
    now: datetime
    start: datetime
    bounds: Bounds
    sample: Sample = ONE
    ids: Sequence[int] = ()
    clock: Clockwork = field(init=False)

    @contextmanager
    def cloned(self, rule: Rule, kind: str, scopes: Sequence[str], definition: Definition) -> Iterator[None]:
        """A world of some of the people whom this chooses, and its clock. Raises Invalid when there is nobody."""
        ends = monotonic() + self.bounds.seconds
        found = audience.people(
            rule, audience.known(self.session, rule, scopes), kind, scopes=scopes, sender=audience.HOME
        )
        values = dict(found.values) | {"now": self.start, "seed": SEED, "most": self.bounds.people}
        with audience.bounded(self.session):
            chosen = self.session.execute(text(_CHOOSE.format(people=found.sql)), values).one()
        if not chosen.people:
            raise Invalid(
                "nobody is chosen who may be written to: `groundswell segments preview` says where they are lost"
            )
        self.sample, self.ids = Sample(len(chosen.ids), chosen.people), chosen.ids
        asked = [rule, *(each for _, each in definition.rules())]
        with self._world(ends, asked):
            yield

    @contextmanager
    def alone(self, contact_id: int) -> Iterator[None]:
        """A world of one person."""
        self.ids = [contact_id]
        with self._world(monotonic() + self.bounds.seconds, ()):
            yield

    @contextmanager
    def _world(self, ends: float, asked: Sequence[Rule]) -> Iterator[None]:
        few = len(self.ids) <= ALONE
        letters = few or any(
            isinstance(each, rules.Received | rules.Clicked) for rule in asked for each in rules.every(rule)
        )
        letters = letters or bool(self.session.scalar(_ASK_FOR_LETTERS, {"ids": list(self.ids)}))
        terms = world.Terms(self.now, self.ids, self.sample.part, letters, not self.settings.development)
        with world.cloned(self.session, terms):
            until = self.start + timedelta(days=self.bounds.days)
            grain = timedelta() if few else GRAIN
            self.clock = Clockwork(self.session, self.settings, self.start, until, ends, grain)
            yield

    def enter(self, campaign: Standing, definition: Definition, rule: Rule, scopes: Sequence[str]) -> None:
        """They enter as by a campaign that chooses its people."""
        known = audience.known(self.session, rule, scopes)
        people = audience.people(rule, known, campaign.kind, scopes=scopes, sender=audience.HOME)
        statement, values = expanding.entering(campaign, definition, people, self.start)
        self.session.execute(text(statement), values)

    def let_in(self, trigger: str) -> None:
        """This happens to all of them."""
        enrolling.enter(self.session, trigger, [Entrant(each) for each in self.ids], self.start)

    def told(self, name: str, version_id: int | None, campaign_id: int) -> Simulated:
        """Let the clock run; what came of it."""
        self.clock.run()
        return outcomes.tell(self.session, name, version_id or 0, campaign_id, self.sample, self.clock, self.start)


def _unsent(session: Session, campaign: Standing) -> Content:
    """What it would send. Raises Conflict when it has begun, Invalid when that is nothing."""
    if campaign.state not in (DRAFT, SCHEDULED):
        raise Conflict(f"{campaign.slug} has begun: `groundswell results {campaign.slug}` says what it came to")
    content = contents.of(session, campaign)
    if content.definition is None or content.faults:
        raise Invalid("; ".join(content.faults) or f"{campaign.slug} sends nothing")
    return content


def _launched(session: Session, campaign: Standing, content: Content, start: datetime) -> Standing:
    """The campaign in the clone, running; its words are pinned there."""
    version_id = contents.pin(session, campaign, content, start)
    session.execute(_LAUNCH, {"id": campaign.id, "version_id": version_id, "kind": content.kind})
    return replace(campaigns.of_id(session, campaign.id), version_id=version_id)


def _published(session: Session, slug: str) -> sequences.Standing:
    """Raises NotFound; Invalid when nobody can enter it."""
    found = sequences.one(session, slug)
    if found.definition is None or found.archived_at is not None:
        raise Invalid(f"the sequence {slug} {'is archived' if found.archived_at else 'was never published'}")
    return found


def _kind(session: Session, definition: Definition) -> str:
    """Of its first letter, which people must allow; of one that needs nobody's leave, or none, it is asked as of news."""
    first = next((slug for step in definition.steps for slug in step.letters.values()), "")
    return session.scalar(_KIND, {"slug": first}) or "news"


def _invented(
    session: Session, version: sequences.Standing, rule: Rule, now: datetime, deadline: datetime | None = None
) -> Standing:
    """A campaign that sends it, in the clone alone."""
    assert version.definition is not None
    made: int = session.execute(_INVENT, {
        "slug": version.slug, "name": version.name, "sequence_id": version.id, "version_id": version.version_id,
        "rule": orjson.dumps(rules.said(rule)).decode(), "kind": _kind(session, version.definition), "now": now,
        "deadline": deadline,
    }).scalar_one()  # fmt: skip
    return campaigns.of_id(session, made)
