"""`/me/{token}`: what she gets, where she belongs, what she cares about. GET shows it; POST with our form changes it."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine import languages
from engine.bootstrap import Deps
from engine.events import Event
from engine.letters import links
from engine.mail import unsubscribing
from engine.people import preferences
from engine.people.preferences import LABELS, SOURCE, Choice, Choices, Preferences
from engine.sources.words import zero_put_back, zip_code
from webhooks.pages import page
from webhooks.receive import body_within
from webhooks.subscriber import door
from webhooks.subscriber.door import Fields

SAVED, STOPPED, PAUSED, RESUMED, AGAIN = "saved", "stopped", "paused", "resumed", "again"
MENDED = "mended"  # saved, with a ZIP that had lost its leading zero
ACTS = {"save": SAVED, "stop": STOPPED, "pause": PAUSED, "resume": RESUMED}
WORDINGS = {"stop": "Stop all letters", "pause": "Pause for 30 days", "resume": "End the pause"}


def show(request: Request) -> Response:
    """The page as things stand."""
    deps: Deps = request.app.state.deps
    with deps.work() as (session, now):
        hers, refused = _hers(request, session, now)
    if hers is None:
        return refused or door.stranger(request)
    return _shown(request, hers, now, done=request.query_params.get("done", ""))


async def choose(request: Request) -> Response:
    """One press on one of its buttons. Whose page it is says the link alone."""
    body = await body_within(request, door.BODY_LIMIT)
    return await run_in_threadpool(door.patiently, _choose, request, door.fields(request, body))


def _choose(request: Request, given: Fields) -> Response:
    deps: Deps = request.app.state.deps
    token, act = request.path_params["token"], door.first(given, "act")
    with deps.work() as (session, now):
        hers, refused = _hers(request, session, now)
        if hers is None:
            return refused or door.stranger(request)
        choices, typed = _choices(given, hers), door.first(given, "zip").strip()
        ours = act in ACTS and door.form_holds(deps.signer, token, given, now)
        unclear = act == "save" and typed != "" and choices.zip is None
        if not ours or unclear:
            kept = _as_chosen(hers, choices, typed) if act == "save" else hers
            return _shown(request, kept, now, 422 if ours else 403, done="" if ours else AGAIN, wrong_zip=unclear)
        everything = deps.react(session, _act(session, hers, act, choices, now), now)
    deps.ring_for(everything)
    mended = act == "save" and choices.zip is not None and zero_put_back(typed, choices.zip)
    return RedirectResponse(f"/me/{token}?done={MENDED if mended else ACTS[act]}", 303)


def _hers(request: Request, session: Session, now: datetime) -> tuple[Preferences | None, Response | None]:
    """What the link's own person chose; or None, and the answer if the link has had its time."""
    deps: Deps = request.app.state.deps
    named = links.chooser(deps.signer, request.path_params["token"], now)
    if named is None:
        return None, None
    contact_id, works = named
    hers = preferences.load(session, contact_id, now)
    if hers is None or works:
        language = door.language(request, hers.language) if hers else ""
        return (preferences.load(session, contact_id, now, language) if hers else None), None
    return None, door.ended(request, door.language(request, hers.language))


def _choices(given: Fields, hers: Preferences) -> Choices:
    """What the form says. A ZIP that is none becomes None."""
    return Choices(
        kinds=frozenset(given.get("letters", ())),
        chapters=bool(door.first(given, "chapters")),
        fewer=door.first(given, "amount") == "fewer",
        language=door.first(given, "language") or hers.language,
        zip=zip_code(door.first(given, "zip"), ""),
        chapter=None if hers.placed or "chapter" not in given else door.first(given, "chapter"),
        follows=frozenset(given.get("follow", ())),
        interests=frozenset(given.get("interest", ())),
        ways_to_help=frozenset(given.get("help", ())),
    )


def _act(session: Session, hers: Preferences, act: str, choices: Choices, now: datetime) -> list[Event]:
    wording = languages.catalogue(hers.language).gettext(WORDINGS.get(act, ""))
    if act == "save":
        return preferences.save(session, hers.contact_id, choices, now)
    if act == "resume":
        return unsubscribing.resume(session, hers.contact_id, now, source=SOURCE, wording=wording)
    if act == "pause":
        unsubscribing.pause(session, hers.contact_id, None, now, source=SOURCE, wording=wording)
        return []
    return unsubscribing.unsubscribe(
        session, hers.contact_id, None, unsubscribing.EVERYTHING, now, source=SOURCE, wording=wording
    )


def _as_chosen(hers: Preferences, choices: Choices, typed_zip: str) -> Preferences:
    """The page with what she had chosen: nothing is lost when she is asked again."""

    def ticked(offered: Sequence[Choice], codes: Collection[str]) -> list[Choice]:
        return [replace(one, hers=one.code in codes) for one in offered]

    return replace(
        hers,
        kinds=choices.kinds,
        chapters=choices.chapters,
        fewer=choices.fewer,
        zip=typed_zip,
        choosable=ticked(hers.choosable, {choices.chapter or ""}),
        followable=ticked(hers.followable, choices.follows),
        interests={agenda: ticked(offered, choices.interests) for agenda, offered in hers.interests.items()},
        ways_to_help=ticked(hers.ways_to_help, choices.ways_to_help),
    )


def _shown(
    request: Request, hers: Preferences, now: datetime, status: int = 200, *, done: str = "", wrong_zip: bool = False
) -> Response:
    deps: Deps = request.app.state.deps
    return page(
        request,
        "preferences.html",
        status,
        language=door.language(request, hers.language),
        hers=hers,
        labels=LABELS,
        done=done,
        wrong_zip=wrong_zip,
        form=door.form_token(deps.signer, request.path_params["token"], now),
    )
