"""`/healthz`: this process lives. `/readyz`: it can do its work, and what is wrong when it cannot."""

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from engine import migrate
from engine.bootstrap import Deps
from engine.mail import sending

LATE_SECONDS = 60.0

# Work that may run now and does not: the age of the oldest due row of any kind, in seconds.
_OLDEST = text("""
SELECT coalesce(extract(epoch FROM max(age)), 0)::float FROM (
    SELECT now() - min(due_at) AS age FROM inbound_event WHERE state = 'pending' AND due_at <= now()
    UNION ALL SELECT :now - min(due_at) FROM message WHERE state = 'ready' AND due_at <= :now
) ages
""")


async def alive(_: Request) -> Response:
    """200 as long as the process answers at all."""
    return PlainTextResponse("ok\n")


def ready(request: Request) -> Response:
    """200 when events can be stored. Redis being gone, work being late or letters being held (why, in a word) is
    said, and is no reason to turn gifts away. A process that was told to end says 503 until it does."""
    if request.app.state.ending.begun:
        return JSONResponse({"status": "ending"}, 503)
    deps: Deps = request.app.state.deps
    said: dict[str, object] = {"redis": "ok" if deps.bells.reachable() else "does not answer"}
    try:
        with deps.work() as (session, now):
            at, head = migrate.current(session.connection()), migrate.head()
            said["database"] = "ok"
            newer = at is not None and not migrate.knows(at)  # an update is under way, and this code is what goes
            current = at == head or newer
            said["migrations"] = "newer" if newer else "current" if current else f"at {at}, this code needs {head}"
            oldest = session.scalar(_OLDEST, {"now": now}) or 0.0 if current else 0.0
            said["oldest_due_seconds"] = round(oldest, 1)
            said["sending"] = (sending.held(session) if current else "") or "ok"
    except SQLAlchemyError:
        said["database"] = "does not answer"
    fit = said["database"] == "ok" and said.get("migrations") in ("current", "newer")
    late = float(str(said.get("oldest_due_seconds", 0))) > LATE_SECONDS
    degraded = said["redis"] != "ok" or late or said.get("sending", "ok") != "ok"
    said["status"] = "unready" if not fit else "degraded" if degraded else "ready"
    return JSONResponse(said, 200 if fit else 503)
