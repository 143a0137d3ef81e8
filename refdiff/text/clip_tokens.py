"""CLIP's own tokens: those of an open_clip model's tokenizer, with the characters that they stand for."""

import hashlib
from functools import cached_property

import open_clip
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from refdiff.clip.checkpoint import read_config, tokenizer_hint
from refdiff.errors import ModelError
from refdiff.paths import expand_clip
from refdiff.text.aligned import align
from refdiff.text.tokens import SentenceTokens

WHERE = "embed_clip.model"


class ClipTokenizer:
    """Character ranges of a sentence's tokens in CLIP's text input.

    Args:
        model: open_clip model name (`ViT-B-16-quickgelu`), `local-dir:FOLDER` or `hf-hub:ID`.

    Raises:
        ModelError: open_clip does not know the model, its image tower cannot be used, or its tokenizer is not on this
            machine or not of a kind whose positions are known.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        tokenizer = _load(expand_clip(model))
        self._tokenizer = tokenizer
        self._room = int(tokenizer.context_length or 0) - _special_tokens(tokenizer)

    def tokenize(self, sentence: str) -> SentenceTokens:
        """The sentence's tokens; the cleaning and the cutting are open_clip's, the offsets are derived from them."""
        aligned = align(sentence, self._tokenizer.clean_fn(sentence))
        if isinstance(self._tokenizer, SimpleTokenizer):
            parts = [span for span, _ in cut_pieces(self._tokenizer, aligned.text)]
        else:
            parts = _reported_parts(self._tokenizer, aligned.text)
        ranges = tuple(aligned.source_range(start, end) for start, end in parts if end > start)
        return SentenceTokens(ranges=ranges, room=self._room)

    @cached_property
    def identity(self) -> dict[str, str]:
        if isinstance(self._tokenizer, SimpleTokenizer):
            content = "\n".join(self._tokenizer.encoder)
        else:
            content = self._tokenizer.tokenizer.backend_tokenizer.to_str()
        return {"model": self.model, "tokenizer_sha256": hashlib.sha256(content.encode()).hexdigest()}


def cut_pieces(tokenizer: SimpleTokenizer, cleaned: str) -> list[tuple[tuple[int, int], str]]:
    """The byte-pair pieces of a cleaned text, each with its half-open character range in it.

    A piece that holds some of a character's bytes counts as standing for that character.

    Args:
        tokenizer: open_clip's tokenizer; its pattern and merges are used.
        cleaned: What the tokenizer's `clean_fn` made of a sentence.
    """
    pieces: list[tuple[tuple[int, int], str]] = []
    for match in tokenizer.pat.finditer(cleaned):
        owners = [i for i, character in enumerate(match.group(), match.start()) for _ in character.encode()]
        symbols = "".join(tokenizer.byte_encoder[byte] for byte in match.group().encode())
        position = 0
        for piece in tokenizer.bpe(symbols).split(" "):
            n_bytes = len(piece.removesuffix("</w>"))
            pieces.append(((owners[position], owners[position + n_bytes - 1] + 1), piece))
            position += n_bytes
    return pieces


def _reported_parts(tokenizer: HFTokenizer, cleaned: str) -> list[tuple[int, int]]:
    encoded = tokenizer.tokenizer(
        cleaned, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
    )
    return [(int(start), int(end)) for start, end in encoded["offset_mapping"]]


def _special_tokens(tokenizer: SimpleTokenizer | HFTokenizer) -> int:
    return 2 if isinstance(tokenizer, SimpleTokenizer) else tokenizer.tokenizer.num_special_tokens_to_add()


def _load(model: str) -> SimpleTokenizer | HFTokenizer:
    where = f"{WHERE}: {model}"
    config = read_config(model, where)
    config.vision_cfg.kind().check(where)  # whoever fetches a tokenizer should not learn later that the model is no use
    repository = config.text_cfg.hf_tokenizer_name
    try:
        if repository:
            tokenizer = open_clip.get_tokenizer(model, local_files_only=True)
        else:
            tokenizer = open_clip.get_tokenizer(model)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        advice = tokenizer_hint(repository) if repository else "correct its configuration"
        raise ModelError(f"{WHERE}: the tokenizer of {model!r} cannot be read ({reason}); {advice}") from error
    if isinstance(tokenizer, SimpleTokenizer) and tokenizer.reduction_fn is None:
        return tokenizer
    if isinstance(tokenizer, HFTokenizer) and tokenizer.tokenizer.is_fast and not tokenizer.tokenizer_mode:
        return tokenizer
    raise ModelError(
        f"{WHERE}: {model!r} has a {type(tokenizer).__name__} whose token positions are not known; expected "
        "open_clip's SimpleTokenizer without text reduction, or a fast HFTokenizer; choose another model"
    )
