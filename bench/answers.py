"""`python -m bench answers`: whether the time that `POST /join` takes tells what is known of an address.

One real web process, on a Postgres of its own that holds many people, is sent sign-ups over one kept-alive connection, each
with an address of its own: new, known and on the list, suppressed for a complaint, a bounce or an unsubscribe, and asked by
letter but unconfirmed. They take turns, so that whatever slows the machine slows all alike. All answers must be the same
but for the address. Two kinds lie within each other's noise when their medians differ by less than the smaller of their
interquartile ranges.
"""

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from time import perf_counter
from urllib.parse import urlencode

import psycopg
import urllib3

from bench import report, running
from bench.report import Failed
from engine import demo_organisation
from engine.db import make_pool, make_sessions, transaction
from engine.settings import Settings
from engine.tokens import Signer
from webhooks.forms import TYPE, Stamp

EACH, PEOPLE, WARM = 500, 100_000, 40
FORM = "join"
# Each kind with the letter that its addresses begin with: all addresses are of one length.
KINDS = {"new": "n", "known": "k", "complaint": "c", "bounce": "b", "unsubscribe": "u", "unconfirmed": "a"}
SUPPRESSED = ("complaint", "bounce", "unsubscribe")
UNLIMITED = dict.fromkeys(("JOIN_NETWORK_HOURLY", "JOIN_MOST_10_MINUTES", "JOIN_MOST_HOUR"), "1000000")

# People of every kind but the first, and as many others as there are in a large organisation.
_CONTACTS = """
INSERT INTO contact (email, first_name, last_name, zip, state, country, details_at, chapter_id, routed_by, routed_on)
SELECT v.email, 'Rosa', 'Delgado', '01605', 'MA', 'United States', now(), h.id, 'zip', '01605'
FROM (SELECT kind || '.' || to_char(n, 'FM000000') || '@example.org' AS email
      FROM unnest(%(kinds)s::text[]) kind, generate_series(1, %(each)s) n
      UNION ALL SELECT md5(n::text) || '@example.org' FROM generate_series(1, %(people)s) n) v,
    (SELECT id FROM chapter WHERE slug = 'worcester') h
"""
_YES = """
INSERT INTO consent (contact_id, channel, kind, given, at, source)
SELECT id, 'mail', '', true, now() - interval '9 days', 'join' FROM contact WHERE email NOT LIKE 'a.%%'
"""
_STOPPED = """
INSERT INTO suppression (email, reason, at)
SELECT email, %(reason)s, now() - interval '1 day' FROM contact WHERE email LIKE %(like)s
"""
_ASKED = """
INSERT INTO confirmation (contact_id, place, wording, asked_at, expires_at)
SELECT id, 'join', '', now(), now() + interval '7 days' FROM contact WHERE email LIKE 'a.%%'
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """Milliseconds of the answers about addresses of one kind."""

    name: str
    milliseconds: Sequence[float]

    @property
    def median(self) -> float:
        """The one in the middle."""
        return report.percentile(self.milliseconds, 50)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between which half of them lie."""
        return report.percentile(self.milliseconds, 25), report.percentile(self.milliseconds, 75)

    @property
    def noise(self) -> float:
        """The interquartile range."""
        low, high = self.quartiles
        return high - low


def apart(one: Kind, other: Kind) -> float:
    """How far the medians of two kinds are apart, in the smaller of their interquartile ranges: below 1, within the noise."""
    return abs(one.median - other.median) / min(one.noise, other.noise)


def run(arguments: Sequence[str]) -> None:
    """Measure, print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench answers")
    parser.add_argument("--each", type=int, default=EACH, help=f"sign-ups of each kind ({EACH:,})")
    parser.add_argument("--people", type=int, default=PEOPLE, help=f"other people there are ({PEOPLE:,})")
    options = parser.parse_args(arguments)
    with running.folder() as home, running.servers(home) as servers:
        _fill(servers, options.each + WARM, options.people)
        with running.web(servers, "webhooks.app:main", home / "web.log", UNLIMITED) as (_, port):
            kinds = _measured(port, options.each)
    _show(kinds, options.each)
    furthest = max(apart(one, other) for one, other in combinations(kinds, 2))
    figures = {kind.name: {"median_ms": round(kind.median, 3), "iqr_ms": round(kind.noise, 3)} for kind in kinds}
    report.close("answers", {"furthest_to_noise": round(furthest, 2)}, {"each": options.each, **figures})


def _fill(servers: running.Servers, each: int, people: int) -> None:
    report.progress(f"{people:,} people, and {each:,} of each kind")
    pool = make_pool(servers.places.database_url, size=1)
    with transaction(make_sessions(pool)) as session:
        demo_organisation.load(session)
    pool.dispose()
    with psycopg.connect(servers.places.database_url, autocommit=True) as connection:
        there = [letter for name, letter in KINDS.items() if name != "new"]
        connection.execute(_CONTACTS, {"kinds": there, "each": each, "people": people})
        connection.execute(_YES)
        for reason in SUPPRESSED:
            connection.execute(_STOPPED, {"reason": reason, "like": f"{KINDS[reason]}.%"})
        connection.execute(_ASKED)
        connection.execute("VACUUM ANALYZE")


def _measured(port: int, each: int) -> list[Kind]:
    """All kinds in turns, in an order that changes; the first answers of each warm the process and do not count."""
    chosen, found = random.Random(27), {name: list[float]() for name in KINDS}
    signer, answers = Signer(Settings().signing_keys), set[bytes]()
    with urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1) as door:
        for number in range(1, each + WARM + 1):
            order = list(KINDS)
            chosen.shuffle(order)
            for name in order:
                email = f"{KINDS[name]}.{number:06}@example.org"
                body = urlencode(_typed(signer, email))
                began = perf_counter()
                answer = door.request("POST", f"/{FORM}", body=body, headers={"Content-Type": TYPE}, retries=False)
                took = (perf_counter() - began) * 1000
                if answer.status != 200:
                    raise Failed(f"{name}: answered {answer.status}")
                answers.add(answer.data.replace(email.encode(), b"HER ADDRESS"))
                if number > WARM:
                    found[name].append(took)
    if len(answers) != 1:
        raise Failed(f"{len(answers)} different answers")
    return [Kind(name, milliseconds) for name, milliseconds in found.items()]


def _typed(signer: Signer, email: str) -> Mapping[str, str]:
    stamp = Stamp.fresh(FORM, datetime.now(UTC), aged=True)
    return {"stamp": stamp.token(signer), "website": "", "email": email, "zip": "01605", "first_name": "Rosa"}


def _show(kinds: Sequence[Kind], each: int) -> None:
    title = f"POST /join, {each:,} answers about each kind of address; load {report.busy()} for each core"
    columns = ("address", "median ms", "quartiles", "IQR", "furthest other", "in its noise", "")
    report.table(title, columns, list(_lines(kinds)))


def _lines(kinds: Sequence[Kind]) -> Iterator[list[str]]:
    for kind in kinds:
        far = max((other for other in kinds if other is not kind), key=lambda other: apart(kind, other))
        low, high = kind.quartiles
        numbers = [
            f"{kind.median:.3f}",
            f"{low:.3f} to {high:.3f}",
            f"{kind.noise:.3f}",
            far.name,
            f"{apart(kind, far):.2f}",
        ]
        yield [kind.name, *numbers, "yes" if apart(kind, far) < 1 else "NO"]
