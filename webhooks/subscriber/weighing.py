"""Whether a filled-in join form is taken, and on which terms. Looks at the form, the network and the clock; never at what is
known of the address: the same statements run for everyone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import orjson

from engine import inbox
from engine.bootstrap import Deps
from engine.people import gatherings, join_forms, opt_in
from engine.people.join_forms import Near
from engine.sources.join import SOURCE
from webhooks.forms import Stamp
from webhooks.subscriber.asking import Asked
from webhooks.subscriber.typed import LINES, LISTS, Typed

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOWHERE = Near("")
TYPED = ("form", *LINES, *LISTS)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What is to be done with it.

    take: store it. known: it is stored already, as `earlier`. reused: its stamp belongs to a sign-up with other words.
    fast, old: by its stamp. often: the network has had its share. The others by `near`, `confirm`, `gathering`.
    """

    verdict: Literal["take", "known", "reused", "fast", "old", "often"]
    now: datetime
    near: Near = NOWHERE
    confirm: bool = False
    gathering: str = ""
    earlier: Mapping[str, Any] | None = None


def weigh(deps: Deps, asked: Asked, stamp: Stamp, typed: Typed, near: str) -> Weighed:
    """Decide; `near`: the network it comes from. Raises Unavailable when nothing can be counted: then it is not taken."""
    found = _looked_up(deps, asked, stamp, typed)
    if found.verdict != "take" or found.gathering:
        return found
    settings = deps.settings
    if not deps.limiter.hit(f"join network {near}", settings.join_network_hourly, HOUR):
        return Weighed("often", found.now)
    # A letter decides about an address that is typed too often; how often one is sent at all is its own rule.
    usual = deps.limiter.hit(f"join address {typed.email}", settings.join_address_daily, DAY)
    return Weighed("take", found.now, found.near, found.confirm or not usual)


def stored_before(deps: Deps, stamp: Stamp, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The sign-up under this stamp, if it says what this one says."""
    with deps.work() as (session, _):
        earlier = inbox.body_of(session, SOURCE, stamp.nonce)
    return _same(earlier, document)


def _looked_up(deps: Deps, asked: Asked, stamp: Stamp, typed: Typed) -> Weighed:
    with deps.work() as (session, now):
        if stamp.too_old(now):
            return Weighed("old", now)
        if stamp.too_fast(now) and not asked.gathering:
            return Weighed("fast", now)
        near = join_forms.near(session, typed.zip)
        earlier = inbox.body_of(session, SOURCE, stamp.nonce)
        if earlier is not None:
            known = _same(earlier, {"form": asked.name, **typed.model_dump(mode="json")})
            return Weighed("known" if known else "reused", now, near, earlier=known)
        taken = gatherings.take(session, asked.code, now) if asked.code else None
        if taken:
            return Weighed("take", now, near, gathering=asked.code)
        chapter_id = asked.chapter.id if asked.chapter else None
        confirm = opt_in.needs_confirmation(session, chapter_id, now, deps.settings)
    return Weighed("take", now, near, confirm)


def _same(earlier: bytes | None, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    known: Mapping[str, Any] = orjson.loads(earlier) if earlier else {}
    same = known and all(known[name] == document[name] for name in TYPED)
    return known if same else None
