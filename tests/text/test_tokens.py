import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff.text.tokens import SentenceTokens

THREE = SentenceTokens(ranges=((0, 3), (4, 8), (8, 9)), room=75)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0, 3, (1, 1)), (4, 9, (2, 3)), (5, 6, (2, 2)), (0, 9, (1, 3)), (3, 4, (1, 1)), (20, 21, (3, 3))],
)
def test_span_is_the_tokens_that_touch_the_characters(start: int, end: int, expected: tuple[int, int]) -> None:
    assert THREE.span(start, end) == expected


def test_a_short_sentence_is_kept_whole() -> None:
    assert (THREE.kept, THREE.truncated, THREE.kept_end("the dogs!")) == (3, False, 9)


def test_a_long_sentence_is_cut_before_the_first_lost_token() -> None:
    tokens = SentenceTokens(ranges=((0, 3), (4, 8), (8, 9)), room=2)
    assert (tokens.kept, tokens.truncated, tokens.kept_end("the dogs!")) == (2, True, 8)
    assert tokens.span(8, 9) == (2, 2)


def test_a_character_cut_in_two_is_lost_unless_it_is_the_only_one() -> None:
    assert SentenceTokens(ranges=((0, 1), (1, 2), (1, 2)), room=2).kept_end("ab") == 1
    assert SentenceTokens(ranges=((0, 1), (0, 1)), room=1).kept_end("a") == 1


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(1, 12), st.data())
def test_spans_are_within_the_kept_tokens(lengths: list[int], room: int, data: st.DataObject) -> None:
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    ranges = tuple((end - length, end) for end, length in zip(ends, lengths, strict=True))
    tokens = SentenceTokens(ranges=ranges, room=room)
    start = data.draw(st.integers(0, ends[-1] - 1))
    end = data.draw(st.integers(start + 1, ends[-1]))
    first, last = tokens.span(start, end)
    assert 1 <= first <= last <= tokens.kept
    inside = tokens.kept_end("x" * ends[-1])
    if end <= inside:
        assert ranges[first - 1][0] <= start
        assert ranges[last - 1][1] >= end
