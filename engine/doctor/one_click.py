"""Whether one click stops letters: the link of an invented reader, posted to as a mail provider does. She is nobody, so that
no row is changed."""

from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from engine.doctor.findings import Finding, ok, wrong
from engine.errors import GroundswellError
from engine.letters import links
from engine.letters.links import Links
from engine.tokens import Signer

ONE_CLICK = "one click"
NOBODY = 2**63 - 1  # the largest id there can be: no contact and no letter will ever have it
WELL = 200
ADVICE = "Do not send before this works: mail providers refuse letters that cannot be stopped by one click."


def of_signer(signer: Signer, base_url: str, now: datetime, press: Callable[[str], int]) -> Finding:
    """A link made by our own signer, read by it, refused when it was altered, and taken by the endpoint. `press`: posts to a
    path as a mail provider does, and says what status it got."""
    url = Links(signer, base_url, now).of(NOBODY, NOBODY, {})["unsubscribe_url"]
    path = urlsplit(url).path
    token = path.rpartition("/")[2]
    if links.unsubscriber(signer, token) != (NOBODY, NOBODY):
        return wrong(ONE_CLICK, "our own link to unsubscribe cannot be read", ADVICE)
    if links.unsubscriber(signer, altered(token)) is not None:
        return wrong(ONE_CLICK, "a link that was altered is believed", ADVICE)
    try:
        status = press(path)
    except (SQLAlchemyError, GroundswellError) as error:
        return wrong(ONE_CLICK, f"the endpoint fails ({type(error).__name__})", ADVICE)
    if status != WELL:
        return wrong(ONE_CLICK, f"the endpoint answers {status}", ADVICE)
    return ok(ONE_CLICK, "a link of our own is taken, an altered one is not")


def altered(token: str) -> str:
    """The same with another first letter: what it says is no longer what was signed."""
    return ("A" if token[0] != "A" else "B") + token[1:]
