"""A sentence's tokens in a model's prompt, by the characters that each stands for."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SentenceTokens:
    """Where a sentence's tokens come from, before truncation.

    Attributes:
        ranges: Per token of the sentence, its half-open character range; start and end tokens are not among them.
        room: Tokens of a sentence that the model can take.
    """

    ranges: tuple[tuple[int, int], ...]
    room: int

    @property
    def kept(self) -> int:
        """How many of the sentence's tokens the model sees."""
        return min(len(self.ranges), self.room)

    @property
    def truncated(self) -> bool:
        return len(self.ranges) > self.room

    def kept_end(self, sentence: str) -> int:
        """Length of the longest beginning of the sentence whose tokens are all seen.

        A character that is cut in two by the limit is not part of it, unless it would be the only one.
        """
        if not self.truncated:
            return len(sentence)
        first_lost = min(start for start, _ in self.ranges[self.room :])
        return first_lost if first_lost > self.ranges[0][0] else self.ranges[0][1]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """First and last prompt position (inclusive) of the tokens that touch the characters `[start, end)`.

        The start token is at position 0. Characters for which there is no token (removed by the tokenizer) get the
        nearest token, the earlier of two.
        """
        kept = self.ranges[: self.room]
        touching = [i for i, (first, last) in enumerate(kept) if first < end and last > start]
        if not touching:
            touching = [min(range(len(kept)), key=lambda i: _gap(kept[i], start, end))]
        return 1 + touching[0], 1 + touching[-1]


class SentenceTokenizer(Protocol):
    """A model's tokenizer, asked for positions only."""

    def tokenize(self, sentence: str) -> SentenceTokens:
        """The sentence's tokens; none when nothing of the sentence is left after the tokenizer's cleaning."""
        ...

    @property
    def identity(self) -> dict[str, str]:
        """Which tokenizer this is, for an artifact's provenance."""
        ...


def _gap(token: tuple[int, int], start: int, end: int) -> int:
    return max(token[0] - end, start - token[1], 0)
