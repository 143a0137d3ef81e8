import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refdiff.attention.maps import CrossMaps, MapKey
from refdiff.errors import MaskError, ShardCorruptError, StoreMismatchError
from refdiff.fusion.scores import attention_contrast, pooled_contrasts, runs_contrast, sums_contrast
from refdiff.geometry import CanvasMode, square_frame
from refdiff.heat.heat_map import (
    grid_heat,
    heat_map,
    is_linear,
)
from refdiff.heat.readout import ReadoutSettings
from refdiff.heat.sums import sum_heats
from refdiff.heat.upsampling import photo_matrices, resampling_matrix
from refdiff.masks.rle import encode_masks
from refdiff.masks.runs import decode_runs
from refdiff.pooling.mask_pooling import pool_masks
from tests.parity_cases import NAMES, load_case

PAPER = ReadoutSettings(
    capture="paper",
    token_rule="root",
    piece="last",
    layers="all",
    steps="all",
    normalize="mean_then_minmax",
    upsampling="bilinear",
    round_to_8_bit=False,
)
RELEASED = PAPER.model_copy(
    update={
        "capture": "released",
        "token_rule": "root_or_subject",
        "normalize": "minmax_each",
        "upsampling": "lanczos",
        "round_to_8_bit": True,
    }
)
READOUTS = [
    PAPER.model_copy(update={"normalize": normalize, "upsampling": upsampling, "round_to_8_bit": rounded})
    for normalize in ("mean_then_minmax", "minmax_each")
    for upsampling in ("bilinear", "lanczos")
    for rounded in (False, True)
]


def _maps(*blocks: np.ndarray) -> CrossMaps:
    """Blocks `[token map h w]` of different sizes as the maps of one expression."""
    keys = {
        block.shape[2:]: tuple(
            MapKey(0, order, f"{size}.{order}", block.shape[2], block.shape[3]) for order in range(block.shape[1])
        )
        for size, block in enumerate(blocks)
    }
    return CrossMaps(keys, {block.shape[2:]: block for block in blocks})


def _random_maps(seed: int, *sizes: int) -> CrossMaps:
    rng = np.random.default_rng(seed)
    return _maps(*(rng.random((3, 2, size, size), dtype=np.float32) for size in sizes))


@pytest.mark.parametrize("name", NAMES)
def test_released_heat_is_that_of_the_released_formulas(name: str) -> None:
    case = load_case(name)
    expected = case.values["attention"]
    frame = square_frame(expected.shape[0], expected.shape[1], "letterbox")
    heat = heat_map(_maps(case.values["layer_maps"][None]), [1], RELEASED, frame)
    assert np.abs(heat - expected).max() <= 2 / 255
    scores = attention_contrast(heat, case.masks)
    np.testing.assert_allclose(scores, case.values["score_diffusion"], atol=1e-4)


@pytest.mark.parametrize("mode", ["letterbox", "resize"])
def test_paper_heat_is_an_independent_statement_of_its_formula(mode: CanvasMode) -> None:
    maps = _random_maps(0, 8)
    frame = square_frame(40, 40, mode)
    a = torch.from_numpy(maps.maps[8, 8][1]).mean(dim=0)
    a = (a - a.min()) / (a.max() - a.min() + 1e-8)
    expected = torch.nn.functional.interpolate(a[None, None], (40, 40), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(heat_map(maps, [2], PAPER, frame), expected[0, 0].numpy(), atol=1e-6)


def test_paper_heat_leaves_the_borders_of_the_canvas_out() -> None:
    block = np.zeros((1, 1, 8, 8), dtype=np.float32)
    block[..., :1, :] = 100.0  # in the border above a wide photo; no pixel lies near it
    block[..., 4, 3] = 1.0
    heat = heat_map(_maps(block), [1], PAPER, square_frame(32, 64, "letterbox"))
    assert heat.shape == (32, 64)
    assert heat.max() > 0.5
    assert np.unravel_index(heat[8:].argmax(), (24, 64))[1] in range(24, 32)
    stretched = heat_map(_maps(block), [1], PAPER, square_frame(32, 64, "resize"))
    assert stretched[:2].min() > 0.9
    assert stretched[8:].max() < 0.1


def test_several_tokens_and_several_sizes_are_averaged() -> None:
    fine, coarse = np.zeros((2, 1, 8, 8), dtype=np.float32), np.zeros((2, 1, 4, 4), dtype=np.float32)
    fine[0, 0, 1, 1] = 1.0
    fine[1, 0, 6, 6] = 1.0
    frame = square_frame(8, 8, "letterbox")
    heat = heat_map(_maps(fine, coarse), [1, 2], PAPER, frame)
    assert heat[1, 1] == pytest.approx(1.0)
    assert heat[6, 6] == pytest.approx(1.0)
    coarse[:, 0, 3, 0] = 8.0
    assert np.unravel_index(heat_map(_maps(fine, coarse), [1], PAPER, frame).argmax(), (8, 8)) == (7, 0)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (37, 20), (3, 400)])
@settings(max_examples=5)
@given(value=st.floats(-1e3, 1e3, width=32))
def test_constant_maps_give_zeros(readout: ReadoutSettings, size: tuple[int, int], value: float) -> None:
    block = np.full((1, 2, 8, 8), value, dtype=np.float32)
    assert (heat_map(_maps(block), [1], readout, square_frame(*size, "letterbox")) == 0).all()


@pytest.mark.parametrize("readout", READOUTS)
@settings(max_examples=20)
@given(seed=st.integers(0, 1000), height=st.integers(1, 60), width=st.integers(1, 60))
def test_heat_is_in_its_range(readout: ReadoutSettings, seed: int, height: int, width: int) -> None:
    heat = heat_map(_random_maps(seed, 8, 4), [2], readout, square_frame(height, width, "letterbox"))
    assert heat.shape == (height, width)
    assert heat.dtype == np.float32
    assert heat.min() >= 0.0
    assert heat.max() <= 1.0


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 100), shift=st.floats(-10, 10))
def test_heat_does_not_change_with_scale_and_shift(seed: int, scale: float, shift: float) -> None:
    maps, frame = _random_maps(seed, 8), square_frame(20, 30, "letterbox")
    moved = _maps(maps.maps[8, 8].astype(np.float64) * scale + shift)
    np.testing.assert_allclose(heat_map(moved, [1], PAPER, frame), heat_map(maps, [1], PAPER, frame), atol=1e-5)


@given(
    seed=st.integers(0, 1000),
    height=st.integers(2, 60),
    width=st.integers(2, 60),
    mode=st.sampled_from(["letterbox", "resize"]),
)
def test_pooled_masks_score_as_full_size_masks(seed: int, height: int, width: int, mode: CanvasMode) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((5, height, width)) < rng.random((5, 1, 1))
    masks[:, 0, 0], masks[:, -1, -1] = True, False
    maps, frame = _random_maps(seed, 8, 4), square_frame(height, width, mode)
    grid = grid_heat(maps, [2], PAPER, frame)
    runs = decode_runs(encode_masks(masks), height, width)
    heat = heat_map(maps, [2], PAPER, frame)
    full = attention_contrast(heat, masks)
    pooled = pooled_contrasts(grid[None], pool_masks(runs, frame, 8, 8, "bilinear"))
    # Pooled masks are single precision, and what lies outside one is the whole less its inside: of the last few pixels
    # of a photo, the mean has the rounding of the others' sum.
    inside = masks.sum(axis=(1, 2))
    share = height * width / np.minimum(inside, height * width - inside)
    assert (np.abs(pooled[0] - full) <= 1e-6 * share).all()
    np.testing.assert_allclose(runs_contrast(heat, runs), full, atol=1e-6)


@pytest.mark.parametrize("readout", READOUTS)
@given(seed=st.integers(0, 1000), height=st.integers(2, 60), width=st.integers(2, 60))
def test_sums_score_as_their_heat(readout: ReadoutSettings, seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((5, height, width)) < rng.random((5, 1, 1))
    masks[:, 0, 0], masks[:, -1, -1] = True, False
    maps, frame = _random_maps(seed, 8, 4), square_frame(height, width, "letterbox")
    runs = decode_runs(encode_masks(masks), height, width)
    ((sums,),) = sum_heats(grid_heat(maps, [2], readout, frame)[None], readout, frame, [[runs]])
    scores = sums_contrast(sums.inside, sums.total, sums.factor, runs.area, height * width)
    np.testing.assert_allclose(scores, attention_contrast(heat_map(maps, [2], readout, frame), masks), atol=1e-7)


def test_only_bilinear_heat_that_is_not_rounded_is_linear() -> None:
    assert [readout for readout in READOUTS if is_linear(readout)] == [PAPER]
    assert not is_linear(RELEASED)


@pytest.mark.parametrize("pixels", [8, 21, 64])
def test_bilinear_matrix_is_that_of_torch(pixels: int) -> None:
    expected = torch.nn.functional.interpolate(torch.eye(8)[None], pixels, mode="linear", align_corners=False)
    np.testing.assert_allclose(resampling_matrix(8, pixels, "bilinear").T, expected[0].numpy(), atol=1e-6)


@given(st.integers(1, 64), st.integers(1, 500), st.sampled_from(["bilinear", "lanczos"]))
def test_rows_of_a_resampling_matrix_sum_to_one(cells: int, pixels: int, upsampling: str) -> None:
    assert np.allclose(resampling_matrix(cells, pixels, upsampling).sum(axis=1), 1.0, atol=1e-5)


def test_photo_matrices_crop_the_border() -> None:
    rows, columns = photo_matrices(square_frame(10, 20, "letterbox"), 8, 8, "bilinear")
    assert rows.shape == (10, 8)
    assert columns.shape == (20, 8)
    assert not rows[:, 0].any()
    assert columns[:, 0].any()


def test_a_thin_photo_is_not_resized_as_a_square() -> None:
    heat = heat_map(_random_maps(0, 8), [1], RELEASED, square_frame(20_000, 10, "letterbox"))
    assert heat.shape == (20_000, 10)


@pytest.mark.parametrize("positions", [[], [0], [4]])
def test_a_position_that_is_not_stored_is_refused(positions: list[int]) -> None:
    with pytest.raises(StoreMismatchError, match="expected some of 1 to 3"):
        heat_map(_random_maps(0, 8), positions, PAPER, square_frame(4, 4, "letterbox"))


def test_a_value_that_is_not_finite_is_refused() -> None:
    maps = _random_maps(0, 8)
    maps.maps[8, 8][0, 0, 0, 0] = np.nan
    with pytest.raises(ShardCorruptError, match=r"the expression: attention of 8 x 8: holds NaN or infinity"):
        heat_map(maps, [1], PAPER, square_frame(4, 4, "letterbox"))


def test_masks_of_another_frame_are_not_pooled() -> None:
    runs = decode_runs(encode_masks(np.ones((1, 4, 5), np.bool_)), 4, 5)
    with pytest.raises(MaskError, match="expected 4 x 4, got 4 x 5"):
        pool_masks(runs, square_frame(4, 4, "letterbox"), 8, 8, "bilinear")
