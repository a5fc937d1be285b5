"""HTTP as this server takes it: stricter than the parser. What two servers could read in two ways is no request.

uvicorn builds one `Protocol` a connection (engine/command_lines.py names it). An error in here is answered by uvicorn: 400,
and the connection is closed, before any of our code has seen the request. Slow and oversized headers are not its
business but the reverse proxy's (deploy/).
"""

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

VERSIONS = ("1.0", "1.1")


class Protocol(HttpToolsProtocol):
    """uvicorn's own, with one look at the finished headers."""

    def on_headers_complete(self) -> None:
        """Raises ValueError, which httptools hands to uvicorn as a parse error."""
        if not one_reading(self.parser.get_http_version(), self.url, self.headers):
            raise ValueError("more than one reading")
        super().on_headers_complete()


def one_reading(version: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether there is exactly one way to read this: HTTP/1, a path for a target, one Host, a body measured one way.

    An absolute target (`GET http://other.example.org/`) would win over the Host header by RFC 9112, and uvicorn drops its
    host unread. Names of headers are in lower case.
    """
    hosts = sum(name == b"host" for name, _ in headers)
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    measured = not codings or (version == "1.1" and codings == [b"chunked"])
    return version in VERSIONS and target.startswith(b"/") and hosts == 1 and measured
