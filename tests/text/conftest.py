"""One parser for all tests of sentences: the spaCy pipeline that is installed, and the tokenizers of the fixtures."""

from pathlib import Path

import pytest

from refdiff.text.parser import Parser
from refdiff.text.settings import ParserSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
SD = FIXTURES / "parity" / "sd"


@pytest.fixture(scope="session")
def settings() -> ParserSettings:
    return ParserSettings(
        spacy_model="en_core_web_sm",
        head_fallbacks=("subject", "attribute", "attached", "first_noun", "content_word"),
        unet_model=str(SD),
        unet_revision=None,
        clip_model="ViT-B-16-quickgelu",
        batch_sentences=64,
    )


@pytest.fixture(scope="session")
def parser(settings: ParserSettings) -> Parser:
    return Parser(settings)
