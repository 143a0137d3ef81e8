"""Cross-attention maps of one expression, as they come from the U-Net or from a store (NumPy only)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import StoreMismatchError


@dataclass(frozen=True, slots=True, order=True)
class MapKey:
    """Which map: a cross-attention layer at a denoising step.

    Attributes:
        step: 0 for the first U-Net run of the schedule.
        order: Position of the layer in the U-Net's running order.
        layer: The model's own dotted layer name, e.g. `down_blocks.0.attentions.0.transformer_blocks.0.attn2`.
        height: Rows of the map.
        width: Columns of the map.
    """

    step: int
    order: int
    layer: str
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class CrossMaps:
    """Every stored map of one expression.

    Attributes:
        keys: For each map size (height, width), the maps in stored order: by step, then by layer order.
        maps: For each map size, float `[token map height width]`. Token row 0 is the first token after the start
            token, so the token at prompt position p (start token at 0) is row p - 1.
    """

    keys: Mapping[tuple[int, int], tuple[MapKey, ...]]
    maps: Mapping[tuple[int, int], NDArray[np.floating]]

    def __post_init__(self) -> None:
        if set(self.keys) != set(self.maps):
            raise StoreMismatchError(f"maps: sizes {sorted(self.maps)} do not fit keys {sorted(self.keys)}")
        for size, block in self.maps.items():
            if block.ndim != 4 or block.shape[1:] != (len(self.keys[size]), *size):
                raise StoreMismatchError(
                    f"maps of size {size}: expected [token {len(self.keys[size])} {size[0]} {size[1]}], "
                    f"got {list(block.shape)}"
                )

    @property
    def tokens(self) -> int:
        """Number of tokens of the sentence."""
        return next(iter(self.maps.values())).shape[0]


@dataclass(frozen=True, slots=True)
class SelfMaps:
    """Every stored self-attention map of one image.

    Attributes:
        keys: For each map size (height, width), the maps in stored order: by step, then by layer order.
        maps: For each map size, float `[map pixel pixel]`, pixels in row order; row i is where pixel i looks.
    """

    keys: Mapping[tuple[int, int], tuple[MapKey, ...]]
    maps: Mapping[tuple[int, int], NDArray[np.floating]]
