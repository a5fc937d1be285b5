"""What tests of the doctor look with: names and providers that say what they are told to, settings of production."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.doctor.findings import Finding
from engine.errors import GroundswellError, Unavailable
from engine.ports import RedisState
from engine.settings import Settings
from tests import signing

STRONG = "k8Jq2vX0pLw9zR4tB7nM1cY6hD3sG5fA"
HOST = "https://give.groundswell.test"
GOOD_REDIS = RedisState("8.6.3", 6379, True, "noeviction", 1024**2, 256 * 1024**2, (), 0)


@dataclass
class FakeNames:
    """Names that say what is written here; `away`: nobody answers."""

    records: dict[str, list[str]] = field(default_factory=dict)
    away: bool = False

    def texts(self, name: str) -> Sequence[str]:
        if self.away:
            raise Unavailable("DNS does not answer (LifetimeTimeout)")
        return self.records.get(name, [])


@dataclass
class FakeProvider:
    """Both providers, as far as they are asked: `error` is what they answer with."""

    error: GroundswellError | None = None
    asked: list[str] = field(default_factory=list)

    def events(self, **_: Any) -> Iterator[Any]:
        return self._answer("stripe")

    def listed(self, kind: str, start: int = 0) -> Iterator[Any]:
        return self._answer("sendgrid")

    def _answer(self, name: str) -> Iterator[Any]:
        self.asked.append(name)
        if self.error:
            raise self.error
        yield from ()


def production(**more: Any) -> Settings:
    """Strong settings of production, with these changed."""
    strong: dict[str, Any] = {
        "env": "production", "base_url": HOST, "secret_key": STRONG, "database_url": "postgresql://db.example.org/g",
        "redis_url": "redis://redis.example.org", "actblue_webhook_credentials": f"actblue:{STRONG}",
        "sendgrid_api_key": f"SG.{STRONG}", "sendgrid_webhook_public_keys": signing.public(),
        "operator_email": "ops@example.org", "stripe_api_key": f"rk_live_{STRONG}",
        "stripe_webhook_secrets": f"whsec_{STRONG}",
    }  # fmt: skip
    return Settings(**(strong | more))


def named(found: Sequence[Finding], check: str) -> Finding:
    """The one finding of this check."""
    (finding,) = [finding for finding in found if finding.check == check]
    return finding


def levels(found: Sequence[Finding]) -> dict[str, str]:
    return {finding.check: finding.level for finding in found}
