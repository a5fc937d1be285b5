"""The doctor's look at keys, providers, Redis and the domains that letters come from."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.adapters import redis_look
from engine.adapters.bells import RedisBells
from engine.adapters.limiter import RedisLimiter
from engine.doctor import configuration, mail_domains, providers
from engine.doctor import redis_server as redis
from engine.errors import Forbidden, GroundswellError, Unavailable
from engine.ports import RedisState
from engine.settings import Settings
from tests.conftest import Servers
from tests.doctor import GOOD_REDIS, STRONG, FakeNames, FakeProvider, levels, named, production
from tests.fakes import FakeClock

NOW = FakeClock.now
GOOD_DNS = {
    "example.org": ["v=spf1 include:sendgrid.net ~all", "another-word"],
    "s1._domainkey.example.org": ["k=rsa; t=s; p=MIGfMA0"],
    "_dmarc.example.org": ["v=DMARC1; p=none; rua=mailto:post@example.org"],
}


def test_all_that_production_refuses_is_a_finding_each():
    with pytest.raises(ValidationError) as raised:
        production(secret_key="short", base_url="http://give.groundswell.test", operator_email="")
    found = configuration.refused(raised.value)
    assert [finding.level for finding in found] == ["wrong"] * 3
    for finding, name in zip(found, ("OPERATOR_EMAIL", "BASE_URL", "SECRET_KEY"), strict=True):
        assert finding.seen.startswith(name)
        assert finding.advice


def test_any_other_setting_that_cannot_be_is_named():
    with pytest.raises(ValidationError) as raised:
        Settings(api_minute=0)
    (finding,) = configuration.refused(raised.value)
    assert (finding.level, finding.seen.startswith("API_MINUTE: ")) == ("wrong", True)


def test_the_keys_of_a_good_production_are_right_and_shown_to_nobody():
    found = configuration.of_keys(production())
    assert set(levels(found).values()) == {"ok"}
    assert len(found) == 4
    assert STRONG not in repr(found)


@pytest.mark.parametrize(
    ("change_of", "check", "level"),
    [
        ({"stripe_api_key": f"pk_live_{STRONG}"}, configuration.STRIPE, "wrong"),
        ({"stripe_api_key": None, "stripe_webhook_secrets": None}, configuration.STRIPE, "ok"),
        ({"stripe_webhook_secrets": None}, configuration.STRIPE_WEBHOOK, "wrong"),
        ({"sendgrid_api_key": f"sk_live_{STRONG}"}, configuration.SENDGRID, "wrong"),
        ({"sendgrid_webhook_public_keys": ""}, configuration.SENDGRID_WEBHOOK, "warning"),
    ],
)
def test_a_key_that_is_missing_or_of_another_kind_is_found(change_of: dict[str, Any], check: str, level: str):
    assert named(configuration.of_keys(production(**change_of)), check).level == level


@pytest.mark.parametrize(("key", "level"), [("sk_test_", "ok"), ("rk_live_", "wrong"), ("whsec_", "wrong")])
def test_development_has_a_test_key_or_none(key: str, level: str):
    found = configuration.of_keys(Settings(stripe_api_key=key + STRONG, stripe_webhook_secrets=f"whsec_{STRONG}"))
    assert named(found, configuration.STRIPE).level == level
    assert set(levels(configuration.of_keys(Settings())).values()) == {"ok"}


def test_a_test_key_in_production_is_wrong_wherever_it_comes_from():
    settings = production().model_copy(
        update={"stripe_api_key": Settings(stripe_api_key=f"sk_test_{STRONG}").stripe_api_key}
    )
    assert named(configuration.of_keys(settings), configuration.STRIPE).level == "wrong"


def test_a_webhook_secret_that_is_none_is_found_in_development():
    found = configuration.of_keys(Settings(stripe_api_key=f"sk_test_{STRONG}", stripe_webhook_secrets=STRONG))
    assert named(found, configuration.STRIPE_WEBHOOK).level == "wrong"


def test_providers_are_asked_once_and_say_whether_they_take_our_keys():
    asked = FakeProvider()
    found = list(providers.asked(asked, asked, NOW))  # type: ignore[arg-type]
    assert (set(levels(found).values()), asked.asked) == ({"ok"}, ["stripe", "sendgrid"])
    assert list(providers.asked(None, None, NOW)) == []


@pytest.mark.parametrize(("error", "level"), [(Forbidden("not this key"), "wrong"), (Unavailable("away"), "warning")])
def test_a_key_that_is_not_taken_is_wrong_and_silence_proves_nothing(error: GroundswellError, level: str):
    asked = FakeProvider(error)
    found = list(providers.asked(asked, asked, NOW))  # type: ignore[arg-type]
    assert set(levels(found).values()) == {level}
    assert {finding.seen for finding in found} == {str(error)}


def test_a_good_redis_has_nothing_to_be_said_against_it():
    assert set(levels(list(redis.of_server(GOOD_REDIS, production=True))).values()) == {"ok"}


@pytest.mark.parametrize(
    ("change_of", "check", "level"),
    [
        ({"appendonly": False}, redis.KEEPS, "wrong"),
        ({"policy": "allkeys-lru"}, redis.POLICY, "wrong"),
        ({"foreign_keys": 3}, redis.ALONE, "warning"),
        ({"other_databases": ("db1",)}, redis.ALONE, "warning"),
        ({"version": "8.2.3"}, redis.VERSION, "warning"),
        ({"version": "8.2.3", "port": 0}, redis.VERSION, "ok"),
        ({"version": "8.10.0"}, redis.VERSION, "ok"),
        ({"version": ""}, redis.VERSION, "warning"),
        ({"used_bytes": 200 * 1024**2}, redis.MEMORY, "warning"),
    ],
)
def test_what_is_wrong_with_a_redis_is_found(change_of: dict[str, Any], check: str, level: str):
    found = list(redis.of_server(replace(GOOD_REDIS, **change_of), production=True))
    assert [finding.check for finding in found if finding.level != "ok"] == ([] if level == "ok" else [check])
    assert named(found, check).level == level


def test_a_redis_that_forgets_is_a_warning_in_development():
    found = redis.of_server(replace(GOOD_REDIS, appendonly=False, policy="allkeys-lru"), production=False)
    assert [finding.level for finding in found if finding.level != "ok"] == ["warning", "warning"]


def test_what_redis_says_of_itself_is_read():
    info = {
        "redis_version": "8.6.3", "tcp_port": 0, "aof_enabled": 1, "maxmemory_policy": "noeviction", "used_memory": 7,
        "maxmemory": 9, "db0": {"keys": 2}, "db3": {"keys": 1},
    }  # fmt: skip
    assert redis_look.state(info, 0, 4) == RedisState("8.6.3", 0, True, "noeviction", 7, 9, ("db3",), 4)


def test_a_real_redis_is_looked_at_and_one_that_is_away_is_told(servers: Servers, tmp_path: Path):
    seen = redis_look.look(servers.redis_url)
    assert redis.numbers(seen.version) > (6,)
    assert seen.policy == "noeviction"
    with pytest.raises(Unavailable):
        redis_look.look(f"unix://{tmp_path}/none.sock")


def test_keys_of_bells_and_limits_are_ours_and_any_other_is_not(servers: Servers):
    before = redis_look.look(servers.redis_url).foreign_keys
    assert RedisLimiter(servers.redis_url).hit("the doctor", 5, timedelta(seconds=60))
    ringing = RedisBells(servers.redis_url)
    ringing.ring("a bell that nobody answers")
    ringing.close()
    assert redis_look.look(servers.redis_url).foreign_keys == before
    with closing(Redis.from_url(servers.redis_url)) as client:
        client.set("of somebody else", "1", ex=60)
        assert redis_look.look(servers.redis_url).foreign_keys == before + 1
        client.delete("of somebody else")


def asked(records: dict[str, list[str]], domain: str = "example.org") -> dict[str, str]:
    return levels(mail_domains.asked(FakeNames(records), [domain], production=True))


def test_a_domain_that_says_all_three_is_right():
    assert asked(GOOD_DNS) == {f"{what} of example.org": "ok" for what in ("SPF", "DKIM", "DMARC")}


@pytest.mark.parametrize(
    ("name", "records", "check", "level"),
    [
        ("example.org", [], "SPF", "warning"),
        ("example.org", ["v=spf1 -all", "v=spf1 ~all"], "SPF", "wrong"),
        ("s1._domainkey.example.org", [], "DKIM", "warning"),
        ("s1._domainkey.example.org", ["k=rsa; p="], "DKIM", "warning"),
        ("_dmarc.example.org", [], "DMARC", "wrong"),
        ("_dmarc.example.org", ["v=DMARC1; p=none", "v=DMARC1; p=reject"], "DMARC", "wrong"),
        ("_dmarc.example.org", ["v=DMARC1; rua=mailto:post@example.org"], "DMARC", "wrong"),
    ],
)
def test_what_a_domain_does_not_say_is_found(name: str, records: list[str], check: str, level: str):
    found = asked(GOOD_DNS | {name: records})
    assert {what: how for what, how in found.items() if how != "ok"} == {f"{check} of example.org": level}


def test_a_domain_below_is_aligned_unless_strictness_is_asked_for():
    spf = {"news.example.org": ["v=spf1 include:sendgrid.net ~all"]}
    assert set(asked(GOOD_DNS | spf, "news.example.org").values()) == {"ok"}
    strict = spf | {"_dmarc.example.org": ["v=DMARC1; p=reject; adkim=s"]}
    assert asked(GOOD_DNS | strict, "news.example.org")["DKIM of news.example.org"] == "wrong"
    assert asked(GOOD_DNS | strict)["DKIM of example.org"] == "ok"


def test_dns_that_does_not_answer_proves_nothing_and_a_house_without_senders_is_wrong():
    away = mail_domains.asked(FakeNames(away=True), ["example.org"], production=True)
    assert levels(away) == {"domain example.org": "warning"}
    assert levels(mail_domains.asked(FakeNames(), [], production=True)) == {"senders": "wrong"}


def test_a_domain_that_says_nothing_is_a_warning_in_development():
    assert set(levels(mail_domains.asked(FakeNames(), ["example.org"], production=False)).values()) == {"warning"}


def test_the_domains_are_those_that_chapters_write_from(session: Session):
    session.execute(text("UPDATE chapter SET sender_email = ''"))
    session.execute(text("UPDATE chapter SET sender_email = 'Post@News.example.org' WHERE slug = 'worcester'"))
    assert list(mail_domains.domains(session)) == ["news.example.org"]
