import pytest

from refdiff.dataset.sentences import check_sentence


@pytest.mark.parametrize("text", ["dog", " dog ", "🐶", "👩‍👩‍👧", "\U0001fae9", "狗", "?", "word " * 500, "a\nb"])
def test_anything_to_read_is_a_sentence(text: str) -> None:
    assert check_sentence(text) == ""


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u200b", "\u00a0\ufeff", "\x00"])
def test_nothing_to_read_is_blank(text: str) -> None:
    assert "empty or blank; expected words" in check_sentence(text)


@pytest.mark.parametrize(
    ("text", "problem"), [(None, "is None"), (7, "is 7"), (["dog"], "a list of 1"), ("\ud800", "surrogate")]
)
def test_what_is_no_text_is_named(text: object, problem: str) -> None:
    assert problem in check_sentence(text)
