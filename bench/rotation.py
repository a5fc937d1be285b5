"""Every secret of an installation, and how each is replaced by another while it runs, in two rounds of restarts.

Round one: each process takes the old and the new one, and works with the new where two are good outside (the key of the mail
provider, a second role of Postgres, a second user of Redis). `SECRET_KEY` itself stays: the new one is among
`RETIRED_SECRET_KEYS`, so that whoever is restarted later can read what is signed with it then. Between the rounds senders
are told the new ones. Round two: the new ones alone; the old `SECRET_KEY` is retired. Then the old ones are taken away.
"""

from base64 import b64encode
from dataclasses import dataclass, field

import psycopg
import redis
from psycopg import sql

from bench import fleet, running
from bench.letterbox import Front, Letterbox
from bench.report import Failed, progress
from bench.visitors import Known, secret
from engine.db import driver_url
from tests.make import stripe_signature

ROLE, USER = "groundswell_2", "second"
SENDERS = ("ACTBLUE_WEBHOOK_CREDENTIALS", "STRIPE_WEBHOOK_SECRETS", "SIGNUP_WEBHOOK_TOKENS")


def _made() -> dict[str, str]:
    return {
        "ACTBLUE_WEBHOOK_CREDENTIALS": f"actblue:{secret()}", "STRIPE_WEBHOOK_SECRETS": f"whsec_{secret()}",
        "SIGNUP_WEBHOOK_TOKENS": secret(), "SECRET_KEY": secret(), "SENDGRID_API_KEY": f"SG.{secret()}",
    }  # fmt: skip


@dataclass(slots=True)
class Secrets:
    """The present ones (`now`) and those that will be."""

    servers: running.Servers
    mail: Letterbox
    now: dict[str, str] = field(default_factory=_made)
    then: dict[str, str] = field(default_factory=_made)

    def __post_init__(self) -> None:
        self.now["SENDGRID_WEBHOOK_PUBLIC_KEYS"], self.then["SENDGRID_WEBHOOK_PUBLIC_KEYS"] = self.mail.public_keys
        self.mail.say(keys=[self.now["SENDGRID_API_KEY"]], sign=0)

    def environment(self) -> dict[str, str]:
        """The variables of each process with the present ones."""
        places = self.servers.places
        return {
            **fleet.production(self.servers.addresses, places.data_dir), **self.now, "SENDGRID_HOST": self.mail.url,
        }  # fmt: skip

    def stage(self, number: int) -> dict[str, str]:
        """The variables of each process in this round."""
        if number == 0:
            moved = self._second_accounts()
            self.mail.say(keys=[self.now["SENDGRID_API_KEY"], self.then["SENDGRID_API_KEY"]])
            both = {name: f"{self.then[name]},{self.now[name]}" for name in (*SENDERS, "SENDGRID_WEBHOOK_PUBLIC_KEYS")}
            key = {"SENDGRID_API_KEY": self.then["SENDGRID_API_KEY"], "RETIRED_SECRET_KEYS": self.then["SECRET_KEY"]}
            return self.environment() | moved | both | key
        moved = self._second_addresses()
        return self.environment() | moved | self.then | {"RETIRED_SECRET_KEYS": self.now["SECRET_KEY"]}

    def told_outside(self, number: int, known: Known, mail: Letterbox) -> None:
        """After a round: senders use the new ones; after the last the old accounts and keys are taken away."""
        if number == 0:
            known.actblue, known.stripe, known.signup = (self.then[name] for name in SENDERS)
            mail.say(sign=1)
            return
        mail.say(keys=[self.then["SENDGRID_API_KEY"]])
        progress("the old accounts are closed")
        with redis.Redis.from_url(self.servers.places.redis_url) as first:
            first.execute_command("ACL", "SETUSER", "default", "off")
        with psycopg.connect(driver_url(self.servers.places.database_url), autocommit=True) as owner:
            found = owner.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'groundswell%%' AND usename <> %s",
                [ROLE],
            ).fetchone()
        if found and found[0]:
            raise Failed(f"{found[0]} connections are still those of the old role")

    def check(self, front: Front, known: Known) -> None:
        """The old ones open nothing any more, and old links do. Raises Failed."""
        body = b"{}"
        name, value = stripe_signature(body, secret=self.now["STRIPE_WEBHOOK_SECRETS"])
        basic = b64encode(self.now["ACTBLUE_WEBHOOK_CREDENTIALS"].encode()).decode()
        asked = {
            "/webhooks/actblue": ({"Authorization": f"Basic {basic}"}, 401),
            "/webhooks/signup": ({"Authorization": f"Bearer {self.now['SIGNUP_WEBHOOK_TOKENS']}"}, 401),
            "/webhooks/stripe": ({name: value}, 400),
        }
        with front.pool() as pool:
            for path, (headers, refused) in asked.items():
                told = headers | {"Host": front.host, "Content-Type": "application/json"}
                if (status := pool.request("POST", path, body=body, headers=told).status) != refused:
                    raise Failed(f"{path} answers {status} to a secret that was replaced")
            for link in known.links[:20]:
                if (status := pool.request("GET", link, headers={"Host": front.host}).status) != 200:
                    raise Failed(f"a link of before the key was replaced is answered {status}")
        print("every secret was replaced; the old ones are refused, links of before still work")

    def _second_accounts(self) -> dict[str, str]:
        password = self.then["DATABASE_PASSWORD"] = secret()
        redis_password = self.then["REDIS_PASSWORD"] = secret()
        places = self.servers.places
        with psycopg.connect(driver_url(places.database_url), autocommit=True) as owner:
            owner.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(ROLE), sql.Literal(password), sql.Identifier("groundswell")
                )
            )
        with redis.Redis.from_url(places.redis_url) as first:
            first.execute_command("ACL", "SETUSER", USER, "on", f">{redis_password}", "~*", "&*", "+@all")
        return self._second_addresses()

    def _second_addresses(self) -> dict[str, str]:
        places = self.servers.places
        query = places.database_url.partition("?")[2].partition("&")[0]
        path = places.redis_url.removeprefix("unix://")
        return {
            "DATABASE_URL": f"postgresql://{ROLE}:{self.then['DATABASE_PASSWORD']}@/groundswell?{query}",
            "REDIS_URL": f"unix://{USER}:{self.then['REDIS_PASSWORD']}@{path}",
        }
