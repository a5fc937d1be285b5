"""Finding the donation form of a request: a published one, or the draft that a preview's link shows."""

from collections.abc import Callable
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from engine.bootstrap import Deps
from engine.errors import Invalid
from engine.giving import forms, previews
from engine.giving.forms import Shown
from webhooks.donor.asking import Asked, asked
from webhooks.donor.published import Published


async def found(request: Request, told: Callable[[str], str]) -> Asked:
    """The form, closed ones as well, on the terms of its link (`told`, see `asking`). Raises HTTPException 404 for one that
    there is not, 410 for a preview's link that is over, or none, where there is a form."""
    deps: Deps = request.app.state.deps
    published: Published = request.app.state.published
    offer = await published.current()
    slug = request.path_params["form"]
    token = request.query_params.get("preview", "")
    form = await run_in_threadpool(_draft, deps, token, slug) if token else offer.giving.forms.get(slug)
    if form is None:
        # Of a form that nobody can see yet it is said to whoever has a link that we made.
        over = token and (slug in offer.giving.forms or deps.signer.read("preview", token) is not None)
        raise HTTPException(410, "Gone") if over else HTTPException(404, "Not Found")
    return asked(request, offer, await published.with_raised(form), told)


def _draft(deps: Deps, token: str, slug: str) -> Shown | None:
    form = None
    with deps.work() as (session, now):
        version_id = previews.read(deps.signer, token, now)
        with suppress(Invalid):  # it cannot be read any more
            form = forms.version(session, version_id) if version_id is not None else None
    return form if form and form.definition.slug == slug else None
