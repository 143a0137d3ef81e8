import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff.errors import DegenerateMaskError, MaskError
from refdiff.fusion.scores import (
    ClipViews,
    attention_contrast,
    clip_scores,
    measure_views,
    pooled_contrasts,
    runs_contrast,
    score_proposals,
)
from refdiff.geometry import square_frame
from refdiff.masks.rle import encode_masks
from refdiff.masks.runs import decode_runs
from refdiff.pooling.mask_pooling import pool_masks
from tests.fusion.rows import PAPER, RELEASED, make_method
from tests.parity_cases import NAMES, ParityCase, load_case


def _views(case: ParityCase) -> ClipViews:
    names = ("local_features", "global_features", "text_feature", "core_feature")
    return ClipViews(*(case.values[name] for name in names))


def _random(seed: int, n: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A heat map, and masks that are neither empty nor everything."""
    rng = np.random.default_rng(seed)
    masks = rng.random((n, height, width)) < rng.random((n, 1, 1))
    masks[:, 0, 0], masks[:, -1, -1] = True, False
    return rng.random((height, width)), masks


@pytest.mark.parametrize("name", NAMES)
def test_released_scores_are_those_of_the_released_formulas(name: str) -> None:
    case = load_case(name)
    contrast = attention_contrast(case.values["attention"], case.masks)
    scores = score_proposals(make_method(RELEASED), contrast, measure_views(_views(case)))
    np.testing.assert_allclose(scores.generative, case.values["score_diffusion"], atol=1e-4)
    np.testing.assert_allclose(scores.local, case.values["score_local"], atol=1e-4)
    np.testing.assert_allclose(scores.global_view, case.values["score_global"], atol=1e-4)
    np.testing.assert_allclose(scores.total, case.values["score"], atol=1e-4)


def test_paper_scores_are_an_independent_statement_of_the_formula() -> None:
    rng = np.random.default_rng(1)
    local, global_view, expression, head = (rng.normal(size=size) for size in ((4, 6), (4, 6), 6, 6))
    contrast = rng.random(4)
    scores = score_proposals(
        make_method(PAPER), contrast, measure_views(ClipViews(local, global_view, expression, head))
    )
    for i in range(4):
        v = 0.3 * global_view[i] + 0.7 * local[i]
        d = (v @ expression + v @ head) / 2
        assert scores.discriminative[i] == pytest.approx(d)
        assert scores.total[i] == pytest.approx(0.1 * contrast[i] + 0.9 * d)


def test_contrast_of_a_hand_worked_case() -> None:
    heat = np.array([[1.0, 0.5], [0.0, 0.5]])
    mask = np.array([[[True, True], [False, False]]])
    assert attention_contrast(heat, mask).tolist() == [0.75 - 0.25]


def test_parts_that_are_not_in_the_method_are_nan() -> None:
    generative = make_method(PAPER, discriminative_weight=0.0, generative_weight=2.0)
    scores = score_proposals(generative, np.array([0.25, -0.5]), None)
    assert scores.total.tolist() == [0.5, -1.0]
    assert np.isnan([scores.local, scores.global_view, scores.discriminative]).all()
    views = ClipViews(np.eye(2), np.eye(2), np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    only_clip = score_proposals(make_method(PAPER, generative_weight=0.0, readout=None), None, measure_views(views))
    assert np.isnan(only_clip.generative).all()
    assert only_clip.total.tolist() == pytest.approx([0.45, 0.45])


@pytest.mark.parametrize("given_part", ["contrast", "views"])
def test_a_missing_part_is_refused(given_part: str) -> None:
    contrast = np.zeros(2) if given_part == "contrast" else None
    views = ClipViews(*(np.zeros((2, 3)),) * 2, *(np.zeros(3),) * 2) if given_part == "views" else None
    with pytest.raises(ValueError, match="the method weighs"):
        score_proposals(make_method(PAPER), contrast, None if views is None else measure_views(views))


@pytest.mark.parametrize("fill", [True, False], ids=["everything", "empty"])
def test_degenerate_masks_are_refused(fill: bool) -> None:
    masks = np.zeros((2, 3, 4), np.bool_)
    masks[0, 0] = True
    masks[1] = fill
    with pytest.raises(DegenerateMaskError, match=f"mask 1: covers {12 * fill} of 12 pixels"):
        attention_contrast(np.zeros((3, 4)), masks)
    runs = decode_runs(encode_masks(masks), 3, 4)
    with pytest.raises(DegenerateMaskError, match="mask 1"):
        runs_contrast(np.zeros((3, 4)), runs)
    pooled = pool_masks(runs, square_frame(3, 4, "resize"), 2, 2, "bilinear")
    with pytest.raises(DegenerateMaskError, match="mask 1"):
        pooled_contrasts(np.zeros((1, 2, 2)), pooled)


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(MaskError, match=r"expected bool \[n \*\[3, 4\]\], got bool \[1, 4, 3\]"):
        attention_contrast(np.zeros((3, 4)), np.zeros((1, 4, 3), np.bool_))
    runs = decode_runs(encode_masks(np.ones((1, 4, 4), np.bool_)), 4, 4)
    pooled = pool_masks(runs, square_frame(4, 4, "resize"), 2, 2, "bilinear")
    with pytest.raises(MaskError, match="expected a grid of"):
        pooled_contrasts(np.zeros((1, 3, 3)), pooled)


@given(seed=st.integers(0, 9999), height=st.integers(2, 12), width=st.integers(2, 12))
def test_contrast_is_in_its_range(seed: int, height: int, width: int) -> None:
    heat, masks = _random(seed, 4, height, width)
    contrast = attention_contrast(heat, masks)
    assert (np.abs(contrast) <= 1.0).all()
    np.testing.assert_allclose(attention_contrast(heat, ~masks), -contrast, atol=1e-12)


@given(seed=st.integers(0, 9999), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_scale_and_shift_of_the_heat_do_not_change_the_best(seed: int, scale: float, shift: float) -> None:
    heat, masks = _random(seed, 6, 7, 9)
    contrast = attention_contrast(heat, masks)
    np.testing.assert_allclose(attention_contrast(scale * heat + shift, masks), scale * contrast, atol=1e-9)


@given(seed=st.integers(0, 9999))
def test_clip_scores_of_unit_vectors_are_in_their_range(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=size) for size in ((5, 8), (5, 8), (8,), (8,))]
    views = ClipViews(*(part / np.linalg.norm(part, axis=-1, keepdims=True) for part in parts))
    local, global_view = clip_scores(measure_views(views), make_method(PAPER))
    assert (np.abs(local) <= 1 + 1e-9).all()
    assert (np.abs(global_view) <= 1 + 1e-9).all()
