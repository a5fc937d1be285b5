"""Forms that many people open and that are the same for all but for their stamp: rendered once a second, not once a reader.

A rendered form is kept with a mark where the stamp stands; each reader gets it with a stamp of her own (a form that creates
nothing has none). What names it is all that her request says and that a form may depend on: its address, its query, the
languages her browser prefers.
"""

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from engine.tokens import Signer
from webhooks.forms import Stamp

MOST = 256  # forms kept, the least used forgotten first
LARGEST = 400  # bytes of what a request says; longer ones are rendered for themselves
MARK_BYTES = 16  # where a stamp stands: nobody who asks can write that
_LANGUAGES = b"accept-language"


@dataclass(frozen=True, slots=True)
class _Form:
    name: str
    before: bytes
    after: bytes
    stamped: bool
    headers: list[tuple[bytes, bytes]]


class Rendered:
    """The forms of one process. Used on the loop alone."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._mark = most, secrets.token_urlsafe(MARK_BYTES)
        self._forms: OrderedDict[tuple[float, int, str, bytes, bytes], _Form] = OrderedDict()

    async def form(
        self,
        request: Request,
        now: datetime,
        as_of: float,
        signer: Signer,
        render: Callable[[str], Awaitable[tuple[str, Response]]],
    ) -> Response:
        """The form of this request, freshly stamped. `render(token)` makes it and says its name; what it answers but with a
        200 is no form, and kept for nobody. `as_of` names the state of the house that it shows."""
        scope = request.scope
        languages = next((value for name, value in scope["headers"] if name == _LANGUAGES), b"")
        key = as_of, int(now.timestamp()), scope["path"], scope["query_string"], languages
        form = self._forms.get(key)
        if form is None:
            name, made = await render(self._mark)
            if made.status_code != 200:
                return made
            form = _form(name, made, self._mark)
            if sum(map(len, key[2:])) <= LARGEST:
                self._keep(key, form)
        token = Stamp.fresh(form.name, now).token(signer).encode() if form.stamped else b""
        answer = Response(form.before + token + form.after)
        length = next(pair for pair in answer.raw_headers if pair[0] == b"content-length")
        answer.raw_headers = [*form.headers, length]
        return answer

    def _keep(self, key: tuple[float, int, str, bytes, bytes], form: _Form) -> None:
        self._forms[key] = form
        if len(self._forms) > self._most:
            self._forms.popitem(last=False)


def _form(name: str, made: Response, mark: str) -> _Form:
    before, found, after = bytes(made.body).partition(mark.encode())
    assert mark.encode() not in after, "a form has one stamp"
    return _Form(name, before, after, bool(found), [pair for pair in made.raw_headers if pair[0] != b"content-length"])
