import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from refdiff.dataset.segmentation import declared_size, draw_segmentation
from refdiff.dataset.settings import OverlapRule
from refdiff.errors import MaskError
from tests.dataset.folder import box_polygon, compressed_code, plain_code, rectangle
from tests.fuzzing import count_examples

HEIGHT, WIDTH = 20, 30

corners = st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT))
polygons = st.lists(
    st.lists(corners, min_size=3, max_size=8).map(lambda p: [n for xy in p for n in xy]), min_size=1, max_size=4
).filter(lambda parts: max(map(max, parts)) > 1.5)  # all within a pixel: taken for shares of the photo


def draw(segmentation: object, rule: OverlapRule = "union") -> np.ndarray:
    return draw_segmentation(segmentation, HEIGHT, WIDTH, rule)


def draw_with_remarks(segmentation: object) -> tuple[np.ndarray, list[tuple[str, str]]]:
    said: list[tuple[str, str]] = []
    mask = draw_segmentation(segmentation, HEIGHT, WIDTH, "union", lambda kind, line: said.append((kind, line)))
    return mask, said


@settings(max_examples=count_examples(150), deadline=None)
@given(polygons)
def test_polygons_are_drawn_as_pycocotools_does(segmentation: Any) -> None:
    codes = coco.frPyObjects(segmentation, HEIGHT, WIDTH)
    covered = coco.decode(codes).sum(axis=2)
    assert np.array_equal(draw(segmentation, "union"), coco.decode(coco.merge(codes)).astype(bool))
    assert np.array_equal(draw(segmentation, "once"), covered == 1)
    assert np.array_equal(draw(segmentation, "even_odd"), covered % 2 == 1)


@settings(max_examples=count_examples(100), deadline=None)
@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=15)))
def test_run_length_codes_of_every_kind_are_the_same_mask(mask: Any) -> None:
    height, width = mask.shape
    compressed: dict[str, Any] = compressed_code(mask)
    for code in (compressed, plain_code(mask), [compressed], {**compressed, "counts": compressed["counts"].encode()}):
        assert np.array_equal(draw_segmentation(code, height, width, "union"), mask)


def test_plain_codes_are_those_of_pycocotools() -> None:
    mask = rectangle(HEIGHT, WIDTH, slice(3, 9), slice(0, 11))
    official: Any = coco.frPyObjects(plain_code(mask), HEIGHT, WIDTH)  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert np.array_equal(coco.decode(official).astype(bool), mask)
    assert np.array_equal(draw(plain_code(mask)), mask)


def test_pixels_covered_twice_follow_the_rule() -> None:
    twice = [box_polygon(0, 0, 10, 10), box_polygon(5, 0, 15, 10)]
    thrice = [*twice, box_polygon(5, 0, 10, 10)]
    assert [int(draw(twice, rule).sum()) for rule in ("union", "once", "even_odd")] == [150, 100, 100]
    assert [int(draw(thrice, rule).sum()) for rule in ("union", "once", "even_odd")] == [150, 100, 150]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "segmentation is empty; expected one polygon"),
        (None, "segmentation is None; expected polygons"),
        ("abc", "segmentation is 'abc'; expected polygons"),
        ([1, 2, 3, 4, 5, 6], r"polygon is 1; expected a list of polygons"),
        ([[1, 2, 3, 4]], "polygon has 4 numbers; expected x and y of three corners"),
        ([[1, 2, 3, 4, 5, 6, 7]], "polygon has 7 numbers, an odd count; expected an x and a y of each corner"),
        ([[1, 2, 3, 4, 5, 6, 7], []], "polygon has 7 numbers, an odd count"),
        (
            [box_polygon(0.25, 0.2, 0.7, 1)],
            r"no number beyond 1: shares of .* pixels, x to 30 and y to 20, or",
        ),
        ([[0.5, 0.5, 0.9, 0.9]], "no number beyond 1: shares of the photo"),
        (rectangle(HEIGHT, WIDTH, slice(3, 9), slice(2, 7)).tolist(), "a matrix of 20 x 30 pixels; expected polygons"),
        ((rectangle(HEIGHT, WIDTH, slice(3, 9), slice(2, 7)) * 255).tolist(), "a matrix of 20 x 30 pixels"),
        (np.eye(7, dtype=int).tolist(), "or a matrix of 0 and 1"),
        ([box_polygon(5, 5, 35, 9)], r"reaches from \(5, 5\) to \(35, 9\), beyond the photo of 30 x 20"),
        ([box_polygon(5, 5, 9, 9), [1, 1, 2, 2]], "part 2 of 2: polygon has 4 numbers"),
        ([[1, 2, 3, 4, 5, float("nan")]], "something other than finite numbers"),
        ([[1, 2, 3, 4, 5, float("inf")]], "something other than finite numbers"),
        ([[1, 2, 3, 4, 5, 10**400]], "something other than finite numbers"),
        ([[1, 2, 3, 4, 5, "6"]], "something other than finite numbers"),
        ([[1, 2, 3, 4, 5, True]], "something other than finite numbers"),
        ([[[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [1, 1]]], r"holds pairs, something .*; expected .* flat"),
        (
            [box_polygon(0, 0, 900, 5)],
            r"reaches from \(0, 0\) to \(900, 5\), far outside the photo; expected x from 0 to 30",
        ),
        ([box_polygon(0, 0, 30, 20) * 20_000], "edges of .* px in all"),
        ({"size": [HEIGHT, WIDTH]}, "counts None; expected a list"),
        ({"size": [WIDTH, HEIGHT], "counts": [600]}, r"size \[30, 20\]; expected \[20, 30\]"),
        ({"counts": [600]}, r"size None; expected \[20, 30\]"),
        ({"size": [HEIGHT, WIDTH], "counts": [599]}, "covers 599 pixels; expected 20 x 30 = 600"),
        ({"size": [HEIGHT, WIDTH], "counts": [601, -1]}, "counts that are no runs"),
        ({"size": [HEIGHT, WIDTH], "counts": [600.0]}, "counts that are no runs"),
        ({"size": [HEIGHT, WIDTH], "counts": ""}, "run-length code"),
        ({"size": [HEIGHT, WIDTH], "counts": "0123456789"}, "run-length code"),
        ({"size": [HEIGHT, WIDTH], "counts": "ö"}, "letters beyond ASCII"),
        ([{"size": [HEIGHT, WIDTH], "counts": [600]}, box_polygon(1, 1, 5, 5)], "polygon is a mapping of 2"),
    ],
)
def test_what_is_no_mask_is_refused(segmentation: object, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        draw(segmentation)


@pytest.mark.parametrize(
    ("segmentation", "area", "remarks"),
    [
        ([box_polygon(-2, -2, 10, 10)], 100, []),
        ([box_polygon(-5, -5, 10, 10)], 100, [("beyond_photo", r"from \(-5, -5\) to \(10, 10\), beyond the photo")]),
        ([box_polygon(0, 0, 10, 10), [1, 1, 2, 2]], 100, [("broken_part", "part 2 of 2: .* 4 numbers; .*left out")]),
        ([[1, 1, 5, 1, 5, 5, 1], box_polygon(0, 0, 10, 10)], 100, [("broken_part", "part 1 of 2: .*odd.*left out")]),
        ([box_polygon(0, 0, 10, 10), []], 100, [("broken_part", "0 numbers")]),
        ([box_polygon(0, 0, 10, 10), [15] * 6], 100, [("empty_part", "part 2 of 2: has no pixels")]),
        ([box_polygon(0, 0, 10, 10), box_polygon(0, 0, 0.9, 0.9)], 100, []),
        ([[2] * 6], 0, []),
    ],
)
def test_what_is_left_out_or_cut_off_is_told(segmentation: Any, area: int, remarks: list[tuple[str, str]]) -> None:
    mask, said = draw_with_remarks(segmentation)
    assert mask.sum() == area
    assert [kind for kind, _ in said] == [kind for kind, _ in remarks]
    for (_, line), (_, pattern) in zip(said, remarks, strict=True):
        assert re.search(pattern, line)


def test_parts_without_pixels_are_no_reason_to_refuse() -> None:
    assert draw([box_polygon(0, 0, 10, 10), [15] * 6]).sum() == 100


def test_the_declared_size_is_that_of_a_code() -> None:
    code = {"size": [4, 6], "counts": [24]}
    assert declared_size(code) == declared_size([code]) == (4, 6)
    for other in ([box_polygon(0, 0, 1, 1)], [], None, {"size": "4x6"}, {"size": [4]}, Path("mask.png")):
        assert declared_size(other) is None


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.fixed_dictionaries({"size": inner, "counts": inner})
        | st.fixed_dictionaries({"size": st.just([HEIGHT, WIDTH]), "counts": inner})
    ),
    max_leaves=30,
)


@settings(max_examples=count_examples(300), deadline=None)
@given(junk | st.lists(st.lists(st.floats() | st.integers(), min_size=6, max_size=6), min_size=1, max_size=3))
def test_any_json_is_drawn_or_refused(segmentation: object) -> None:
    try:
        mask = draw(segmentation)
    except MaskError:
        return
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask.dtype == np.bool_
