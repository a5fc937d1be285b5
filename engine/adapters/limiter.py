"""How often something may happen, counted in Redis for all processes together. By the `limits` library: a sliding window.

Keys are hashed before they leave: Redis never holds an address of anybody.
"""

import hashlib
from datetime import timedelta

import redis
from limits import RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.errors import Unavailable

SECONDS = 0.5
PREFIX = "groundswell-limit"  # of every key
ALONE = 4  # without Redis each process keeps to such a part of a limit by itself


class RedisLimiter:
    """Limits by key. Connects when first asked."""

    def __init__(self, url: str) -> None:
        self._pool = redis.ConnectionPool.from_url(
            url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._url = url
        self._limiter: SlidingWindowCounterRateLimiter | None = None
        self._alone = SlidingWindowCounterRateLimiter(MemoryStorage())

    def hit(self, key: str, most: int, span: timedelta) -> bool:
        """Count one more under this key: whether it is within `most` in `span`. Raises Unavailable."""
        item = RateLimitItemPerSecond(most, int(span.total_seconds()))
        digest = hashlib.sha256(key.encode(errors="replace")).hexdigest()
        try:
            return self._counter().hit(item, digest)
        except (StorageError, redis.RedisError):
            self._limiter = None
            raise Unavailable("Redis does not answer: nothing can be counted") from None

    def take(self, key: str, wanted: int, most: int, span: timedelta) -> int:
        """Count up to `wanted` more: how many are within `most` in `span`; without Redis, within this process's share."""
        digest = hashlib.sha256(key.encode(errors="replace")).hexdigest()
        seconds = int(span.total_seconds())
        try:
            return _taken(self._counter(), RateLimitItemPerSecond(most, seconds), digest, wanted)
        except (StorageError, redis.RedisError):
            self._limiter = None
            return _taken(self._alone, RateLimitItemPerSecond(max(1, most // ALONE), seconds), digest, wanted)

    def room(self, key: str, most: int, span: timedelta) -> int:
        """How many more there is room for; without Redis, of this process's share."""
        digest = hashlib.sha256(key.encode(errors="replace")).hexdigest()
        seconds = int(span.total_seconds())
        try:
            return self._counter().get_window_stats(RateLimitItemPerSecond(most, seconds), digest).remaining
        except (StorageError, redis.RedisError):
            self._limiter = None
            share = RateLimitItemPerSecond(max(1, most // ALONE), seconds)
            return self._alone.get_window_stats(share, digest).remaining

    def _counter(self) -> SlidingWindowCounterRateLimiter:
        if self._limiter is None:
            storage = RedisStorage(self._url, self._pool, PREFIX, wrap_exceptions=True)
            self._limiter = SlidingWindowCounterRateLimiter(storage)
        return self._limiter


def _taken(limiter: SlidingWindowCounterRateLimiter, item: RateLimitItemPerSecond, digest: str, wanted: int) -> int:
    """As many as there is room for, found by asking for half as many each time: others take at the same moment."""
    cost = min(wanted, item.amount)
    while cost:
        if limiter.hit(item, digest, cost=cost):
            return cost
        cost //= 2
    return 0
