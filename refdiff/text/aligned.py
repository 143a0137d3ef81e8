"""Text that was changed (spaces, case, repaired characters) and still knows where each character came from."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Self


@dataclass(frozen=True, slots=True)
class AlignedText:
    """A text made from a source, with the half-open source range of each of its characters.

    Attributes:
        text: The changed text.
        starts: Per character, where its source range begins.
        ends: Per character, where its source range ends (behind its last character).
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, source: str) -> Self:
        """The source itself."""
        return cls(source, tuple(range(len(source))), tuple(range(1, len(source) + 1)))

    def source_range(self, start: int, end: int) -> tuple[int, int]:
        """The half-open source range of the characters `[start, end)`, which must not be empty."""
        return min(self.starts[start:end]), max(self.ends[start:end])

    def collapse_whitespace(self) -> "AlignedText":
        """Every run of whitespace as one space, none at the ends (as `" ".join(text.split())`)."""
        kept: list[int] = []
        for position, character in enumerate(self.text):
            repeated = not kept or self.text[kept[-1]].isspace()
            if not (character.isspace() and repeated):
                kept.append(position)
        if kept and self.text[kept[-1]].isspace():
            kept.pop()
        text = "".join(" " if self.text[i].isspace() else self.text[i] for i in kept)
        return AlignedText(text, tuple(self.starts[i] for i in kept), tuple(self.ends[i] for i in kept))

    def lowercase(self) -> "AlignedText":
        """The text in lower case; a character that becomes two (capital dotted I) gives both its range."""
        text = self.text.lower()
        owners = [i for i, character in enumerate(self.text) for _ in character.lower()]
        if len(owners) != len(text):
            return self.reshape(text)
        return AlignedText(text, tuple(self.starts[i] for i in owners), tuple(self.ends[i] for i in owners))

    def reshape(self, text: str) -> "AlignedText":
        """Another form of this text whose making is not known, aligned by the longest common parts.

        A changed part takes the range of the whole part that it stands for; a part that was added takes that of the
        character before it (behind it at the beginning).
        """
        starts: list[int] = []
        ends: list[int] = []
        matcher = SequenceMatcher(None, self.text, text, autojunk=False)
        for operation, a_start, a_end, b_start, b_end in matcher.get_opcodes():
            if operation == "equal":
                starts.extend(self.starts[a_start:a_end])
                ends.extend(self.ends[a_start:a_end])
            elif operation == "replace":
                first, last = self.source_range(a_start, a_end)
                starts.extend([first] * (b_end - b_start))
                ends.extend([last] * (b_end - b_start))
            elif operation == "insert":
                neighbour = max(a_start - 1, 0)
                first, last = self.source_range(neighbour, neighbour + 1) if self.text else (0, 0)
                starts.extend([first] * (b_end - b_start))
                ends.extend([last] * (b_end - b_start))
        return AlignedText(text, tuple(starts), tuple(ends))


def align(source: str, cleaned: str) -> AlignedText:
    """Where each character of a tokenizer's cleaned text comes from in the sentence.

    Exact when cleaning only collapsed spaces and changed case; where it also repaired characters (HTML entities,
    wrong encodings, composed accents, ligatures, removed punctuation), by the longest common parts.

    Args:
        source: The sentence.
        cleaned: What the tokenizer made of it.
    """
    collapsed = AlignedText.of(source).collapse_whitespace()
    if cleaned and not collapsed.text:  # a wrong encoding of a sign, which Python takes for a space
        return AlignedText.of(source).reshape(cleaned)
    if collapsed.text == cleaned:
        return collapsed
    lowered = collapsed.lowercase()
    if lowered.text == cleaned:
        return lowered
    key = cleaned.lower()
    if len(key) != len(cleaned):
        return collapsed.reshape(cleaned)
    aligned = lowered.reshape(key)
    return AlignedText(cleaned, aligned.starts, aligned.ends)
