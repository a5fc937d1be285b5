"""DNS as we ask it: TXT records in one piece, through other names; nothing there and nobody there are two things."""

import socket
from collections.abc import Iterator
from contextlib import closing
from threading import Thread

import dns.message
import dns.rcode
import dns.rrset
import pytest

from engine.adapters.dns_names import DnsNames
from engine.errors import Unavailable

ZONE = {
    "example.org.": [("example.org.", "TXT", '"v=spf1 include:sendgrid.net " "~all"', '"another word"')],
    "s1._domainkey.example.org.": [
        ("s1._domainkey.example.org.", "CNAME", "s1.keys.example.net."),
        ("s1.keys.example.net.", "TXT", r'"k=rsa; p=\255"'),
    ],
    "empty.example.org.": [],
}


def answered(question: bytes) -> bytes:
    asked = dns.message.from_wire(question)
    name = str(asked.question[0].name)
    answer = dns.message.make_response(asked, recursion_available=True)
    if name == "broken.example.org.":
        answer.set_rcode(dns.rcode.SERVFAIL)
    elif name not in ZONE:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    answer.answer = [dns.rrset.from_text(of, 60, "IN", kind, *said) for of, kind, *said in ZONE.get(name, [])]
    return answer.to_wire()


def serve(door: socket.socket) -> None:
    """Answer until an empty question comes."""
    while True:
        question, sender = door.recvfrom(4096)
        if not question:
            return
        door.sendto(answered(question), sender)


@pytest.fixture
def names() -> Iterator[DnsNames]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as door:
        door.bind(("127.0.0.1", 0))
        thread = Thread(target=serve, args=(door,))
        thread.start()
        yield DnsNames("127.0.0.1", door.getsockname()[1], seconds=10)
        door.sendto(b"", door.getsockname())
        thread.join(10)


def test_records_come_in_one_piece_and_through_other_names(names: DnsNames):
    assert sorted(names.texts("example.org")) == ["another word", "v=spf1 include:sendgrid.net ~all"]
    assert names.texts("s1._domainkey.example.org") == ["k=rsa; p=\\xff"]


def test_a_name_without_records_and_a_name_that_is_none_say_nothing(names: DnsNames):
    assert (names.texts("empty.example.org"), names.texts("none.example.org")) == ((), ())


def test_a_server_that_fails_and_one_that_is_silent_are_unavailable(names: DnsNames):
    with pytest.raises(Unavailable):
        names.texts("broken.example.org")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as deaf:
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable):
            DnsNames("127.0.0.1", deaf.getsockname()[1], seconds=0.2).texts("example.org")


def test_what_cannot_be_a_name_is_told_as_no_answer():
    with pytest.raises(Unavailable):
        DnsNames("127.0.0.1").texts("a..example.org")
