"""What fuse_scores reads for one split and method, opened and checked against each other."""

from dataclasses import dataclass
from pathlib import Path

from refdiff.attention.store import AttentionStore
from refdiff.clip.store import ClipStore
from refdiff.dataset.tables import Dataset, read_dataset
from refdiff.errors import StoreMismatchError
from refdiff.fusion.settings import FuseScoresSettings, MethodSettings
from refdiff.geometry import CanvasMode
from refdiff.heat.heat_map import is_linear
from refdiff.heat.readout import ReadoutSettings
from refdiff.heat.sums import mask_rows
from refdiff.layout import SplitLayout
from refdiff.masks.overlap import OverlapTable, read_overlap
from refdiff.pooling.store import PooledStore, StoredSums, heat_inputs
from refdiff.proposals.tables import ProposalTable, read_proposals
from refdiff.text.tables import TextTable, read_text


@dataclass(frozen=True, slots=True)
class FusionInputs:
    """Tables and stores of one split, as far as a method needs them.

    Attributes:
        dataset: The split.
        text: Parsed sentences, a row per expression.
        proposals: The method's proposals.
        overlap: Their overlap with the true masks.
        attention: The readout's capture; None where the method uses no heat or all that it uses is summed.
        clip: The source's embeddings; None where the method uses no CLIP.
        pooled: The proposals pooled to attention grids, and the capture's canvas mode; None where they are not used.
        sums: Sums of the readout's heat in the proposals; None where they are not used.
        files: What was read, by name.
    """

    dataset: Dataset
    text: TextTable
    proposals: ProposalTable
    overlap: OverlapTable
    attention: AttentionStore | None
    clip: ClipStore | None
    pooled: tuple[PooledStore, CanvasMode] | None
    sums: StoredSums | None
    files: dict[str, Path]


def open_inputs(
    layout: SplitLayout, method: MethodSettings, readout: ReadoutSettings | None, settings: FuseScoresSettings
) -> FusionInputs:
    """Open what the method needs.

    Args:
        layout: Where the split's artifacts lie.
        method: The method's row.
        readout: Its readout; None where it has none.
        settings: Whether pooled masks are used.

    Raises:
        ArtifactMissingError: Something is not there.
        StoreMismatchError: The tables do not belong to each other.
    """
    files = {
        "expressions": layout.dataset / "expressions.parquet",
        "text": layout.text,
        "proposals": layout.proposals(method.proposals),
        "overlap": layout.overlap(method.proposals),
    }
    dataset = read_dataset(layout.dataset)
    expected = len(dataset.expressions.expression_id)
    proposals, overlap = read_proposals(files["proposals"]), read_overlap(files["overlap"])
    attention, clip, pooled, sums = None, None, None, None
    if method.uses_heat and readout is not None:
        files["attention"] = layout.attention(readout.capture)
        summed = settings.pool_masks and not is_linear(readout)
        if not summed or method.select.rule == "otsu":
            attention = AttentionStore.open(files["attention"], expressions=expected)
        if settings.pool_masks:
            files["pooled"] = layout.pooled(method.proposals)
            store = PooledStore.open(files["pooled"])
            if summed:
                pairs = int(mask_rows(proposals, dataset.expressions.image_index)[1].sum())
                sums = store.read_sums(readout, heat_inputs(layout, method.proposals, readout), expected, pairs)
            elif attention is not None:
                store.check_inputs({"proposals": files["proposals"]})
                pooled = store, attention.canvas_mode
    if method.uses_clip:
        files["clip"] = layout.clip(method.proposals)
        clip = ClipStore.open(files["clip"])
    text = read_text(files["text"])
    if len(text) != expected:
        raise StoreMismatchError(
            f"{files['text']}: expected a row for each of {expected} expressions, got {len(text)}; run `dvc repro`"
        )
    return FusionInputs(dataset, text, proposals, overlap, attention, clip, pooled, sums, files)
