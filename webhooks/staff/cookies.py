"""The two cookies of staff: of the browser that asked for a link, and of the session. Random, never readable by scripts.

Over https both are `__Host-` cookies: no other host and no plain connection can set or read them.
"""

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

from engine.settings import Settings

SESSION, ASKED = "groundswell-staff", "groundswell-asked"
ASKED_LIFE = timedelta(hours=1)
LONGEST = 100


def read(request: Request, settings: Settings, name: str) -> str:
    """What the browser's cookie holds; empty when it has none that we could have made."""
    value = request.cookies.get(_named(settings, name), "")
    return value if len(value) <= LONGEST and value.isascii() else ""


def put(response: Response, settings: Settings, name: str, value: str, life: timedelta) -> None:
    """Give the browser a cookie."""
    response.set_cookie(
        _named(settings, name),
        value,
        max_age=int(life.total_seconds()),
        path="/",
        secure=_secure(settings),
        httponly=True,
        samesite="lax",
    )


def drop(response: Response, settings: Settings, name: str) -> None:
    """Take it back."""
    put(response, settings, name, "", timedelta())


def _named(settings: Settings, name: str) -> str:
    return f"__Host-{name}" if _secure(settings) else name


def _secure(settings: Settings) -> bool:
    return settings.base_url.startswith("https://")
