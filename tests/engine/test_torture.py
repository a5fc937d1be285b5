"""What torture runs stand on: the proxy, the timeline, clocks that are wrong, and what negative controls take away."""

import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from time import sleep, time

import pytest

from bench.torture import clocks, controls, invariants, nemesis, proxy, report
from bench.torture.invariants import Verdict
from bench.torture.journal import Answered
from bench.torture.nemesis import FAULTS, Happened
from bench.torture.play import Order, Played
from bench.torture.without import SAFEGUARDS, Words
from tests.system import clean_environment

SOON = 0.4  # seconds in which whatever arrives at all has arrived


@contextmanager
def echo() -> Iterator[int]:
    """A server that says back what it hears: its port."""

    def talk(one: socket.socket) -> None:
        with one, suppress(OSError):
            while heard := one.recv(65536):
                one.sendall(heard)

    def serve() -> None:
        while True:
            try:
                one, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(one,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, daemon=True).start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)


class Line:
    """A connection through the proxy."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 5)

    def hear(self, many: int, seconds: float = 10.0) -> str:
        """So many bytes; what came instead."""
        heard = b""
        self.socket.settimeout(seconds)
        try:
            while len(heard) < many and (more := self.socket.recv(many - len(heard))):
                heard += more
        except TimeoutError:
            return heard.decode() or "nothing"
        except OSError:
            return "cut"
        return heard.decode() or "hung up"

    def ask(self, words: str, seconds: float = 10.0) -> str:
        try:
            self.socket.sendall(words.encode())
        except OSError:
            return "cut"
        return self.hear(len(words), seconds)


@pytest.fixture(scope="module")
def way() -> Iterator[proxy.Proxy]:
    with echo() as port, proxy.started({"echo": f"127.0.0.1:{port}"}) as started:
        yield started


@pytest.fixture
def line(way: proxy.Proxy) -> Iterator[Callable[[], Line]]:
    """Makes connections, while the way is well, or as it is by then."""
    behave(way, "pass")
    made: list[Line] = []

    def connect() -> Line:
        made.append(Line(way.ports["echo"]))
        return made[-1]

    yield connect
    for each in made:
        each.socket.close()


def behave(way: proxy.Proxy, mode: str, seconds: float = 0.0) -> None:
    way.set("echo", mode, seconds)
    sleep(0.1)  # until it has heard


def test_a_way_that_is_well_is_as_if_nobody_stood_between(line: Callable[[], Line]):
    one = line()
    assert [one.ask("one"), one.ask("x" * 100_000)] == ["one", "x" * 100_000]


def test_what_is_delayed_arrives_later_in_its_order_and_whole(way: proxy.Proxy, line: Callable[[], Line]):
    one = line()
    assert one.ask("well") == "well"
    behave(way, "delay", SOON)
    assert one.ask("slow", SOON) == "nothing"
    behave(way, "pass")
    one.socket.sendall(b"quick")
    assert one.hear(9) == "slowquick"


def test_a_reset_cuts_connections_in_the_middle(way: proxy.Proxy, line: Callable[[], Line]):
    one = line()
    assert one.ask("well") == "well"
    behave(way, "reset")
    assert one.ask("more") == "cut"
    assert {line().ask("anew") for _ in range(30)} >= {"cut"}
    behave(way, "pass")
    assert line().ask("well") == "well"


def test_of_what_is_half_open_nobody_hears_until_it_heals(way: proxy.Proxy, line: Callable[[], Line]):
    one = line()
    assert one.ask("well") == "well"
    behave(way, "half_open")
    fresh = line()
    assert (one.ask("old", SOON), fresh.ask("new", SOON)) == ("nothing", "nothing")
    behave(way, "pass")
    assert (one.ask("old"), fresh.ask("new")) == ("cut", "cut")


def test_what_a_blackhole_swallowed_arrives_when_it_heals(way: proxy.Proxy, line: Callable[[], Line]):
    one = line()
    behave(way, "blackhole")
    fresh = line()
    assert (one.ask("late", SOON), fresh.ask("later", SOON)) == ("nothing", "nothing")
    behave(way, "pass")
    assert (one.hear(4), fresh.hear(5)) == ("late", "later")


def times(minutes: float, seed: int = 7) -> list[tuple[float, str, int]]:
    return [(each.at, each.fault.name, each.seed) for each in nemesis.timeline(seed, minutes)]


def test_the_same_seed_makes_the_same_timeline_and_another_another():
    assert times(6) == times(6)
    assert times(6) != times(6, seed=8)


@pytest.mark.parametrize("seed", range(20))
def test_in_six_minutes_every_kind_of_fault_comes_and_the_end_is_well(seed: int):
    planned = nemesis.timeline(seed, 6)
    assert {each.fault.name for each in planned} == {fault.name for fault in FAULTS}
    assert max(each.ends for each in planned) <= 300
    assert all(many <= 3 for many in Counter(each.fault.name for each in planned).values())


def test_of_one_lane_nothing_begins_before_the_one_before_is_healed():
    for lane in {fault.lane for fault in FAULTS}:
        of_it = [each for each in nemesis.timeline(3, 12) if each.fault.lane == lane]
        assert all(one.ends + nemesis.PAUSES[0] <= two.at + 0.01 for one, two in pairwise(of_it))


def test_what_the_machine_lacks_is_left_out():
    assert not any(each.fault.needs for each in nemesis.timeline(1, 6, having=()))


def test_a_clock_is_wrong_from_one_moment_to_the_next(tmp_path):
    made = clocks.make(tmp_path, "one")
    if not made:  # no compiler on this machine: then there are no such faults, either
        assert "clocks" not in nemesis.having()
        return
    program = "import sys, time\nfor _ in sys.stdin: print(time.time(), flush=True)"
    told = clean_environment(**made["one"].environment)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=told
    ) as child:
        for off in (0, 120, -86_400):
            made["one"].set(off)
            print(file=child.stdin, flush=True)
            assert abs(float(child.stdout.readline()) - time() - off) < 30
        child.stdin.close()
    assert "LD_PRELOAD" not in os.environ


@pytest.mark.parametrize("name", SAFEGUARDS)
def test_what_a_control_takes_away_is_there(name: str):
    """So that none comes to take away nothing."""
    known = {each.name for each in invariants.INVARIANTS}
    faults = {fault.name for fault in FAULTS}
    safeguard = SAFEGUARDS[name]
    assert [each for each in safeguard.words if not stands(each)] == []
    assert set(safeguard.faults) <= faults
    assert all(any(one.startswith(each) for one in known) for each in safeguard.breaks)
    assert controls.order_of(name, 1, 1.0, 60, kept=False).lack.variables["TORTURE_WITHOUT"] == name


def stands(words: Words) -> bool:
    return any(words.words in str(value) for value in vars(words.module).values())


def test_words_that_are_nowhere_are_missed():
    assert not stands(Words(nemesis, "of no statement " + "at all", ""))


def played(**what: object) -> Played:
    done = Played(Order(1, 1.0, 60.0, []), drained=True, rested=1.0)
    for key, value in what.items():
        setattr(done, key, value)
    return done


BROKEN = Verdict("I5", "once", 2, ("letter 7",))


def test_a_run_is_red_for_each_reason_that_there_is():
    planned = nemesis.timeline(1, 1)[0]
    happened = Happened(planned, "", 1.0, 2.0)
    assert report.red(played(verdicts=[Verdict("I5", "once", 0)], happened=[happened], recoveries=[3.0])) == []
    for wrong in (
        {"verdicts": [BROKEN]}, {"seen": {"I5": (3.0, BROKEN)}}, {"drained": False}, {"rested": None},
        {"happened": [happened], "recoveries": [None]},
        {"happened": [Happened(planned, "", 1.0, 2.0, "it could not be done")], "recoveries": [1.0]},
    ):  # fmt: skip
        assert len(report.red(played(**wrong))) == 1, wrong


def test_answers_are_told_apart_by_whether_something_was_wrong():
    fault = Happened(nemesis.timeline(1, 1)[0], "", began=100.0, healed=110.0)
    answers = [Answered(at, 200, 1.0) for at in (99.0, 100.5, 111.0, 115.0)]
    ill, well = report.during(answers, [fault])
    assert [[each.at for each in found] for found in (ill, well)] == [[100.5, 111.0], [99.0, 115.0]]
