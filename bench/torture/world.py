"""The world of one torture run: where everything is, and what its doors are opened with. It starts nothing itself.

Who checks looks at `database_url` and `redis_url` directly; the product reaches both, the mail provider and Stripe through a
proxy that misbehaves when told to. All of it is on loopback, and every name in it is invented.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from tests import signing

BASE_URL = "https://torture.groundswell.test"
ACTBLUE_CREDENTIALS = "actblue:Wm3kT9xQ2vL7pR4sB8nZ1cY6hD5jG0fA"
STRIPE_WEBHOOK_SECRET = "whsec_Tq8Jm2Xv5Lp0Rz9Bw4Nc7Yd1Hs6Gf3Ka"
STRIPE_API_KEY = "rk_live_of_the_torture_and_of_nothing_else"
SIGNUP_TOKEN = "Zu4Rb9Xk2Mq7Vt0Pn5Lw8Js3Hd6Fg1Ca"
SENDGRID_API_KEY = "SG.of-the-tests-and-of-nothing-else"  # the one that the mail stand-in takes
SENDGRID_KEY = ec.derive_private_key(0x746F7274757265, ec.SECP256R1())  # the same in every process: it signs the events
SECRET_KEY = "k8Jq2vX0pLw9zR4tB7nM1cY6hD3sG5fA"


@dataclass(frozen=True, slots=True)
class World:
    """One run. `mail_url`, `stripe_url`: where the product finds them, behind the proxy."""

    home: Path
    seed: int
    web_urls: tuple[str, ...]  # load posts to any of these, and to another when one does not answer
    database_url: str  # direct
    redis_url: str  # direct
    product_database_url: str  # behind the proxy
    product_redis_url: str  # behind the proxy
    mail_url: str = ""
    stripe_url: str = ""

    @property
    def logs(self) -> Path:
        """What each process of the product said: one file a process, JSON lines."""
        return self.home / "logs"

    @property
    def mail_log(self) -> Path:
        """Every letter that the mail stand-in accepted, fsynced before it answered: JSON lines as `tests.mail_stand_in`'s."""
        return self.home / "accepted.jsonl"

    @property
    def journal(self) -> Path:
        """What the load meant, sent and was answered."""
        return self.home / "journal.jsonl"

    @property
    def settings(self) -> Mapping[str, str]:
        """The variables of every process of the product: production's own, with nothing of a developer's machine."""
        return {
            "GROUNDSWELL_ENV": "production", "BASE_URL": BASE_URL, "SECRET_KEY": SECRET_KEY, "LOG_FORMAT": "json",
            "GROUNDSWELL_DATA_DIR": str(self.home / "data"), "OPERATOR_EMAIL": "operator@torture.example.org",
            "DATABASE_URL": self.product_database_url, "REDIS_URL": self.product_redis_url,
            "ACTBLUE_WEBHOOK_CREDENTIALS": ACTBLUE_CREDENTIALS, "STRIPE_WEBHOOK_SECRETS": STRIPE_WEBHOOK_SECRET,
            "STRIPE_API_KEY": STRIPE_API_KEY, "STRIPE_API_BASE": self.stripe_url, "SIGNUP_WEBHOOK_TOKENS": SIGNUP_TOKEN,
            "SENDGRID_API_KEY": SENDGRID_API_KEY, "SENDGRID_HOST": self.mail_url,
            "SENDGRID_WEBHOOK_PUBLIC_KEYS": signing.public(SENDGRID_KEY),
            "JOIN_NETWORK_HOURLY": "1000000", "JOIN_ADDRESS_DAILY": "1000000", "JOIN_MOST_10_MINUTES": "1000000",
            "JOIN_MOST_HOUR": "1000000", "GIVE_NETWORK_MINUTE": "1000000", "GIVE_FORM_MINUTE": "1000000",
            "API_MINUTE": "1000000", "LETTER_AGE_HOURS": "1000000",
            # Campaigns begin at once, and go on however much people complain: what stops them here are faults and staff.
            "HOLD_MINUTES": "0", "MOST_BOUNCES_PERCENT": "100", "MOST_COMPLAINTS_PERCENT": "100",
            "MOST_UNSUBSCRIBES_PERCENT": "100",
        }  # fmt: skip
