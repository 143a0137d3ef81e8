"""Pictures of chosen expressions: the heat that each readout sees, and what every method makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refdiff.attention.store import AttentionStore
from refdiff.dataset.tables import Dataset
from refdiff.errors import ParameterError
from refdiff.evaluation.metrics import measure_iou
from refdiff.fusion.candidates import table_candidates
from refdiff.fusion.predictions import PredictionTable
from refdiff.fusion.settings import MethodSettings
from refdiff.geometry import square_frame
from refdiff.heat.heat_map import heat_map
from refdiff.heat.prompt_positions import prompt_positions
from refdiff.heat.readout import ReadoutSettings, head_rule
from refdiff.masks.rle import decode_mask
from refdiff.photo_content import read_listed_photo
from refdiff.proposals.tables import ProposalTable
from refdiff.report.content import Case, CaseKind, ChoicePanel, Gallery, HeatPanel
from refdiff.report.overlay import draw_choice, draw_heat, draw_truth, fit_heat, fit_mask, fit_photo
from refdiff.report.selection import pick_cases
from refdiff.report.settings import RenderReportSettings
from refdiff.report.thumbnail import SUPERSAMPLING, encode_picture
from refdiff.text.tables import TextTable

LINE_SHARE = 1 / 100
"""Width of a line, as a share of the picture's longer side."""


@dataclass(frozen=True, slots=True)
class MethodOutput:
    """One method on one split.

    Attributes:
        settings: Its row.
        predictions: What it chose.
        proposals: What it chose from.
    """

    settings: MethodSettings
    predictions: PredictionTable
    proposals: ProposalTable


@dataclass(frozen=True, slots=True)
class HeatSource:
    """One readout on one split.

    Attributes:
        settings: Its row.
        store: The capture that it reads.
    """

    settings: ReadoutSettings
    store: AttentionStore


@dataclass(frozen=True, slots=True)
class GalleryInputs:
    """What a split's gallery is drawn from.

    Attributes:
        root: The project's folder.
        dataset: The split.
        text: Parsed sentences.
        methods: By name, in the order of params.yaml.
        readouts: Those that the methods use, by name.
    """

    root: Path
    dataset: Dataset
    text: TextTable
    methods: Mapping[str, MethodOutput]
    readouts: Mapping[str, HeatSource]


def draw_gallery(inputs: GalleryInputs, leading: str | None, settings: RenderReportSettings) -> Gallery:
    """Choose the cases of a split and draw them.

    Args:
        inputs: Tables and stores.
        leading: The method of highest mIoU; None where no truth is given.
        settings: What is shown, and how large.

    Raises:
        ParameterError: `ranked_by` is no method.
        ImageError: A photo cannot be read, or was exchanged.
        StoreError: An artifact is damaged or does not fit.
    """
    ranked_by = settings.ranked_by if settings.ranked_by is not None else leading
    if settings.ranked_by is not None and settings.ranked_by not in inputs.methods:
        there = ", ".join(inputs.methods)
        raise ParameterError(
            f"render_report.ranked_by: no method {settings.ranked_by!r}; expected null or one of: {there}"
        )
    iou = np.full(len(inputs.text), np.nan)
    if leading is not None and ranked_by is not None:
        iou = known_iou(inputs.methods[ranked_by].predictions)
    picked = pick_cases(iou, inputs.dataset.expressions.image_index, settings.gallery, settings.seed)
    painter = _Painter(inputs, settings)
    ranked = ranked_by if leading is not None else None
    return Gallery(ranked, tuple(painter.draw(kind, expression) for kind, expression in picked))


def known_iou(predictions: PredictionTable) -> NDArray[np.float64]:
    """IoU of every expression, `[E]`; NaN without truth."""
    known = predictions.union >= 0
    iou = np.full(len(predictions), np.nan)
    iou[known] = measure_iou(predictions.intersection[known], predictions.union[known])
    return iou


class _Painter:
    """Draws cases of one split."""

    def __init__(self, inputs: GalleryInputs, settings: RenderReportSettings) -> None:
        self._in = inputs
        self._settings = settings
        self._side = settings.thumbnail_px * SUPERSAMPLING
        self._line = max(1, round(self._side * LINE_SHARE))
        self._kept = {
            name: table_candidates(method.proposals, inputs.dataset, method.settings)
            for name, method in inputs.methods.items()
        }
        self._iou = {name: known_iou(method.predictions) for name, method in inputs.methods.items()}
        self._positions = {
            name: prompt_positions(source.settings, inputs.text) for name, source in inputs.readouts.items()
        }

    def draw(self, kind: CaseKind, expression: int) -> Case:
        """One expression over all methods."""
        data, text = self._in.dataset, self._in.text
        image = int(data.expressions.image_index[expression])
        sentence = data.expressions.sentence[expression]
        photo = fit_photo(self._read(image), self._side)
        truth = self._truth(expression, photo)
        shown = encode_picture(draw_truth(photo, truth, self._line), f"Photo for: {sentence}", self._settings)
        return Case(
            kind=kind,
            sentence=sentence,
            head=(int(text.root.start[expression]), int(text.root.end[expression])),
            head_fallback=text.root_fallback[expression],
            direction=text.direction[expression],
            expression_id=data.expressions.expression_id[expression],
            image_id=data.expressions.image_id[expression],
            note=self._note(expression),
            photo=shown,
            heats=tuple(self._heat(name, expression, photo) for name in self._in.readouts),
            choices=tuple(self._choice(name, expression, photo, truth) for name in self._in.methods),
        )

    def _read(self, image: int) -> NDArray[np.uint8]:
        images = self._in.dataset.images
        size = int(images.height[image]), int(images.width[image])
        return read_listed_photo(self._in.root / images.path[image], images.path[image], size, images.sha256[image])

    def _truth(self, expression: int, photo: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
        data = self._in.dataset
        target = int(data.expressions.target_index[expression])
        if target < 0:
            return None
        return self._fit(data.targets.counts[target], expression, photo)

    def _note(self, expression: int) -> str:
        target = int(self._in.dataset.expressions.target_index[expression])
        if target < 0:
            return "no true mask given"
        instances = int(self._in.dataset.targets.instances[target])
        if instances == 0:
            return "no target: nothing in the photo is meant"
        return f"{instances} objects are meant" if instances > 1 else ""

    def _heat(self, name: str, expression: int, photo: NDArray[np.uint8]) -> HeatPanel:
        source, data = self._in.readouts[name], self._in.dataset
        image = int(data.expressions.image_index[expression])
        height, width = int(data.images.height[image]), int(data.images.width[image])
        frame = square_frame(height, width, source.store.canvas_mode)
        maps = source.store.read(expression)
        heat = heat_map(maps, self._positions[name][expression], source.settings, frame)
        word = None
        if source.settings.token_rule != "all_tokens":
            word = self._in.text.head(head_rule(source.settings)).text[expression]
        drawn = draw_heat(photo, fit_heat(heat, *photo.shape[:2]))
        alt = f"Heat of {word!r} by readout {name}" if word is not None else f"Heat of all words by readout {name}"
        return HeatPanel(name, word, encode_picture(drawn, alt, self._settings))

    def _choice(
        self, name: str, expression: int, photo: NDArray[np.uint8], truth: NDArray[np.bool_] | None
    ) -> ChoicePanel:
        method = self._in.methods[name]
        table = method.predictions
        rows = method.proposals.rows_for(expression, int(table.image_index[expression]))
        kept = [row for row in rows if self._kept[name][row]]
        choice = self._fit(table.counts[expression], expression, photo)
        candidates = (self._fit(method.proposals.counts[row], expression, photo) for row in kept)
        drawn = draw_choice(photo, candidates, choice, truth, self._line)
        iou = float(self._iou[name][expression])
        parts = {
            "score": table.score,
            "attention": table.score_generative,
            "CLIP": table.score_discriminative,
            "local": table.score_local,
            "global": table.score_global,
        }
        scores = {part: float(column[expression]) for part, column in parts.items()}
        scores = {part: value for part, value in scores.items() if not np.isnan(value)}
        if not {"attention", "CLIP"} <= set(scores):
            scores.pop("score", None)  # the only part says it all
        threshold = float(table.threshold[expression])
        return ChoicePanel(
            method=name,
            picture=encode_picture(drawn, f"Choice of {name}", self._settings),
            iou=None if np.isnan(iou) else iou,
            is_empty=int(table.proposal_index[expression]) < 0,
            scores=scores,
            candidates=len(kept),
            threshold=None if np.isnan(threshold) else threshold,
        )

    def _fit(self, counts: bytes, expression: int, photo: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """A stored mask at the size of the drawing."""
        data = self._in.dataset
        image = int(data.expressions.image_index[expression])
        mask = decode_mask(counts, int(data.images.height[image]), int(data.images.width[image]))
        return fit_mask(mask, *photo.shape[:2])
