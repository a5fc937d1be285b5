"""SendGrid's lists of addresses that it does not write to, as the engine's `Suppressions`: one GET a page.

Bounces, spam reports, invalid addresses, global unsubscribes are lists of their own under /v3/suppression, paged by `limit`
and `offset`; each element says `email` and `created` (seconds); whoever unsubscribed is taken off by her address. Places: https://www.twilio.com/docs/sendgrid/api-reference
under "Bounces API", "Spam Reports API", "Invalid Emails API", "Suppressions - Global Suppressions".
"""

import json
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import urllib3

from engine.errors import Forbidden, Unavailable
from engine.ports import Suppressed

PAGE = 500  # as many as SendGrid gives at once
SECONDS = 10.0
LARGEST = 8 * 1024 * 1024  # bytes of one page: an answer that is larger is none
LISTS = {"bounce": "bounces", "complaint": "spam_reports", "invalid": "invalid_emails", "unsubscribe": "unsubscribes"}


class SendgridSuppressions:
    """One account, by its key. Every request ends by itself."""

    def __init__(self, key: str, host: str, *, seconds: float = SECONDS, retries: int = 2) -> None:
        self._host, self._headers = host, {"Authorization": f"Bearer {key}", "Accept": "application/json"}
        again = urllib3.Retry(
            retries, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False, redirect=0,
            respect_retry_after_header=False,
        )  # fmt: skip
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(total=seconds), retries=again)

    def listed(self, kind: str, start: int = 0) -> Iterator[Sequence[Suppressed]]:
        """Pages; the next is asked for when this one is done with."""
        full = True
        while full:
            page = self._page(LISTS[kind], start)
            if page:
                yield page
            start += len(page)
            full = len(page) == PAGE

    def remove(self, email: str) -> None:
        """One DELETE; that it is not listed (404) is as good."""
        self._asked("DELETE", f"/v3/asm/suppressions/global/{quote(email, safe='@')}", {}, well=(204, 404))

    def _page(self, name: str, start: int) -> list[Suppressed]:
        asked = {"limit": str(PAGE), "offset": str(start)}
        body = self._asked("GET", f"/v3/suppression/{name}", asked, well=(200,))
        return [_suppressed(element) for element in _list(body)]

    def _asked(self, method: str, path: str, fields: dict[str, str], *, well: Container[int]) -> bytes:
        try:
            answer = self._pool.request(
                method, self._host + path, fields=fields, headers=self._headers, preload_content=False
            )
            body = answer.read(LARGEST + 1)
            answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"SendGrid does not answer ({type(error).__name__})") from None
        if answer.status in (401, 403):
            raise Forbidden("SendGrid does not accept SENDGRID_API_KEY for its suppressions")
        if answer.status not in well:
            raise Unavailable(f"SendGrid does not answer (HTTP {answer.status})")
        return body


def _list(body: bytes) -> list[Any]:
    """The elements of a page. The words of what cannot be read are never repeated: they are addresses."""
    try:
        said = json.loads(body) if len(body) <= LARGEST else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, list):
        raise Unavailable("SendGrid answered with something that is no list")
    return said


def _suppressed(element: Any) -> Suppressed:
    email, created = (element.get("email"), element.get("created")) if isinstance(element, dict) else (None, None)
    if not isinstance(email, str) or isinstance(created, bool) or not isinstance(created, int):
        raise Unavailable("SendGrid listed something that is no address")
    if not 0 <= created < 2**32:
        raise Unavailable("SendGrid listed an address without a time")
    return Suppressed(email, datetime.fromtimestamp(created, UTC))
