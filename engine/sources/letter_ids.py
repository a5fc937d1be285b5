"""How a letter's own ids travel with it to its provider and come back with what became of it: short, in base 36.

The provider shows these to its own staff and keeps them in the clear: ids, a keyed hash, and nothing else.
"""

import re

MESSAGE_ARG, HANDOVER_ARG, CODE_ARG = "gs_message", "gs_handover", "gs_code"
LARGEST = 2**63 - 1
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_CODE = re.compile(r"[0-9a-f]{24}", re.ASCII)
_ID = re.compile(r"[0-9a-z]{1,13}", re.ASCII)


def encode(id: int) -> str:
    """A positive id in base 36."""
    rest, written = id, ""
    while rest:
        rest, digit = divmod(rest, 36)
        written = _DIGITS[digit] + written
    return written


def decode(written: str) -> int | None:
    """The id that was written so; None when it cannot be one of ours."""
    if not _ID.fullmatch(written):
        return None
    number = int(written, 36)
    return number if 0 < number <= LARGEST else None


def code(written: str) -> str:
    """A code of ours as it came back; "" for what cannot be one."""
    return written if _CODE.fullmatch(written) else ""
