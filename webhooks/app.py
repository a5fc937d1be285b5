"""ROUTES: every URL and who answers it. `build(deps)` makes the application; `main()` is what uvicorn starts.

A process may serve a part of the house (`--only hooks,pages`): each route names its part.
"""

import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from engine import errors, metrics, vitals
from engine.bootstrap import Deps, start
from engine.settings import ROOT
from webhooks import actblue, actionnetwork, health, home, sendgrid, signup, stripe
from webhooks.api import campaigns, docs, launches, reports, segments, sequences, token
from webhooks.api import people as api_people
from webhooks.api.gate import Rooms
from webhooks.dev import checkout, clock, mailbox
from webhooks.donor import front, give, me, monthly
from webhooks.donor.published import Published
from webhooks.edge import Edge
from webhooks.ending import Ending
from webhooks.problems import Refused, refusal
from webhooks.rendered import Rendered
from webhooks.security import HEADERS
from webhooks.staff import approvals, door, endings, letters, offers, people, person, sheet, writing
from webhooks.staff import start as staff_start
from webhooks.subscriber import confirm, join, preferences, unsubscribe
from webhooks.subscriber.offers import Offers
from webhooks.writer import RETRY_AFTER, Writer

HOOKS, PAGES, STAFF, API, DEVELOPMENT = "hooks", "pages", "staff", "api", "development"
PARTS = (HOOKS, PAGES, STAFF, API)
GC_THRESHOLDS = (10_000, 20, 20)

STATUS: dict[type[errors.GroundswellError], HTTPStatus] = {
    errors.Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One URL: methods, path, who answers, and the part of the house it belongs to (None: every process has it)."""

    methods: tuple[str, ...]
    path: str
    answer: Any
    part: str | None


ROUTES: tuple[Entry, ...] = (
    Entry(("GET",), "/", home.show, PAGES),
    Entry(("POST",), "/webhooks/actblue", actblue.receive, HOOKS),
    Entry(("POST",), "/webhooks/actblue/contributions", actblue.receive_contribution, HOOKS),
    Entry(("POST",), "/webhooks/actblue/refunds", actblue.receive_refund, HOOKS),
    Entry(("POST",), "/webhooks/actblue/cancellations", actblue.receive_cancellation, HOOKS),
    Entry(("POST",), "/webhooks/stripe", stripe.receive, HOOKS),
    Entry(("POST",), "/webhooks/sendgrid", sendgrid.receive, HOOKS),
    Entry(("POST",), "/webhooks/signup", signup.receive, HOOKS),
    Entry(("POST",), "/webhooks/actionnetwork/{secret}", actionnetwork.receive, HOOKS),
    Entry(("GET",), "/join", join.show, PAGES),
    Entry(("POST",), "/join", join.receive, PAGES),
    Entry(("GET",), "/join/{chapter}", join.show, PAGES),
    Entry(("POST",), "/join/{chapter}", join.receive, PAGES),
    Entry(("POST",), "/introductions", join.introduce, PAGES),
    Entry(("GET",), "/give", front.show, PAGES),
    Entry(("GET",), "/give/me", me.ask, PAGES),
    Entry(("POST",), "/give/me", me.send, PAGES),
    Entry(("GET",), "/give/me/{token}", monthly.show, PAGES),
    Entry(("POST",), "/give/me/{token}", monthly.change, PAGES),
    Entry(("GET",), "/give/me/{token}/end/{plan:int}", monthly.consider, PAGES),
    Entry(("GET",), "/give/{form}", give.show, PAGES),
    Entry(("POST",), "/give/{form}", give.receive, PAGES),
    Entry(("GET",), "/give/{form}/thanks", give.thank, PAGES),
    Entry(("GET",), "/give/{form}/picture", give.picture, PAGES),
    Entry(("GET",), "/staff", staff_start.show, STAFF),
    Entry(("GET",), "/staff/sign-in", door.ask, STAFF),
    Entry(("POST",), "/staff/sign-in", door.send, STAFF),
    Entry(("GET",), "/staff/sign-in/{token}", door.show_link, STAFF),
    Entry(("POST",), "/staff/sign-in/{token}", door.use_link, STAFF),
    Entry(("POST",), "/staff/sign-out", door.sign_out, STAFF),
    Entry(("GET",), "/staff/approvals", approvals.show, STAFF),
    Entry(("POST",), "/staff/approvals/territories/{id:int}", approvals.decide_territories, STAFF),
    Entry(("POST",), "/staff/approvals/sparks/{id:int}", approvals.decide_spark, STAFF),
    Entry(("GET",), "/staff/sheet", sheet.blank, STAFF),
    Entry(("POST",), "/staff/sheet", sheet.take, STAFF),
    Entry(("GET",), "/staff/offers", offers.show, STAFF),
    Entry(("POST",), "/staff/offers/{offer:int}", offers.move, STAFF),
    Entry(("GET",), "/staff/people", people.find, STAFF),
    Entry(("GET",), "/staff/erased-donors", people.erased, STAFF),
    Entry(("GET",), "/staff/people/{id:int}", people.show, STAFF),
    Entry(("POST",), "/staff/people/{id:int}/place", person.place, STAFF),
    Entry(("POST",), "/staff/people/{id:int}/stop", person.stop, STAFF),
    Entry(("POST",), "/staff/people/{id:int}/note", person.note, STAFF),
    Entry(("POST",), "/staff/people/{id:int}/offers/{offer:int}", person.move_offer, STAFF),
    Entry(("POST",), "/staff/people/{id:int}/bundle", person.bundle, STAFF),
    Entry(("GET",), "/staff/people/{id:int}/merge", endings.compare, STAFF),
    Entry(("POST",), "/staff/people/{id:int}/merge", endings.merge, STAFF),
    Entry(("GET",), "/staff/people/{id:int}/erase", endings.consider, STAFF),
    Entry(("POST",), "/staff/people/{id:int}/erase", endings.erase, STAFF),
    Entry(("GET",), "/staff/letters", letters.listing, STAFF),
    Entry(("GET",), "/staff/letters/new", writing.blank, STAFF),
    Entry(("POST",), "/staff/letters/new", writing.begin, STAFF),
    Entry(("GET",), "/staff/letters/{slug}", letters.show, STAFF),
    Entry(("GET",), "/staff/letters/{slug}/html", letters.html, STAFF),
    Entry(("GET",), "/staff/letters/{slug}/edit", writing.edit, STAFF),
    Entry(("POST",), "/staff/letters/{slug}/edit", writing.save, STAFF),
    Entry(("POST",), "/staff/letters/{slug}/test", letters.test, STAFF),
    Entry(("POST",), "/staff/letters/{slug}/note", letters.note, STAFF),
    Entry(("POST",), "/staff/letters/{slug}/resume", letters.resume, STAFF),
    Entry(("GET",), "/api/docs", docs.show, API),
    Entry(("GET",), "/api/openapi.json", docs.openapi, API),
    Entry(("GET",), "/api/v1/token", token.show, API),
    Entry(("POST",), "/api/v1/segments/check", segments.check, API),
    Entry(("POST",), "/api/v1/segments/preview", segments.preview, API),
    Entry(("GET",), "/api/v1/segments", segments.listing, API),
    Entry(("POST",), "/api/v1/segments", segments.create, API),
    Entry(("GET",), "/api/v1/segments/{slug}", segments.show, API),
    Entry(("PUT",), "/api/v1/segments/{slug}", segments.change, API),
    Entry(("GET",), "/api/v1/segments/{slug}/preview", segments.preview_saved, API),
    Entry(("POST",), "/api/v1/segments/{slug}/archive", segments.archive, API),
    Entry(("POST",), "/api/v1/sequences/check", sequences.check, API),
    Entry(("POST",), "/api/v1/sequences/simulate", reports.simulate_written, API),
    Entry(("GET",), "/api/v1/sequences", sequences.listing, API),
    Entry(("POST",), "/api/v1/sequences", sequences.create, API),
    Entry(("GET",), "/api/v1/sequences/{slug}", sequences.show, API),
    Entry(("PUT",), "/api/v1/sequences/{slug}", sequences.change, API),
    Entry(("POST",), "/api/v1/sequences/{slug}/renew", sequences.renew, API),
    Entry(("POST",), "/api/v1/sequences/{slug}/pause", sequences.pause, API),
    Entry(("POST",), "/api/v1/sequences/{slug}/resume", sequences.resume, API),
    Entry(("POST",), "/api/v1/sequences/{slug}/archive", sequences.archive, API),
    Entry(("POST",), "/api/v1/sequences/{slug}/move", sequences.move, API),
    Entry(("GET",), "/api/v1/sequences/{slug}/results", reports.of_sequence, API),
    Entry(("GET",), "/api/v1/sequences/{slug}/simulate", reports.simulate_sequence, API),
    Entry(("GET",), "/api/v1/campaigns", campaigns.listing, API),
    Entry(("POST",), "/api/v1/campaigns", campaigns.create, API),
    Entry(("GET",), "/api/v1/campaigns/{slug}", campaigns.show, API),
    Entry(("PUT",), "/api/v1/campaigns/{slug}", campaigns.change, API),
    Entry(("GET",), "/api/v1/campaigns/{slug}/preflight", campaigns.check, API),
    Entry(("GET",), "/api/v1/campaigns/{slug}/progress", launches.how_far, API),
    Entry(("GET",), "/api/v1/campaigns/{slug}/results", reports.of_campaign, API),
    Entry(("GET",), "/api/v1/campaigns/{slug}/simulate", reports.simulate_campaign, API),
    Entry(("POST",), "/api/v1/campaigns/{slug}/launch", launches.launch, API),
    Entry(("POST",), "/api/v1/campaigns/{slug}/approve", launches.approve, API),
    Entry(("POST",), "/api/v1/campaigns/{slug}/undo", launches.undo, API),
    Entry(("POST",), "/api/v1/campaigns/{slug}/pause", launches.pause, API),
    Entry(("POST",), "/api/v1/campaigns/{slug}/resume", launches.resume, API),
    Entry(("POST",), "/api/v1/campaigns/{slug}/cancel", launches.cancel, API),
    Entry(("POST",), "/api/v1/campaigns/{slug}/duplicate", campaigns.duplicate, API),
    Entry(("POST",), "/api/v1/campaigns/{slug}/archive", campaigns.archive, API),
    Entry(("POST",), "/api/v1/people/explain", api_people.why, API),
    Entry(("POST",), "/api/v1/people/simulate", api_people.ahead, API),
    Entry(("GET",), "/confirm/{token}", confirm.show, PAGES),
    Entry(("POST",), "/confirm/{token}", confirm.answer, PAGES),
    Entry(("GET",), "/me/{token}", preferences.show, PAGES),
    Entry(("POST",), "/me/{token}", preferences.choose, PAGES),
    Entry(("GET",), "/u/{token}", unsubscribe.show, PAGES),
    Entry(("POST",), "/u/{token}", unsubscribe.act, PAGES),
    Entry(("GET",), "/healthz", health.alive, None),
    Entry(("GET",), "/readyz", health.ready, None),
    Entry(("GET",), "/dev/mailbox", mailbox.listing, DEVELOPMENT),
    Entry(("GET",), "/dev/mailbox/{number}", mailbox.letter, DEVELOPMENT),
    Entry(("GET",), "/dev/mailbox/{number}/html", mailbox.letter_html, DEVELOPMENT),
    Entry(("GET",), "/dev/clock", clock.show, DEVELOPMENT),
    Entry(("POST",), "/dev/clock", clock.skip, DEVELOPMENT),
    Entry(("GET",), "/dev/checkout/{key}", checkout.show, DEVELOPMENT),
    Entry(("POST",), "/dev/checkout/{key}", checkout.act, DEVELOPMENT),
    Entry(("GET",), "/dev/portal/{key}", checkout.show_portal, DEVELOPMENT),
    Entry(("POST",), "/dev/portal/{key}", checkout.act_portal, DEVELOPMENT),
)


def build(deps: Deps, only: Sequence[str] = PARTS, writer: Writer | None = None) -> Starlette:
    """The application, or the named parts of it. Development's pages do not exist in production."""
    parts = {*only, DEVELOPMENT} if deps.settings.development else set(only)
    writer, ending = writer or Writer(deps), Ending()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if HOOKS in parts:
            deps.verifier.stripe(b"", "")  # the first check takes its time; no sender shall wait for it
        with ending.announced(deps.settings.drain_seconds):
            async with writer.running():
                yield
        deps.bells.close()

    chosen = [entry for entry in ROUTES if entry.part is None or entry.part in parts]
    app = Starlette(
        routes=[
            *(Route(entry.path, entry.answer, methods=list(entry.methods)) for entry in chosen),
            Mount("/static", StaticFiles(directory=ROOT / "templates" / "static")),
        ],
        middleware=[Middleware(Edge, hosts=deps.settings.hosts)],
        exception_handlers={
            HTTPException: _problem,
            errors.GroundswellError: _ours,
            OperationalError: _away,
            PoolTimeout: _away,
            Exception: _unforeseen,
        },
        lifespan=lifespan,
    )
    app.state.deps = deps
    app.state.writer = writer
    app.state.ending = ending
    app.state.offers = Offers(deps)
    app.state.rendered = Rendered()
    app.state.published = Published(deps)
    app.state.rooms = Rooms()
    return app


def main() -> Starlette:
    """What uvicorn calls in its process: dependencies, metrics, application."""
    deps = start("web")
    settings = deps.settings
    if settings.metrics_port:
        vital = [vitals.Vitals(deps.work, deps.bells.reachable, settings.data_dir)] if settings.supervised else []
        metrics.serve(settings.metrics_host, settings.metrics_port, metrics.Pool(deps.sessions), *vital)
    app = build(deps, settings.web_only.split(","))
    settle()
    return app


def settle() -> None:
    """Spare the garbage collector what was loaded for good, and have it look less often: each look holds up all requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    errors_told = error.errors if isinstance(error, Refused) else ()
    return refusal(request, error.status_code, error.detail, error.headers, errors_told)


async def _ours(request: Request, error: Exception) -> Response:
    status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    return refusal(request, status, str(error))


async def _away(request: Request, error: Exception) -> Response:
    structlog.get_logger(__name__).error("Postgres does not answer", error=type(error).__name__)
    title = "The database does not answer; please try again"
    return refusal(request, HTTPStatus.SERVICE_UNAVAILABLE, title, RETRY_AFTER)


async def _unforeseen(request: Request, error: Exception) -> Response:
    structlog.get_logger(__name__).error("request failed", exc_info=error)
    # Starlette answers these outside of all middleware.
    carried = HEADERS | {"Cache-Control": "no-store"}
    return refusal(request, HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error", carried)
