"""The servers that `bench intake` compares with the product: each one uvicorn process, made by a function without arguments.

`edge` does nothing (as `bench.bare`) under the product's middleware, `checked` checks Stripe's signature and stores nothing.
`obvious` is what one writes after reading the manuals of Stripe, SQLModel and Dramatiq.
"""

from typing import Any

import dramatiq
import orjson
import stripe
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.bare import nothing
from bench.load import PATH
from engine import bootstrap
from engine.db import driver_url
from engine.settings import DEVELOPMENT_STRIPE_SECRET, Settings
from engine.tables import InboundEvent
from webhooks.app import settle
from webhooks.edge import Edge

QUEUE = "obvious"
SOURCE = "obvious"


def edge() -> Starlette:
    """The same under the product's middleware, logging as the product does."""
    deps = bootstrap.start("web")
    settle()
    return _app(nothing, Middleware(Edge, hosts=deps.settings.hosts))


def checked() -> Starlette:
    """Checks the signature with the product's adapter and reads the event's id; no middleware."""
    verifier = bootstrap.build(Settings()).verifier

    async def answer(request: Request) -> Response:
        body = await request.body()
        if not verifier.stripe(body, request.headers["stripe-signature"]):
            return JSONResponse({"status": "refused"}, 400)
        return JSONResponse({"status": "checked" if orjson.loads(body)["id"] else "nameless"})

    return _app(answer)


def obvious() -> Starlette:
    """A session for each request, the SDK's own event, a SQLModel row committed, a message sent."""
    settings = Settings()
    assert settings.database_url is not None
    assert settings.redis_url is not None
    url = driver_url(settings.database_url.get_secret_value()).replace("postgresql://", "postgresql+psycopg://", 1)
    pool = create_engine(url)
    broker = RedisBroker(url=settings.redis_url.get_secret_value())
    dramatiq.set_broker(broker)
    process = dramatiq.actor(queue_name=QUEUE)(_process)

    def take(body: bytes, signature: str) -> None:
        event = stripe.Webhook.construct_event(body, signature, DEVELOPMENT_STRIPE_SECRET)
        with Session(pool) as session:
            row = InboundEvent(  # type: ignore[call-arg]  # the rest has defaults in the database
                source=SOURCE, key=event.id, kind=event.type, lane="intake", body=body
            )
            session.add(row)
            try:
                session.commit()
            except IntegrityError:
                return
            process.send(row.id or 0)

    async def answer(request: Request) -> Response:
        body = await request.body()
        try:
            await run_in_threadpool(take, body, request.headers["stripe-signature"])
        except (ValueError, stripe.SignatureVerificationError):
            return JSONResponse({"status": "refused"}, 400)
        return JSONResponse({"status": "stored"})

    return _app(answer)


def _process(number: int) -> None:
    """Never answered: no worker runs."""


def _app(answer: Any, *middleware: Middleware) -> Starlette:
    return Starlette(routes=[Route(PATH, answer, methods=["POST"])], middleware=middleware)
