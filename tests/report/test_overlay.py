import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refdiff.errors import MaskError
from refdiff.report.colours import CHOICE_RGB, TRUTH_RGB, heat_colours
from refdiff.report.overlay import (
    LEAST_WIDTH_PX,
    draw_choice,
    draw_heat,
    draw_overlay,
    draw_truth,
    fit_heat,
    fit_mask,
    fit_photo,
    grow,
    inner_edge,
    tile_overlays,
)

PHOTO = np.full((120, 300, 3), 128, np.uint8)
MASK = np.zeros((120, 300), np.bool_)
MASK[30:80, 100:180] = True
small_masks = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def test_the_mask_is_tinted_the_rest_dimmed_and_a_caption_added() -> None:
    before = PHOTO.copy()
    drawn = draw_overlay(PHOTO, MASK, "the grey box")
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] == 300
    assert drawn.shape[0] > 120
    assert tuple(drawn[30, 100]) == CHOICE_RGB
    assert drawn[55, 140, 0] > drawn[55, 140, 2], "orange over grey"
    assert drawn[5, 5].max() < 128
    assert np.array_equal(PHOTO, before), "the photo is not drawn into"


def test_heat_is_a_second_panel() -> None:
    heat = np.zeros((120, 300), np.float32)
    heat[60, 150] = 1.0
    drawn = draw_overlay(PHOTO, MASK, "the grey box", heat)
    assert drawn.shape[1] > 2 * 300
    right = drawn[:120, -300:].astype(int)
    assert right[60, 150].sum() > right[0, 0].sum()


def test_an_empty_mask_leaves_the_photo_as_it_is() -> None:
    drawn = draw_overlay(PHOTO, np.zeros_like(MASK), "nothing")
    assert np.array_equal(drawn[:120], PHOTO)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(MaskError, match=r"mask: expected the photo's 120 x 300 \(height x width\), got \[300, 120\]"):
        draw_overlay(PHOTO, MASK.T, "x")
    with pytest.raises(MaskError, match="heat: expected the photo's 120 x 300"):
        draw_overlay(PHOTO, MASK, "x", np.zeros((3, 3)))
    with pytest.raises(MaskError, match="proposal: expected the photo's"):
        draw_choice(PHOTO, [MASK.T], None, None, 2)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 10), (10, 20_000)])
def test_photos_of_any_shape(size: tuple[int, int]) -> None:
    drawn = draw_overlay(np.zeros((*size, 3), np.uint8), np.ones(size, np.bool_), "a sentence of some length")
    assert drawn.shape[1] == max(size[1], LEAST_WIDTH_PX)
    small = fit_photo(np.zeros((*size, 3), np.uint8), 64)
    assert max(small.shape[:2]) == 64
    assert min(small.shape[:2]) >= 1
    assert fit_mask(np.ones(size, np.bool_), *small.shape[:2]).all()


def test_choice_and_truth_are_both_seen_when_they_agree() -> None:
    drawn = draw_choice(PHOTO, [MASK], MASK, MASK, 3)
    assert tuple(drawn[30, 140]) == CHOICE_RGB
    assert tuple(drawn[28, 140]) == TRUTH_RGB


def test_every_candidate_has_an_outline() -> None:
    other = np.zeros_like(MASK)
    other[100:110, 10:30] = True
    drawn = draw_choice(PHOTO, iter([MASK, other]), None, None, 3).astype(int)
    assert drawn[30, 140].min() > 200
    assert drawn[100, 20].min() > 200
    assert tuple(drawn[55, 140]) == (128, 128, 128), "inside nothing is drawn"


def test_without_truth_the_photo_stays_as_it_is() -> None:
    assert np.array_equal(draw_truth(PHOTO, None, 3), PHOTO)
    assert np.array_equal(draw_truth(PHOTO, np.zeros_like(MASK), 3), PHOTO)


def test_heat_colours_rise_in_lightness() -> None:
    light = heat_colours(np.linspace(0, 1, 50)[None])[0] @ [0.299, 0.587, 0.114]
    assert (np.diff(light) > 0).all()
    hot = draw_heat(PHOTO, np.ones(PHOTO.shape[:2])).mean()
    assert hot > draw_heat(PHOTO, np.zeros(PHOTO.shape[:2])).mean()


def test_heat_is_scaled_smoothly() -> None:
    heat = fit_heat(np.array([[0.0, 1.0]]), 4, 8)
    assert heat.shape == (4, 8)
    assert (np.diff(heat[0]) >= 0).all()


@given(small_masks, st.integers(1, 3))
def test_an_edge_is_what_lies_near_the_outside(mask: np.ndarray, pixels: int) -> None:
    padded = np.pad(mask, pixels)
    height, width = mask.shape
    expected = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        near = [
            padded[y + pixels + dy, x + pixels + dx]
            for dy in range(-pixels, pixels + 1)
            for dx in range(-pixels, pixels + 1)
            if abs(dy) + abs(dx) <= pixels
        ]
        expected[y, x] = not all(near)
    assert np.array_equal(inner_edge(mask, pixels), expected)
    assert (grow(mask, pixels) & mask).sum() == mask.sum()
    assert grow(mask, pixels).shape == (height, width)


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=80))
def test_any_sentence_can_be_drawn(sentence: str) -> None:
    assert draw_overlay(PHOTO, MASK, sentence).shape[1] == 300


def test_overlays_of_several_sentences_lie_in_a_grid() -> None:
    overlays = [draw_overlay(PHOTO, MASK, sentence) for sentence in ("short", "long " * 60, "short", "short")]
    grid = tile_overlays(overlays)
    assert grid.shape[0] > max(overlay.shape[0] for overlay in overlays)
    assert np.array_equal(grid[: overlays[0].shape[0], :300], overlays[0])
    assert np.array_equal(tile_overlays(overlays[:1]), overlays[0])


def test_a_choice_shows_on_an_object_of_its_own_colour() -> None:
    photo = np.full((120, 300, 3), CHOICE_RGB, np.uint8)
    drawn = draw_choice(photo, [], MASK, None, 6).astype(int)
    assert np.abs(drawn - np.array(CHOICE_RGB)).sum(axis=-1).max() > 150
