"""Links to a form as one version of it is, published or not: signed, for seven days. They say a version and no person."""

from datetime import datetime, timedelta

from engine.tokens import Signer

LIFETIME = timedelta(days=7)


def make(signer: Signer, version_id: int, now: datetime) -> str:
    """A token for `/give/{slug}?preview=…`; `version_id` is the id of the version's row."""
    return signer.sign("preview", version_id, int(now.timestamp()))


def read(signer: Signer, token: str, now: datetime) -> int | None:
    """The id of the version that a token shows; None for one that is too old, of another purpose, altered or made up."""
    said = signer.read("preview", token)
    if said is None or len(said) != 2:
        return None
    version_id, made = said
    if not isinstance(version_id, int) or not isinstance(made, int):
        return None
    age = now.timestamp() - made
    return version_id if age + 60 >= 0 and age <= LIFETIME.total_seconds() else None
