"""How fast campaign letters leave: so many a second from the provider's account, and from each sending domain.

Counted in Redis for all processes together; while Redis is gone each process keeps to a share of its own. Receipts are
few, and wait for nothing here.
"""

from datetime import timedelta

from engine.ports import Limiter
from engine.settings import Settings

SECOND = timedelta(seconds=1)


def allowed(limiter: Limiter, settings: Settings, domain: str, wanted: int) -> int:
    """How many of the letters that one wants to hand over now may go, of an account and a domain; they count as gone."""
    if settings.mail_per_second:
        wanted = limiter.take("mail account", wanted, settings.mail_per_second, SECOND)
    if settings.mail_domain_per_second and wanted:
        wanted = limiter.take(f"mail domain {domain}", wanted, settings.mail_domain_per_second, SECOND)
    return wanted
