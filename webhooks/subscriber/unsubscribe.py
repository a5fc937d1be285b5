"""`/u/{token}`: stopping letters. A person sees one button and gentler ones; her mail provider posts for her (RFC 8058).

GET changes nothing: scanners follow links. Whatever is posted without our form is the provider's one click.
"""

from datetime import datetime

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from engine.bootstrap import Deps
from engine.events import Event
from engine.languages import catalogue
from engine.letters import links
from engine.mail import lost, unsubscribing
from engine.mail.unsubscribing import CHAPTER, EVERYTHING, SCOPES, Addressed
from engine.people.consent import KINDS
from webhooks.pages import page
from webhooks.receive import body_within
from webhooks.subscriber import door
from webhooks.subscriber.door import Fields

FEWER, PAUSE = "fewer", "pause"
ONE_CLICK, PAGE = "one-click", "unsubscribe page"  # sources of consent
# What stands on each button, and is kept as the wording of her word.
BUTTONS = {
    EVERYTHING: "Stop all letters",
    "asks": "Stop requests for gifts",
    "news": "Stop news",
    "gatherings": "Stop invitations to gatherings",
    "actions": "Stop calls to act",
    CHAPTER: "Stop chapter letters",
    FEWER: "Send me fewer letters",
    PAUSE: "Pause for 30 days",
}


def show(request: Request) -> Response:
    """The page with the buttons."""
    deps: Deps = request.app.state.deps
    named = links.unsubscriber(deps.signer, request.path_params["token"])
    if named is None:
        return door.stranger(request)
    with deps.work() as (session, now):
        named = lost.known_as(session, *named)
        letter = unsubscribing.addressed(session, *named)
    return _buttons(request, letter, named[0], now) if letter else door.stranger(request)


async def act(request: Request) -> Response:
    """One click of a provider: no letters any more, 200 and nothing else. A press on our page: what now holds."""
    body = await body_within(request, door.BODY_LIMIT)
    return await run_in_threadpool(door.patiently, _act, request, door.fields(request, body))


def _act(request: Request, given: Fields) -> Response:
    deps: Deps = request.app.state.deps
    token = request.path_params["token"]
    named = links.unsubscriber(deps.signer, token)
    if named is None:
        return door.stranger(request)
    if "scope" not in given or "List-Unsubscribe" in given:
        _one_click(deps, *named)
        return Response()
    scope = door.first(given, "scope")
    with deps.work() as (session, now):
        named = lost.known_as(session, *named)
        letter = unsubscribing.addressed(session, *named)
        pressed = letter is not None and scope in BUTTONS and door.form_holds(deps.signer, token, given, now)
        if letter and pressed:
            wording = catalogue(door.language(request, letter.language)).gettext(BUTTONS[scope])
            everything = deps.react(session, _press(session, *named, scope, now, wording=wording), now)
    if letter is None:
        return door.stranger(request)
    if not pressed:
        return _buttons(request, letter, named[0], now, status=403)
    deps.ring_for(everything)
    return _held(request, letter, named[0], scope, now)


def _one_click(deps: Deps, contact_id: int, message_id: int) -> None:
    with deps.work() as (session, now):
        whose = lost.known_as(session, contact_id, message_id)
        stopped = unsubscribing.unsubscribe(session, *whose, EVERYTHING, now, source=ONE_CLICK)
        stopped = stopped or lost.stop(session, contact_id, message_id, now)
        everything = deps.react(session, stopped, now)
    deps.ring_for(everything)


def _press(
    session: Session, contact_id: int, message_id: int, scope: str, now: datetime, *, wording: str
) -> list[Event]:
    if scope in SCOPES:
        return unsubscribing.unsubscribe(session, contact_id, message_id, scope, now, source=PAGE, wording=wording)
    change = unsubscribing.pause if scope == PAUSE else unsubscribing.fewer
    change(session, contact_id, message_id, now, source=PAGE, wording=wording)
    return []


def _buttons(request: Request, letter: Addressed, contact_id: int, now: datetime, status: int = 200) -> Response:
    deps: Deps = request.app.state.deps
    token = request.path_params["token"]
    kind = [letter.kind] if letter.kind in KINDS else []
    gentler = [*kind, *([CHAPTER] if letter.of_chapter else []), FEWER, PAUSE]
    return page(
        request,
        "unsubscribe.html",
        status,
        language=door.language(request, letter.language),
        letter=letter,
        buttons=BUTTONS,
        gentler=gentler,
        again=status != 200,
        choose=_choose(deps, letter, contact_id, now),
        form=door.form_token(deps.signer, token, now),
    )


def _held(request: Request, letter: Addressed, contact_id: int, scope: str, now: datetime) -> Response:
    deps: Deps = request.app.state.deps
    return page(
        request,
        "unsubscribed.html",
        language=door.language(request, letter.language),
        letter=letter,
        scope=scope,
        until=now + unsubscribing.PAUSE,
        choose=_choose(deps, letter, contact_id, now),
    )


def _choose(deps: Deps, letter: Addressed, contact_id: int, now: datetime) -> str:
    """The way to her preferences, for as long as that of her letter works: an old link can stop letters, nothing else."""
    if letter.made_at is None or not letter.address or now - letter.made_at > links.PREFERENCES_SPAN:
        return ""
    return links.preferences(deps.signer, contact_id, letter.made_at)
