import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff.text.aligned import AlignedText, align

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def ranges(aligned: AlignedText) -> list[tuple[int, int]]:
    return list(zip(aligned.starts, aligned.ends, strict=True))


def test_spaces_are_collapsed_and_offsets_kept() -> None:
    aligned = AlignedText.of("  the \t\n dog ").collapse_whitespace()
    assert aligned.text == "the dog"
    assert aligned.source_range(4, 7) == (9, 12)


def test_a_letter_that_becomes_two_in_lower_case_gives_both_its_range() -> None:
    aligned = AlignedText.of("aİb").lowercase()
    assert aligned.text == "ai̇b"
    assert ranges(aligned) == [(0, 1), (1, 2), (1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("source", "cleaned", "word", "expected"),
    [
        ("Red  Dog", "red dog", "dog", (5, 8)),
        ("a &amp; b dog", "a & b dog", "dog", (10, 13)),
        ("a &amp; b dog", "a & b dog", "&", (2, 3)),
        ("cafe\u0301 dog", "café dog", "café", (0, 5)),
        ("ﬁre dog", "fire dog", "fire", (0, 3)),
        ("ﬁre dog", "fire dog", "dog", (4, 7)),
        ("the dog's, hat!", "the dogs hat", "hat", (11, 14)),
        ("dog", "dogs", "s", (2, 3)),
    ],
)
def test_repaired_text_is_aligned(source: str, cleaned: str, word: str, expected: tuple[int, int]) -> None:
    aligned = align(source, cleaned)
    assert aligned.text == cleaned
    first = cleaned.index(word)
    assert aligned.source_range(first, first + len(word)) == expected


def test_nothing_at_all_is_aligned() -> None:
    assert align("", "").text == ""
    assert align("", "x").source_range(0, 1) == (0, 0)


@given(TEXTS)
def test_collapsing_is_what_split_and_join_do(text: str) -> None:
    aligned = AlignedText.of(text).collapse_whitespace()
    assert aligned.text == " ".join(text.split())
    assert all(text[s:e] == c for (s, e), c in zip(ranges(aligned), aligned.text, strict=True) if c != " ")


@given(TEXTS)
def test_lower_case_is_that_of_python(text: str) -> None:
    aligned = AlignedText.of(text).lowercase()
    assert aligned.text == text.lower()
    assert all(0 <= s < e <= len(text) for s, e in ranges(aligned))


@given(TEXTS, TEXTS)
def test_any_two_texts_are_aligned_within_bounds_and_in_order(source: str, cleaned: str) -> None:
    aligned = align(source, cleaned)
    assert aligned.text == cleaned
    assert len(aligned.starts) == len(aligned.ends) == len(cleaned)
    assert all(0 <= s <= e <= len(source) for s, e in ranges(aligned))
    assert list(aligned.starts) == sorted(aligned.starts)
