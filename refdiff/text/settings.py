"""Parameters of stage parse_text."""

from typing import Annotated, Any, Literal

from pydantic import Field

from refdiff.params import Section, SectionT, find, parse_section

Fallback = Literal["subject", "attribute", "attached", "first_noun", "content_word"]
"""A rule that may replace a root that is no noun; see `refdiff.text.head`."""


class ParseTextSettings(Section):
    """Section `parse_text` of params.yaml.

    Attributes:
        spacy_model: Name of an installed spaCy pipeline with a tagger and a dependency parser.
        head_fallbacks: Rules tried in this order when the root is no noun; none keeps the root as it is.
        batch_sentences: Sentences that spaCy parses together.
    """

    spacy_model: Annotated[str, Field(min_length=1)]
    head_fallbacks: tuple[Fallback, ...]
    batch_sentences: Annotated[int, Field(ge=1, le=100_000)]


class ParserSettings(ParseTextSettings):
    """The section, and the models whose tokenizers are used, as their own sections name them.

    Attributes:
        unet_model: `extract_attention.model`; the tokenizer is in its subfolder `tokenizer`.
        unet_revision: `extract_attention.revision`.
        clip_model: `embed_clip.model`.
    """

    unet_model: str
    unet_revision: str | None
    clip_model: str


class _UnetName(Section):
    model: Annotated[str, Field(min_length=1)]
    revision: Annotated[str, Field(min_length=1)] | None


class _ClipName(Section):
    model: Annotated[str, Field(min_length=1)]


def read_parser_settings(params: dict[str, Any]) -> ParserSettings:
    """What a parser needs; of the models' sections only their names are read.

    Args:
        params: Content of params.yaml.

    Raises:
        ParameterError: Something is not there or does not fit.
    """
    section = parse_section(ParseTextSettings, find(params, "parse_text"), "parse_text")
    unet = _read_keys(_UnetName, params, "extract_attention")
    clip = _read_keys(_ClipName, params, "embed_clip")
    return ParserSettings(
        **section.model_dump(), unet_model=unet.model, unet_revision=unet.revision, clip_model=clip.model
    )


def _read_keys(keys: type[SectionT], params: dict[str, Any], where: str) -> SectionT:
    return parse_section(keys, {key: find(params, f"{where}.{key}") for key in keys.model_fields}, where)
