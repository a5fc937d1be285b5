"""A clock that jumps from one due moment to the next, and whatever runs by it: steps and claims, by the very code that runs
in earnest. For a clone of the world (`world`); no letter leaves, for nobody hands over what was claimed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from time import monotonic

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid
from engine.events import Event, HumanNeeded, LettersComposed
from engine.letters.links import Links
from engine.mail import handovers
from engine.mail.handovers import Outcome
from engine.outreach import claims, deliver, stepping
from engine.outreach.claims import Claimed
from engine.settings import Settings
from engine.tokens import Signer

LOCK = 0x67726E73  # of claims in clones, so that none waits for the real ones, nor they for it
MOST_COPIES = 1000  # in one request, as a provider takes them

_PUT_OFF = text("""
INSERT INTO put_off (message_id, at, until, reason)
SELECT id, :now, due_at, reason FROM message WHERE state = 'ready' AND reason <> '' ON CONFLICT DO NOTHING
""")
_ASKS = text("SELECT DISTINCT handover_id FROM message WHERE handover_id = ANY(:ids) AND kind = 'asks' ORDER BY 1")
_SIZES = text("ANALYZE message, enrollment")
# What is due next; when a letter is due that may not leave any more today, the next day.
_NEXT = text("""
SELECT least(
    (SELECT min(due_at) FROM enrollment WHERE state = 'active' AND due_at > :now),
    (SELECT min(due_at) FROM message WHERE state = 'ready' AND due_at > :now),
    (SELECT CAST(:tomorrow AS timestamptz) WHERE EXISTS (
        SELECT FROM message WHERE state = 'ready' AND lane = 'delivery' AND due_at <= :now)))
""")


@dataclass(slots=True)
class Clockwork:
    """`now` goes on up to `until`, and never by less than `grain`. `ends`: when it must be through, by this machine's
    monotonic clock. `needed`: what staff would be told."""

    session: Session
    settings: Settings
    now: datetime
    until: datetime
    ends: float
    grain: timedelta = timedelta()
    needed: list[str] = field(default_factory=list)
    _wrote: int = 0

    def run(self) -> None:
        """Until nothing is due any more, or the end has come. Raises Invalid when it takes too long."""
        self.session.execute(_SIZES)
        while True:
            self._settle()
            tomorrow = datetime.combine(self.now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
            coming = self.session.scalar(_NEXT, {"now": self.now, "tomorrow": tomorrow})
            if coming is None or coming > self.until:
                return
            self.now = max(coming, self.now + self.grain)

    def _settle(self) -> None:
        """Everything that is due at this moment."""
        more, wrote = True, False
        while more:
            self._in_time()
            happened, more = stepping.step(self.session, self.now, self.settings)
            self._note(happened)
            wrote = wrote or any(isinstance(each, LettersComposed) for each in happened)
        if wrote:
            self._look_at_sizes()
        terms, more = self._terms(), True
        while more:
            more, taken = False, Claimed({}, more=False)
            for claimed in claims.in_turn(self.session, terms):
                self._in_time()
                more = claimed.more
                taken = Claimed({**taken.letters, **claimed.letters}, more, {**taken.readers, **claimed.readers})
            self._set_aside(taken)
        self.session.execute(_PUT_OFF, {"now": self.now})

    def _set_aside(self, claimed: Claimed) -> None:
        """Asks that would ask their readers for nothing do not leave; no other letter need be made."""
        asks = self.session.scalars(_ASKS, {"ids": list(claimed.letters)}).all() if claimed.letters else ()
        letters = {handover_id: claimed.letters[handover_id] for handover_id in asks}
        if not letters:
            return
        settings = self.settings
        links = Links(Signer(settings.signing_keys), settings.base_url, self.now)
        for parcel in deliver.load(self.session, letters, links, settings.time_zone, claimed.readers):
            if parcel.offers.pointless:
                aside = Outcome(parcel.handover_id, "accepted", pointless=parcel.offers.pointless)
                handovers.set_aside(self.session, aside, self.now)

    def _look_at_sizes(self) -> None:
        """Nobody else tells Postgres how large temporary tables have become. Each further time it changes less."""
        self._wrote += 1
        if self._wrote.bit_count() == 1:
            self.session.execute(_SIZES)

    def _note(self, happened: Sequence[Event]) -> None:
        self.needed += [f"{each.subject}: {each.detail}" for each in happened if isinstance(each, HumanNeeded)]

    def _in_time(self) -> None:
        if monotonic() > self.ends:
            raise Invalid(
                f"the simulation takes too long: it has come to {self.now:%Y-%m-%d}. Look at fewer people, or fewer days"
            )

    def _terms(self) -> claims.Terms:
        settings = self.settings
        return claims.Terms(
            self.now, 0.0, MOST_COPIES, settings.time_zone, settings.letters_a_day, settings.letters_a_week,
            settings.letters_a_week_fewer, production=not settings.development, first=settings.national_first, lock=LOCK,
        )  # fmt: skip
