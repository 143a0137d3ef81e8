import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from refdiff.report.selection import pick_cases
from refdiff.report.settings import GallerySettings

IOU = np.array([0.1, 0.9, 0.5, np.nan, 0.8, 0.0])
PHOTOS = np.array([0, 0, 1, 1, 2, 2])


def test_best_and_worst_are_of_different_photos() -> None:
    picked = pick_cases(IOU, PHOTOS, GallerySettings(best=3, worst=1, random=0), seed=0)
    assert picked == [("best", 1), ("best", 4), ("best", 2), ("worst", 5)]


def test_more_than_there_are_photos_come_from_the_same() -> None:
    picked = pick_cases(IOU, PHOTOS, GallerySettings(best=5, worst=0, random=9), seed=0)
    assert [row for kind, row in picked if kind == "best"] == [1, 4, 2, 0, 5]
    assert [row for kind, row in picked if kind == "random"] == [3], "no truth, so at random only"


def test_equal_ious_are_ordered_by_the_seed() -> None:
    same = np.zeros(50)
    photos = np.arange(50)
    settings = GallerySettings(best=5, worst=0, random=0)
    first = pick_cases(same, photos, settings, seed=1)
    assert first == pick_cases(same, photos, settings, seed=1)
    assert first != pick_cases(same, photos, settings, seed=2)


@given(
    st.lists(st.tuples(st.floats(0, 1) | st.just(float("nan")), st.integers(0, 3)), max_size=20),
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_nothing_is_shown_twice(rows: list[tuple[float, int]], best: int, worst: int, random: int) -> None:
    iou = np.array([value for value, _ in rows])
    photos = np.array([photo for _, photo in rows], dtype=int)
    picked = pick_cases(iou, photos, GallerySettings(best=best, worst=worst, random=random), seed=0)
    shown = [row for _, row in picked]
    assert len(set(shown)) == len(shown) <= len(rows)
    known = int((~np.isnan(iou)).sum())
    assert sum(kind == "best" for kind, _ in picked) == min(best, known)
    chosen = [iou[row] for kind, row in picked if kind == "best"]
    if best >= 1 and known:
        assert chosen[0] == np.nanmax(iou)
