"""Parameters of stage parse_text."""

from typing import Annotated, Literal

from pydantic import Field

from refdiff.params import Section

Fallback = Literal["subject", "attribute", "attached", "first_noun", "content_word"]
"""A rule that may replace a root that is no noun; see `refdiff.text.head`."""


class ParseTextSettings(Section):
    """Section `parse_text` of params.yaml.

    Attributes:
        spacy_model: Name of an installed spaCy pipeline with a tagger and a dependency parser.
        head_fallbacks: Rules tried in this order when the root is no noun; none keeps the root as it is.
        unet_model: Folder or hub id of a Stable Diffusion model; its subfolder `tokenizer` is used.
        unet_revision: Branch, tag or commit of a hub id; None for its main branch.
        clip_model: open_clip model name, `local-dir:FOLDER` or `hf-hub:ID`; its tokenizer is used.
        batch_sentences: Sentences that spaCy parses together.
    """

    spacy_model: Annotated[str, Field(min_length=1)]
    head_fallbacks: tuple[Fallback, ...]
    unet_model: Annotated[str, Field(min_length=1)]
    unet_revision: Annotated[str, Field(min_length=1)] | None
    clip_model: Annotated[str, Field(min_length=1)]
    batch_sentences: Annotated[int, Field(ge=1, le=100_000)]
