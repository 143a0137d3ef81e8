"""Sentences to rows: parse, head words, token spans and directions; the same code in memory and in the stage."""

import logging
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.tokens import Doc, Token

from refdiff.errors import TextError
from refdiff.text.aligned import AlignedText
from refdiff.text.clip_tokens import ClipTokenizer
from refdiff.text.directions import choose_direction, find_directions, released_direction
from refdiff.text.head import find_root, find_subject
from refdiff.text.language import load_language
from refdiff.text.parsed import HeadWord, ParsedText
from refdiff.text.settings import ParserSettings
from refdiff.text.tokens import SentenceTokens
from refdiff.text.unet_tokens import UnetTokenizer

logger = logging.getLogger(__name__)

INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
"""Unicode categories that show nothing by themselves: spaces, controls, joiners."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    name: str
    sentence: str
    seen: AlignedText  # the part that both models see, single-spaced and in lower case, for the parser
    unet: SentenceTokens
    clip: SentenceTokens


class Parser:
    """Parses sentences with one spaCy pipeline and the tokenizers of a U-Net and of CLIP.

    Args:
        settings: Section `parse_text` and the names of the models.

    Raises:
        ModelError: The pipeline or a tokenizer is not on this machine.
    """

    def __init__(self, settings: ParserSettings) -> None:
        self.settings = settings
        self._language = load_language(settings.spacy_model)
        self._unet = UnetTokenizer(settings.unet_model, settings.unet_revision)
        self._clip = ClipTokenizer(settings.clip_model)

    @property
    def identity(self) -> dict[str, Any]:
        """The models that were used, for provenance."""
        return {
            "spacy": self._language.identity,
            "unet_tokenizer": self._unet.identity,
            "clip_tokenizer": self._clip.identity,
        }

    def parse(self, sentence: str, name: str = "sentence") -> ParsedText:
        """One sentence.

        Args:
            sentence: Any text that is not blank.
            name: What messages call it.

        Raises:
            TextError: It is blank, or nothing of it is left after a tokenizer's cleaning.
        """
        return next(self.parse_all([sentence], [name]))

    def parse_all(self, sentences: Sequence[str], names: Sequence[str]) -> Iterator[ParsedText]:
        """Many sentences, in order, parsed in batches.

        A sentence that is longer than the U-Net or CLIP can see is cut for both where the first of them stops; its
        head words are sought in what is left, and a warning is logged that names it. Directions are those of the
        whole sentence. The parser gets lower case, as both models' tokenizers make it: it takes capitals for names.

        Args:
            sentences: Texts that are not blank.
            names: What messages call them, one each.

        Raises:
            TextError: A sentence is blank, or nothing of it is left after a tokenizer's cleaning; it is named.
        """
        prepared = (self._prepare(text, name) for text, name in zip(sentences, names, strict=True))
        pairs = ((item.seen.text, item) for item in prepared)
        docs = self._language.nlp.pipe(pairs, as_tuples=True, batch_size=self.settings.batch_sentences)
        for doc, item in docs:
            yield self._describe(doc, item)

    def _prepare(self, sentence: str, name: str) -> _Prepared:
        try:
            sentence.encode()
        except UnicodeEncodeError as error:
            raise TextError(
                f"{name}: the sentence has a broken character at {error.start}, got {sentence!r:.80}; "
                "expected Unicode text; correct its encoding"
            ) from error
        if all(unicodedata.category(character) in INVISIBLE for character in sentence):
            raise TextError(f"{name}: the sentence is blank, got {sentence!r}; expected words; remove or complete it")
        unet, clip = self._unet.tokenize(sentence), self._clip.tokenize(sentence)
        kept = min(unet.kept_end(sentence), clip.kept_end(sentence)) if unet.ranges and clip.ranges else 0
        seen = AlignedText.of(sentence[:kept]).collapse_whitespace()
        if not seen.text:
            raise TextError(
                f"{name}: nothing of the sentence is left for the models, got {sentence!r:.80}; expected words; "
                "remove or complete it"
            )
        if unet.truncated or clip.truncated:
            logger.warning(
                "%s: the sentence is too long and is cut; expected at most %d tokens for the U-Net and %d for CLIP, "
                "got %d and %d; the models see %r",
                *(name, unet.room, clip.room, len(unet.ranges), len(clip.ranges), seen.text),
            )
        return _Prepared(name, sentence, seen.lowercase(), unet, clip)

    def _describe(self, doc: Doc, item: _Prepared) -> ParsedText:
        root, fallback = find_root(doc, self.settings.head_fallbacks)
        found = find_directions(item.sentence)
        return ParsedText(
            sentence=item.sentence,
            root=_head_word(root, item),
            subject=_head_word(find_subject(doc), item),
            root_fallback=fallback,
            unet_tokens=item.unet.kept,
            clip_tokens=item.clip.kept,
            direction=choose_direction(found),
            direction_released=released_direction(item.sentence),
            directions=tuple(direction.side for direction in found),
            truncated=item.unet.truncated or item.clip.truncated,
        )


def _head_word(token: Token, item: _Prepared) -> HeadWord:
    start, end = item.seen.source_range(token.idx, token.idx + len(token.text))
    unet_first, unet_last = item.unet.span(start, end)
    return HeadWord(item.sentence[start:end], start, end, unet_first, unet_last)
