"""A house that takes gifts, served to a real browser, and the processors' pages on this machine under their own names."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep

import uvicorn

from engine.bootstrap import Deps
from engine.ports import Basket
from tests.edge.nginx import certificate
from tests.fakes import FakeClock
from tests.system import free_port
from tests.webhooks.giving import FakePayments
from webhooks.app import build
from webhooks.donor.published import Published

PROCESSORS = ("checkout.stripe.com", "secure.actblue.com")
PAGE = b'<!doctype html><html lang="en"><title>Pay</title><main><h1>Pay here</h1></main></html>'


@dataclass
class Processors:
    """What stands in for the processors' own pages: where it listens, and which addresses browsers came to."""

    port: int
    visits: list[str] = field(default_factory=list)

    @property
    def rules(self) -> str:
        """What Chromium is told of names."""
        return ",".join(f"MAP {host}:443 127.0.0.1:{self.port}" for host in PROCESSORS)


@contextmanager
def processors(folder: Path) -> Iterator[Processors]:
    """Serve them until the end of the block."""
    here = Processors(free_port())

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/favicon.ico":
                here.visits.append(f"https://{self.headers['host']}{self.path}")
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, format: str, *args: object) -> None:
            pass

    certificate(folder)
    server = ThreadingHTTPServer(("127.0.0.1", here.port), Pages)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "fullchain.pem", folder / "privkey.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield here
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class GivingHouse:
    """The web application on a port of this machine, its clock and its processor."""

    deps: Deps
    port: int
    elsewhere: Processors

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def baskets(self) -> list[Basket]:
        assert isinstance(self.deps.payments, FakePayments)
        return self.deps.payments.baskets

    def skip(self, **span: float) -> None:
        """Let time pass."""
        assert isinstance(self.deps.clock, FakeClock)
        self.deps.clock.skip(timedelta(**span))


@contextmanager
def serving(deps: Deps, elsewhere: Processors) -> Iterator[GivingHouse]:
    """Serve it until the end of the block; forms show each change at once."""
    house = GivingHouse(deps, free_port(), elsewhere)
    app = build(deps)
    app.state.published = Published(deps, 0)
    server = uvicorn.Server(uvicorn.Config(app, port=house.port, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = monotonic() + 10
    while not server.started and monotonic() < deadline:
        sleep(0.02)
    yield house
    server.should_exit = True
    thread.join()
