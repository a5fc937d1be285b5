"""Looking at Redis without changing it: what it says of itself (INFO, as managed servers allow) and whose keys it has."""

from collections.abc import Mapping
from contextlib import closing
from itertools import islice
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from engine.adapters.bells import NAMESPACE
from engine.adapters.limiter import PREFIX
from engine.errors import Unavailable
from engine.ports import RedisState

SECONDS = 2.0
MOST_KEYS = 10_000  # looked at: ours are a few dozen, and those of limits
OURS = (f"{NAMESPACE}:".encode(), f"{PREFIX}:".encode(), f"{PREFIX}/".encode())


def look(url: str) -> RedisState:
    """What there is to see. Raises Unavailable."""
    client = redis.Redis.from_url(
        url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=Retry(NoBackoff(), 0), protocol=2
    )
    with closing(client):
        try:
            said: dict[str, Any] = client.info()
            foreign = sum(not key.startswith(OURS) for key in islice(client.scan_iter(count=1000), MOST_KEYS))
        except (redis.RedisError, OSError) as error:
            raise Unavailable(f"Redis does not answer ({type(error).__name__})") from None
    return state(said, int(client.connection_pool.connection_kwargs.get("db") or 0), foreign)


def state(said: Mapping[str, Any], ours: int, foreign: int) -> RedisState:
    """What INFO says, in our words. `ours`: the number of our database there."""
    others = [name for name in said if name.startswith("db") and name[2:].isdigit() and int(name[2:]) != ours]
    return RedisState(
        version=str(said.get("redis_version", "")),
        port=int(said.get("tcp_port", 0)),
        appendonly=bool(said.get("aof_enabled")),
        policy=str(said.get("maxmemory_policy", "")),
        used_bytes=int(said.get("used_memory", 0)),
        most_bytes=int(said.get("maxmemory", 0)),
        other_databases=tuple(sorted(others)),
        foreign_keys=foreign,
    )
