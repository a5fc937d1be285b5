"""`/give`: the forms that are open, and the way to one's own monthly gifts. Touches no database by itself."""

from starlette.requests import Request
from starlette.responses import Response

from webhooks.pages import named, page, spoken
from webhooks.rendered import Rendered


async def show(request: Request) -> Response:
    """The page, in the reader's language; each form in it too, if it is written in that."""
    state = request.app.state
    offer = await state.published.current()

    async def render(_: str) -> tuple[str, Response]:
        made = page(
            request, "give_all.html", language=spoken(request), lang=named(request), forms=offer.giving.open,
            organisation=offer.giving.organisation or "Groundswell",
        )  # fmt: skip
        return "give", made

    rendered: Rendered = state.rendered
    return await rendered.form(request, offer.now, offer.read_at, state.deps.signer, render)
