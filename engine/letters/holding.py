"""Tags held out of a source while something else works on it that knows nothing of them: Markdown, MJML, a sanitizer.

Each tag is a plain word meanwhile, and is put back afterwards: it must be there, and once.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field

from engine.letters.language import Faulty, Place, read
from engine.letters.vocabulary import Vocabulary

WORD = re.compile(r"z[0-9a-f]{12}x\d+z")


@dataclass(slots=True)
class Holding:
    """All tags that are held out, by the words that stand in their place; nothing else begins like such a word."""

    vocabulary: Vocabulary
    places: dict[str, Place] = field(default_factory=dict)

    def hold(self, source: str, part: str) -> str:
        """The source with a word in place of each tag. Raises Faulty."""
        found = read(source, self.vocabulary, part)
        mark = self._mark(source)
        made, place = [], 0
        for number, each in enumerate(found):
            word = f"{mark}{number}z"
            self.places[word] = each
            made += [source[place : each.tag.start], word]
            place = each.tag.start + len(each.tag.source)
        return "".join([*made, source[place:]])

    def restore(self, text: str, *, whole: bool = True) -> str:
        """The text with its tags. Raises Faulty naming those that are not there once; not `whole`: those that are doubled."""
        met = Counter(WORD.findall(text))
        if lost := [place for word, place in self.places.items() if met[word] > 1 or (whole and not met[word])]:
            raise Faulty(
                [place.fault(f"{place.tag.source} cannot stand here: it was lost or doubled") for place in lost]
            )
        return WORD.sub(lambda word: self.places[word[0]].tag.source if word[0] in self.places else word[0], text)

    def _mark(self, source: str) -> str:
        """Letters and digits that stand nowhere in this source, nor in front of another's words."""
        number = len(self.places)
        while (mark := f"z{hashlib.blake2b(f'{number} {source}'.encode(), digest_size=6).hexdigest()}x") in source:
            number += 1
        return mark
