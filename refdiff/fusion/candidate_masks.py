"""The candidates of one photo (or of one expression): decoded only when a score needs their pixels, then once."""

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import ArtifactMissingError
from refdiff.fusion.scores import levels_contrast, pooled_contrasts, runs_contrast
from refdiff.geometry import CanvasMode, SquareFrame
from refdiff.heat import grid_levels, is_linear, level_factor, photo_heat
from refdiff.mask_pooling import PooledMasks, pool_photo
from refdiff.mask_runs import MaskRuns, cut_runs, decode_runs
from refdiff.pooled_store import PooledStore
from refdiff.proposals.tables import ProposalTable
from refdiff.readout import ReadoutSettings


class CandidateMasks:
    """Candidates that one or several expressions choose from.

    Args:
        proposals: The split's proposals.
        rows: Rows of the candidates, int `[n]`, rising.
        frame: Where their photo lies on the square canvas.
        pooled: The proposals pooled to attention grids, and the canvas mode to take; None where they are not needed.

    Attributes:
        rows: As given.
        frame: As given.
    """

    def __init__(
        self,
        proposals: ProposalTable,
        rows: NDArray[np.integer],
        frame: SquareFrame,
        pooled: tuple[PooledStore, CanvasMode] | None,
    ) -> None:
        self.rows = rows
        self.frame = frame
        self._proposals = proposals
        self._pooled = pooled
        self._runs: MaskRuns | None = None

    def contrast(self, grids: NDArray[np.float64], readout: ReadoutSettings, pool: bool) -> NDArray[np.float64]:
        """Generative score of every candidate, `[heat candidate]`.

        Args:
            grids: Heat on the attention grid, `[heat h w]` (see `heat.grid_heats`).
            readout: How it is brought to the photo.
            pool: Score on the attention grid where the readout is linear; else at the photo's size.

        Raises:
            StoreMismatchError: The masks are not pooled to this grid.
        """
        if pool and is_linear(readout):
            return pooled_contrasts(grids, self._pooled_to(grids.shape[1], grids.shape[2], readout))
        runs = self._decoded()
        if readout.round_to_8_bit:
            cuts = cut_runs(runs)
            scores = [
                levels_contrast(levels, level_factor(levels, readout), runs, cuts)
                for levels in grid_levels(grids, readout, self.frame)
            ]
        else:
            scores = [runs_contrast(photo_heat(grid, readout, self.frame), runs) for grid in grids]
        return np.array(scores).reshape(len(grids), len(self.rows))

    def _decoded(self) -> MaskRuns:
        if self._runs is None:
            counts = [self._proposals.counts[row] for row in self.rows]
            self._runs = decode_runs(counts, self.frame.height, self.frame.width)
        return self._runs

    def _pooled_to(self, height: int, width: int, readout: ReadoutSettings) -> PooledMasks:
        if self._pooled is None:
            raise ArtifactMissingError("pooled masks: none were opened, but the readout is scored on them")
        everything = pool_photo(self.frame, height, width, readout.upsampling)
        inside = np.zeros((0, height, width), np.float32)
        if len(self.rows):
            store, mode = self._pooled
            first, behind = int(self.rows[0]), int(self.rows[-1]) + 1
            inside = store.read(mode, (height, width), range(first, behind))
            if behind - first != len(self.rows):
                inside = inside[self.rows - first]
        return PooledMasks(inside, everything, self._proposals.area[self.rows], self.frame.height * self.frame.width)
