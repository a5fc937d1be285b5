"""Settings: production starts only when everything that must be strong is; no value is ever shown."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from engine.cli.system import masked
from engine.settings import DEVELOPMENT_CREDENTIALS, DEVELOPMENT_SECRET, DEVELOPMENT_STRIPE_SECRET, Settings
from tests.commands import Done, run
from tests.system import clean_environment

STRONG = "k8Jq2vX0pLw9zR4tB7nM1cY6hD3sG5fA"
PRODUCTION = {
    "GROUNDSWELL_ENV": "production",
    "BASE_URL": "https://give.groundswell.test",
    "SECRET_KEY": STRONG,
    "DATABASE_URL": "postgresql://groundswell:hidden-word@db.example.org/groundswell",
    "REDIS_URL": "rediss://:another-hidden-word@redis.example.org:6380/0",
    "ACTBLUE_WEBHOOK_CREDENTIALS": f"actblue:{STRONG},actblue2:{STRONG[::-1]}",
    "SIGNUP_WEBHOOK_TOKENS": f"{STRONG},{STRONG[::-1]}",
    "ACTIONNETWORK_WEBHOOK_SECRETS": f"{STRONG},{STRONG[::-1]}",
    "SENDGRID_API_KEY": f"SG.{STRONG}",
    "OPERATOR_EMAIL": "ops@example.org",
    "STRIPE_API_KEY": f"rk_live_{STRONG}",
    "STRIPE_WEBHOOK_SECRETS": f"whsec_{STRONG},whsec_{STRONG[::-1]}",
}
SECRETS = (STRONG, STRONG[::-1], "hidden-word")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing of us yet."""
    for name, field in Settings.model_fields.items():
        monkeypatch.delenv(str(field.validation_alias or name.upper()), raising=False)
    return monkeypatch


def starting(environment: pytest.MonkeyPatch, **variables: str | None) -> Settings:
    """Read the settings of production with these variables changed; None leaves one out."""
    for name, value in (PRODUCTION | variables).items():
        if value is not None:
            environment.setenv(name, value)
    return Settings()


def refusal(environment: pytest.MonkeyPatch, **variables: str | None) -> str:
    with pytest.raises(ValidationError) as raised:
        starting(environment, **variables)
    return str(raised.value)


def named(said: str) -> list[str]:
    """The variables of production that this names."""
    return [name for name in PRODUCTION if re.search(rf"\b{name}\b", said)]


def test_a_strong_production_starts(environment: pytest.MonkeyPatch):
    settings = starting(environment)
    assert not settings.development
    assert settings.actblue_credentials == (f"actblue:{STRONG}", f"actblue2:{STRONG[::-1]}")
    assert settings.signup_tokens == settings.actionnetwork_secrets == (STRONG, STRONG[::-1])
    assert settings.hosts[0] == "give.groundswell.test"


def test_production_starts_without_other_systems_and_lets_none_of_them_in(environment: pytest.MonkeyPatch):
    settings = starting(environment, SIGNUP_WEBHOOK_TOKENS=None, ACTIONNETWORK_WEBHOOK_SECRETS=None)
    assert (settings.signup_tokens, settings.actionnetwork_secrets) == ((), ())


@pytest.mark.parametrize("secret", [f"{STRONG}/x", f"{STRONG}?", "sch\u00f6n", "a b"])
def test_a_secret_that_cannot_stand_in_an_address_is_refused_in_development_too(environment, secret: str):
    said = refusal(environment, GROUNDSWELL_ENV="development", ACTIONNETWORK_WEBHOOK_SECRETS=secret)
    assert "ACTIONNETWORK_WEBHOOK_SECRETS must be letters, digits, - and _" in said
    assert secret not in said


@pytest.mark.parametrize("name", ["SENDGRID_HOST", "STRIPE_API_BASE"])
@pytest.mark.parametrize("host", ["api.example.org", "10.0.0.7:8080", "127.0.0.1@elsewhere.example.org"])
def test_production_sends_no_key_over_a_line_that_others_can_read(environment, name: str, host: str):
    said = refusal(environment, **{name: f"http://{host}"})
    assert f"{name} must be https, or this machine's own address" in said
    assert host not in said


def test_a_stand_in_of_this_machine_may_be_asked_without_tls(environment: pytest.MonkeyPatch):
    assert starting(environment, SENDGRID_HOST="http://127.0.0.1:8080", STRIPE_API_BASE="http://localhost:12111")
    assert starting(environment, SENDGRID_HOST="http://127.0.0.2:8080", STRIPE_API_BASE="http://[::1]:1")


def test_production_starts_without_stripe(environment: pytest.MonkeyPatch):
    assert starting(environment, STRIPE_API_KEY=None, STRIPE_WEBHOOK_SECRETS=None).stripe_api_key is None


@pytest.mark.usefixtures("environment")
def test_development_starts_with_nothing_at_all():
    settings = Settings()
    assert settings.development
    assert settings.actblue_credentials == (DEVELOPMENT_CREDENTIALS,)
    assert settings.signup_tokens == settings.actionnetwork_secrets == (DEVELOPMENT_SECRET,)
    assert (settings.database_url, settings.redis_url) == (None, None)


WEAK = [
    ("DATABASE_URL", None), ("DATABASE_URL", ""), ("REDIS_URL", None), ("REDIS_URL", ""), ("SENDGRID_API_KEY", None),
    ("SENDGRID_API_KEY", ""), ("SENDGRID_API_KEY", "SG.too-short"), ("OPERATOR_EMAIL", None), ("OPERATOR_EMAIL", ""),
    ("BASE_URL", None), ("BASE_URL", "http://plain.groundswell.test"), ("BASE_URL", "https://give.example.org"),
    ("BASE_URL", "https://EXAMPLE.com"), ("SECRET_KEY", None), ("SECRET_KEY", ""),
    ("SECRET_KEY", STRONG[:31]), ("SECRET_KEY", "ab" * 32), ("SECRET_KEY", DEVELOPMENT_SECRET),
    ("ACTBLUE_WEBHOOK_CREDENTIALS", None), ("ACTBLUE_WEBHOOK_CREDENTIALS", ""), ("ACTBLUE_WEBHOOK_CREDENTIALS", " , "),
    ("ACTBLUE_WEBHOOK_CREDENTIALS", DEVELOPMENT_CREDENTIALS), ("ACTBLUE_WEBHOOK_CREDENTIALS", "actblue:too-short"),
    ("ACTBLUE_WEBHOOK_CREDENTIALS", f"actblue:{STRONG},old:{STRONG[:31]}"), ("ACTBLUE_WEBHOOK_CREDENTIALS", f"{STRONG}:"),
    ("ACTBLUE_WEBHOOK_CREDENTIALS", f"actblue:{'xy' * 20}"), ("STRIPE_API_KEY", f"sk_test_{STRONG}"),
    ("SIGNUP_WEBHOOK_TOKENS", DEVELOPMENT_SECRET), ("SIGNUP_WEBHOOK_TOKENS", f"{STRONG},{STRONG[:31]}"),
    ("ACTIONNETWORK_WEBHOOK_SECRETS", "too-short"), ("ACTIONNETWORK_WEBHOOK_SECRETS", f"{DEVELOPMENT_SECRET},{STRONG}"),
    ("STRIPE_WEBHOOK_SECRETS", f"whsec_{DEVELOPMENT_SECRET}"), ("STRIPE_WEBHOOK_SECRETS", STRONG + STRONG),
    ("STRIPE_WEBHOOK_SECRETS", "whsec_too-short"),
    ("STRIPE_WEBHOOK_SECRETS", f"whsec_{STRONG},whsec_too-short"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WEAK)
def test_production_refuses_to_start_and_names_the_one_variable_that_is_missing_or_weak(
    environment: pytest.MonkeyPatch, name: str, value: str | None
):
    said = refusal(environment, **{name: value})
    assert "production refuses to start: " in said
    assert named(said) == [name]
    assert not value or value.strip(" ,") == "" or value not in said
    assert [secret for secret in (*SECRETS, DEVELOPMENT_SECRET, "too-short") if secret in said] == []


def test_production_names_everything_that_is_missing_at_once(environment: pytest.MonkeyPatch):
    said = refusal(environment, **dict.fromkeys(set(PRODUCTION) - {"GROUNDSWELL_ENV"}))
    required = set(PRODUCTION) - {"GROUNDSWELL_ENV", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRETS"}
    required -= {"SIGNUP_WEBHOOK_TOKENS", "ACTIONNETWORK_WEBHOOK_SECRETS"}
    assert set(named(said)) == required


@pytest.mark.parametrize("pairs", ["actblue", f"actblue:{STRONG},{STRONG}"])
def test_credentials_without_a_colon_are_refused_in_development_too(environment: pytest.MonkeyPatch, pairs: str):
    said = refusal(environment, GROUNDSWELL_ENV="development", ACTBLUE_WEBHOOK_CREDENTIALS=pairs)
    assert "ACTBLUE_WEBHOOK_CREDENTIALS must be user:password" in said
    assert STRONG not in said


def test_settings_never_change_and_show_no_secret(environment: pytest.MonkeyPatch):
    settings = starting(environment)
    with pytest.raises(ValidationError):
        settings.secret_key = SecretStr("another")  # type: ignore[misc]
    shown = repr(settings) + str(settings) + settings.model_dump_json()
    assert [secret for secret in SECRETS if secret in shown] == []


def groundswell(folder: Path, *command: str, **variables: str) -> Done:
    ours = {name: value for name, value in clean_environment().items() if name not in PRODUCTION}
    return run([*command, "--data-dir", str(folder)], ours | variables)


def test_env_prints_every_setting_and_masks_every_secret(tmp_path: Path):
    done = groundswell(tmp_path, "env", **PRODUCTION)
    assert (done.returncode, done.stderr) == (0, "")
    printed = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert set(printed) == {str(f.validation_alias or n.upper()) for n, f in Settings.model_fields.items()} | {
        "MAILBOX_FILE"
    }
    assert printed["DATABASE_URL"] == "postgresql://groundswell:********@db.example.org/groundswell"
    assert printed["REDIS_URL"] == "rediss://:********@redis.example.org:6380/0"
    assert {printed[name] for name in ("SECRET_KEY", "SENDGRID_API_KEY", "STRIPE_API_KEY")} == {"********"}
    assert printed["OPERATOR_EMAIL"] == "ops@example.org"
    assert [secret for secret in SECRETS if secret in done.stdout] == []


def test_a_command_in_a_weak_production_ends_with_one_line_that_names_it(tmp_path: Path):
    done = groundswell(tmp_path, "env", **PRODUCTION | {"SECRET_KEY": "too-short", "OPERATOR_EMAIL": ""})
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "OPERATOR_EMAIL is missing; SECRET_KEY is missing or weak" in done.stderr
    assert "too-short" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("BASE_URL", "ftp://nonsense"), ("METRICS_PORT", "70000"), ("LOG_FORMAT", "xml"), ("GROUNDSWELL_ENV", "staging")],
)
def test_a_variable_that_is_not_understood_is_named_and_its_value_is_not_shown(tmp_path: Path, name: str, value: str):
    done = groundswell(tmp_path, "env", **{name: value})
    assert (done.returncode, done.stdout) == (1, "")
    assert name.lower() in done.stderr.lower()
    assert value not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("postgresql://rosa:hidden-word@db/x", "postgresql://rosa:********@db/x"),
     ("postgresql://rosa:hidden-w@rd:hidden-word@db/x", "postgresql://rosa:********@db/x"),
     ("postgresql://rosa@db/x", "postgresql://rosa@db/x"),
     ("postgresql://rosa@/x?host=/run/sockets&passfile=/run/pass", "postgresql://rosa@/x?host=/run/sockets&passfile=/run/pass"),
     ("unix:///run/redis.sock", "unix:///run/redis.sock"),
     ("redis://:hidden-word@redis:6379/0", "redis://:********@redis:6379/0")],
)  # fmt: skip
def test_a_server_is_shown_without_its_password(raw: str, shown: str):
    assert masked("database_url", SecretStr(raw)) == shown


@pytest.mark.parametrize(
    "raw",
    ["postgresql://db/x?user=rosa&password=hidden-word", "postgresql://rosa:hidden-word@db/x?sslpassword=hidden-word&sslmode=require",
     "redis://redis:6379/0?password=hidden-word", "host=db user=rosa password=hidden-word", "hidden-word"],
)  # fmt: skip
def test_a_password_is_masked_wherever_it_stands(raw: str):
    assert "hidden-word" not in masked("database_url", SecretStr(raw))


def test_an_empty_secret_is_shown_as_empty():
    assert masked("secret_key", SecretStr("")) == ""


@pytest.mark.parametrize("proxies", ["", "127.0.0.1", "10.0.0.0/8, ::1", "*"])
def test_proxies_are_trusted_by_address_or_network(environment: pytest.MonkeyPatch, proxies: str):
    assert starting(environment, TRUSTED_PROXIES=proxies).trusted_proxies == proxies


@pytest.mark.parametrize("proxies", ["proxy.example.org", "127.0.0.1 10.0.0.1", "10.0.0.1/8"])
def test_a_proxy_that_nobody_would_believe_is_refused(environment: pytest.MonkeyPatch, proxies: str):
    assert "TRUSTED_PROXIES" in refusal(environment, TRUSTED_PROXIES=proxies)


def test_stripe_has_a_secret_in_development_and_none_of_its_own_in_production(environment: pytest.MonkeyPatch):
    assert Settings().stripe_secrets == (DEVELOPMENT_STRIPE_SECRET,)
    assert starting(environment, STRIPE_WEBHOOK_SECRETS=None).stripe_secrets == ()
    assert starting(environment).stripe_secrets == (f"whsec_{STRONG}", f"whsec_{STRONG[::-1]}")


def test_secrets_come_from_files_too_and_the_environment_goes_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "SECRET_KEY").write_text(STRONG + "\n")
    (tmp_path / "redis_url").write_text("redis://from-a-file")
    monkeypatch.setenv("GROUNDSWELL_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", "redis://from-the-environment")
    settings = Settings()
    assert settings.secret_key.get_secret_value() == STRONG
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value() == "redis://from-the-environment"


def test_a_folder_of_secrets_that_is_not_there_is_told_and_not_taken_for_an_empty_one(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("GROUNDSWELL_SECRETS_DIR", str(tmp_path / "secrets"))
    with pytest.raises(ValueError, match=r"GROUNDSWELL_SECRETS_DIR names .*, which is no folder"):
        Settings()
