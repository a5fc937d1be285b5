"""Lists in pages: `?limit=` and `?cursor=`, which says where the next page begins, and is signed: nobody can make one up."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, Field

from webhooks.api.gate import Call
from webhooks.api.reading import Query
from webhooks.problems import Refused

USUAL, MOST = 50, 100

_T = TypeVar("_T")


class Paging(Query):
    """Which part of a list is asked for."""

    limit: Annotated[int, Field(ge=1), AfterValidator(lambda limit: min(limit, MOST))] = Field(
        USUAL, description=f"How many at most; more than {MOST} are {MOST}."
    )
    cursor: str = Field("", description="The `next` of the page before.")


class Listed(BaseModel):
    """One page of a list. `next`: the `cursor` of the page behind it; null: this is the last."""

    next: str | None = None


def begins(call: Call, of: str) -> str:
    """Behind what the asked page of this list begins; '' at its beginning. Refuses a cursor of another list, or of nobody."""
    cursor = call.query.cursor
    if not cursor:
        return ""
    match call.deps.signer.read("page", cursor):
        case (str(named), str(behind)) if named == of:
            return behind
    raise Refused(400, "this cursor is none of this list: begin again without one")


def cut(call: Call, of: str, found: Sequence[_T], key: Callable[[_T], Any]) -> tuple[Sequence[_T], str | None]:
    """A page of what was found (one more than the limit: there is another), and its `next`."""
    limit = call.query.limit
    if len(found) <= limit:
        return found, None
    return found[:limit], call.deps.signer.sign("page", of, str(key(found[limit - 1])))
