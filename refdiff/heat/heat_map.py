"""Heat maps from stored attention.

The grid is that of the finest map that a readout uses; coarser maps are brought to it before they are averaged. A grid
lies on the square canvas; the photo is the part of the canvas that its `SquareFrame` says.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from refdiff.attention.maps import CrossMaps, MapKey
from refdiff.errors import StoreMismatchError
from refdiff.finite import check_finite
from refdiff.geometry import SquareFrame
from refdiff.heat.levels import photo_levels
from refdiff.heat.readout import ReadoutSettings, Upsampling, pick_maps
from refdiff.heat.upsampling import photo_matrices, resampling_matrix

# Keeps a constant map from dividing by zero. The paper has an epsilon without a value; this is the released code's.
EPSILON = 1e-8


def heat_map(
    maps: CrossMaps,
    positions: Sequence[int],
    readout: ReadoutSettings,
    frame: SquareFrame,
    name: str = "the expression",
) -> NDArray[np.float32]:
    """Heat of one expression on its photo.

    Args:
        maps: The stored maps of the expression.
        positions: Prompt positions whose maps are averaged, start token = 0 (see `readout.token_positions`).
        readout: How the maps become one.
        frame: Where the photo lies on the square canvas.
        name: What messages call the expression.

    Returns:
        float32 `[height width]` of the photo, in [0, 1]; zeros when the maps are constant.

    Raises:
        ParameterError: The readout names layers or steps that are not stored.
        StoreMismatchError: A position is not stored.
        ShardCorruptError: A stored value is not finite.

    Source: docs/method.md, "Heat map": paper (`mean_then_minmax`); released code (`minmax_each`, 8 bit, Lanczos).
    Differs: the minimum and maximum are those of the photo's part of the canvas, borders left out, in the paper's
        formula too; a constant map gives zeros where the released code divides by zero.
    """
    return photo_heat(grid_heat(maps, positions, readout, frame, name), readout, frame)


def photo_heat(grid: NDArray[np.float64], readout: ReadoutSettings, frame: SquareFrame) -> NDArray[np.float32]:
    """Heat on the photo of heat on the attention grid: the second half of `heat_map`.

    Args:
        grid: `[h w]`, of `grid_heat`.
        readout: How it is brought to the photo.
        frame: Where the photo lies on the square canvas.

    Returns:
        float32 `[height width]` in [0, 1].
    """
    if readout.round_to_8_bit:
        # Cut, not rounded, as a cast to 8 bit does.
        levels = next(grid_levels(grid[None], readout, frame)).T
        # The same value for the same level, so 256 of them are worked out instead of every pixel's.
        low, high = int(levels.min()), int(levels.max())
        values = np.arange(256) / 255
        if readout.normalize == "minmax_each":
            values = stretch(values, low=low / 255, high=high / 255)
        return np.clip(values, 0.0, 1.0).astype(np.float32)[levels]
    rows, columns = photo_matrices(frame, grid.shape[0], grid.shape[1], readout.upsampling)
    photo = rows @ grid @ columns.T
    if readout.normalize == "minmax_each":
        photo = stretch(photo)
    return np.clip(photo, 0.0, 1.0).astype(np.float32)


def grid_levels(
    grids: NDArray[np.float64], readout: ReadoutSettings, frame: SquareFrame
) -> Iterator[NDArray[np.int16]]:
    """The photo's levels of grids `[n h w]` in 8 bit, int16 `[W H]` each (see `photo_levels`)."""
    # Cut, not rounded, as a cast to 8 bit does.
    return photo_levels((grids * 255).astype(np.uint8), frame, readout.upsampling)


def level_factor(levels: NDArray[np.int16], readout: ReadoutSettings) -> float:
    """How much heat of a photo a level of it is: `photo_heat` is this times the level, but for a constant."""
    if readout.normalize != "minmax_each":
        return 1 / 255
    span = (int(levels.max()) - int(levels.min())) / 255
    return 1 / 255 / (span + EPSILON) if span else 0.0


def grid_heat(
    maps: CrossMaps,
    positions: Sequence[int],
    readout: ReadoutSettings,
    frame: SquareFrame,
    name: str = "the expression",
) -> NDArray[np.float64]:
    """Heat on the attention grid, float64 `[h w]` in [0, 1]: all of `heat_map` that comes before the upsampling.

    For `mean_then_minmax` the cells that no pixel of the photo sees may lie outside [0, 1].

    Raises:
        As `heat_map`.
    """
    rows = [position - 1 for position in positions]
    if not rows or min(rows) < 0 or max(rows) >= maps.tokens:
        raise StoreMismatchError(
            f"token positions {list(positions)}: expected some of 1 to {maps.tokens}, which are stored; "
            "the text table and the attention store do not fit, run `dvc repro`"
        )
    taken = {size: block[rows] for size, block in maps.maps.items()}
    return grid_heats(maps.keys, taken, [0], readout, frame, lambda _: name)[0]


def grid_heats(
    keys: Mapping[tuple[int, int], tuple[MapKey, ...]],
    maps: Mapping[tuple[int, int], NDArray[np.floating]],
    starts: Sequence[int] | NDArray[np.integer],
    readout: ReadoutSettings,
    frame: SquareFrame,
    name: Callable[[int], str],
) -> NDArray[np.float64]:
    """`grid_heat` of n expressions on one photo.

    Args:
        keys: For each map size, which map is which.
        maps: For each map size, the maps of the tokens that are averaged, `[token map h w]`, expression by expression.
        starts: The first token of each expression, `[n]`; none is without.
        readout: How the maps become one.
        frame: Where the photo lies on the square canvas.
        name: What messages call the expression at a place.

    Returns:
        float64 `[n h w]`.

    Raises:
        ParameterError: The readout names layers or steps that are not stored.
        ShardCorruptError: A stored value is not finite.
    """
    chosen = {size: _token_means(maps[size][:, wanted], starts) for size, wanted in pick_maps(keys, readout).items()}
    if readout.normalize == "minmax_each":
        chosen = {size: _stretch_maps(block) for size, block in chosen.items()}
    height, width = max(chosen, key=lambda size: size[0] * size[1])
    total = np.zeros((len(starts), height, width))
    for (h, w), block in chosen.items():
        summed = block.sum(axis=1)
        # What is not finite in a map is not finite in the sum, which is smaller.
        what = f"attention of {h} x {w}"
        check_finite(summed, lambda row, what=what: f"{name(row)}: {what}", "make the attention again")
        if (h, w) != (height, width):
            rows = resampling_matrix(h, height, "bilinear")
            columns = resampling_matrix(w, width, "bilinear")
            summed = rows @ summed @ columns.T
        total += summed
    mean = total / sum(block.shape[1] for block in chosen.values())
    if readout.normalize == "minmax_each":
        return mean
    seen = mean[:, *_seen_cells(frame, height, width, readout.upsampling)]
    low, high = seen.min(axis=(1, 2), keepdims=True), seen.max(axis=(1, 2), keepdims=True)
    return (mean - low) / (high - low + EPSILON)


def grid_size(keys: Mapping[tuple[int, int], tuple[MapKey, ...]], readout: ReadoutSettings) -> tuple[int, int]:
    """Height and width of the grid that a readout of a capture has its heat on.

    Raises:
        ParameterError: The readout names layers or steps that are not stored.
    """
    return max(pick_maps(keys, readout), key=lambda size: size[0] * size[1])


def is_linear(readout: ReadoutSettings) -> bool:
    """Whether the photo's heat is a linear function of `grid_heat`, so that pooled masks give the same scores.

    Rounding, the overshoot of Lanczos (clipped) and a second stretch on the photo are not linear.
    """
    return readout.upsampling == "bilinear" and not readout.round_to_8_bit and readout.normalize == "mean_then_minmax"


def stretch(
    values: NDArray[np.floating], epsilon: float = EPSILON, *, low: float | None = None, high: float | None = None
) -> NDArray[np.float64]:
    """Values moved and scaled to [0, 1] by `low` and `high` (by default their own); zeros if these are one."""
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    if high <= low:
        return np.zeros(values.shape)
    return (values.astype(np.float64) - low) / (high - low + epsilon)


def _stretch_maps(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each map `[h w]` of `[n map h w]` by its own minimum and maximum; zeros for a constant one."""
    low, high = maps.min(axis=(2, 3), keepdims=True), maps.max(axis=(2, 3), keepdims=True)
    span = high - low
    # A span that is not a number stays one.
    return np.divide(maps - low, span, out=np.zeros_like(maps), where=~(span <= 0))


def _token_means(maps: NDArray[np.floating], starts: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Mean of each expression's tokens, `[n map h w]`."""
    # Half-precision sums are exact in float64; through float32 because NumPy converts half precision to it fastest.
    values = maps.astype(np.float32).astype(np.float64)
    if len(starts) < len(maps):
        counts = np.diff(starts, append=len(maps))
        values = np.add.reduceat(values, np.asarray(starts), axis=0) / counts[:, None, None, None]
    return values


@lru_cache(maxsize=64)
def _seen_cells(
    frame: SquareFrame, height: int, width: int, upsampling: Upsampling
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the grid that some pixel of the photo sees, as `np.ix_` gives them."""
    rows, columns = photo_matrices(frame, height, width, upsampling)
    return np.flatnonzero(rows.any(axis=0))[:, None], np.flatnonzero(columns.any(axis=0))[None]
