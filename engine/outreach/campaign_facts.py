"""What a campaign tells its letters, the same in all of them: names that they can say beside their other fields, each with
words, or with words by language. Pure.
"""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from engine.languages import ENGLISH
from engine.letters.vocabulary import vocabulary
from engine.segments.rules import Words

MOST = 20
TAKEN = frozenset(vocabulary({}))  # what letters name already

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
_Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
Said = dict[_Name, Words | dict[_Language, Words]]


def _fitting(told: Said) -> Said:
    for name, said in told.items():
        if name in TAKEN:
            raise PydanticCustomError("facts", f"{name} is a field of letters already: call it otherwise")
        if isinstance(said, dict) and ENGLISH not in said:
            raise PydanticCustomError("facts", f"{name} is said in English first: {ENGLISH}")
        for words in said.values() if isinstance(said, dict) else (said,):
            if name.endswith("_url") and not words.startswith("https://"):
                raise PydanticCustomError("facts", f"{name} is a link: it begins with https://")
    return told


Facts = Annotated[Said, Field(max_length=MOST), AfterValidator(_fitting)]
