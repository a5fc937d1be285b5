"""Looking for a word wherever the house may keep one: tables, Redis, logs, the mailbox, the files of its data folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from engine.adapters.embedded import postgres_data
from engine.tables.columns import metadata
from tests.system import System

BODIES = {"body"}  # columns of bytes
# How what stands under a key is read, by its kind.
VALUES: dict[str, Any] = {
    "string": lambda server, key: [server.get(key)],
    "hash": lambda server, key: [part for pair in server.hgetall(key).items() for part in pair],
    "list": lambda server, key: server.lrange(key, 0, -1),
    "set": lambda server, key: server.smembers(key),
    "zset": lambda server, key: server.zrange(key, 0, -1),
    "stream": lambda server, key: [part for _, told in server.xrange(key) for pair in told.items() for part in pair],
}


def in_tables(system: System, word: str) -> set[str]:
    """The tables that hold it."""
    found = set()
    for name, table in metadata.tables.items():
        said = " || ' ' || ".join(
            f"coalesce(encode(t.{c.name}, 'escape'), '')" if c.name in BODIES and c.table.name == "inbound_event"
            else f"coalesce(t.\"{c.name}\"::text, '')" for c in table.c
        )  # fmt: skip
        if system.query(f"SELECT 1 FROM {name} t WHERE position(%s IN lower({said})) > 0 LIMIT 1", word):
            found.add(name)
    return found


def in_redis(server: redis.Redis, word: str) -> list[bytes]:
    """The keys that hold it, or what stands under them. A kind of value that nobody can read here is an error."""
    asked = word.encode()
    return [
        key for key in server.scan_iter() if asked in key.lower() or asked in b" ".join(_values(server, key)).lower()
    ]


def in_files(system: System, word: str) -> list[str]:
    """The files that hold it: of the data folder, Redis' own among them, and what the processes wrote. Not those of Postgres:
    its pages and its log keep what was deleted until they are written over."""
    theirs = postgres_data(system.places)
    files = [path for path in (system.folder / "up.log", *system.data.rglob("*")) if path.is_file()]
    return [str(path) for path in files if not path.is_relative_to(theirs) and word.encode() in _bytes(path).lower()]


def _values(server: redis.Redis, key: bytes) -> Iterator[bytes]:
    kind = server.type(key).decode()
    if kind != "none":  # it has just expired
        yield from (value or b"" for value in VALUES[kind](server, key))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # it went meanwhile
        return b""
