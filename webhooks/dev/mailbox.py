"""`/dev/mailbox`: the letters that would have left this machine, as their readers would see them."""

from collections import deque

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from engine.ports import Keeper, Kept
from webhooks.pages import page
from webhooks.security import framed_letter

SHOWN = 200
# Of the frame of a letter, in pixels. Nobody can look into it, so its height is reckoned: what stands around the words, a
# line of them, how many characters that holds; and the most.
AROUND, LINE, WIDE, TALLEST = 200, 24, 78, 860


def listing(request: Request) -> Response:
    """The newest letters first."""
    newest = deque(_mailbox(request).letters(), maxlen=SHOWN)
    total = newest[-1].number if newest else 0
    return page(request, "mailbox.html", letters=list(reversed(newest)), total=total)


def letter(request: Request) -> Response:
    """One letter: headers, HTML in a sandboxed frame, text."""
    kept = _kept(request)
    return page(request, "letter.html", kept=kept, height=_height(kept.letter["text"]))


def letter_html(request: Request) -> Response:
    """The HTML part alone, for the frame."""
    return HTMLResponse(_kept(request).letter["html"], headers=framed_letter())


def _height(words: str) -> int:
    """About what these words take up."""
    lines = sum(max(1, -(-len(line) // WIDE)) for line in words.splitlines())
    return min(AROUND + LINE * lines, TALLEST)


def _kept(request: Request) -> Kept:
    number = request.path_params["number"]
    found = next((kept for kept in _mailbox(request).letters() if str(kept.number) == number), None)
    if found is None:
        raise HTTPException(404, "No such letter")
    return found


def _mailbox(request: Request) -> Keeper:
    mailer = request.app.state.deps.mailer
    if not isinstance(mailer, Keeper):
        raise HTTPException(404, "Not Found")
    return mailer
