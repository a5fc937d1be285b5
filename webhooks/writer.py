"""The writer: one task per process that commits raw events to the inbox. An event is answered 2xx after its commit.

It inserts whatever has arrived with one statement and never waits for more: a lone request costs one commit, a burst
shares one. What cannot be stored is answered 503, and the sender comes again.
"""

import asyncio
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import time

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from engine import inbox, metrics
from engine.bootstrap import Deps
from engine.db import KEEPALIVE, driver_url, server_options, transaction
from engine.mail import whereabouts
from webhooks.deadlines import Deadlines

MOST_WAITING = 2_000
MOST_BYTES_WAITING = 64 * 1024 * 1024
MOST_AT_ONCE = 500
MOST_BYTES_AT_ONCE = 4 * 1024 * 1024
STORE_SECONDS = 5.0
TRIES = 2
RETRY_AFTER = {"Retry-After": "5"}
_ELSEWHERE = f"SELECT 1 WHERE {whereabouts.ELSEWHERE}"

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Arrival:
    """A raw event on its way into the inbox; `stored` resolves to its id, or None when it was there already.

    `own_key`: the key is the sender's own id and not the hash of the body, so the same key may come with another body.
    """

    source: str
    key: str
    kind: str
    lane: str
    body: bytes
    own_key: bool = False
    stored: asyncio.Future[int | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Writer:
    """The one task of this process that writes to the inbox, with the inbox's two statements."""

    def __init__(self, deps: Deps, receive: str = inbox.RECEIVE, again: str = inbox.RECEIVE_AGAIN) -> None:
        self.deadlines = Deadlines()
        self._deps = deps
        self._receive = receive
        self._again = again
        self._waiting: deque[Arrival] = deque()
        self._bytes_waiting = 0
        self._arrived = asyncio.Event()
        self._connection: psycopg.AsyncConnection | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write, and watch the deadlines, while the application lives."""
        tasks = [asyncio.create_task(work) for work in (self._run(), self.deadlines.watch())]
        for task in tasks:
            task.add_done_callback(_end_loudly)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._hang_up()

    async def store(self, arrival: Arrival) -> int | None:
        """Commit one raw event and ring its lane. Returns its id, None for one that is there already.

        Raises HTTPException 503 when it could not be stored in time; it may have been, and the sender's next try will
        find it.
        """
        try:
            self.accept(arrival)
            return await self.deadlines.within(STORE_SECONDS, arrival.stored)
        except (asyncio.QueueFull, TimeoutError, psycopg.Error):
            raise HTTPException(503, "Not stored; please send it again", RETRY_AFTER) from None

    def accept(self, arrival: Arrival) -> None:
        """Put an event into the queue. Raises QueueFull."""
        if len(self._waiting) >= MOST_WAITING or self._bytes_waiting > MOST_BYTES_WAITING:
            raise asyncio.QueueFull
        self._waiting.append(arrival)
        self._bytes_waiting += len(arrival.body)
        self._arrived.set()

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            await asyncio.sleep(0)  # whoever is ready in this turn of the loop comes along
            await self._write(self._batch())
            if not self._waiting:
                self._arrived.clear()

    def _batch(self) -> Sequence[Arrival]:
        batch: list[Arrival] = []
        size = 0
        while self._waiting and len(batch) < MOST_AT_ONCE and size < MOST_BYTES_AT_ONCE:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].body)
        self._bytes_waiting -= size
        return batch

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
        """Commit, answer what is new; then look whether what is not came with another body, and answer that."""
        if not (waiting := _unanswered(batch)):
            return
        cursor = await (await self._connected()).execute(self._receive, _columns(waiting))
        fresh = {(source, key): number for source, key, number in await cursor.fetchall()}
        known: list[Arrival] = []
        lanes: set[str] = set()
        for arrival in waiting:
            number = fresh.pop((arrival.source, arrival.key), None)
            if number is not None:
                lanes.add(arrival.lane)
            elif arrival.own_key:
                known.append(arrival)
                continue
            if not arrival.stored.done():
                arrival.stored.set_result(number)
        self._deps.bells.ring(*lanes)
        for source in {arrival.source for arrival in waiting}:
            metrics.HEARD.labels(source).set(time())
        await self._keep_others(_unanswered(known))

    async def _keep_others(self, known: Sequence[Arrival]) -> None:
        """Keep each body that came under a key which another body has."""
        if not known:
            return
        beside = [inbox.key_beside(arrival.key, arrival.body) for arrival in known]
        sources, keys, _, lanes, bodies = _columns(known)
        cursor = await (await self._connected()).execute(self._again, [sources, keys, beside, lanes, bodies])
        kept: dict[str, int] = dict(await cursor.fetchall())
        for arrival, key in zip(known, beside, strict=True):
            number = kept.pop(key, None)
            if number is not None:
                self._deps.bells.ring(arrival.lane)
            if not arrival.stored.done():
                arrival.stored.set_result(number)

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            url = self._deps.settings.database_url
            assert url is not None  # bootstrap refuses to build without it
            connection = await psycopg.AsyncConnection.connect(
                make_conninfo(driver_url(url.get_secret_value()), **KEEPALIVE),
                autocommit=True,
                connect_timeout=int(STORE_SECONDS),
                options=server_options(),
                application_name="groundswell inbox",
            )
            self._connection = connection
            if await (await connection.execute(_ELSEWHERE)).fetchone():
                await asyncio.to_thread(self._look)
        return self._connection

    def _look(self) -> None:
        """This database was restored: before anything is written, its ids jump. Raises psycopg.OperationalError when that
        cannot be done now."""
        try:
            with transaction(self._deps.sessions) as session:
                whereabouts.look(session, seen=False)
        except SQLAlchemyError as error:
            raise psycopg.OperationalError(f"nobody can look where this database is: {type(error).__name__}") from error

    async def _hang_up(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


def _unanswered(batch: Sequence[Arrival]) -> list[Arrival]:
    return [arrival for arrival in batch if not arrival.stored.done()]


def _columns(batch: Sequence[Arrival]) -> list[list[str | bytes]]:
    """What the statements of the inbox take: one list a column."""
    return [[getattr(arrival, name) for arrival in batch] for name in ("source", "key", "kind", "lane", "body")]


def _end_loudly(task: asyncio.Task[None]) -> None:
    """A process that can store nothing any more must not stay: its supervisor starts a new one."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("the writer died", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)
