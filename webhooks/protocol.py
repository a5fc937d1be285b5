"""HTTP as this server takes it: stricter than the parser. What two servers could read in two ways is no request.

uvicorn builds one `Protocol` a connection (engine/command_lines.py names it). An error in here is answered by uvicorn: 400,
and the connection is closed, before any of our code has seen the request. Slow and oversized headers are not its
business but the reverse proxy's (deploy/).

When the process is told to end, its listener closes at once, so that a proxy goes to the next one. Connections that stand are
not cut: the proxy may be writing into one right now, and what it wrote would be lost. Each is answered once more, with
`Connection: close`, and those that nobody uses are let go only when the proxy has long let go of them itself.
"""

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

VERSIONS = ("1.0", "1.1")
LAST_SECONDS = 2  # of the time for ending: what is left for the answers when idle connections are let go


class Protocol(HttpToolsProtocol):
    """uvicorn's own, with one look at the finished headers, and an end that cuts nobody off."""

    ending = False

    def on_headers_complete(self) -> None:
        """Raises ValueError, which httptools hands to uvicorn as a parse error."""
        if not one_reading(self.parser.get_http_version(), self.url, self.headers):
            raise ValueError("more than one reading")
        super().on_headers_complete()
        if self.ending:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The server ends: one more answer on this connection. uvicorn would cut idle ones, and not say so where an answer
        has begun."""
        self.ending = True
        self.timeout_keep_alive = max(0, (self.config.timeout_graceful_shutdown or 0) - LAST_SECONDS)
        if self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.response_started:
                self.cycle.keep_alive = False
        elif not self.timeout_keep_alive:
            self.transport.close()
        else:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )


def one_reading(version: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether there is exactly one way to read this: HTTP/1, a path for a target, one Host, a body measured one way.

    An absolute target (`GET http://other.example.org/`) would win over the Host header by RFC 9112, and uvicorn drops its
    host unread. Names of headers are in lower case.
    """
    hosts = sum(name == b"host" for name, _ in headers)
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    measured = not codings or (version == "1.1" and codings == [b"chunked"])
    return version in VERSIONS and target.startswith(b"/") and hosts == 1 and measured
