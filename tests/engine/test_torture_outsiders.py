"""What the torture's load and stand-ins stand on: the same seed gives the same gifts, what is not taken comes again, the mail
provider misbehaves for as long as it is told to and writes down what it took."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from bench.torture import envelopes, people
from bench.torture.journal import Journal, Writer
from bench.torture.mail_provider import MIXED, TROUBLES, Provider
from bench.torture.money import Account, ActBlue
from bench.torture.posting import Poster, Request


def told(seed: int) -> list[str]:
    account, actblue = Account(random.Random(seed)), ActBlue(random.Random(seed), first=1)
    found = [one for number in range(20) for one in account.happening(people.giver(number))]
    found += [one for number in range(20) for one in actblue.order(people.giver(number))]
    return [f"{one.kind} {one.facts} {one.copies} {one.delay}" for one in found]


def test_the_same_seed_gives_the_same_gifts_and_another_others():
    assert told(1) == told(1)
    assert told(1) != told(2)


def test_what_is_not_taken_comes_again_until_it_is_and_what_is_refused_does_not(tmp_path: Path):
    answers = iter([b"HTTP/1.1 503 Busy\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 401 No\r\n\r\n"])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(next(answers))
        writer.close()

    async def scenario() -> tuple[int, int]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            poster = Poster([url], Writer(tmp_path / "journal.jsonl"), random.Random(1))
            request = Request("/x", b"", dict)
            first = await poster.later(poster.journal.intend("gift", "actblue", "key"), request)
            second = await poster.later(poster.journal.intend("intruder", "actblue", "other"), request)
            assert await poster.drained(5)
        return first, second

    assert asyncio.run(scenario()) == (200, 401)
    gift, intruder = Journal(tmp_path).read().of()
    assert [each.status for each in gift.answers] == [503, 0, 200]
    assert len(gift.sent) == 3
    assert gift.acked_at == gift.answers[-1].at
    assert [each.status for each in intruder.answers] == [401]
    assert (intruder.acked_at, intruder.over) == (None, True)


def letter(message: str, to: str) -> dict[str, object]:
    return {"personalizations": [{
        "to": [{"email": to}], "custom_args": {"gs_message": message, "gs_handover": "h"},
        "headers": {"List-Unsubscribe": "<-stop->"}, "substitutions": {"-stop-": "https://torture.example.org/u/token"},
    }]}  # fmt: skip


def test_the_mail_provider_writes_down_what_it_took_and_tells_of_it(tmp_path: Path):
    provider = Provider(tmp_path / "accepted.jsonl", seed=3)
    for number in range(200):
        provider.take(letter(f"m{number}", f"p{number}@example.org"), "id", "ok")
    log = [json.loads(line) for line in (tmp_path / "accepted.jsonl").read_text().splitlines()]
    assert [each["message"] for each in log] == [f"m{number}" for number in range(200)]
    assert {each["stop"] for each in log} == {"https://torture.example.org/u/token"}
    events = [event for _, _, event in provider._events]
    kinds = {event["event"] for event in events}
    assert {"processed", "delivered", "bounce"} <= kinds
    assert any(event["email"].startswith("nobody@") for event in events), "of a letter that nobody knows"
    known = {(event["gs_message"], event["event"]) for event in events}
    assert len(known) < len(events), "some are told twice"
    assert len({message for message, kind in known if kind == "processed"}) < 200, "of some it never tells"
    provider.close()


def test_it_misbehaves_as_it_is_told_to_and_no_longer(tmp_path: Path):
    provider = Provider(tmp_path / "accepted.jsonl", seed=3)
    assert provider.next() == "ok"
    provider.behave("unauthorized", 60)
    assert provider.next() == "unauthorized"
    provider.behave(MIXED, 60)
    assert {provider.next() for _ in range(300)} == set(TROUBLES)
    provider.behave(MIXED, -1)
    assert provider.next() == "ok"
    with pytest.raises(ValueError, match="no mode asleep"):
        provider.behave("asleep", 1)
    provider.close()


def test_a_signature_is_made_anew_for_each_try():
    request = envelopes.stripe(b"{}", ago=envelopes.TOLERANCE + 1)
    fresh = envelopes.stripe(b"{}")
    assert request.headers()["Stripe-Signature"] < fresh.headers()["Stripe-Signature"]
