"""Fuse the scores of a split: one chosen mask for every expression."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refdiff.attention import CrossMaps
from refdiff.clip.ramps import variant_of
from refdiff.errors import StoreMismatchError
from refdiff.fusion.candidate_masks import CandidateMasks
from refdiff.fusion.candidates import table_candidates
from refdiff.fusion.choice import NO_CHOICE, decide
from refdiff.fusion.inputs import FusionInputs
from refdiff.fusion.predictions import PredictionTable
from refdiff.fusion.scores import ClipViews, Scores, score_proposals
from refdiff.fusion.settings import FuseScoresSettings, MethodSettings
from refdiff.geometry import CanvasMode, square_frame
from refdiff.heat import heat_map
from refdiff.prompt_positions import prompt_positions
from refdiff.readout import ReadoutSettings
from refdiff.rle import encode_mask

# Puts a progress bar around the expressions, which it hands through.
Progress = Callable[[Iterable["Step"], int], Iterable["Step"]]
Step = tuple[int, CrossMaps | None]


@dataclass(slots=True)
class _Columns:
    """What the choice decides, a row per expression."""

    proposal: NDArray[np.int32]
    scores: NDArray[np.float32]
    candidates: NDArray[np.int32]


def fuse_split(
    inputs: FusionInputs,
    method: MethodSettings,
    readout: ReadoutSettings | None,
    settings: FuseScoresSettings,
    progress: Progress,
) -> PredictionTable:
    """Choose a mask for every expression of a split.

    Args:
        inputs: The split's tables and stores.
        method: The method's row.
        readout: Its readout; None where it uses no heat.
        settings: How the scores are computed.
        progress: Called with the steps and their number.

    Returns:
        A row per expression; one without a candidate has an empty mask.

    Raises:
        ParameterError: The readout or the selection rule does not fit what is stored.
        StoreMismatchError: The tables and stores do not belong to each other.
        ShardCorruptError: A shard is damaged.
    """
    total = len(inputs.dataset.expressions.expression_id)
    columns = _Columns(
        np.full(total, NO_CHOICE, np.int32),
        np.full((total, len(Scores._fields)), np.nan, np.float32),
        np.zeros(total, np.int32),
    )
    chooser = _Chooser(inputs, method, readout, settings)
    for expression, maps in progress(chooser.steps(), total):
        chooser.fill(expression, maps, columns)
    return _assemble(inputs, columns)


class _Chooser:
    """Scores and chooses expression by expression; the candidates of a photo are kept while its expressions last."""

    def __init__(
        self,
        inputs: FusionInputs,
        method: MethodSettings,
        readout: ReadoutSettings | None,
        settings: FuseScoresSettings,
    ) -> None:
        self._in = inputs
        self._method = method
        self._readout = readout if method.uses_heat else None
        self._settings = settings
        self._kept = table_candidates(inputs.proposals, inputs.dataset, method)
        # Without heat nothing lies on the canvas, and either frame will do.
        self._mode: CanvasMode = "resize" if inputs.attention is None else inputs.attention.settings["canvas_mode"]
        self._positions = [] if self._readout is None else prompt_positions(self._readout, inputs.text)
        self._rows = range(0)
        self._image = NO_CHOICE
        self._masks: CandidateMasks | None = None

    def steps(self) -> Iterator[Step]:
        """Every expression with its maps (None where the method uses no heat), in order."""
        if self._in.attention is None:
            yield from ((index, None) for index in range(len(self._in.text)))
        else:
            yield from self._in.attention.iterate(self._positions)

    def fill(self, expression: int, maps: CrossMaps | None, columns: _Columns) -> None:
        """Score the candidates of one expression and write down the choice."""
        masks = self._candidates(expression)
        columns.candidates[expression] = len(masks.rows)
        if not len(masks.rows):
            return
        contrast, heat = None, None
        if self._readout is not None and maps is not None:
            positions = self._positions[expression]
            contrast = masks.contrast(maps, positions, self._readout, self._settings.pool_masks)
            if self._method.select.rule == "otsu":
                heat = heat_map(maps, positions, self._readout, masks.frame)
        scores = score_proposals(self._method, contrast, self._views(expression, masks))
        chosen = decide(self._method, scores, masks.area, masks.pixels, thresholds=masks.threshold, heat=heat)
        columns.proposal[expression] = masks.rows[chosen]
        columns.scores[expression] = [part[chosen] for part in scores]

    def _candidates(self, expression: int) -> CandidateMasks:
        image = int(self._in.dataset.expressions.image_index[expression])
        rows = self._in.proposals.rows_for(expression, image)
        if self._masks is None or (rows, image) != (self._rows, self._image):
            images = self._in.dataset.images
            frame = square_frame(int(images.height[image]), int(images.width[image]), self._mode)
            kept = rows.start + np.flatnonzero(self._kept[rows.start : rows.stop])
            self._masks = CandidateMasks(self._in.proposals, kept, frame)
            self._rows, self._image = rows, image
        return self._masks

    def _views(self, expression: int, masks: CandidateMasks) -> ClipViews | None:
        clip = self._in.clip
        if clip is None:
            return None
        text, method = self._in.text, self._method
        directions = text.direction[expression], text.direction_released[expression]
        local = clip.local(self._image, variant_of(method.local_ramp, *directions))
        global_view = clip.global_view(self._image, variant_of(method.global_ramp, *directions))
        if not len(local) == len(global_view) == len(self._rows):
            raise StoreMismatchError(
                f"photo {self._image}: expected embeddings of {len(self._rows)} proposals, got {len(local)} local and "
                f"{len(global_view)} global ones; run `dvc repro`"
            )
        places = masks.rows - self._rows.start
        head = clip.head(expression, method.head_rule)
        return ClipViews(local[places], global_view[places], clip.sentence(expression), head)


def _assemble(inputs: FusionInputs, columns: _Columns) -> PredictionTable:
    """The table of the choices, with the overlap that was measured before."""
    dataset, proposals = inputs.dataset, inputs.proposals
    expressions = dataset.expressions
    height, width = (size[expressions.image_index] for size in (dataset.images.height, dataset.images.width))
    chosen = columns.proposal >= 0
    rows = columns.proposal[chosen]
    threshold = np.full(len(chosen), np.nan, np.float32)
    threshold[chosen] = proposals.threshold[rows]
    empty = {
        size: encode_mask(np.zeros(size, np.bool_)) for size in set(zip(height[~chosen], width[~chosen], strict=True))
    }
    counts = [
        proposals.counts[row] if row >= 0 else empty[height[index], width[index]]
        for index, row in enumerate(columns.proposal)
    ]
    intersection, union = _overlap(inputs, columns.proposal)
    return PredictionTable(
        expression_index=np.arange(len(chosen), dtype=np.int32),
        expression_id=expressions.expression_id,
        ref_id=expressions.ref_id,
        image_id=expressions.image_id,
        sentence=expressions.sentence,
        image_index=expressions.image_index,
        target_index=expressions.target_index,
        proposal_index=columns.proposal,
        counts=counts,
        height=height,
        width=width,
        score=columns.scores[:, 0],
        score_generative=columns.scores[:, 1],
        score_local=columns.scores[:, 2],
        score_global=columns.scores[:, 3],
        score_discriminative=columns.scores[:, 4],
        threshold=threshold,
        n_proposals=columns.candidates,
        intersection=intersection,
        union=union,
    )


def _overlap(inputs: FusionInputs, chosen: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Intersection and union of every chosen mask with its truth; an empty mask has 0 and the truth's area."""
    targets = inputs.dataset.expressions.target_index
    intersection, union = np.full(len(chosen), -1, np.int64), np.full(len(chosen), -1, np.int64)
    for index in np.flatnonzero(targets >= 0):
        row, target = int(chosen[index]), int(targets[index])
        if row < 0:
            intersection[index], union[index] = 0, inputs.dataset.targets.area[target]
        else:
            shared, joint = inputs.overlap.lookup(target, range(row, row + 1))
            intersection[index], union[index] = shared[0], joint[0]
    return intersection, union
