"""`python -m bench hosts`: web, workers and pulse on two machines, Postgres and Redis on a third; one of the two is cut off.

Machines are network namespaces with addresses of their own (`bench/machines.py`). This machine is the fourth: the proxy, the
mail provider, and who comes in through the proxy and comes again with what was not answered 2xx, as providers do. The second
machine, whose pulse leads, is cut off twice for half a minute under load: once its cable is pulled, once all its packets are
lost and nobody is told. Measured from each cut: how long until the other pulse leads, until no event waits for whoever is
gone, how requests fared. Afterwards what the second machine still had in its hands must do no harm. Failed, unless in the
end each gift is on the books once, no letter of a campaign left twice, each donor was thanked (or it is in doubt whether she
was), and the books balance.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread
from time import monotonic, sleep

import psycopg

from bench import audience, fleet, letterbox, report, rolling, rotation, running
from bench.fleet import Member
from bench.letterbox import Front, Letterbox
from bench.machines import Machine, network
from bench.report import Failed, progress
from bench.visitors import Visitors
from engine.db import driver_url
from tests.edge import nginx
from workers.main import GROUPS
from workers.pulse import LEADER_LOCK

RATE, SECONDS = 40.0, 30.0
HEALTHY_SECONDS, AFTER_SECONDS, LOOK_SECONDS = 15.0, 25.0, 0.25
LETTERS = 600  # of a campaign, that begin to leave just before each cut
LATE_SECONDS = 2.0  # an event that is due for longer waits for somebody who is gone
QUIET_SECONDS = 90.0
_LEADER = """
SELECT host(a.client_addr) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.objid = %s AND l.granted AND l.objsubid = 1
"""
_LATE = "SELECT coalesce(extract(epoch FROM max(now() - received_at)), 0)::float8 FROM inbound_event WHERE state = 'pending'"
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s"
_DUE = """
SELECT (SELECT count(*) FROM inbound_event WHERE state = 'pending') + (SELECT count(*) FROM message WHERE state = 'ready')
    + (SELECT count(*) FROM handover WHERE state = 'submitting')
"""
_DOUBT = """
SELECT c.email FROM handover h JOIN message m ON m.handover_id = h.id JOIN contact c ON c.id = m.contact_id
WHERE h.state = 'uncertain'
"""
_DOUBLED = "SELECT count(*) FROM message WHERE id = ANY(%s) AND lane <> 'receipts'"


@dataclass(slots=True)
class Cut:
    """One cut: seconds after it until the other pulse led, until events were taken on time again, until Postgres had given up
    the lost sessions (None: not while it lasted), and the latency of requests meanwhile."""

    name: str
    began: float
    healed: float = 0.0
    led: float | None = None
    punctual: float | None = None
    forgotten: float | None = None
    longest_wait: float = 0.0
    latency: tuple[int, float, float, float] = (0, 0.0, 0.0, 0.0)
    again: int = 0


@dataclass(slots=True)
class Watch:
    """Looks at Postgres all the time: who leads, how long the oldest event has waited, whose sessions there are."""

    url: str
    address: str
    looks: list[tuple[float, str, float, int]] = field(default_factory=list)
    _ending: Event = field(default_factory=Event)

    def run(self) -> None:
        """Until it is told to end."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self._ending.wait(LOOK_SECONDS):
                leader = connection.execute(_LEADER, [LEADER_LOCK]).fetchone()
                (late,) = connection.execute(_LATE).fetchone() or (0.0,)
                (sessions,) = connection.execute(_SESSIONS, [self.address]).fetchone() or (0,)
                self.looks.append((monotonic(), leader[0] if leader else "", late, sessions))

    def end(self) -> None:
        """Look no more."""
        self._ending.set()

    def fill(self, cut: Cut, other: str, until: float) -> None:
        """What was seen of one cut."""
        seen = [look for look in self.looks if cut.began <= look[0] < until]
        cut.led = next((at - cut.began for at, leader, _, _ in seen if leader == other), None)
        late = [at for at, _, waited, _ in seen if waited > LATE_SECONDS]
        cut.punctual = (late[-1] - cut.began) if late else 0.0
        cut.longest_wait = max(waited for _, _, waited, _ in seen)
        cut.forgotten = next((at - cut.began for at, _, _, sessions in seen if sessions == 0), None)


@dataclass(slots=True)
class House:
    """What runs where."""

    url: str
    second: Machine
    first: Machine
    mail: Letterbox
    visitors: Visitors
    watch: Watch
    members: Sequence[Member]
    environment: Mapping[str, str]


def run(arguments: Sequence[str]) -> None:
    """Cut off, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench hosts", description="several machines, one of them cut off")
    parser.add_argument("--rate", type=float, default=RATE, metavar="R", help="requests a second")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="how long it is cut off each time")
    asked = parser.parse_args(arguments)
    if nginx.NGINX is None:
        raise Failed("nginx is not installed: apt-get install nginx-light")
    busy = report.busy()
    with _house(asked.rate) as house:
        began = monotonic()
        sleep(HEALTHY_SECONDS)
        healthy = house.visitors.latency(began, monotonic())
        cuts = []
        for name, act in (("cable pulled", house.second.unplug), ("packets lost", house.second.silence)):
            _led_by(house, house.second.address)
            audience.ready(house.url, LETTERS)
            sleep(1.0)
            progress(f"{name}, for {asked.seconds:g} s")
            cuts.append(Cut(name, monotonic()))
            act()
            sleep(asked.seconds)
            house.second.heal()
            cuts[-1].healed = monotonic()
            progress("healed")
            sleep(AFTER_SECONDS)
        house.visitors.stop()
        house.watch.end()
        for cut in cuts:
            _look_back(house, cut)
        _tell(house, healthy, cuts, busy)


def _look_back(house: House, cut: Cut) -> None:
    house.watch.fill(cut, house.first.address, cut.healed + AFTER_SECONDS)
    cut.latency = house.visitors.latency(cut.began, cut.healed)
    cut.again = sum(cut.began <= one.at < cut.healed for one in house.visitors.failed())


@contextmanager
def _house(rate: float) -> Iterator[House]:
    with ExitStack() as ending:
        home = ending.enter_context(running.folder())
        here, (store, first, second) = ending.enter_context(network("abc"))
        mail = ending.enter_context(letterbox.started(here))
        servers = ending.enter_context(running.servers(home, running.AS_COMPOSE, store.address, store.before))
        secrets = rotation.Secrets(servers, mail)
        known = rolling.furnish(servers.places.database_url, secrets)
        environment = secrets.environment()
        members = [member for machine in (second, first) for member in _members(machine)]
        progress(f"starting {len(members)} processes on two machines")
        ending.enter_context(fleet.manned(members, environment, home))
        webs = [one.at for one in members if one.serves]
        (home / "nginx").mkdir()
        door = ending.enter_context(nginx.before(home / "nginx", webs, webs))
        front = Front("127.0.0.1", door.https, nginx.HOST, str(door.folder / "fullchain.pem"))
        mail.say(to={"address": front.address, "port": front.port, "host": front.host, "authority": front.authority})
        visitors = Visitors(front, known, rate, patient=True)
        url = driver_url(servers.places.database_url)
        watch = Watch(url, second.address)
        Thread(target=watch.run, daemon=True).start()
        visitors.start()
        yield House(url, second, first, mail, visitors, watch, members, environment)


def _members(machine: Machine) -> list[Member]:
    place = machine.name[-1]
    make = partial(Member, address=machine.address, before=machine.before)
    return [
        make(f"web-{place}", ("web",), port=8000),
        make(f"pulse-{place}", ("pulse",), port=9100),
        *(make(f"{group}-{place}", ("worker", "--group", group), port=9101 + n) for n, group in enumerate(GROUPS)),
    ]


def _led_by(house: House, address: str) -> None:
    """Restart the pulses of others until the one of this address leads."""
    for _ in range(5):
        sleep(3 * LOOK_SECONDS)
        if house.watch.looks[-1][1] == address:
            return
        for one in house.members:
            if one.command == ("pulse",) and one.address != address:
                one.end()
                sleep(2.5)
                one.start(house.environment)
                one.wait_ready()
    raise Failed("the pulse of the second machine does not lead")


def _quiet(url: str) -> list[str]:
    """Wait until all is done that can be done now; the addresses of whom a letter is in doubt. Raises Failed."""
    until = monotonic() + QUIET_SECONDS
    with psycopg.connect(url, autocommit=True) as connection:
        while (left := (connection.execute(_DUE).fetchone() or (0,))[0]) and monotonic() < until:
            sleep(0.2)
        if left:
            raise Failed(f"{left} rows are still to be done after {QUIET_SECONDS:.0f} s")
        return [email for (email,) in connection.execute(_DOUBT).fetchall()]


def _wrong(house: House, doubted: Sequence[str]) -> list[str]:
    said = house.mail.told()
    with psycopg.connect(house.url) as connection:
        (doubled,) = connection.execute(_DOUBLED, [[int(key, 36) for key in said["twice"]]]).fetchone() or (0,)
    found = [
        what for what in rolling.wrong(house.url, house.visitors, house.mail, forgiven=doubted)
        if "left twice" not in what and "not answered 200" not in what  # counted here; and it posts again
    ]  # fmt: skip
    return [*found, *([f"{doubled} campaign letters left twice"] if doubled else [])]


def _shown(seconds: float | None) -> str:
    return "not meanwhile" if seconds is None else f"{seconds:.1f}"


def _tell(house: House, healthy: tuple[int, float, float, float], cuts: Sequence[Cut], busy: float) -> None:
    doubted = _quiet(house.url)
    report.table(
        f"{house.visitors.rate:g} requests a second; load for each core before: {busy}",
        ("", "requests", "asked again", "p50 ms", "p99 ms", "longest"),
        [(name, f"{count:,}", f"{again}", f"{p50:.0f}", f"{p99:.0f}", f"{longest:.0f}")
         for name, again, (count, p50, p99, longest) in (
             ("healthy", 0, healthy), *((cut.name, cut.again, cut.latency) for cut in cuts))],
    )  # fmt: skip
    report.table(
        "seconds after the cut",
        ("", "the other pulse leads", "sessions given up", "events late until", "longest wait"),
        [(cut.name, _shown(cut.led), _shown(cut.forgotten), _shown(cut.punctual), f"{cut.longest_wait:.1f}")
         for cut in cuts],
    )  # fmt: skip
    visitors, said = house.visitors, house.mail.told()
    failed = visitors.failed()
    print(
        f"{len(visitors.answered):,} requests, {len(failed)} of them asked again; {visitors.unheard} never answered 2xx; "
        f"{len(visitors.given):,} gifts, {said['letters']:,} letters; in doubt in the end: {len(doubted)}"
    )
    wrong = _wrong(house, doubted)
    figures = {
        "rate": visitors.rate, "requests": len(visitors.answered), "again": len(failed), "unheard": visitors.unheard,
        "gifts": len(visitors.given), "letters": said["letters"], "doubted": len(doubted), "load_before": busy,
        "leader_seconds": {cut.name: cut.led for cut in cuts}, "late_seconds": {cut.name: cut.punctual for cut in cuts},
        "wrong": wrong,
    }  # fmt: skip
    report.close("hosts", {}, figures)
    if visitors.unheard or wrong:
        raise Failed(
            "; ".join([f"{visitors.unheard} requests were never answered 2xx"] * bool(visitors.unheard) + wrong)
        )
