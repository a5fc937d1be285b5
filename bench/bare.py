"""The floors of `bench intake` and `bench pages`: Starlettes that answer and do nothing. Import nothing of ours, as bare ones
would."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route


async def nothing(request: Request) -> Response:
    """Read the body and answer."""
    await request.body()
    return JSONResponse({"status": "stored"})


def app() -> Starlette:
    """The application of `bench intake`."""
    return Starlette(routes=[Route("/webhooks/stripe", nothing, methods=["POST"])])


async def small(_: Request) -> Response:
    """A page that says one word."""
    return HTMLResponse("<!doctype html><title>Hello</title><p>Hello</p>")


def pages() -> Starlette:
    """The application of `bench pages`."""
    return Starlette(routes=[Route("/", small)])
