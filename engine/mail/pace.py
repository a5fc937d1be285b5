"""How fast campaign letters leave: so many a second from the provider's account, and from each sending domain.

Counted in Redis for all processes together; while Redis is gone each process keeps to a share of its own. Receipts are
few, and wait for nothing here.
"""

from collections.abc import Iterable
from datetime import timedelta

from engine.ports import Limiter
from engine.settings import Settings

ACCOUNT, SECOND = "mail account", timedelta(seconds=1)


def allowed(limiter: Limiter, settings: Settings, rooms: Iterable[tuple[str, int]]) -> tuple[str, int] | None:
    """Of these domains, each with how many letters it has to hand over, the first from which some may leave now, and how
    many; they count as gone. None: none may. What the account has no room for is not taken from a domain."""
    account, each = settings.mail_per_second, settings.mail_domain_per_second
    for domain, wanted in rooms:
        most = min(wanted, limiter.room(ACCOUNT, account, SECOND)) if account else wanted
        if not most:
            return None
        if each:
            most = limiter.take(f"mail domain {domain}", most, each, SECOND)
        if account and most:
            most = limiter.take(ACCOUNT, most, account, SECOND)
        if most:
            return domain, most
    return None
