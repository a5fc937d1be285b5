"""Redis: whether it keeps bells, whether it is ours alone, its version. All it holds may be lost: bells, which are rung again
within seconds, and counts of limits. But a full memory takes none at all."""

import re
from collections.abc import Iterator

from engine.doctor.findings import Finding, ok, size, warning, wrong
from engine.ports import RedisState

REDIS, KEEPS, POLICY, ALONE, VERSION, MEMORY = (
    "Redis", "Redis keeps bells", "Redis throws nothing away", "Redis is ours alone", "Redis' version", "Redis' memory",
)  # fmt: skip
SAFE = (8, 6, 3)  # CVE-2025-49844 and CVE-2026-23479 are closed
FULL_PERCENT = 60


def away(detail: str) -> Finding:
    """Nobody answers there."""
    advice = "Start it, or look at REDIS_URL. Meanwhile nothing is lost, and nothing is done."
    return wrong(REDIS, detail, advice)


def of_server(state: RedisState, *, production: bool) -> Iterator[Finding]:
    """All that is to be said of one."""
    serious = wrong if production else warning
    if state.appendonly:
        yield ok(KEEPS, "appendonly is on")
    else:
        yield serious(KEEPS, "appendonly is off", "Set `appendonly yes`: a restart forgets every bell and every limit.")
    if state.policy == "noeviction":
        yield ok(POLICY, "maxmemory-policy is noeviction")
    else:
        advice = "Set `maxmemory-policy noeviction`: another throws bells away half-read, and nobody notices."
        yield serious(POLICY, f"maxmemory-policy is {state.policy or 'unknown'}", advice)
    yield alone(state)
    yield of_version(state)
    if state.most_bytes:
        yield memory(state)


def alone(state: RedisState) -> Finding:
    """An instance of its own: broken workers are looked for by a scan of all keys, and another's keys may fill it."""
    found = [f"{state.foreign_keys:,} keys that are not ours"] if state.foreign_keys else []
    if state.other_databases:
        found.append(f"keys in {', '.join(state.other_databases)}, beside our database")
    if not found:
        return ok(ALONE, "no keys but ours")
    return warning(
        ALONE, " and ".join(found), "Give Groundswell a Redis of its own: what others fill stops our bells, too."
    )


def of_version(state: RedisState) -> Finding:
    """Whether what is known to be broken in it can be reached."""
    safe = ".".join(map(str, SAFE))
    if numbers(state.version) >= SAFE:
        return ok(VERSION, state.version)
    if not state.port:
        return ok(VERSION, f"{state.version}, older than {safe}; it listens on a unix socket only, which is as good")
    seen = f"{state.version or 'unknown'}, older than {safe}, and it listens on port {state.port}"
    advice = (
        f"Move to Redis {safe} or newer, to a package that your distribution has mended, or have it listen on a unix socket "
        "only: who may run scripts in an older one may run anything."
    )
    return warning(VERSION, seen, advice)


def memory(state: RedisState) -> Finding:
    """How full it is: at the brim it takes no bell, and gives none out."""
    percent = 100 * state.used_bytes / state.most_bytes
    seen = f"{size(state.used_bytes)} of {size(state.most_bytes)}"
    if percent < FULL_PERCENT:
        return ok(MEMORY, seen)
    advice = "Raise maxmemory, or look whose keys fill it: ours take few megabytes."
    return warning(MEMORY, f"{seen}: {percent:.0f} %", advice)


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, so that 8.10 is newer than 8.9."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
