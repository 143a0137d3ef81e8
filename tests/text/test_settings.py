from typing import Any

import pytest

from refdiff.errors import ParameterError
from refdiff.params import parse_section, read_section
from refdiff.text.settings import ParseTextSettings

GOOD: dict[str, Any] = {
    "spacy_model": "en_core_web_sm",
    "head_fallbacks": ["subject", "attached"],
    "unet_model": "models/sd",
    "unet_revision": None,
    "clip_model": "ViT-B-16-quickgelu",
    "batch_sentences": 8,
}


def test_a_section_is_read() -> None:
    assert parse_section(ParseTextSettings, GOOD, "parse_text").head_fallbacks == ("subject", "attached")


def test_the_shipped_section_is_read() -> None:
    assert read_section(ParseTextSettings, "parse_text").spacy_model == "en_core_web_sm"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("head_fallbacks", ["nearest"], r"parse_text\.head_fallbacks\.0: Input should be 'subject'"),
        ("batch_sentences", 0, r"parse_text\.batch_sentences: .* greater than or equal to 1, got 0"),
        ("batch_sentences", "8", r"parse_text\.batch_sentences: .* valid integer, got '8'"),
        ("spacy_model", "", r"parse_text\.spacy_model: .* at least 1 character"),
        ("model", "x", r"parse_text\.model: unknown parameter"),
    ],
)
def test_what_does_not_fit_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_section(ParseTextSettings, {**GOOD, key: value}, "parse_text")
