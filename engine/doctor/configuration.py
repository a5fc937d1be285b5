"""Settings, and keys by what they look like. What production refuses to start with, `engine.settings` says."""

from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from engine.doctor.findings import Finding, ok, warning, wrong
from engine.settings import DEVELOPMENT_CREDENTIALS, Settings

CONFIGURATION = "configuration"
STRIPE, STRIPE_WEBHOOK = "Stripe's key", "Stripe's webhook secret"
SENDGRID, SENDGRID_WEBHOOK = "SendGrid's key", "SendGrid's webhook key"
LIVE, TEST = ("sk_live_", "rk_live_"), ("sk_test_", "rk_test_")
_REFUSED = "production refuses to start: "


def refused(error: ValidationError) -> list[Finding]:
    """What keeps every process from starting, one finding each."""
    said = [(".".join(map(str, problem["loc"])), str(problem["msg"])) for problem in error.errors()]
    advice = "Set it right (README, Configuration), then start every process again."
    return [wrong(CONFIGURATION, each, advice) for place, words in said for each in _each(place, words)]


def without_servers() -> Finding:
    """Production names its servers; development starts its own."""
    advice = "Set DATABASE_URL and REDIS_URL: `groundswell up` starts servers of its own in development only."
    return wrong(CONFIGURATION, "no database or no Redis is named", advice)


def of_settings(settings: Settings) -> Iterator[Finding]:
    """Settings that could be read: what a person should know of them all the same."""
    if settings.development:
        seen = "development: no letter leaves this machine, and no money moves but by a key of Stripe's"
        yield ok(CONFIGURATION, seen)
        return
    yield ok(CONFIGURATION, "production: every secret is there, and none is weak")
    if len(settings.signing_keys) > 1:
        yield ok(CONFIGURATION, "links that were signed with a retired key go on working")


def of_keys(settings: Settings) -> list[Finding]:
    """The providers' keys: whether they are there, and of the right kind. None is shown to anybody."""
    return [_stripe(settings), *_stripe_webhook(settings), *_sendgrid(settings)]


def webhooks(settings: Settings) -> Sequence[str]:
    """The sources that this installation has a secret for, so that they should be heard of."""
    own_credentials = settings.actblue_webhook_credentials.get_secret_value() != DEVELOPMENT_CREDENTIALS
    configured = {
        "actblue": own_credentials,
        "stripe": settings.stripe_webhook_secrets is not None,
        "sendgrid": bool(settings.sendgrid_webhook_public_keys),
        "signup": settings.signup_webhook_tokens is not None,
        "actionnetwork": settings.actionnetwork_webhook_secrets is not None,
    }
    return [source for source, there in configured.items() if there]


def _each(place: str, words: str) -> list[str]:
    """What one complaint of the settings says: production's names all that is weak at once."""
    _, production, weak = words.partition(_REFUSED)
    named = ": ".join(filter(None, (place.upper(), words.removeprefix("Value error, "))))
    return weak.split("; ") if production else [named]


def _stripe(settings: Settings) -> Finding:
    key = settings.stripe_api_key.get_secret_value() if settings.stripe_api_key else ""
    if not key:
        return ok(STRIPE, "none: cards are played" if settings.development else "none: no form of ours takes cards")
    if key.startswith(LIVE):
        if settings.development:
            return wrong(STRIPE, "a live key in development", "Use a test key here: this one moves real money.")
        return ok(STRIPE, "a live key")
    if key.startswith(TEST):
        if settings.development:
            return ok(STRIPE, "a test key")
        return wrong(STRIPE, "a test key in production", "Set STRIPE_API_KEY to a live one: test cards pay nothing.")
    advice = "Look whether STRIPE_API_KEY is a secret key (sk_live_…) or a restricted one (rk_live_…)."
    return wrong(STRIPE, "it begins like no secret key of Stripe's", advice)


def _stripe_webhook(settings: Settings) -> Iterator[Finding]:
    """Only where Stripe's key is set: gifts that are paid by it are told by its webhook."""
    if settings.stripe_api_key is None:
        return
    if settings.stripe_webhook_secrets is None:
        advice = "Make an event destination at Stripe and set STRIPE_WEBHOOK_SECRETS (README, Connecting Stripe)."
        yield wrong(STRIPE_WEBHOOK, "none: gifts are only heard of once an hour", advice)
        return
    if not all(secret.startswith("whsec_") for secret in settings.stripe_secrets):
        advice = "Copy the signing secret of the event destination, which begins with whsec_."
        yield wrong(STRIPE_WEBHOOK, "one of STRIPE_WEBHOOK_SECRETS is no signing secret", advice)
        return
    yield ok(STRIPE_WEBHOOK, f"{len(settings.stripe_secrets)} valid")


def _sendgrid(settings: Settings) -> Iterator[Finding]:
    """Development sends nothing, whatever is set."""
    if settings.development:
        yield ok(SENDGRID, "not used: letters go into development's mailbox")
        return
    key = settings.sendgrid_api_key.get_secret_value() if settings.sendgrid_api_key else ""
    if key.startswith("SG."):
        yield ok(SENDGRID, "an API key")
    else:
        advice = "Make an API key at SendGrid (it begins with SG.) and set SENDGRID_API_KEY to all of it."
        yield wrong(SENDGRID, "it begins like no API key of SendGrid's", advice)
    if settings.sendgrid_public_keys:
        yield ok(SENDGRID_WEBHOOK, f"{len(settings.sendgrid_public_keys)} valid")
    else:
        advice = (
            "Switch on its signed event webhook and set SENDGRID_WEBHOOK_PUBLIC_KEYS (README, Connecting SendGrid)."
        )
        yield warning(SENDGRID_WEBHOOK, "none: nobody tells of bounces and complaints, so campaigns wait", advice)
