import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff.clip.view_rows import ABSENT, ViewRows, plan_rows
from refdiff.errors import StoreMismatchError

VARIANTS = st.lists(st.sampled_from(["none", "paper_left", "paper_top"]), unique=True)
PHOTOS = st.lists(st.tuples(VARIANTS, st.integers(0, 5)), max_size=6)


def test_rows_go_by_photo_then_variant() -> None:
    rows = plan_rows([["none"], [], ["paper_left", "none"]], [3, 2, 4])
    assert rows.variants == ("none", "paper_left")
    assert rows.total == 11
    assert rows.of(0, "none") == range(3)
    assert rows.of(2, "none") == range(3, 7)
    assert rows.of(2, "paper_left") == range(7, 11)


def test_a_variant_that_is_not_stored_is_refused_by_name() -> None:
    rows = plan_rows([["none"], []], [3, 2])
    with pytest.raises(StoreMismatchError, match=r"photo 0: position variant 'paper_left' is not stored; .* none; add"):
        rows.of(0, "paper_left")
    with pytest.raises(StoreMismatchError, match="expected one of none at all"):
        rows.of(1, "none")
    with pytest.raises(StoreMismatchError, match="photo 2: expected an index below 2"):
        rows.of(2, "none")


@given(PHOTOS, st.integers(1, 7))
def test_files_cover_every_row_once(photos: list[tuple[list[str], int]], rows_per_file: int) -> None:
    rows = plan_rows([used for used, _ in photos], [count for _, count in photos])
    seen = np.zeros(rows.total, dtype=int)
    for first in range(0, rows.total, rows_per_file):
        for segment in rows.segments(first, min(first + rows_per_file, rows.total)):
            start = rows.of(segment.image_index, segment.variant).start
            assert segment.row == start + segment.proposals.start
            assert segment.row >= first
            seen[segment.row : segment.row + len(segment.proposals)] += 1
    assert (seen == 1).all()
    assert rows.total == sum(len(used) * count for used, count in photos)


@given(
    st.lists(st.tuples(st.integers(ABSENT, 20), st.integers(ABSENT, 20), st.integers(0, 5)), max_size=6),
    st.integers(0, 25),
    st.integers(0, 25),
)
def test_rows_in_any_order_are_found_as_by_looking_at_all(
    photos: list[tuple[int, int, int]], first: int, last: int
) -> None:
    """A store may come from a stranger, with rows that are out of order or overlap."""
    start = np.array([photo[:2] for photo in photos], np.int64).reshape(-1, 2)
    rows = ViewRows(("a", "b"), start, np.array([photo[2] for photo in photos], np.int64))
    found = [(each.row, each.image_index, each.variant, each.proposals) for each in rows.segments(first, last)]
    expected = []
    for image, variant in np.argwhere(start != ABSENT):
        begin = int(start[image, variant])
        low, high = max(first, begin), min(last, begin + photos[image][2])
        if low < high:
            expected.append((low, int(image), "ab"[variant], range(low - begin, high - begin)))
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert [each[0] for each in found] == sorted(each[0] for each in found)
