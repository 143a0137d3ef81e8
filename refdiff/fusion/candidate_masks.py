"""The candidates of one photo (or of one expression): decoded and pooled only when a score needs them, then once."""

import numpy as np
from numpy.typing import NDArray

from refdiff.attention import CrossMaps
from refdiff.fusion.scores import pooled_contrast, runs_contrast
from refdiff.geometry import SquareFrame
from refdiff.heat import PooledMasks, grid_heat, heat_map, is_linear, pool_masks
from refdiff.mask_runs import MaskRuns, decode_runs
from refdiff.proposals.tables import ProposalTable
from refdiff.readout import ReadoutSettings


class CandidateMasks:
    """Candidates that one or several expressions choose from.

    Args:
        proposals: The split's proposals.
        rows: Rows of the candidates, int `[n]`.
        frame: Where their photo lies on the square canvas.

    Attributes:
        rows: As given.
        frame: As given.
        area: int64 `[n]`, pixels.
        threshold: float32 `[n]`, NaN where not cut from heat.
    """

    def __init__(self, proposals: ProposalTable, rows: NDArray[np.integer], frame: SquareFrame) -> None:
        self.rows = rows
        self.frame = frame
        self.area = proposals.area[rows]
        self.threshold = proposals.threshold[rows]
        self._counts = [proposals.counts[row] for row in rows]
        self._runs: MaskRuns | None = None
        self._pooled: dict[tuple[int, int], PooledMasks] = {}

    @property
    def pixels(self) -> int:
        return self.frame.height * self.frame.width

    def contrast(
        self, maps: CrossMaps, positions: tuple[int, ...], readout: ReadoutSettings, pool: bool
    ) -> NDArray[np.float64]:
        """Generative score of every candidate, `[n]`.

        Args:
            maps: The expression's maps.
            positions: Prompt positions that are averaged.
            readout: How the maps become heat.
            pool: Score on the attention grid where the readout is linear; else at the photo's size.
        """
        if pool and is_linear(readout):
            grid = grid_heat(maps, positions, readout, self.frame)
            return pooled_contrast(grid, self._pooled_to(grid.shape[0], grid.shape[1], readout))
        return runs_contrast(heat_map(maps, positions, readout, self.frame), self._decoded())

    def _decoded(self) -> MaskRuns:
        if self._runs is None:
            self._runs = decode_runs(self._counts, self.frame.height, self.frame.width)
        return self._runs

    def _pooled_to(self, height: int, width: int, readout: ReadoutSettings) -> PooledMasks:
        size = (height, width)
        if size not in self._pooled:
            self._pooled[size] = pool_masks(self._decoded(), self.frame, height, width, readout.upsampling)
        return self._pooled[size]
