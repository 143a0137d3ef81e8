import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refdiff.fusion.candidates import find_candidates


def test_the_largest_first_then_the_small_the_empty_and_the_whole_photo() -> None:
    areas = np.array([0, 5, 50, 100, 20, 6])
    assert np.flatnonzero(find_candidates(areas, 100, None, 0)).tolist() == [1, 2, 4, 5]
    assert np.flatnonzero(find_candidates(areas, 100, None, 5)).tolist() == [2, 4, 5]
    assert np.flatnonzero(find_candidates(areas, 100, 3, 0)).tolist() == [2, 4]
    assert np.flatnonzero(find_candidates(areas, 100, 3, 30)).tolist() == [2]


def test_of_equally_large_ones_the_first_is_kept() -> None:
    assert np.flatnonzero(find_candidates(np.array([7, 9, 7, 7]), 100, 2, 0)).tolist() == [0, 1]


def test_nothing_gives_nothing() -> None:
    assert find_candidates(np.zeros(0, np.int64), 10, 3, 0).tolist() == []


@given(
    st.lists(st.lists(st.integers(0, 30), max_size=8), max_size=6),
    st.integers(1, 9) | st.none(),
    st.integers(0, 10),
)
def test_groups_are_filtered_as_if_alone(photos: list[list[int]], keep: int | None, smallest: int) -> None:
    pixels = [20 + index for index in range(len(photos))]
    groups = np.array([index for index, areas in enumerate(photos) for _ in areas], np.int32)
    areas = np.array([area for photo in photos for area in photo], np.int64)
    whole = find_candidates(areas, np.array(pixels, np.int64)[groups] if len(groups) else 1, keep, smallest, groups)
    alone = [find_candidates(np.array(a, np.int64), p, keep, smallest) for a, p in zip(photos, pixels, strict=True)]
    assert whole.tolist() == [flag for part in alone for flag in part]
    for areas_of, kept in zip(photos, alone, strict=True):
        assert keep is None or kept.sum() <= keep
        assert all(area > smallest for area, flag in zip(areas_of, kept, strict=True) if flag)
