"""Taking in raw events, the hot path: bytes with a limit and a deadline, one writer per process, 2xx after its commit.

The writer inserts whatever has arrived with one statement and never waits for more: a lone request costs one commit, a
burst shares one. What cannot be stored is answered 503, and the sender comes again.
"""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from engine import bell, inbox
from engine.bootstrap import Deps
from engine.db import KEEPALIVE, driver_url, server_options

MOST_WAITING = 2_000
MOST_BYTES_WAITING = 64 * 1024 * 1024
MOST_AT_ONCE = 500
MOST_BYTES_AT_ONCE = 4 * 1024 * 1024
STORE_SECONDS = 5.0
TRIES = 2
BODY_SECONDS = 10.0
LONGEST_LENGTH = 18  # digits of a Content-Length worth reading
RETRY_AFTER = {"Retry-After": "5"}
JSON = ("application/json",)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Arrival:
    """A raw event on its way into the inbox; `stored` resolves to its id, or None when it was there already."""

    source: str
    key: str
    kind: str
    lane: str
    body: bytes
    stored: asyncio.Future[int | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Writer:
    """The one task of this process that writes to the inbox."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._waiting: asyncio.Queue[Arrival] = asyncio.Queue(MOST_WAITING)
        self._bytes_waiting = 0
        self._connection: psycopg.AsyncConnection | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write while the application lives."""
        task = asyncio.create_task(self._run())
        task.add_done_callback(_end_loudly)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._hang_up()

    async def store(self, source: str, kind: str, lane: str, body: bytes, key: str) -> int | None:
        """Commit one raw event and ring its lane. Returns its id, None for one that is there already.

        Raises HTTPException 503 when it could not be stored in time; it may have been, and the sender's next try will
        find it.
        """
        arrival = Arrival(source, key, kind, lane, body)
        if self._bytes_waiting > MOST_BYTES_WAITING:
            raise HTTPException(503, "Not stored; please send it again", RETRY_AFTER)
        try:
            self._waiting.put_nowait(arrival)
            self._bytes_waiting += len(body)
            async with asyncio.timeout(STORE_SECONDS):
                return await arrival.stored
        except (asyncio.QueueFull, TimeoutError, psycopg.Error):
            raise HTTPException(503, "Not stored; please send it again", RETRY_AFTER) from None

    async def _run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            size = len(batch[0].body)
            while len(batch) < MOST_AT_ONCE and size < MOST_BYTES_AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
                size += len(batch[-1].body)
            self._bytes_waiting -= size
            await self._write(batch)

    async def _write(self, batch: Sequence[Arrival]) -> None:
        """Store a batch: once more on a new connection when the old one was cut, one by one when one is at fault."""
        failure: psycopg.Error | None = None
        for _ in range(TRIES):
            failure = await self._tried(batch)
            if not isinstance(failure, psycopg.OperationalError):
                break
        if failure is None:
            return
        log.error("the inbox cannot be written", error=type(failure).__name__, events=len(batch))
        if len(batch) > 1 and isinstance(failure, psycopg.DataError | psycopg.IntegrityError):
            for arrival in batch:
                await self._write([arrival])
            return
        for arrival in batch:
            if not arrival.stored.done():
                arrival.stored.set_exception(failure)

    async def _tried(self, batch: Sequence[Arrival]) -> psycopg.Error | None:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self._insert(batch)
        except TimeoutError:
            await self._hang_up()
            return psycopg.OperationalError("timed out")
        except psycopg.Error as error:
            await self._hang_up()
            return error
        return None

    async def _insert(self, batch: Sequence[Arrival]) -> None:
        waiting = [arrival for arrival in batch if not arrival.stored.done()]
        if not waiting:
            return
        connection = await self._connected()
        columns = (
            [getattr(arrival, name) for arrival in waiting] for name in ("source", "key", "kind", "lane", "body")
        )
        cursor = await connection.execute(inbox.RECEIVE, list(columns))
        fresh = {(source, key): number for source, key, number in await cursor.fetchall()}
        lanes = {arrival.lane for arrival in waiting if (arrival.source, arrival.key) in fresh}
        for arrival in waiting:
            if not arrival.stored.done():
                arrival.stored.set_result(fresh.pop((arrival.source, arrival.key), None))
        self._deps.bells.ring(*lanes)

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            url = self._deps.settings.database_url
            assert url is not None  # bootstrap refuses to build without it
            self._connection = await psycopg.AsyncConnection.connect(
                make_conninfo(driver_url(url.get_secret_value()), **KEEPALIVE),
                autocommit=True,
                connect_timeout=int(STORE_SECONDS),
                options=server_options(),
                application_name="groundswell inbox",
            )
        return self._connection

    async def _hang_up(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


def _end_loudly(writer: asyncio.Task[None]) -> None:
    """A process that can store nothing any more must not stay: its supervisor starts a new one."""
    if not writer.cancelled() and (error := writer.exception()) is not None:
        log.critical("the writer died", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)


async def json_body(request: Request, limit: int, kinds: Collection[str] = JSON) -> bytes:
    """The raw bytes of a JSON request: 415 for another type or any encoding, else as `body_within`."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in kinds or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "Unsupported Media Type")
    return await body_within(request, limit)


async def body_within(request: Request, limit: int) -> bytes:
    """The raw bytes of any request: 413 over the limit, 408 when it is not whole after BODY_SECONDS, however it drips.

    The one way to read a body: the proxy passes bodies on as they come, and this is where a slow one ends.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length.lstrip("0")) > LONGEST_LENGTH or int(length) > limit):
        raise HTTPException(413, "Content Too Large")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise HTTPException(413, "Content Too Large")
    except TimeoutError:
        raise HTTPException(408, "Request Timeout") from None
    except ClientDisconnect:
        raise HTTPException(400, "Bad Request") from None
    return bytes(body)


async def into_inbox(request: Request, source: str, kind: str, body: bytes, lane: str = bell.INTAKE) -> None:
    """Store an event under the hash of its bytes, and put its id on every log line from here on."""
    writer: Writer = request.app.state.writer
    stored = await writer.store(source, kind, lane, body, hashlib.sha256(body).hexdigest())
    structlog.contextvars.bind_contextvars(inbound_event=stored or "known")
