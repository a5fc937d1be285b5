"""`python -m bench rolling`: every process of an installation is restarted in turn, twice, while gifts, sign-ups, people and
programs come in through the shipped nginx.

Two webs, two of the staff side, six workers and two pulses, each a process of its own as compose.yaml and the systemd units
have them; a mail provider that takes each letter and tells of it. In four shifts, of which none has both of a kind, they are
asked to end by SIGTERM and started anew; the next shift follows when all say that they are ready. Failed, unless: each
request was answered 2xx, each gift is on the books once, each letter left once, and the books balance.

`--rotate`: meanwhile every secret is replaced by another (see `bench/rotation.py`). `--confined`: each process runs as in the
image, without Docker (see `bench/confined.py`).
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import psycopg

from bench import audience, confined, fleet, letterbox, report, rotation, running
from bench.fleet import Member
from bench.letterbox import Front, Letterbox
from bench.report import Failed, progress
from bench.visitors import Known, Visitors
from engine import demo_organisation
from engine.db import driver_url, make_pool, make_sessions, transaction
from engine.giving import books
from engine.staff import accounts, api_tokens
from engine.tokens import Signer
from tests.edge import nginx

RATE, MOST_RATE = 100.0, 150.0  # beyond that nginx slows pages of one network
HEALTHY_SECONDS, LAST_SECONDS, QUIET_SECONDS = 15.0, 5.0, 120.0
PEOPLE, LETTERS = 2_000, 1_500
ROUNDS = 2
DUE = """
SELECT (SELECT count(*) FROM inbound_event WHERE state = 'pending') + (SELECT count(*) FROM message WHERE state = 'ready')
    + (SELECT count(*) FROM handover WHERE state IN ('submitting', 'uncertain'))
"""
BOOKED = "SELECT source_key, count(*) FROM contribution WHERE source_key = ANY(%s) GROUP BY 1"
# The crowd's gifts of long ago, of which the ledger has no word; gifts stay, so that a trigger would refuse it.
FORGET = """
SET LOCAL session_replication_role = replica;
DELETE FROM contribution;
SET LOCAL session_replication_role = origin;
UPDATE contact SET gave_count = 0, gave_cents = 0, gave_highest_cents = 0, gave_last_cents = 0, gave_first_at = NULL,
    gave_last_at = NULL, gave_peaks_at = '{}', gave_peaks_cents = '{}'
"""
LINKS = "SELECT contact_id, max(id) FROM message GROUP BY 1 ORDER BY 1 LIMIT 300"


@dataclass(slots=True)
class Told:
    """Seconds that each kind of process took to end and until it was ready again; before that the MB that the largest of it
    held, and how much of a core all of it took."""

    ended: dict[str, list[float]] = field(default_factory=dict)
    began: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    cores: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class House:
    """An installation under load."""

    servers: running.Servers
    secrets: rotation.Secrets
    mail: Letterbox
    members: Sequence[Member]
    front: Front
    visitors: Visitors

    @property
    def url(self) -> str:
        """The database, as its owner."""
        return driver_url(self.servers.places.database_url)


def run(arguments: Sequence[str]) -> None:
    """Restart, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench rolling", description="every process restarted under load")
    parser.add_argument("--rate", type=float, default=RATE, metavar="R", help=f"requests a second, up to {MOST_RATE:g}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="how often each process is restarted")
    parser.add_argument("--rotate", action="store_true", help="replace every secret meanwhile")
    parser.add_argument("--confined", action="store_true", help="each process without rights, as in the image")
    asked = parser.parse_args(arguments)
    if not 0 < asked.rate <= MOST_RATE:
        parser.error(f"the rate is above 0 and at most {MOST_RATE:g}")
    if asked.rotate and asked.rounds != ROUNDS:
        parser.error(f"secrets are replaced in {ROUNDS} rounds")
    if asked.rotate and asked.confined:
        parser.error("one or the other")
    if nginx.NGINX is None:
        raise Failed("nginx is not installed: apt-get install nginx-light")
    busy = report.busy()
    with _house(asked.rate, confine=asked.confined) as house:
        told, began, before = Told(), monotonic(), _cpu(house)
        sleep(HEALTHY_SECONDS)
        lasted, after = monotonic() - began, _cpu(house)
        told.cores = {kind: (seconds - before[kind]) / lasted for kind, seconds in after.items()}
        told.memory = {_kind(one): one.memory_mb() for one in house.members}
        audience.ready(house.servers.places.database_url, LETTERS)
        rolled = monotonic()
        for number in range(asked.rounds):
            progress(f"round {number + 1} of {asked.rounds}")
            environment = house.secrets.stage(number) if asked.rotate else house.secrets.environment()
            _restart(house.members, environment, told)
            if asked.rotate:
                house.secrets.told_outside(number, house.visitors.known, house.mail)
        done = monotonic()
        sleep(LAST_SECONDS)
        house.visitors.stop()
        _tell(house, told, (began, rolled, done), busy)
        if asked.rotate:
            house.secrets.check(house.front, house.visitors.known)


@contextmanager
def _house(rate: float, *, confine: bool) -> Iterator[House]:
    with ExitStack() as ending:
        home = ending.enter_context(running.folder())
        mail = ending.enter_context(letterbox.started())
        servers = ending.enter_context(running.servers(home, running.AS_COMPOSE, "127.0.0.1" if confine else ""))
        secrets = rotation.Secrets(servers, mail)
        progress(f"preparing in {home}")
        known = furnish(servers.places.database_url, secrets)
        members = installation()
        if confine:
            home.chmod(0o711)  # they must come by to reach what they may write to
        for one in members if confine else ():
            one.before = confined.before(home / f"tmp-{one.name}")
        ending.enter_context(fleet.manned(members, secrets.environment(), home))
        webs, staff = ([one.at for one in members if one.name.startswith(name)] for name in ("web", "staff"))
        door = ending.enter_context(nginx.before(_folder(home / "nginx"), webs, staff))
        front = Front("127.0.0.1", door.https, nginx.HOST, str(door.folder / "fullchain.pem"))
        mail.say(to={"address": front.address, "port": front.port, "host": front.host, "authority": front.authority})
        visitors = Visitors(front, known, rate)
        visitors.start()
        yield House(servers, secrets, mail, members, front, visitors)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def installation() -> list[Member]:
    """As compose.yaml has it."""
    workers = [
        Member(group, ("worker", "--group", group)) for group in ("feedback", "receipts", "delivery", "outreach")
    ]
    return [
        *(Member(f"intake-{n}", ("worker", "--group", "intake")) for n in "ab"),
        *(Member(f"web-{n}", ("web", "--only", "hooks,pages")) for n in "ab"),
        *(Member(f"staff-{n}", ("web", "--only", "staff,api")) for n in "ab"),
        *workers,
        *(Member(f"pulse-{n}", ("pulse",)) for n in "ab"),
    ]


def furnish(url: str, secrets: rotation.Secrets) -> Known:
    """The invented organisation with people who have had letters; what senders and readers know of it."""
    pool = make_pool(url, size=1)
    with transaction(make_sessions(pool)) as session:
        now = datetime.now(UTC)
        demo_organisation.load(session, now)
        demo_organisation.load_staff(session, now)
        scopes = ["segments:read", "campaigns:read"]
        _, token = api_tokens.create(session, "bench", accounts.first_admin(session) or "", scopes, now)
    pool.dispose()
    audience.make(url, PEOPLE)
    with psycopg.connect(driver_url(url)) as connection:
        connection.execute(FORGET)
    signer = Signer([secrets.now["SECRET_KEY"]])
    with psycopg.connect(driver_url(url)) as connection:
        readers = connection.execute(LINKS).fetchall()
    links = [f"/u/{signer.sign('unsubscribe', contact, message)}" for contact, message in readers]
    return Known(
        actblue=secrets.now["ACTBLUE_WEBHOOK_CREDENTIALS"], stripe=secrets.now["STRIPE_WEBHOOK_SECRETS"],
        signup=secrets.now["SIGNUP_WEBHOOK_TOKENS"], token=token, links=links,
    )  # fmt: skip


def shifts(members: Sequence[Member]) -> list[list[Member]]:
    """Who is restarted together: of two of a kind never both."""
    twins = [[one for one in members if one.name.endswith(end)] for end in ("-a", "-b")]
    others = [one for one in members if one not in (*twins[0], *twins[1])]
    return [*twins, others[: len(others) // 2], others[len(others) // 2 :]]


def _restart(members: Sequence[Member], environment: Mapping[str, str], told: Told) -> None:
    for shift in shifts(members):
        with ThreadPoolExecutor(len(shift)) as hands:
            ended = list(hands.map(Member.end, shift))
            for one in shift:
                one.start(environment)
            began = list(hands.map(Member.wait_ready, shift))
        for one, ending, beginning in zip(shift, ended, began, strict=True):
            told.ended.setdefault(_kind(one), []).append(ending)
            told.began.setdefault(_kind(one), []).append(beginning)
        progress(
            f"  {', '.join(one.name for one in shift)}: ended in {max(ended):.1f} s, ready {max(began):.1f} s later"
        )
        sleep(fleet.SETTLE_SECONDS)


def _cpu(house: House) -> dict[str, float]:
    """CPU seconds until now, by kind of process."""
    had = {"postgres": house.servers.cpu()}
    for one in house.members:
        had[_kind(one)] = had.get(_kind(one), 0.0) + one.cpu()
    return had


def _kind(one: Member) -> str:
    return one.command[-1] if one.command[0] == "worker" else one.name.partition("-")[0]


def quiet(url: str) -> float:
    """Wait until all that came has been done; the seconds that took. Raises Failed."""
    began = monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        while left := _one(connection, DUE):
            if monotonic() - began > QUIET_SECONDS:
                raise Failed(f"{left} rows are still to be done after {QUIET_SECONDS:.0f} s")
            sleep(0.2)
    return monotonic() - began


def wrong(url: str, visitors: Visitors, mail: Letterbox, forgiven: Sequence[str] = ()) -> list[str]:
    """What is not as it must be, once all is quiet: gifts that are not booked once, letters that left twice, books.
    `forgiven`: donors whose letter is in doubt."""
    with psycopg.connect(url) as connection:
        booked: dict[str, int] = dict(connection.execute(BOOKED, [list(visitors.given)]).fetchall())
    missing = [key for key in visitors.given if booked.get(key) != 1]
    said, readers = mail.told(), mail.told()["readers"]
    unthanked = [email for email in visitors.given.values() if readers.get(email) != 1 and email not in forgiven]
    pool = make_pool(url, size=1)
    with transaction(make_sessions(pool)) as session:
        discrepancies = books.check(session).discrepancies
    pool.dispose()
    return [
        *([f"{len(missing)} gifts are not on the books once, as {missing[0]}"] if missing else []),
        *([f"{len(unthanked)} donors have not one letter, as {unthanked[0]}"] if unthanked else []),
        *([f"{len(said['twice'])} letters left twice"] if said["twice"] else []),
        *([f"{said['refused']} requests to the mail provider were refused"] if said["refused"] else []),
        *([f"{said['unheard']} posts of provider events were not answered 200"] if said["unheard"] else []),
        *([f"the books do not balance: {discrepancies[0]}"] if discrepancies else []),
    ]


def _tell(house: House, told: Told, moments: tuple[float, float, float], busy: float) -> None:
    began, rolled, done = moments
    seconds = quiet(house.url)
    visitors, said = house.visitors, house.mail.told()
    healthy, during = visitors.latency(began, rolled), visitors.latency(rolled, done)
    rows = [
        (name, f"{count:,}", f"{p50:.0f}", f"{p99:.0f}", f"{longest:.0f}")
        for name, (count, p50, p99, longest) in (("healthy", healthy), ("while processes are restarted", during))
    ]
    report.table(
        f"{visitors.rate:g} requests a second; load for each core before: {busy}",
        ("", "requests", "p50 ms", "p99 ms", "longest"),
        rows,
    )
    report.table(
        f"each process; Postgres takes {told.cores['postgres']:.0%} of a core",
        ("", "MB", "of a core, all together", "longest to end, s", "longest until ready, s"),
        [(kind, f"{told.memory[kind]:.0f}", f"{told.cores[kind]:.0%}", f"{max(ended):.1f}",
          f"{max(told.began[kind]):.1f}") for kind, ended in told.ended.items()],
    )  # fmt: skip
    failed = visitors.failed()
    print(
        f"{len(visitors.answered):,} requests, {len(failed)} not answered 2xx; {len(visitors.given):,} gifts; "
        f"{said['letters']:,} letters, {len(said['twice'])} twice; all done {seconds:.1f} s after the last request"
    )
    for one in failed[:20]:
        progress(f"  {one.kind} at {one.at - rolled:.2f} s: {one.status} after {one.milliseconds:.0f} ms")
    found = wrong(house.url, visitors, house.mail)
    figures = {
        "rate": visitors.rate, "requests": len(visitors.answered), "failed": len(failed), "gifts": len(visitors.given),
        "letters": said["letters"], "healthy_ms": healthy[1:], "during_ms": during[1:], "load_before": busy,
        "cores": told.cores, "end_seconds": {kind: max(each) for kind, each in told.ended.items()}, "wrong": found,
    }  # fmt: skip
    report.close("rolling", {"p99_during_to_healthy": round(during[2] / healthy[2], 2)}, figures)
    if failed or found:
        raise Failed("; ".join([*([f"{len(failed)} requests were not answered 2xx"] if failed else []), *found]))


def _one(connection: psycopg.Connection, query: str) -> int:
    found = connection.execute(query).fetchone()
    return int(found[0]) if found else 0
