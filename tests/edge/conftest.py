"""Real servers on real sockets: our web process alone, and behind the nginx that is shipped."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from urllib.request import urlopen

import pytest

from engine import command_lines
from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.db import make_pool, make_sessions
from engine.settings import ROOT, Settings
from engine.tokens import Signer
from tests.edge import nginx as proxy
from tests.edge.wire import Door, through
from tests.fakes import FakeBells, FakeClock, FakeLimiter, FakeMailer
from tests.system import clean_environment, free_port

OURS = "webhooks.app:main"


@contextmanager
def serving(app: str, port: int, log: Path, **environment: str) -> Iterator[int]:
    """uvicorn with our command line and this application, until the end of the block."""
    argv = [app if part == OURS else part for part in command_lines.web("127.0.0.1", port, "127.0.0.1")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, env=clean_environment(**environment), cwd=ROOT, stdout=out, stderr=out, start_new_session=True
        )
    try:
        deadline = monotonic() + 20
        while not _answers(port):
            if process.poll() is not None or monotonic() > deadline:
                raise AssertionError("the web did not start:\n" + log.read_text("utf-8"))
            sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
        return bool(answer.status == 200)
    return False


@pytest.fixture(scope="module")
def house(servers, module_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deps]:
    """The house whose web process runs below, as a test looks into it."""
    pool = make_pool(module_database)
    settings = Settings(
        database_url=module_database, redis_url=servers.redis_url, data_dir=tmp_path_factory.mktemp("house")
    )
    yield Deps(
        settings,
        make_sessions(pool),
        clock=FakeClock(),
        mailer=FakeMailer(),
        bells=FakeBells(),
        verifier=Signatures(()),
        signer=Signer(settings.signing_keys),
        limiter=FakeLimiter(),
    )
    pool.dispose()


def told(house: Deps) -> dict[str, str]:
    """The variables of a web of this house."""
    assert house.settings.database_url is not None
    assert house.settings.redis_url is not None
    return {
        "DATABASE_URL": house.settings.database_url.get_secret_value(),
        "REDIS_URL": house.settings.redis_url.get_secret_value(),
        "GROUNDSWELL_DATA_DIR": str(house.settings.data_dir),
        "BASE_URL": f"https://{proxy.HOST}",
    }


@pytest.fixture(scope="module")
def web(house: Deps) -> Iterator[Door]:
    """Our own server, nothing in front."""
    with serving(OURS, free_port(), house.settings.data_dir / "web.log", **told(house)) as port:
        yield Door(port, proxy.HOST)


@pytest.fixture(scope="module")
def nginx(web: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[proxy.Nginx]:
    """The shipped nginx in front of it."""
    with proxy.started(tmp_path_factory.mktemp("nginx"), web.port, web.port) as running:
        yield running


@pytest.fixture(scope="module", params=["alone", pytest.param("behind nginx", marks=pytest.mark.nginx)])
def door(request: pytest.FixtureRequest) -> Door:
    """Our server, once by itself and once behind nginx."""
    if request.param == "alone":
        return request.getfixturevalue("web")
    return through(request.getfixturevalue("nginx"))


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server with our command line that tells what reached it."""
    with serving("tests.edge.echo:main", free_port(), tmp_path_factory.mktemp("echo") / "log") as port:
        yield Door(port, proxy.HOST)


@pytest.fixture(scope="module")
def mirror(echo: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[proxy.Nginx]:
    """The shipped nginx in front of that one; its staff side leads nowhere."""
    with proxy.started(tmp_path_factory.mktemp("mirror"), echo.port, free_port()) as running:
        yield running
