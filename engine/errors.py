"""Every error we raise on purpose. Adapters translate vendors' errors into these.

GroundswellError
├── Invalid       the input cannot mean anything we accept (HTTP 422; an inbound event is quarantined)
├── NotFound      no such thing, or not for you (404)
├── Conflict      true, but not in this state (409)
├── Forbidden     known, but not allowed (403)
└── Unavailable   something we depend on does not answer; later may work (503)

HTTP codes for them live in one dict in `webhooks/app.py`.
"""


class GroundswellError(Exception):
    """Root of the tree; never raised itself. The message is for staff and holds no personal data."""


class Invalid(GroundswellError):
    """The input cannot be understood or breaks a rule."""


class NotFound(GroundswellError):
    """There is no such thing."""


class Conflict(GroundswellError):
    """The thing exists but its state does not allow this."""


class Forbidden(GroundswellError):
    """The caller may not do this."""


class Unavailable(GroundswellError):
    """A dependency does not answer."""
