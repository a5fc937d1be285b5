"""One house and one door for all tests of a module: each brings bodies of its own and looks at their rows alone."""

from collections.abc import Iterator

import pytest

from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions
from engine.settings import Settings
from engine.tokens import Signer
from tests import signing
from tests.asgi import Client
from tests.fakes import FakeBells, FakeClock, FakeLimiter, FakeMailer
from tests.programs import Program, program
from tests.webhooks import endpoints
from webhooks.app import build


@pytest.fixture(scope="module")
def house(servers, module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deps]:
    """A house on a database of this module's own."""
    settings = Settings(
        database_url=module_database, redis_url=servers.redis_url, data_dir=tmp_path_factory.mktemp("house")
    )
    pool = make_pool(module_database)
    yield Deps(
        settings, make_sessions(pool), clock=FakeClock(), mailer=FakeMailer(), bells=FakeBells(),
        verifier=Signatures(settings.stripe_secrets, [signing.public()]), signer=Signer(settings.signing_keys),
        limiter=FakeLimiter(),
    )  # fmt: skip
    pool.dispose()


@pytest.fixture(scope="module")
def door(house: Deps) -> Iterator[Client]:
    """Its web application."""
    with Client(build(house)) as client:
        yield client


@pytest.fixture(scope="module")
def mine(house: Deps, door: Client) -> Program:
    """A program that may do everything."""
    return program(house, door)


@pytest.fixture(scope="module")
def theirs(house: Deps, mine: Program) -> None:
    """Worcester's things, each called hostile."""
    endpoints.begin(house, mine)


@pytest.fixture
def nothing_is_done(house: Deps) -> Iterator[None]:
    """What is asked meanwhile leaves nothing behind; nobody came too often before."""
    house.limiter.counts.clear()
    before = endpoints.kept(house)
    yield
    assert endpoints.kept(house) == before
