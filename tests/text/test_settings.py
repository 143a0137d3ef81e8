from typing import Any

import pytest

from refdiff.errors import ParameterError
from refdiff.params import parse_section, read_section
from refdiff.text.settings import ParseTextSettings, read_parser_settings

GOOD: dict[str, Any] = {
    "spacy_model": "en_core_web_sm",
    "head_fallbacks": ["subject", "attached"],
    "batch_sentences": 8,
}


def test_a_section_is_read() -> None:
    assert parse_section(ParseTextSettings, GOOD, "parse_text").head_fallbacks == ("subject", "attached")


def test_models_are_those_that_other_sections_name() -> None:
    params: dict[str, Any] = {
        "parse_text": GOOD,
        "extract_attention": {"model": "owner/name", "revision": "main", "device": 3},
        "embed_clip": {"model": "ViT-B-16-quickgelu"},
    }
    found = read_parser_settings(params)
    assert (found.unet_model, found.unet_revision, found.clip_model) == ("owner/name", "main", "ViT-B-16-quickgelu")
    for section, value, message in [
        ("extract_attention", {"model": "", "revision": None}, r"extract_attention\.model: .* at least 1 character"),
        ("extract_attention", {"model": "x"}, "extract_attention: no entry 'revision'"),
        ("embed_clip", {"model": None}, r"embed_clip\.model: expected a string, got None"),
    ]:
        with pytest.raises(ParameterError, match=message):
            read_parser_settings({**params, section: value})


def test_the_shipped_section_is_read() -> None:
    assert read_section(ParseTextSettings, "parse_text").spacy_model == "en_core_web_sm"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("head_fallbacks", ["nearest"], r"parse_text\.head_fallbacks\.0: expected one of subject, attribute"),
        ("batch_sentences", 0, r"parse_text\.batch_sentences: expected greater than or equal to 1, got 0"),
        (
            "batch_sentences",
            "8",
            r"parse_text\.batch_sentences: expected an integer, got '8', which YAML reads as",
        ),
        ("spacy_model", "", r"parse_text\.spacy_model: .* at least 1 character"),
        ("model", "x", r"parse_text\.model: unknown parameter"),
    ],
)
def test_what_does_not_fit_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_section(ParseTextSettings, {**GOOD, key: value}, "parse_text")
