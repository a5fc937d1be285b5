"""Settings: one frozen object read when a process starts, from the environment and, where a folder of secrets is named, from
its files. Nothing else reads the environment."""

import os
import re
import shlex
import sys
from base64 import b64decode
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, StringConstraints, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
DEVELOPMENT_SECRET = "development-only-and-refused-in-production"  # noqa: S105 not one
DEVELOPMENT_CREDENTIALS = f"actblue:{DEVELOPMENT_SECRET}"
DEVELOPMENT_STRIPE_SECRET = f"whsec_{DEVELOPMENT_SECRET}"
SHORTEST_SECRET = 32
SOONEST_LETTER_DAYS = 370  # whoever asks for letters of the last year need not ask the archive
PLACEHOLDERS = ("example.org", "example.com", "example.net")  # nobody's hosts: what documents write for yours
_IN_A_PATH = re.compile(r"[A-Za-z0-9_-]+")
_AN_ORIGIN = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?|http://(localhost|127\.0\.0\.1)(:\d+)?", re.ASCII)
SECRETS_DIR = "GROUNDSWELL_SECRETS_DIR"
P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")  # how its public keys begin

_Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+$")]


class Settings(BaseSettings):
    """Everything that may differ between two installations. Field names are the variables' names in lower case."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True, env_ignore_empty=True
    )

    env: Literal["development", "production"] = Field("development", validation_alias="GROUNDSWELL_ENV")
    secrets_dir: Path | None = Field(None, validation_alias=SECRETS_DIR)
    data_dir: Path = Field(ROOT / ".groundswell", validation_alias="GROUNDSWELL_DATA_DIR")
    base_url: _Url = "http://127.0.0.1:8000"
    allowed_hosts: str = ""
    trusted_proxies: str = ""
    secret_key: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    retired_secret_keys: SecretStr | None = None
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    actblue_webhook_credentials: SecretStr = SecretStr(DEVELOPMENT_CREDENTIALS)
    signup_webhook_tokens: SecretStr | None = None
    actionnetwork_webhook_secrets: SecretStr | None = None
    stripe_api_key: SecretStr | None = None
    stripe_api_base: _Url = "https://api.stripe.com"
    stripe_webhook_secrets: SecretStr | None = None
    refund_fraud_warnings: bool = False
    sendgrid_api_key: SecretStr | None = None
    sendgrid_host: _Url = "https://api.sendgrid.com"
    sendgrid_webhook_public_keys: str = ""
    operator_email: str = ""
    embed_origins: str = ""
    join_network_hourly: int = Field(5, ge=1)
    join_address_daily: int = Field(5, ge=1)
    join_most_10_minutes: int = Field(60, ge=1)
    join_most_hour: int = Field(200, ge=1)
    give_network_minute: int = Field(3, ge=1)
    give_form_minute: int = Field(30, ge=1)
    own_form_donors: Literal["thanks", "news", "all"] = "news"
    other_form_donors: Literal["thanks", "news", "all"] = "thanks"
    letter_age_hours: int = Field(48, ge=1)
    time_zone: str = "America/New_York"
    letters_a_day: int = Field(2, ge=1)
    letters_a_week: int = Field(5, ge=1)
    letters_a_week_fewer: int = Field(1, ge=1)
    national_first: Literal["national", "chapter", "equal"] = "equal"
    ask_rest_days: int = Field(7, ge=1, le=365)
    mail_per_second: int = Field(0, ge=0)
    mail_domain_per_second: int = Field(0, ge=0)
    open_tracking: bool = False
    most_bounces_percent: float = Field(5.0, gt=0, le=100)
    most_complaints_percent: float = Field(0.2, gt=0, le=100)
    most_unsubscribes_percent: float = Field(2.0, gt=0, le=100)
    hold_people: int = Field(500, ge=0)
    hold_minutes: int = Field(10, ge=0)
    second_approver: bool = False
    raw_body_days: int = Field(90, ge=1)
    feedback_days: int = Field(90, ge=7)
    event_days: int = Field(2557, ge=400)
    letter_days: int = Field(400, ge=SOONEST_LETTER_DAYS)
    archive_years: int = Field(10, ge=0)
    api_minute: int = Field(600, ge=1)
    spark_people: int = Field(15, ge=2)
    import_megabytes: int = Field(1024, ge=1)
    supervised: bool = Field(False, validation_alias="GROUNDSWELL_SUPERVISED")
    worker_group: str = Field("all", validation_alias="GROUNDSWELL_WORKER_GROUP")
    web_only: str = Field("hooks,pages,staff,api", validation_alias="GROUNDSWELL_WEB_ONLY")
    drain_seconds: int = Field(0, ge=0, le=15)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(0, ge=0, le=65535)
    log_format: Literal["console", "json"] = "console"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What code says, then the environment, then files that are called as the variables are. Raises ValueError when the
        folder that is named is not there: its secrets would be taken for missing ones."""
        del dotenv_settings, file_secret_settings
        folder = os.environ.get(SECRETS_DIR)
        if folder and not Path(folder).is_dir():
            raise ValueError(f"{SECRETS_DIR} names {folder}, which is no folder")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, folder or None)

    @property
    def development(self) -> bool:
        """Whether this is a developer's or a visitor's machine: no mail can leave it."""
        return self.env == "development"

    @property
    def hosts(self) -> list[str]:
        """The Host headers that are answered: BASE_URL's, ALLOWED_HOSTS, and this machine's own."""
        named = [host.strip() for host in self.allowed_hosts.split(",") if host.strip()]
        return [urlsplit(self.base_url).hostname or "localhost", *named, "localhost", "127.0.0.1"]

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """What links are signed with: the retired keys, whose links still work, and last the present one, which signs."""
        return (*_listed(self.retired_secret_keys), self.secret_key.get_secret_value())

    @property
    def secrets(self) -> list[str]:
        """Every secret, and each part of those that are lists, pairs or addresses: what may stand in no log."""
        held = [value.get_secret_value() for name in type(self).model_fields
                if isinstance(value := getattr(self, name), SecretStr)]  # fmt: skip
        parts = [part.strip() for each in held for part in each.split(",")]
        passwords = [unquote(urlsplit(each).password or "") for each in parts if "://" in each]
        return [*parts, *passwords, *(part.partition(":")[2] for part in parts if "://" not in part)]

    @property
    def metrics_url(self) -> str:
        """Where the numbers are; empty when nobody serves them."""
        return f"http://{self.metrics_host}:{self.metrics_port}/metrics" if self.metrics_port else ""

    @property
    def mailbox_file(self) -> Path:
        """The development mailbox: one line a letter handed over, doubles included."""
        return self.data_dir / "mailbox" / "letters.jsonl"

    @property
    def payments_dir(self) -> Path:
        """Where development's own payment processor keeps what was paid."""
        return self.data_dir / "payments"

    def command(self, *words: str) -> str:
        """A line that runs our command on this installation, wherever it is typed: "…/groundswell demo --data-dir …"."""
        beside = Path(sys.executable).with_name("groundswell")
        program = str(beside) if beside.exists() else beside.name
        return shlex.join([program, *words, "--data-dir", str(self.data_dir.resolve())])

    @property
    def actblue_credentials(self) -> tuple[str, ...]:
        """Every valid `user:password`. Two are valid at once while one is being replaced."""
        return _listed(self.actblue_webhook_credentials)

    @property
    def signup_tokens(self) -> tuple[str, ...]:
        """Every valid bearer token of other systems' sign-ups. None in production: none may come in."""
        return _listed(self.signup_webhook_tokens) or self._development_secret

    @property
    def actionnetwork_secrets(self) -> tuple[str, ...]:
        """Every valid last part of Action Network's webhook address. None in production: the address does not exist."""
        return _listed(self.actionnetwork_webhook_secrets) or self._development_secret

    @property
    def _development_secret(self) -> tuple[str, ...]:
        return (DEVELOPMENT_SECRET,) if self.development else ()

    @property
    def sendgrid_public_keys(self) -> tuple[str, ...]:
        """Every key that SendGrid's events may be signed with: base64. Two are valid at once while one is being replaced."""
        return tuple(part.strip() for part in self.sendgrid_webhook_public_keys.split(",") if part.strip())

    @property
    def embedders(self) -> tuple[str, ...]:
        """The sites that may show our forms in a frame, as origins: "https://commonground.example.org"."""
        return tuple(part.strip() for part in self.embed_origins.split(",") if part.strip())

    @property
    def stripe_secrets(self) -> tuple[str, ...]:
        """Every valid signing secret of Stripe's webhooks. Production has none until it is told one."""
        return _listed(self.stripe_webhook_secrets) or ((DEVELOPMENT_STRIPE_SECRET,) if self.development else ())

    @model_validator(mode="after")
    def _strong_in_production(self) -> Self:
        if not self.development and (weak := list(_weaknesses(self))):
            raise ValueError("production refuses to start: " + "; ".join(weak))
        if self.refund_fraud_warnings and self.stripe_api_key is None:
            raise ValueError("REFUND_FRAUD_WARNINGS needs STRIPE_API_KEY: nobody else can give the money back")
        if not all(":" in pair for pair in self.actblue_credentials):
            raise ValueError("ACTBLUE_WEBHOOK_CREDENTIALS must be user:password, several separated by commas")
        if not all(map(_network, self.trusted_proxies.split(","))):
            raise ValueError(
                "TRUSTED_PROXIES must be addresses or networks, separated by commas; uvicorn looks up no names"
            )
        if not all(_IN_A_PATH.fullmatch(secret) for secret in self.actionnetwork_secrets):
            raise ValueError(
                "ACTIONNETWORK_WEBHOOK_SECRETS must be letters, digits, - and _, for they stand in an address"
            )
        if not all(map(_origin, self.embedders)):
            raise ValueError("EMBED_ORIGINS must be like https://www.example.org, without a path, separated by commas")
        return self

    @model_validator(mode="after")
    def _sensible_about_mail(self) -> Self:
        if not _zone(self.time_zone):
            raise ValueError("TIME_ZONE must be the name of a time zone, like America/New_York")
        if not all(map(_public_key, self.sendgrid_public_keys)):
            raise ValueError(
                "SENDGRID_WEBHOOK_PUBLIC_KEYS must be keys as SendGrid shows them, several separated by commas"
            )
        return self


def _network(written: str) -> bool:
    try:
        return written.strip() in ("", "*") or bool(ip_network(written.strip()))
    except ValueError:
        return False


def _zone(written: str) -> bool:
    try:
        return bool(ZoneInfo(written))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _origin(written: str) -> bool:
    """Whether this is the origin of a site: https, or this machine's own, host, and no more than a port."""
    return bool(_AN_ORIGIN.fullmatch(written))


def _public_key(written: str) -> bool:
    """Whether this is the base64 of a P-256 key. The adapter that uses it costs too much to import for every process."""
    try:
        raw = b64decode(written, validate=True)
    except ValueError:
        return False
    return raw.startswith(P256) and len(raw) == len(P256) + 64


def _listed(secret: SecretStr | None) -> tuple[str, ...]:
    raw = secret.get_secret_value() if secret else ""
    return tuple(part.strip() for part in raw.split(",") if part.strip())


def _weaknesses(settings: Settings) -> list[str]:
    """What production may not start with, each named by its variable; values are never shown."""
    found = [
        f"{name.upper()} is missing"
        for name in ("database_url", "redis_url", "sendgrid_api_key", "operator_email")
        if not getattr(settings, name)
    ]
    found += _misaddressed(settings.base_url)
    found += [
        f"{name.upper()} must be https, or this machine's own address"
        for name in ("sendgrid_host", "stripe_api_base")
        if not _travels_safely(getattr(settings, name))
    ]
    if _weak(settings.secret_key.get_secret_value()):
        found.append(f"SECRET_KEY is missing or weak (at least {SHORTEST_SECRET} characters, not the development one)")
    if any(map(_weak, _listed(settings.retired_secret_keys))):
        found.append(
            f"RETIRED_SECRET_KEYS is weak (each at least {SHORTEST_SECRET} characters, not the development one)"
        )
    passwords = [pair.partition(":")[2] for pair in settings.actblue_credentials]
    if not passwords or any(map(_weak, passwords)):
        found.append(
            f"ACTBLUE_WEBHOOK_CREDENTIALS is missing or weak (passwords of at least {SHORTEST_SECRET} characters)"
        )
    found += [
        f"{name.upper()} is weak (each at least {SHORTEST_SECRET} characters, not the development one)"
        for name in ("signup_webhook_tokens", "actionnetwork_webhook_secrets")
        if any(map(_weak, _listed(getattr(settings, name))))
    ]
    if settings.stripe_api_key and "_test_" in settings.stripe_api_key.get_secret_value():
        found.append("STRIPE_API_KEY is a test key")
    if not all(s.startswith("whsec_") and not _weak(s) for s in settings.stripe_secrets):
        found.append("STRIPE_WEBHOOK_SECRETS is weak (each begins with whsec_)")
    if settings.sendgrid_api_key and len(settings.sendgrid_api_key.get_secret_value()) < SHORTEST_SECRET:
        found.append("SENDGRID_API_KEY is weak")
    return found


def _misaddressed(base_url: str) -> list[str]:
    """Why nobody can be sent there: it is not https, or nobody's host, as examples have it."""
    host = urlsplit(base_url).hostname or ""
    if not base_url.startswith("https://"):
        return ["BASE_URL must be https"]
    if host in PLACEHOLDERS or host.endswith(tuple(f".{each}" for each in PLACEHOLDERS)):
        return ["BASE_URL names a host that documents write for yours: set it to your own"]
    return []


def _travels_safely(url: str) -> bool:
    """Whether nobody on the way can read what is sent there: a key, and people's letters."""
    told = urlsplit(url)
    try:
        return told.scheme == "https" or told.hostname == "localhost" or ip_address(told.hostname or "").is_loopback
    except ValueError:  # a name
        return False


def _weak(secret: str) -> bool:
    return len(secret) < SHORTEST_SECRET or secret.endswith(DEVELOPMENT_SECRET) or len(set(secret)) < 8
