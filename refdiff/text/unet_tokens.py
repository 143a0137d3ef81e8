"""The U-Net's prompt: the tokens of a Stable Diffusion model's own tokenizer."""

import hashlib
from functools import cached_property

from transformers import CLIPTokenizer

from refdiff.diffusion.pipeline_parts import PIPELINE
from refdiff.errors import ModelError
from refdiff.model_files import open_folder
from refdiff.text.tokens import SentenceTokens

WHERE = "extract_attention.model"


class UnetTokenizer:
    """Character ranges of a sentence's tokens as the U-Net's text encoder gets them.

    The prompt is start token, sentence, suffix, end token. A suffix stands behind the sentence and shifts nothing;
    only a symbol (no letter, no digit) that ends the sentence may be cut into other pieces when a suffix without a
    space follows it, which never changes the position of its first piece.

    Args:
        model: Folder of a Stable Diffusion model, or its hub id when it has been downloaded.
        revision: Branch, tag or commit of a hub id; None for its main branch.

    Raises:
        ModelError: There is no tokenizer, or it does not say how many tokens its model takes.
    """

    def __init__(self, model: str, revision: str | None = None) -> None:
        self.model = model
        self._tokenizer = _load(model, revision)
        if self._tokenizer.model_max_length > 1_000_000:
            raise ModelError(
                f"{WHERE}: the tokenizer of {model!r} does not say how many tokens its model takes; "
                "expected model_max_length in tokenizer_config.json; add it there"
            )

    def tokenize(self, sentence: str) -> SentenceTokens:
        """The sentence's tokens with their offsets, as the tokenizer itself reports them."""
        encoded = self._tokenizer(
            sentence, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
        )
        ranges = tuple((int(start), int(end)) for start, end in encoded["offset_mapping"])
        room = self._tokenizer.model_max_length - self._tokenizer.num_special_tokens_to_add()
        return SentenceTokens(ranges=ranges, room=room)

    @cached_property
    def identity(self) -> dict[str, str]:
        content = self._tokenizer.backend_tokenizer.to_str().encode()
        return {"model": self.model, "tokenizer_sha256": hashlib.sha256(content).hexdigest()}


def _load(model: str, revision: str | None) -> CLIPTokenizer:
    found = open_folder(model, revision, PIPELINE)
    folder = found.path / "tokenizer"
    files = {path.name for path in folder.glob("*")}
    # Without its files from_pretrained makes an empty tokenizer and says nothing.
    if not {"vocab.json", "merges.txt"} <= files and "tokenizer.json" not in files:
        raise ModelError(
            f"{WHERE}: {folder} has no tokenizer; expected vocab.json and merges.txt or tokenizer.json, got "
            f"{sorted(files)}; {found.advice}"
        )
    try:
        return _checked(CLIPTokenizer.from_pretrained(folder, local_files_only=True), model)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{WHERE}: the tokenizer in {folder} cannot be read ({reason}); expected one in the layout of diffusers; "
            f"{found.advice}"
        ) from error


def _checked(tokenizer: CLIPTokenizer, model: str) -> CLIPTokenizer:
    if not tokenizer.is_fast or len(tokenizer) < 256:
        raise ModelError(
            f"{WHERE}: {model!r} has {len(tokenizer)} words; expected a byte-level CLIP tokenizer; get the model again"
        )
    return tokenizer
