"""`/give/me`: the way to one's own monthly gifts, asked for by address and sent by letter.

The answer is the same whatever we know of the address, after the same time.
"""

import asyncio
from datetime import timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from engine.bootstrap import Deps
from engine.errors import Unavailable
from engine.outreach import giving_links
from engine.sources.words import email_address
from webhooks import forms
from webhooks.donor import own
from webhooks.forms import Posted, Stamp
from webhooks.security import network, require_same_origin

ANSWER_SECONDS = 0.25  # longer than any of it takes
MOST_OF_ADDRESS, MOST_OF_NETWORK, SPAN = 3, 20, timedelta(hours=1)


def ask(request: Request) -> Response:
    """The form that asks for a link."""
    deps: Deps = request.app.state.deps
    with deps.work() as (session, now):
        whose = own.house(session, now)
    return own.asking(request, whose)


async def send(request: Request) -> Response:
    """Send a link, if there is somebody to send it to. 429 when this network asked too often, 503 when nobody can count."""
    require_same_origin(request)
    form = await forms.posted(request)
    not_before = asyncio.get_running_loop().time() + ANSWER_SECONDS
    answer = await run_in_threadpool(_send, request, form)
    await asyncio.sleep(max(0.0, not_before - asyncio.get_running_loop().time()))
    return answer


def _send(request: Request, form: Posted) -> Response:
    deps: Deps = request.app.state.deps
    typed, stamp = form.one("email"), Stamp.read(deps.signer, form.one("stamp"), own.ASKING)
    with deps.work() as (session, now):
        whose = own.house(session, now)
    if stamp is None or stamp.too_old(now):
        return own.asking(request, whose, "again", email=typed)
    email = email_address(typed)
    if email is None:
        return own.asking(request, whose, "wrong", email=typed)
    try:
        if not deps.limiter.hit(f"giving network {network(request)}", MOST_OF_NETWORK, SPAN):
            return own.asking(request, whose, "often", email=typed)
        few = deps.limiter.hit(f"giving address {email}", MOST_OF_ADDRESS, SPAN)
    except Unavailable:
        return own.asking(request, whose, "away", email=typed)
    if few:
        with deps.work() as (session, now):
            happened = giving_links.ask(session, email, stamp.nonce, now)
        deps.ring_for(happened)
    return own.sent(request, whose)
