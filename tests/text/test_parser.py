import contextlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import CLIPTokenizer

from refdiff.errors import TextError
from refdiff.text.parsed import HeadWord, ParsedText
from refdiff.text.parser import Parser
from refdiff.text.settings import ParserSettings
from tests.text.conftest import FIXTURES

TOKENIZER = CLIPTokenizer.from_pretrained(FIXTURES / "parity" / "sd" / "tokenizer")
CASES = sorted((FIXTURES / "parity").glob("case*.npz"))
SENTENCES = [row["sentence"] for row in json.loads((FIXTURES / "google_refexp" / "sentences.json").read_text())]
REUSED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check(parsed: ParsedText) -> None:
    """Every sentence has heads inside it, with spans inside what the models see."""
    for head in (parsed.root, parsed.subject):
        assert 0 <= head.start < head.end <= len(parsed.sentence)
        assert head.text == parsed.sentence[head.start : head.end]
        assert head.text.strip()
        assert 1 <= head.unet_first <= head.unet_last <= parsed.unet_tokens <= 75
        assert 1 <= parsed.clip_tokens <= 75


def test_a_row_in_full(parser: Parser) -> None:
    parsed = parser.parse("the  two snowboarders on the Left")
    assert parsed == ParsedText(
        sentence="the  two snowboarders on the Left",
        root=HeadWord("snowboarders", 9, 21, 3, 5),
        subject=HeadWord("snowboarders", 9, 21, 3, 5),
        root_fallback="",
        unet_tokens=8,
        clip_tokens=8,
        direction="left",
        direction_released="none",
        directions=("left",),
        truncated=False,
    )
    assert parsed.head("root") is parsed.root
    assert parsed.head("root_or_subject") is parsed.subject


def test_the_span_is_by_offsets_and_not_by_the_first_equal_letters(parser: Parser) -> None:
    parsed = parser.parse("carpet under the car")
    assert parsed.root.unet_first == 1
    parsed = parser.parse("the carpenter 's car")
    assert (parsed.root.text, parsed.root.start) == ("car", 17)
    assert parsed.root.unet_last == parsed.unet_tokens


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_released_head_is_that_of_the_released_code(parser: Parser, path: Path) -> None:
    case = np.load(path)
    subject = parser.parse(str(case["sent"])).subject
    assert subject.text == str(case["core"])
    assert subject.unet_last == int(case["core_index"])


def test_sentences_that_people_wrote(parser: Parser) -> None:
    rows = list(parser.parse_all(SENTENCES, SENTENCES))
    assert [row.sentence for row in rows] == SENTENCES
    for row in rows:
        check(row)
        assert not row.truncated
    assert {row.root_fallback for row in rows} >= {"", "subject", "attribute", "attached", "first_noun"}


def test_heads_do_not_depend_on_capitals(parser: Parser) -> None:
    typed = ["Boy with hat", "Girl Eating Cake", "Giraffe closest to the fence", "MAN IN BLUE SHIRT", "SUV by the TV"]
    assert [parser.parse(sentence).root.text for sentence in typed] == ["Boy", "Girl", "Giraffe", "MAN", "SUV"]
    plain = list(parser.parse_all(SENTENCES, SENTENCES))
    for change in (str.upper, str.title):
        changed = [change(sentence) for sentence in SENTENCES]
        for row, other in zip(plain, parser.parse_all(changed, changed), strict=True):
            assert (other.root.start, other.root.end) == (row.root.start, row.root.end)
            assert other.root.text == change(row.sentence)[row.root.start : row.root.end]
            assert (other.subject.start, other.root_fallback) == (row.subject.start, row.root_fallback)


def test_a_character_that_grows_in_lower_case_keeps_its_place(parser: Parser) -> None:
    parsed = parser.parse("İİİ İ Boy with hat")
    assert (parsed.root.text, parsed.root.start) == ("Boy", 6)


def test_one_by_one_is_as_all_together(parser: Parser) -> None:
    together = list(parser.parse_all(SENTENCES[:20], SENTENCES[:20]))
    assert [parser.parse(sentence) for sentence in SENTENCES[:20]] == together


@pytest.mark.parametrize("sentence", ["", " ", "\t\n", "\u200b", "\u00a0\ufeff", "\x00"])
def test_a_blank_sentence_is_refused_by_name(parser: Parser, sentence: str) -> None:
    with pytest.raises(TextError, match=r"^demo: expression 7: the sentence is blank, got .*; expected words; remove"):
        parser.parse(sentence, "demo: expression 7")


def test_what_a_tokenizer_removes_altogether_is_refused(parser: Parser) -> None:
    with pytest.raises(TextError, match="nothing of the sentence is left for the models"):
        parser.parse("\x1b[31m")


def test_a_broken_character_is_refused(parser: Parser) -> None:
    with pytest.raises(TextError, match=r"expression 3: the sentence has a broken character"):
        parser.parse("dog \ud83d", "expression 3")


@pytest.mark.parametrize(
    "sentence",
    ["🐶", "🐶🐶 🐱", "👩🏽‍🚒", "❤️", "...", "?", "<|endoftext|>", "ＡＢＣ", "犬", "café", "#10", "ﬁ"],
)
def test_signs_and_other_scripts_have_a_head_and_a_span(parser: Parser, sentence: str) -> None:
    check(parser.parse(sentence))


def test_a_long_sentence_is_cut_and_named(parser: Parser, caplog: pytest.LogCaptureFixture) -> None:
    sentence = "a very " + "very " * 100 + "big dog on the left"
    with caplog.at_level(logging.WARNING):
        parsed = parser.parse(sentence, "demo: expression 9")
    check(parsed)
    assert parsed.truncated
    assert (parsed.unet_tokens, parsed.clip_tokens) == (75, 75)
    assert parsed.root.end <= len("a very " + "very " * 73)
    assert parsed.direction == "left"  # of the whole sentence
    assert "demo: expression 9: the sentence is too long and is cut; expected at most 75 tokens" in caplog.text


def test_a_long_sentence_keeps_a_head_that_is_seen(parser: Parser) -> None:
    parsed = parser.parse("the dog " + "and a very red ball " * 40)
    assert (parsed.root.text, parsed.truncated) == ("dog", True)


def test_a_word_that_is_longer_than_the_prompt_is_cut(parser: Parser) -> None:
    check(parser.parse("x7" * 200))
    check(parser.parse("ꙮ" * 100))


def test_no_fallback_is_the_paper_to_the_letter(settings: ParserSettings) -> None:
    literal = Parser(settings.model_copy(update={"head_fallbacks": ()}))
    parsed = literal.parse("there is a laptop under the cat")
    assert (parsed.root.text, parsed.root_fallback) == ("is", "")
    assert set(literal.identity) == {"spacy", "unet_tokenizer", "clip_tokenizer"}


@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
@REUSED
def test_any_text_is_parsed_or_refused(parser: Parser, text: str) -> None:
    if any(character.isalnum() for character in text):
        check(parser.parse(text))
        return
    with contextlib.suppress(TextError):
        check(parser.parse(text))


@given(text=st.text(st.characters(categories=["L", "N", "S", "Po", "Zs"]), min_size=1, max_size=30))
@REUSED
def test_any_text_with_something_to_read_has_a_head(parser: Parser, text: str) -> None:
    if text.strip():
        check(parser.parse(text))


@given(words=st.lists(st.text("abcdefghijklmnopqrstuvwxyzABC", min_size=1, max_size=9), min_size=1, max_size=8))
@REUSED
def test_the_tokens_of_the_span_spell_the_head(parser: Parser, words: list[str]) -> None:
    sentence = " ".join(words)
    parsed = parser.parse(sentence)
    ids = TOKENIZER(sentence)["input_ids"]
    for head in (parsed.root, parsed.subject):
        spelt = TOKENIZER.decode(ids[head.unet_first : head.unet_last + 1]).replace(" ", "")
        assert head.text.lower() in spelt
        if head.start == 0 or sentence[head.start - 1] == " ":
            assert spelt.startswith(head.text.lower())
        if head.end == len(sentence) or sentence[head.end] == " ":
            assert spelt.endswith(head.text.lower())
