"""The floor of `bench intake`: a Starlette that reads the body and answers. Imports nothing of ours, as a bare one would."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def nothing(request: Request) -> Response:
    """Read the body and answer."""
    await request.body()
    return JSONResponse({"status": "stored"})


def app() -> Starlette:
    """The application."""
    return Starlette(routes=[Route("/webhooks/stripe", nothing, methods=["POST"])])
