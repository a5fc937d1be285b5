"""Bells over Redis: Dramatiq as a doorbell. A dead, frozen or full Redis costs seconds, never a request or a job.

Ringing: one background thread per process with half-second time-outs; what it cannot deliver it counts and drops, for the
pulse rings again. A bell is enqueued only while none waits in its queue (LLEN, not a flag with a life of its own: a flag
outlives the message it stands for when a worker dies between fetching and starting). An actor that takes a batch rings
before it works, so that with a backlog all threads join in.
Answering: a broker whose acknowledgements may fail in silence, since a message carries nothing.
"""

from collections.abc import Iterable
from contextlib import closing
from functools import partial
from threading import Condition, Thread
from typing import Any

import redis
import structlog
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.middleware import Middleware
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine import metrics

NAMESPACE = "dramatiq"
RING_SECONDS = 0.5
PAUSE_SECONDS = 0.02  # between two rings of the same bell: under load one stands for many commits
FETCH_SECONDS = 2.0
CLOSE_SECONDS = 1.0
DEAD_LETTER_MS = 60_000
HEARTBEAT_MS = 30_000
MAINTENANCE_PER_MILLION = 100_000

log = structlog.get_logger(__name__)


class _Client(redis.Redis):
    """A client for which every way of not answering is one: ConnectionError, which Dramatiq knows how to wait out."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """As redis-py's, with time-outs and a full memory reported as ConnectionError."""
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (redis.TimeoutError, redis.exceptions.OutOfMemoryError, redis.exceptions.ReadOnlyError) as error:
            raise redis.ConnectionError(str(error)) from error


class _Consumer(_RedisConsumer):
    """A consumer for which losing an acknowledgement is nothing: the bell would only be answered twice."""

    def ack(self, message: Any) -> None:
        """Acknowledge, or leave it to Dramatiq's maintenance."""
        self._quietly("ack", message)

    def nack(self, message: Any) -> None:
        """Put away a bell whose actor failed, or leave it to Dramatiq's maintenance."""
        self._quietly("nack", message)

    def _quietly(self, command: str, message: Any) -> None:
        try:
            getattr(self.broker, f"do_{command}")(self.queue_name, message.options["redis_message_id"])
        except redis.RedisError as error:
            log.debug("bell not acknowledged", queue=self.queue_name, error=type(error).__name__)
        finally:
            self.queued_message_ids.discard(message.message_id)


class BellBroker(RedisBroker):
    """Dramatiq's Redis broker with our consumer."""

    @property
    def consumer_class(self) -> type[_Consumer]:
        """The consumer that may lose acknowledgements."""
        return _Consumer


def make_broker(url: str, *, seconds: float, middleware: list[Middleware]) -> BellBroker:
    """A broker whose every command ends within `seconds`. No Retries: domain retries are rows."""
    return BellBroker(  # type: ignore[no-untyped-call]
        client=_client(url, seconds),
        middleware=middleware,
        namespace=NAMESPACE,
        maintenance_chance=MAINTENANCE_PER_MILLION,
        heartbeat_timeout=HEARTBEAT_MS,
        dead_message_ttl=DEAD_LETTER_MS,
    )


class RedisBells:
    """The ringing side."""

    def __init__(self, url: str) -> None:
        self._client = _client(url, RING_SECONDS)
        self._broker = make_broker(url, seconds=RING_SECONDS, middleware=[])
        self._wanted: set[str] = set()
        self._state = Condition()
        self._closing = False
        self._silent = False
        self._thread: Thread | None = None

    def ring(self, *queues: str) -> None:
        """Note these bells for the background thread; the same bell noted twice is rung once."""
        if not queues:
            return
        with self._state:
            news = not self._wanted.issuperset(queues)
            self._wanted.update(queues)
            if (self._thread is None or not self._thread.is_alive()) and not self._closing:
                self._thread = Thread(target=self._run, name="bells", daemon=True)
                self._thread.start()
            if news:
                self._state.notify()

    def close(self) -> None:
        """Ring what was noted, for at most a second, and stop."""
        with self._state:
            self._closing = True
            self._state.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
        self._client.close()

    def reachable(self) -> bool:
        """Whether Redis answers now."""
        try:
            return bool(self._client.ping())
        except redis.RedisError:
            return False

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._wanted or self._closing)
                wanted, self._wanted = self._wanted, set()
                if not wanted:
                    return
            self._deliver(wanted)
            with self._state:
                self._state.wait_for(partial(self._others, wanted), PAUSE_SECONDS)

    def _others(self, rung: set[str]) -> bool:
        return self._closing or not self._wanted <= rung

    def _deliver(self, wanted: Iterable[str]) -> None:
        for queue in sorted(wanted):
            try:
                if not self._client.llen(f"{NAMESPACE}:{queue}"):
                    self._broker.enqueue(Message(queue, queue, (), {}, {}))
            except redis.RedisError as error:
                metrics.BELLS.labels(queue, "lost").inc()
                if not self._silent:
                    log.warning("Redis does not answer; the pulse will ring again", error=type(error).__name__)
                self._silent = True
                return
            metrics.BELLS.labels(queue, "rung").inc()
        self._silent = False


def answers(url: str) -> bool:
    """Whether a Redis answers there."""
    with closing(_client(url, FETCH_SECONDS)) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def listeners(url: str, since: float) -> int:
    """How many processes have knocked at the broker since then (epoch seconds): workers, and whoever rings."""
    with closing(_client(url, FETCH_SECONDS)) as client:
        try:
            return int(client.zcount(f"{NAMESPACE}:__heartbeats__", since * 1000, "+inf"))
        except redis.RedisError:
            return 0


def _client(url: str, seconds: float) -> redis.Redis:
    return _Client.from_url(
        url, socket_timeout=seconds, socket_connect_timeout=seconds, retry=Retry(NoBackoff(), 0), protocol=2
    )
