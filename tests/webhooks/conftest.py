"""One house and one door for all tests of a module: each brings bodies of its own and looks at their rows alone."""

import os
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions
from engine.settings import Settings
from engine.tokens import Signer
from tests import signing
from tests.asgi import Client
from tests.fakes import FakeBells, FakeClock, FakeLimiter, FakeMailer
from webhooks.app import build


@pytest.fixture(scope="module")
def house(servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deps]:
    """A house on a database of this module's own."""
    name = f"groundswell_test_module_{os.getpid()}_{os.urandom(4).hex()}"
    with psycopg.connect(servers.database_url, dbname="postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        url = servers.database(name)
        settings = Settings(database_url=url, redis_url=servers.redis_url, data_dir=tmp_path_factory.mktemp("house"))
        pool = make_pool(url)
        yield Deps(
            settings, make_sessions(pool), clock=FakeClock(), mailer=FakeMailer(), bells=FakeBells(),
            verifier=Signatures(settings.stripe_secrets, [signing.public()]), signer=Signer(settings.signing_keys),
            limiter=FakeLimiter(),
        )  # fmt: skip
        pool.dispose()
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def door(house: Deps) -> Iterator[Client]:
    """Its web application."""
    with Client(build(house)) as client:
        yield client
