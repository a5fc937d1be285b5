"""The gate of `/api/v1`: who is let in, what was asked, one transaction, what is answered.

An endpoint is a function of a `Call` (and of what its body means), behind `@api(scope, …)`. In this order: the token (401),
how often it came (429), its scope (403), the query, the key, type and length of the body (400, 415, 413, 408), the body
itself (400, 422); then, in the thread pool and in one transaction, the same request answered before, the function, what
follows from it, the answer kept. Of one token a process has AT_ONCE requests under way; more wait, and hold up nobody else.
"""

from asyncio import Semaphore
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine import bell
from engine.bootstrap import Deps
from engine.errors import NotFound
from engine.events import Event
from engine.settings import Settings
from engine.staff import api_requests, api_tokens, audit
from engine.staff.api_requests import Kept
from engine.staff.api_tokens import PREFIX, Caller
from webhooks.api import reading
from webhooks.api.reading import Body, Query
from webhooks.problems import Refused

AT_ONCE = 4
MINUTE = timedelta(minutes=1)
RETRY_SECONDS = 10
SLUG = "abcdefghijklmnopqrstuvwxyz0123456789_-"
LONGEST_SLUG = 80
CHALLENGE = 'Bearer realm="api"'
REPLAYED = "Idempotency-Replayed"
READS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered. `location`: where that is which was made. `thing`: what can be changed, as it is shown when it is
    read: the answer has its ETag. (A read has one by itself.)"""

    model: BaseModel
    status: int = 200
    location: str = ""
    thing: BaseModel | None = None


class Rooms:
    """How much of a process each token has, and all that is heavy together."""

    def __init__(self) -> None:
        self.heavy = Semaphore(1)
        self._of: WeakValueDictionary[int, Semaphore] = WeakValueDictionary()

    def of(self, caller: Caller) -> Semaphore:
        """The room of one token."""
        return self._of.setdefault(caller.token_id, Semaphore(AT_ONCE))


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, and by whom. `query`: its model; `key`: the Idempotency-Key, '' none; `sent`: the bytes of the body."""

    request: Request
    caller: Caller
    query: Any
    key: str
    sent: bytes


@dataclass(slots=True)
class Call:
    """One request of a program, in its transaction. What happened is followed in it; bells ring after it."""

    asked: Asked
    deps: Deps
    session: Session
    now: datetime
    happened: list[Event] = field(default_factory=list)
    bells: set[str] = field(default_factory=set)

    @property
    def caller(self) -> Caller:
        """Who asks."""
        return self.asked.caller

    @property
    def who(self) -> int:
        """The member of the staff who answers for it."""
        return self.caller.staff_id

    @property
    def settings(self) -> Settings:
        """Those of this installation."""
        return self.deps.settings

    @property
    def query(self) -> Any:
        """What the query says: the endpoint's own model."""
        return self.asked.query

    def name(self, part: str = "slug") -> str:
        """A short name in the path. Raises NotFound for what can be none."""
        told = str(self.asked.request.path_params[part])
        if len(told) > LONGEST_SLUG or not set(told) <= set(SLUG):
            raise NotFound("there is nothing of this name")
        return told

    def allows(self, scope: str) -> bool:
        """Whether the token has this scope as well."""
        return scope in self.caller.scopes

    def unchanged(self, shown: BaseModel, *, needed: bool = False) -> None:
        """Raises 412 when the request was made for another state of the thing than this one, which it would be shown as now;
        428 when it says none and has to."""
        said = self.asked.request.headers.get("if-match")
        if said is None and needed:
            raise Refused(428, "say in If-Match which ETag you read: then nobody's change is lost")
        if said is not None and not reading.named(said, reading.tag_of(_written(shown))):
            raise Refused(412, "this has changed since you read it: read it again")

    def record(self, action: str, subject: str, subject_id: int | None, **detail: object) -> None:
        """Put on the audit what the program did, in the name of whoever answers for it."""
        told = detail | {"api_token": self.caller.token_id}
        audit.write(self.session, self.who, action, subject, subject_id, told, self.now)


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """One thing that programs can ask for: an ASGI endpoint, and all that the document says of it. `keyed`: it needs an
    Idempotency-Key; `conditional`: an If-Match; `idle`: a POST that changes nothing; `heavy`: it takes seconds, so that a
    process does one such thing at a time. `refuses`: statuses of its own, beside those that follow from what it is."""

    does: Callable[..., Answer]
    scope: str
    shows: type[BaseModel]
    status: int = 200
    body: Body | None = None
    query: type[Query] = Query
    keyed: bool = False
    conditional: bool = False
    idle: bool = False
    heavy: bool = False
    refuses: Sequence[int] = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; raises what is refused."""
        request = Request(scope, receive)
        deps: Deps = request.app.state.deps
        caller = await run_in_threadpool(_let_in, deps, request, self.scope)
        query = reading.query_of(request, self.query)
        key = reading.key_of(request, needed=self.keyed) if request.method == "POST" and not self.idle else ""
        sent = b"" if request.method in READS else await reading.body_of(request, self.body)
        rooms: Rooms = request.app.state.rooms
        async with rooms.of(caller), rooms.heavy if self.heavy else nullcontext():
            response = await run_in_threadpool(self._answered, deps, Asked(request, caller, query, key, sent))
        await response(scope, receive, send)

    def _answered(self, deps: Deps, asked: Asked) -> Response:
        said = () if self.body is None else (reading.read(self.body, asked.sent),)
        with deps.work() as (session, now):
            kept = _answered_before(session, asked, now)
            if kept is not None:
                return _response(kept, **{REPLAYED: "true"})
            call = Call(asked, deps, session, now)
            done = _kept(asked.request, self.does(call, *said))
            everything = deps.react(session, call.happened, now)
            if asked.key:
                api_requests.keep(session, asked.caller.token_id, asked.key, done)
        deps.bells.ring(*sorted(bell.wanted(everything) | call.bells))
        return _unless_known(asked.request, done)


def api(scope: str, shows: type[BaseModel], **terms: Any) -> Callable[[Callable[..., Answer]], Endpoint]:
    """Make an endpoint of a function: what the token must have, what is shown, and the other fields of `Endpoint`."""

    def made(does: Callable[..., Answer]) -> Endpoint:
        return Endpoint(does, scope, shows, **terms)

    return made


def _let_in(deps: Deps, request: Request, scope: str) -> Caller:
    """Who asks: 401 without a token that holds, 429 when it comes too often, 403 without the scope."""
    token = _token(request)
    with deps.work() as (session, now):
        caller = api_tokens.find(session, token, now) if token else None
    if caller is None:
        says = "this token is none of ours, or not any more" if token else "this needs a token: Authorization: Bearer …"
        said = CHALLENGE + (', error="invalid_token"' if token else "")
        raise Refused(401, says, headers={"WWW-Authenticate": said})
    if not deps.limiter.take(f"api:{caller.token_id}", 1, deps.settings.api_minute, MINUTE):
        most = f"a token may come {deps.settings.api_minute} times a minute"
        raise Refused(429, most, headers={"Retry-After": str(RETRY_SECONDS)})
    if scope and scope not in caller.scopes:
        said = f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'
        raise Refused(403, f"this token has not the scope {scope}", headers={"WWW-Authenticate": said})
    return caller


def _token(request: Request) -> str:
    """The bearer's token; '' when there is none, or more than one."""
    said = request.headers.getlist("authorization")
    scheme, _, token = said[0].partition(" ") if len(said) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" and token.strip().startswith(PREFIX) else ""


def _answered_before(session: Session, asked: Asked, now: datetime) -> Kept | None:
    if not asked.key:
        return None
    found = reading.hash_of(asked.request, asked.sent)
    return api_requests.claim(session, asked.caller.token_id, asked.key, found, now)


def _kept(request: Request, answer: Answer) -> Kept:
    body = _written(answer.model)
    headers = {"Location": answer.location} if answer.location else {}
    if answer.thing is not None or request.method in READS:
        headers["ETag"] = reading.tag_of(_written(answer.thing) if answer.thing is not None else body)
    return Kept(answer.status, headers, body)


def _unless_known(request: Request, done: Kept) -> Response:
    """304 without a body for who has read exactly this before."""
    known = request.headers.get("if-none-match", "")
    if request.method in READS and known and reading.named(known, done.headers["ETag"], weak=True):
        return Response(status_code=304, headers={"ETag": done.headers["ETag"]})
    return _response(done)


def _response(kept: Kept, **more: str) -> Response:
    return Response(kept.answer, kept.status, dict(kept.headers) | more, "application/json")


def _written(model: BaseModel) -> str:
    return model.model_dump_json(by_alias=True)
