"""What the benches of several processes and machines stand on: who is restarted together, what is seen of a cut, secrets."""

from time import monotonic

from bench.hosts import Cut, Watch
from bench.letterbox import Front
from bench.rolling import installation, shifts
from bench.sink import Taker
from bench.visitors import Answered, Known, Visitors
from engine.db import server_options


def test_in_every_shift_somebody_of_each_doubled_kind_goes_on_and_nobody_is_left_out():
    members = installation()
    found = shifts(members)
    assert sorted(one.name for shift in found for one in shift) == sorted(one.name for one in members)
    doubled = {one.command for one in members if sum(each.command == one.command for each in members) > 1}
    assert len(doubled) == 4
    for shift in found:
        assert all(sum(one.command == command for one in shift) <= 1 for command in doubled)


def test_what_was_seen_of_a_cut_is_counted_from_it():
    watch = Watch("", "10.0.0.3")
    watch.looks = [
        (99.0, "10.0.0.3", 0.1, 9), (100.5, "10.0.0.3", 0.5, 9), (103.0, "", 2.5, 4), (105.0, "10.0.0.2", 4.5, 0),
        (106.0, "10.0.0.2", 0.1, 0), (140.0, "10.0.0.2", 50.0, 0),
    ]  # fmt: skip
    cut = Cut("cable pulled", 100.0, 130.0)
    watch.fill(cut, "10.0.0.2", 135.0)
    assert (cut.led, cut.forgotten, cut.punctual, cut.longest_wait) == (5.0, 5.0, 5.0, 4.5)
    still = Cut("packets lost", 99.5, 100.0)
    watch.fill(still, "10.0.0.2", 101.0)
    assert (still.led, still.forgotten, still.punctual) == (None, None, 0.0)


def test_a_request_that_is_not_answered_or_refused_has_failed():
    visitors = Visitors(Front("127.0.0.1", 1, "x", ""), Known("", "", "", "", []), 1.0)
    now = monotonic()
    visitors.answered = [Answered(now, "page", status, 5.0) for status in (200, 204, 0, 303, 429, 503)]
    assert [one.status for one in visitors.failed()] == [0, 303, 429, 503]
    assert visitors.latency(now - 1, now + 1) == (6, 5.0, 5.0, 5.0)
    assert visitors.latency(now + 1, now + 2) == (0, 0.0, 0.0, 0.0)


class _Transport:
    def __init__(self) -> None:
        self.said = b""

    def write(self, data: bytes) -> None:
        self.said += data


def test_a_provider_takes_no_letter_under_a_key_that_it_does_not_know():
    taken: list[bytes] = []
    taker = Taker(taken.append, lambda: None, lambda head: b"Bearer new" in head)
    taker._transport = _Transport()
    for key in (b"old", b"new"):
        taker.data_received(
            b"POST / HTTP/1.1\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n%s" % (key, key[:2])
        )
    assert taken == [b"ne"]
    assert [line.split()[1] for line in taker._transport.said.split(b"\r\n") if line.startswith(b"HTTP")] == [
        b"401",
        b"202",
    ]


def test_postgres_is_told_to_give_up_who_does_not_answer_within_seconds_idle_or_not():
    options = server_options()
    for told in (
        "tcp_keepalives_idle=5",
        "tcp_keepalives_interval=2",
        "tcp_keepalives_count=3",
        "tcp_user_timeout=10s",
    ):
        assert f"-c {told}" in options
