"""The donation forms as pages show them, kept in each process: what they say for a second, what they raised for a minute,
their pictures as long as there is room."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic

import structlog
from starlette.concurrency import run_in_threadpool

from engine.bootstrap import Deps
from engine.giving import forms
from engine.giving.forms import Giving, Picture, Shown
from webhooks.newest import KEEP_SECONDS, Newest

RAISED_SECONDS = 60.0  # adding up reads all the gifts of a form
MOST_PICTURES = 64

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """All forms as they were a moment ago."""

    giving: Giving
    read_at: float

    @property
    def now(self) -> datetime:
        """The house's time, from its clock as it stood then."""
        return self.giving.now + timedelta(seconds=monotonic() - self.read_at)


class Published:
    """What can be given by, of one process."""

    def __init__(self, deps: Deps, keep_seconds: float = KEEP_SECONDS, raised_seconds: float = RAISED_SECONDS) -> None:
        self._deps = deps
        self._unread: Mapping[str, str] = {}
        self._offers = Newest(self._read, "the donation forms", keep_seconds)
        self._raised = Newest(self._add_up, "what the donation forms raised", raised_seconds)
        self._pictures: OrderedDict[tuple[str, int, int, bool], Picture | None] = OrderedDict()

    async def current(self) -> Offer:
        """The forms now. Raises what the database raises, as long as they were never read."""
        return await self._offers.current()

    async def with_raised(self, form: Shown) -> Shown:
        """The form with what it raised, as far as that was added up."""
        if form.definition.goal_cents is None:
            return form
        raised = await self._raised.current(wait=False)
        return replace(form, raised_cents=raised.get(form.id, 0))

    async def picture(self, slug: str, version: int, shown: int, *, draft: bool) -> Picture | None:
        """The picture of one version of a form: a published one, or the `draft` that a preview shows. `shown`: the version
        that the page shows now: once that is another, what was no picture for everybody may be one."""
        place = slug, version, shown, draft
        if place not in self._pictures:
            self._pictures[place] = await run_in_threadpool(self._load, slug, version, draft=draft)
            while len(self._pictures) > MOST_PICTURES:
                self._pictures.popitem(last=False)
        self._pictures.move_to_end(place)
        return self._pictures[place]

    def _read(self) -> Offer:
        with self._deps.work() as (session, now):
            offer = Offer(forms.giving(session, now), monotonic())
        if offer.giving.unread != self._unread:  # once, and not each second
            self._unread = offer.giving.unread
            log.warning("donation forms that cannot be read are not shown", forms=dict(self._unread))
        return offer

    def _add_up(self) -> dict[int, int]:
        with self._deps.work() as (session, now):
            return forms.raised(session, list(forms.giving(session, now).forms.values()))

    def _load(self, slug: str, version: int, *, draft: bool) -> Picture | None:
        with self._deps.work() as (session, _):
            found = forms.picture(session, slug, version, drafts=draft)
        return Picture(*found) if found else None
