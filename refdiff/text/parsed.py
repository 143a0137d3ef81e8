"""What is known of one sentence after parsing."""

from dataclasses import dataclass
from typing import Literal

Direction = Literal["left", "right", "top", "bottom"]
HeadRule = Literal["root", "root_or_subject"]
"""The paper's rule (dependency root) and the released one (first token labelled ROOT or subj)."""


@dataclass(frozen=True, slots=True)
class HeadWord:
    """A sentence's head word and where the U-Net sees it.

    Attributes:
        text: The word as it is written.
        start: Its first character in the sentence.
        end: Behind its last character.
        unet_first: Position of its first token in the U-Net's prompt (the start token is 0).
        unet_last: Position of its last token there, inclusive.
    """

    text: str
    start: int
    end: int
    unet_first: int
    unet_last: int


@dataclass(frozen=True, slots=True)
class ParsedText:
    """One sentence, parsed: a row of text.parquet.

    Attributes:
        sentence: As it was given.
        root: Head word by the paper's rule.
        subject: Head word by the released rule.
        root_fallback: The rule that replaced a root that is no noun; "" when the root stands.
        unet_tokens: Tokens of the sentence that the U-Net sees, without start and end.
        clip_tokens: Tokens of the sentence that CLIP sees, without start and end.
        direction: The direction stated for the target.
        direction_released: The same by the released code's substrings.
        directions: All direction words that count, in order.
        truncated: The sentence is longer than the U-Net or CLIP can see; the head words are from what both see.
    """

    sentence: str
    root: HeadWord
    subject: HeadWord
    root_fallback: str
    unet_tokens: int
    clip_tokens: int
    direction: Direction | Literal["none"]
    direction_released: Literal["none", "left", "right"]
    directions: tuple[Direction, ...]
    truncated: bool

    def head(self, rule: HeadRule) -> HeadWord:
        """The head word by a rule of params.yaml (`token_rule`, `head_rule`)."""
        return self.root if rule == "root" else self.subject
