"""All of it, in order. What cannot be looked at, for what it stands on is away, is left out: that is told instead."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from engine import migrate
from engine.bootstrap import Deps
from engine.doctor import (
    backlog,
    configuration,
    database,
    growth,
    heard,
    mail_domains,
    one_click,
    providers,
    redis_server,
)
from engine.doctor.findings import Finding
from engine.errors import Unavailable
from engine.ports import Names, RedisState
from webhooks.one_click import press
from workers.pulse import SCHEDULE


@dataclass(frozen=True, slots=True)
class Outside:
    """What is looked at beyond the database. `names`: None asks nothing of anybody outside this installation."""

    redis: Callable[[], RedisState]
    names: Names | None = None
    host: Callable[[], datetime] = lambda: datetime.now(UTC)


def examine(deps: Deps, outside: Outside) -> list[Finding]:
    """Every finding about this installation."""
    settings = deps.settings
    found = [*configuration.of_settings(settings), *configuration.of_keys(settings)]
    found += _of_redis(outside.redis, production=not settings.development)
    try:
        for finding in _of_database(deps, outside):
            found.append(finding)  # one by one: what was seen before it fails is kept
    except OperationalError as error:
        found.append(database.away(error))
    found.append(database.of_disk(settings.data_dir))
    if outside.names is not None:
        payments = deps.payments if settings.stripe_api_key else None  # development's own needs no key
        found += providers.asked(payments, deps.suppressions, outside.host())
    return found


def wrongs(found: list[Finding]) -> bool:
    """Whether anything is wrong: warnings are not."""
    return any(finding.level == "wrong" for finding in found)


def _of_redis(look: Callable[[], RedisState], *, production: bool) -> Iterator[Finding]:
    try:
        state = look()
    except Unavailable as error:
        yield redis_server.away(str(error))
        return
    yield from redis_server.of_server(state, production=production)


def _of_database(deps: Deps, outside: Outside) -> Iterator[Finding]:
    """Postgres, and what its rows say; only the former while the schema is another. Raises OperationalError."""
    with deps.sessions() as session:
        at, head = migrate.current(session.connection()), migrate.head()
        yield database.of_server(session)
        if not deps.settings.development:
            yield database.of_role(session)
            yield database.of_archive(session)
        yield database.of_schema(at, head)
        yield database.of_clock(session, outside.host)
        if at != head:
            return
        now = deps.clock.read(session)
        yield from _of_rows(deps, session, now)
        senders = mail_domains.domains(session) if outside.names is not None else ()
    yield one_click.of_signer(deps.signer, deps.settings.base_url, now, lambda path: press(deps, path))
    if outside.names is not None:  # nothing is open in the database meanwhile
        yield from mail_domains.asked(outside.names, senders, production=not deps.settings.development)


def _of_rows(deps: Deps, session: Session, now: datetime) -> list[Finding]:
    sources = configuration.webhooks(deps.settings)
    return [
        *heard.of_webhooks(session, sources, deps.settings.base_url),
        *backlog.of_work(session, now, list(SCHEDULE)),
        growth.of_tables(session),
    ]
