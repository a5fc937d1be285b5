"""Whose word about a client is taken: the named proxies', and by itself nobody's."""

from engine import command_lines
from tests.edge.wire import Door, get

LIES = (("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"))


def test_a_trusted_proxy_is_believed_and_nobody_else_is(echo: Door):
    proxied = get(echo, "/", *LIES)
    assert (proxied.told["client"], proxied.told["scheme"]) == ("203.0.113.9", "https")
    stranger = get(Door(echo.port, echo.host, source="127.0.0.9"), "/", *LIES)
    assert (stranger.told["client"], stranger.told["scheme"]) == ("127.0.0.9", "http")


def test_while_no_proxy_is_named_nobody_is_believed():
    assert "--no-proxy-headers" in command_lines.web("127.0.0.1", 8000)
    assert "--proxy-headers" not in command_lines.web("127.0.0.1", 8000)
