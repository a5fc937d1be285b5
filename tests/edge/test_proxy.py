"""The shipped nginx: what it lets through, how large, what it says about it, what it writes down."""

import json
import re
import ssl

import pytest

from engine import command_lines
from tests.edge.nginx import HOST, SHIPPED, Nginx
from tests.edge.wire import Door, Said, exchange, get, post, request, through
from webhooks.app import DEVELOPMENT, ROUTES

pytestmark = pytest.mark.nginx

SECRET = "s3cr3t-t0ken"
LARGE = {
    "a header of 200 KB": (431, b"GET / HTTP/1.1\r\nHost: %s\r\nX-A: " + b"a" * 200_000),
    "10,000 headers": (431, b"GET / HTTP/1.1\r\nHost: %s" + b"".join(b"\r\nX-%d: b" % n for n in range(10_000))),
    "40 KB of cookies": (431, b"GET / HTTP/1.1\r\nHost: %s" + b"\r\nCookie: a=" * 5 + b"a" * 8_190),
    "a URL of 64 KB": (414, b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: %s"),
    "a URL of 64 KB behind a ?": (414, b"GET /?" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: %s"),
    "a method of 64 KB": (414, b"A" * 65_536 + b" / HTTP/1.1\r\nHost: %s"),
}


@pytest.mark.parametrize("host", [HOST, "evil.example.org"])
@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
@pytest.mark.parametrize(("status", "sent"), LARGE.values(), ids=LARGE)
def test_what_is_too_large_is_refused_before_it_reaches_us(mirror: Nginx, status: int, sent: bytes, host, tls):
    door = through(mirror) if tls else Door(mirror.http, HOST)
    said = exchange(door, sent.replace(b"%s", host.encode()) + b"\r\n\r\n")
    assert (said.status, said.closed) == (status, True)


def test_a_header_of_seven_kilobytes_and_a_url_of_seven_pass(mirror: Nginx):
    assert get(through(mirror), "/" + "a" * 7_000, ("Cookie", "a=" + "b" * 7_000)).status == 200


FORM, MORE, LIST, MOST = 16 * 1024, 256 * 1024, 1024 * 1024, 2 * 1024 * 1024


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/give/common-ground", FORM), ("/join", FORM), ("/webhooks/actblue", MORE), ("/webhooks/stripe", MORE),
     ("/webhooks/actionnetwork/x", LIST), ("/webhooks/sendgrid", MOST)],
)  # fmt: skip
def test_a_body_as_long_as_its_place_allows_passes_and_one_byte_more_does_not(mirror: Nginx, path: str, limit: int):
    passed = post(through(mirror), path, b"a" * limit)
    assert (passed.status, passed.told["length"]) == (200, limit)
    assert post(through(mirror), path, b"a" * (limit + 1)).status == 413


@pytest.mark.parametrize(("path", "limit"), [("/staff/sheet", MORE), ("/staff/letters/new", LIST)])
def test_a_letter_may_be_longer_than_any_other_form_of_staff(mirror: Nginx, path: str, limit: int):
    assert post(through(mirror), path, b"a" * limit).status == 503  # nobody is behind
    assert post(through(mirror), path, b"a" * (limit + 1)).status == 413


@pytest.mark.parametrize(("path", "limit"), [("/join", FORM), ("/webhooks/stripe", MORE)])
def test_a_body_in_chunks_is_measured_as_it_comes(mirror: Nginx, path: str, limit: int):
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode()
    chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    whole = exchange(through(mirror), head, chunk * (limit // 4096), b"0\r\n\r\n")
    assert (whole.status, whole.told["length"]) == (200, limit)
    over = exchange(through(mirror), head, chunk * (limit // 4096 + 1), b"0\r\n\r\n")
    assert (over.status, over.closed) == (413, True)


def header(said: Said, name: str) -> list[str]:
    return [value for known, value in said.told["headers"] if known == name]


def test_what_somebody_outside_says_about_where_he_is_ends_here(mirror: Nginx):
    lies = [
        ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "203.0.113.10, 127.0.0.1"),
        ("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "evil.example.org"), ("X-Forwarded-Port", "1"),
        ("X-Real-IP", "203.0.113.9"), ("Forwarded", "for=203.0.113.9;proto=http;host=evil.example.org"),
        ("X_Forwarded_For", "203.0.113.9"),
    ]  # fmt: skip
    said = get(through(mirror, source="127.0.0.9"), "/", *lies)
    assert (said.told["client"], said.told["scheme"]) == ("127.0.0.9", "https")
    assert (header(said, "x-forwarded-for"), header(said, "x-forwarded-proto")) == (["127.0.0.9"], ["https"])
    assert header(said, "host") == [HOST]
    assert b"203.0.113" not in said.body
    assert b"evil" not in said.body


def test_another_host_is_refused_in_the_handshake_and_in_the_request(mirror: Nginx):
    with pytest.raises(ssl.SSLError):
        get(Door(mirror.https, "evil.example.org", mirror.trusting), "/")
    unnamed = Door(mirror.https, "127.0.0.1", mirror.trusting)
    with pytest.raises(ssl.SSLError):
        get(unnamed, "/")
    for door in (through(mirror), Door(mirror.http, HOST)):
        said = exchange(door, request("GET", "/", "evil.example.org"))
        assert (said.status, said.closed) == (400, True)


def test_what_is_wrong_inside_is_not_told_outside(mirror: Nginx):
    assert get(through(mirror), "/healthz").status == 200
    assert get(through(mirror), "/readyz").status == 404


def test_plain_http_is_sent_to_https(mirror: Nginx):
    said = get(Door(mirror.http, HOST), "/give/common-ground?amount=27")
    assert said.status == 301
    assert f"location: https://{HOST}/give/common-ground?amount=27" in said.head


def test_every_answer_binds_the_browser_to_https_and_names_no_version(mirror: Nginx):
    answers = [get(through(mirror), "/"), get(through(mirror), "/staff"), post(through(mirror), "/", b"a" * 99_999)]
    assert [said.status for said in answers] == [200, 503, 413]
    for said in answers:
        assert "strict-transport-security: max-age=31536000" in said.head
        assert re.search(rb"nginx/\d|uvicorn", said.raw) is None


def test_while_our_processes_are_away_people_are_told_so_and_providers_are_asked_to_come_again(mirror: Nginx):
    said = get(through(mirror), "/staff")
    assert said.status == 503
    assert "retry-after: 5" in said.head
    assert b"try again" in said.body


def test_no_token_no_query_and_no_referrer_is_written_down(mirror: Nginx):
    paths = [
        "/webhooks/actionnetwork",
        "/u",
        "/me",
        "/confirm",
        "/give/me",
        "/join",
        "/staff/in",
        "/api/v1",
        "/%75",
        "//u",
    ]
    told = [re.sub(r"\{\w+\}", SECRET, entry.path) for entry in ROUTES if entry.part != DEVELOPMENT]
    for path in [*(f"{path}/{SECRET}" for path in paths), *told]:
        get(through(mirror), f"{path}?key={SECRET}", ("Referer", f"https://{HOST}/u/{SECRET}"))
    post(through(mirror), f"/u/{SECRET}", b"a" * 99_999)  # refused: what goes wrong is where nginx writes most
    get(through(mirror), f"/u/{SECRET}", ("X-A", "a" * 9_000))
    exchange(through(mirror), request("GET", f"/u/{SECRET}", "evil.example.org"))
    get(Door(mirror.http, HOST), f"/u/{SECRET}?key={SECRET}")
    assert SECRET not in mirror.log
    written = {json.loads(line)["path"] for line in (mirror.folder / "access.log").read_text().splitlines()}
    assert written >= {"/webhooks/actionnetwork/{secret}", "/u/{token}", "/me/{token}", "/confirm/{token}", "/api",
                       "/api/v1/segments",
                       "/give/me/{token}", "/join/{chapter}", "/staff", "/staff/letters/{slug}",
                       "/webhooks/actblue"}  # fmt: skip


def test_every_url_is_logged_by_a_template_of_its_own_or_of_its_beginning():
    """What is not listed is logged as "other", and nobody can see there what is slow or refused."""
    (listed,) = re.findall(r"map \$uri \$template \{\n(.*?)\n    \}", SHIPPED.read_text("utf-8"), re.DOTALL)
    patterns = [line.split()[0] for line in listed.splitlines()]
    (known,) = re.findall(r"request>uri regexp \"(.+?)\" \"", (SHIPPED.parent / "Caddyfile").read_text("utf-8"))
    for path in sorted({re.sub(r"\{.+?\}", SECRET, entry.path) for entry in ROUTES if entry.part != DEVELOPMENT}):
        found = [each for each in patterns if each == path or (each[0] == "~" and re.search(each[1:], path))]
        assert found, f"deploy/nginx.conf has no template for {path}"
        logged = re.sub(known, lambda match: match[1] or "", path)
        assert (logged != "", SECRET in logged) == (path != "/", False), f"deploy/Caddyfile logs {path} as {logged}"


def statuses(said: Said) -> list[bytes]:
    return re.findall(rb"HTTP/1\.1 (\d{3}) ", said.raw)


def test_a_flood_of_pages_is_slowed_and_a_burst_of_webhooks_is_not(mirror: Nginx):
    def nine_hundred(method: str, path: str, source: str) -> list[bytes]:
        one = request(method, path, HOST)
        kept = one.replace(b"Connection: close\r\n", b"")
        return statuses(exchange(through(mirror, source), kept * 899 + one))

    pages = nine_hundred("GET", "/", "127.0.0.7")
    assert pages.count(b"200") >= 300
    assert pages.count(b"429") >= 1
    assert len(pages) == 900
    assert nine_hundred("POST", "/webhooks/stripe", "127.0.0.7") == [b"200"] * 900
    assert get(through(mirror, "127.0.0.8"), "/").status == 200


def test_nginx_lets_go_of_an_idle_connection_before_our_server_does():
    seconds = re.findall(r"^ +keepalive_timeout (\d+)s;$", SHIPPED.read_text("utf-8"), re.MULTILINE)
    assert len(seconds) == 3
    assert all(int(each) < command_lines.KEEP_ALIVE_SECONDS for each in seconds)
