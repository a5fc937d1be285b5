"""Comparing the mail provider's suppressions with ours, once a day, page by page; no transaction is open while it is asked.

Two bookmarks say how far that has come: the list and the place in it, and how many of its addresses stand on ours, too. Cut
short, by a crash or by the end of its turn, it goes on there minutes later. No address ever stands in a line of the log.
"""

from collections.abc import Sequence
from datetime import timedelta
from time import monotonic

import structlog

from engine import bookmarks
from engine.bookmarks import Place
from engine.bootstrap import Deps
from engine.errors import Forbidden, Unavailable
from engine.events import HumanNeeded
from engine.mail import comparing
from engine.ports import Suppressions
from engine.staff import notices
from workers import turns

CHORE = "suppressions"
FAILED = "suppressions not compared"  # kind of notice
PROVIDER = "sendgrid"
PLACE, SHARED = "sendgrid suppressions", "sendgrid suppressions shared"  # bookmarks
LIST = 10**12  # the number of a place: which list, times this, and the offset in it

REMOVED = 100  # addresses a turn that come off its list; the others follow
LATER = timedelta(hours=1)

log = structlog.get_logger(__name__)


def compare(deps: Deps, turn_seconds: float = turns.SECONDS) -> None:
    """One turn. A failure tells a person; it is tried again within the hour."""
    if deps.suppressions is None:
        return
    with deps.work() as (session, _):
        tomorrow = turns.begin(session, CHORE)
    try:
        through = _lists(deps, deps.suppressions, monotonic() + turn_seconds)
    except (Unavailable, Forbidden) as error:
        log.warning("SendGrid cannot be asked for its suppressions", reason=str(error))
        with deps.work() as (session, now):
            turns.again(session, CHORE, LATER)
            everything = deps.react(session, [HumanNeeded(None, FAILED, PROVIDER, str(error))], now)
        deps.ring_for(everything)
        return
    with deps.work() as (session, _):
        notices.resolve(session, FAILED)
        if through:
            turns.done(session, CHORE, tomorrow)
        else:
            turns.again(session, CHORE)


def _lists(deps: Deps, theirs: Suppressions, ends: float) -> bool:
    """Every list from where it was left. Returns whether the last one was read to its end."""
    with deps.work() as (session, _):
        begun = bookmarks.find(session, PLACE)
    first, start = divmod(begun.number if begun else 0, LIST)
    for number in range(first, len(comparing.KINDS)):
        if not _list(deps, theirs, number, start, ends):
            return False
        start = 0
    with deps.work() as (session, _):
        for name in (PLACE, SHARED):
            bookmarks.take_out(session, name)
    return True


def _list(deps: Deps, theirs: Suppressions, number: int, start: int, ends: float) -> bool:
    reason, added = comparing.KINDS[number], 0
    came_back: list[str] = []
    for page in theirs.listed(reason, start):
        start += len(page)
        with deps.work() as (session, _):
            found = comparing.compare(session, reason, page, deps.signer)
            shared = bookmarks.find(session, SHARED)
            bookmarks.put(session, SHARED, Place(number=(shared.number if shared else 0) + found.shared))
            bookmarks.put(session, PLACE, Place(number=number * LIST + start))
        added += found.new
        came_back += found.came_back
        if monotonic() > ends:
            _take_off(deps, theirs, came_back[:REMOVED], number * LIST + start)
            log.info("suppressions compared in part", list=reason, compared=start, new=added)
            return False
    _take_off(deps, theirs, came_back[:REMOVED], number * LIST + start)
    with deps.work() as (session, _):
        shared = bookmarks.find(session, SHARED)
        ours = comparing.ours(session, reason)
        bookmarks.put(session, SHARED, Place())
        bookmarks.put(session, PLACE, Place(number=(number + 1) * LIST))
    only_ours = ours - (shared.number if shared else 0)
    log.info(
        "suppressions compared",
        list=reason,
        compared=start,
        new=added,
        only_ours=max(only_ours, 0),
        came_back=len(came_back),
    )
    return True


def _take_off(deps: Deps, theirs: Suppressions, came_back: Sequence[str], place: int) -> None:
    """Take these addresses off its list, of which everything before this place was read. Only when no page is asked for any
    more, and with the bookmark set back by as many before: of a list that shrinks while it is paged some are passed by."""
    if not came_back:
        return
    with deps.work() as (session, _):
        bookmarks.put(session, PLACE, Place(number=place - len(came_back)))
    for email in came_back:
        theirs.remove(email)
