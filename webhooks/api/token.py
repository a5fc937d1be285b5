"""`GET /api/v1/token`: what the token that asks may do."""

from datetime import datetime

from pydantic import BaseModel

from webhooks.api.gate import Answer, Call, api


class TokenShown(BaseModel):
    """A token. `chapter`: the one that it is bound to, with those below it; '' none."""

    name: str
    scopes: list[str]
    chapter: str
    expires_at: datetime


@api("", TokenShown)
def show(call: Call) -> Answer:
    """What this token may do

    Any token that holds may ask."""
    who = call.caller
    return Answer(TokenShown(name=who.name, scopes=sorted(who.scopes), chapter=who.chapter, expires_at=who.expires_at))
