"""What is long over: into the archive, out of the inbox, out of the house; a stretch at a time, in turns that leave time for
other chores.

Of each kind a bookmark says how far that has come: cut short it goes on there. What a round passed by, for it was not over
yet, is looked at in the next one. Rows are deleted in the order in which they came, so that they leave whole pages empty.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import monotonic

import structlog
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from engine import bookmarks, inbox, years
from engine.bookmarks import Place
from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import archive
from engine.mail.archive import Stretch
from engine.outreach import past_places
from engine.staff import notices
from workers import turns

ARCHIVE, EVENTS = "archive", "events"
ROUND = timedelta(days=30)
# One turn at a time, of one of these chores, and short: whoever has steps to take shares the threads.
LOCK = 0x67726C6F
SECONDS, PAUSE = 5.0, timedelta(seconds=2)

_ALONE = text("SELECT pg_try_advisory_xact_lock(:lock)")

# By the bookmark of each, in this order: a letter goes after the place that it is of, a handover after its letters.
_TAKES: Mapping[str, Callable[[Session, datetime, int], Stretch]] = {
    "archived places": past_places.archive,
    "archived letters": archive.archive,
    "forgotten handovers": archive.forget_handovers,
}

log = structlog.get_logger(__name__)


def put_away(deps: Deps, turn_seconds: float = SECONDS) -> None:
    """One turn: letters and places that were over LETTER_DAYS ago, and the handovers of those letters; then the years of the
    archive that were kept long enough."""
    with _turn(deps, ARCHIVE) as ours:
        if ours:
            _put_away(deps, monotonic() + turn_seconds)


def forget_events(deps: Deps, turn_seconds: float = SECONDS) -> None:
    """One turn: raw events that came too long ago to come again, and notices that were seen to as long ago as letters."""
    with _turn(deps, EVENTS) as ours:
        if ours:
            _forget_events(deps, monotonic() + turn_seconds)


@contextmanager
def _turn(deps: Deps, chore: str) -> Iterator[bool]:
    """Whether it is this chore's turn. If the other's, it is due again in a moment."""
    with transaction(deps.sessions) as holding:
        ours = bool(holding.scalar(_ALONE, {"lock": LOCK}))
        if not ours:
            turns.again(holding, chore, PAUSE)
        yield ours


def _put_away(deps: Deps, ends: float) -> None:
    with deps.work() as (session, _):
        tomorrow = turns.begin(session, ARCHIVE)
    moved = {name: _through(deps, name, ends) for name in _TAKES}
    more = any(more for _, more in moved.values())
    if not more:
        _drop_years(deps)
    with deps.work() as (session, _):
        if more:
            turns.again(session, ARCHIVE, PAUSE)
        else:
            turns.done(session, ARCHIVE, tomorrow)
    log.info(
        "what is long over was put away",
        more=more,
        **{name.replace(" ", "_"): many for name, (many, _) in moved.items()},
    )


def _forget_events(deps: Deps, ends: float) -> None:
    with deps.work() as (session, _):
        tomorrow = turns.begin(session, EVENTS)
    more, gone = False, dict.fromkeys(inbox.FORGOTTEN, 0)
    for lane, days in (("feedback", deps.settings.feedback_days), ("intake", deps.settings.event_days)):
        going = True
        while going and monotonic() < ends:
            with transaction(deps.sessions) as session:
                some, going = inbox.forget(session, lane, days)
            gone[lane] += some
        more = more or going
    with deps.work() as (session, now):
        seen_to = notices.forget(session, now - timedelta(days=deps.settings.letter_days))
        if more:
            turns.again(session, EVENTS, PAUSE)
        else:
            turns.done(session, EVENTS, tomorrow)
    log.info("old events forgotten", more=more, notices=seen_to, **gone)


def _through(deps: Deps, name: str, ends: float) -> tuple[int, bool]:
    """Go on with one kind until it is through or the turn is over: how many rows moved, and whether there may be more."""
    moved, more = 0, True
    while more and monotonic() < ends:
        with deps.work() as (session, now):
            place = bookmarks.find(session, name)
            if place is None or place.at is None or place.at <= now - ROUND:
                place = Place(now, 0)
            found = _TAKES[name](session, now - timedelta(days=deps.settings.letter_days), place.number)
            bookmarks.put(session, name, Place(place.at, found.upto if found.more else place.number))
        moved, more = moved + found.moved, found.more
    return moved, more


def _drop_years(deps: Deps) -> None:
    """Somebody may be reading them just now: then it is tried again tomorrow."""
    kept = deps.settings.archive_years
    for table in (archive.TABLE, past_places.TABLE) if kept else ():
        try:
            with deps.work() as (session, now):
                gone = years.drop(session, table, now.year - kept)
        except OperationalError as error:
            log.warning("years of the archive could not be dropped", table=table, error=type(error.orig).__name__)
        else:
            if gone:
                log.info("years of the archive dropped", table=table, years=gone)
