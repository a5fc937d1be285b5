"""DNS as the engine's `Names`: by the resolvers of this machine, each question within a few seconds.

dnspython takes a tenth of a second to import, so it is imported when it is first needed.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

from engine.errors import Unavailable

SECONDS = 5.0


class DnsNames:
    """This machine's resolvers, or the one at `server` and `port`. `seconds`: how long one question may take."""

    def __init__(self, server: str = "", port: int = 53, *, seconds: float = SECONDS) -> None:
        self._server, self._port, self._seconds = server, port, seconds

    def texts(self, name: str) -> Sequence[str]:
        """TXT records, through CNAMEs. Bytes that are no text are shown as such. Raises Unavailable."""
        dns = _resolver()
        try:
            resolver = dns.Resolver(configure=not self._server)
            if self._server:
                resolver.nameservers, resolver.port = [self._server], self._port
            answer = resolver.resolve(name, "TXT", lifetime=self._seconds)
        except (dns.NXDOMAIN, dns.NoAnswer):
            return ()
        except import_module("dns.exception").DNSException as error:
            raise Unavailable(f"DNS does not answer ({type(error).__name__})") from None
        return [b"".join(record.strings).decode("utf-8", "backslashreplace") for record in answer]


@cache
def _resolver() -> Any:
    return import_module("dns.resolver")
