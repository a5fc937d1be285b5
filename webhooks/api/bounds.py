"""The chapter that a token is bound to. What belongs to others is not there; what is the root's it may read and use, but not
change: all chapters share those segments and sequences.
"""

from engine.documents import Document, Fault
from engine.errors import Forbidden, NotFound
from engine.segments import names as naming
from webhooks.api.gate import Call


def within(call: Call) -> list[int] | None:
    """The chapters whose things it may read, by their ids; None: all."""
    reach = call.caller.reach
    return None if reach.everywhere else sorted(reach.chapter_ids)


def reads(call: Call, chapter_id: int | None) -> bool:
    """Whether it may read and use what belongs to this chapter (None: the root)."""
    return chapter_id is None or call.caller.reach.holds(chapter_id)


def require(call: Call, chapter_id: int | None, missing: str, *, change: bool = False) -> None:
    """Raises NotFound for what is out of reach; Forbidden when a token that is bound to a chapter would change the root's."""
    if not reads(call, chapter_id):
        raise NotFound(missing)
    if change and not call.caller.reach.holds(chapter_id):
        raise Forbidden(f"this is the root's, which all chapters share: the token is bound to {call.caller.chapter}")


def faults(call: Call, document: Document, chapter: str) -> list[Fault]:
    """What is wrong with whose it shall be ('': the root's), for this token."""
    reach = call.caller.reach
    if reach.everywhere:
        return []
    if not chapter:
        return [document.fault(["chapter"], f"must be {call.caller.chapter}, or one below it")]
    found = naming.find(call.session, chapters=[chapter])
    if ("chapter", chapter) in found.found and reach.holds(found.own(chapter)):
        return []
    return [document.fault(["chapter"], f"there is no chapter {chapter}")]
