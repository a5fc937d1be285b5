"""Raw bytes over a socket, and everything that came back."""

import json
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.edge.nginx import HOST, Nginx

SECONDS = 5.0


@dataclass(frozen=True)
class Door:
    """Where to knock, by which name. `trusting`: over TLS."""

    port: int
    host: str
    trusting: ssl.SSLContext | None = None
    source: str = "127.0.0.1"

    @contextmanager
    def opened(self) -> Iterator[socket.socket]:
        """A connection to it."""
        plain = socket.create_connection(("127.0.0.1", self.port), SECONDS, source_address=(self.source, 0))
        with plain if self.trusting is None else self.trusting.wrap_socket(plain, server_hostname=self.host) as sock:
            yield sock


@dataclass(frozen=True)
class Said:
    """An answer as it came: `status` 0 is none at all, `closed` whether the connection was closed behind it."""

    raw: bytes
    closed: bool

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1]) if self.raw.startswith(b"HTTP/1.") else 0

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").lower()

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def told(self) -> Any:
        """The JSON in the answer, also out of chunks."""
        return json.loads(self.body[self.body.index(b"{") : self.body.rindex(b"}") + 1])


def request(method: str, target: str, host: str, body: bytes = b"", *headers: tuple[str, str]) -> bytes:
    """A request that asks for the connection to be closed after it."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def exchange(door: Door, *pieces: bytes) -> Said:
    """Send the pieces, then listen until the other side closes or says nothing more for SECONDS."""
    with door.opened() as sock:
        try:
            for piece in pieces:
                sock.sendall(piece)
        except OSError:
            pass  # closed while we were sending: what it said before is read all the same
        return listen(sock)


def listen(sock: socket.socket) -> Said:
    """Everything that comes until the other side closes or says nothing more."""
    heard = bytearray()
    try:
        while chunk := sock.recv(65536):
            heard += chunk
    except TimeoutError:
        return Said(bytes(heard), closed=False)
    except OSError:
        pass  # a reset closes too
    return Said(bytes(heard), closed=True)


def get(door: Door, target: str, *headers: tuple[str, str]) -> Said:
    """GET and the answer."""
    return exchange(door, request("GET", target, door.host, b"", *headers))


def post(door: Door, target: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> Said:
    """POST and the answer."""
    return exchange(door, request("POST", target, door.host, body, *headers))


def through(nginx: Nginx, source: str = "127.0.0.1") -> Door:
    """The front door of the installation behind nginx."""
    return Door(nginx.https, HOST, nginx.trusting, source)
