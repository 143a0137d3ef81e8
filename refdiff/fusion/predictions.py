"""The table of predictions: one chosen mask for every expression, with its scores and its overlap with the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from refdiff.parquet import check_rows, read_table, write_table

PREDICTIONS = pa.schema(
    [
        ("expression_index", pa.int32()),
        ("expression_id", pa.string()),
        ("ref_id", pa.string()),
        ("image_id", pa.string()),
        ("sentence", pa.string()),
        ("image_index", pa.int32()),
        ("target_index", pa.int32()),
        ("proposal_index", pa.int32()),
        ("counts", pa.binary()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("score", pa.float32()),
        ("score_generative", pa.float32()),
        ("score_local", pa.float32()),
        ("score_global", pa.float32()),
        ("score_discriminative", pa.float32()),
        ("threshold", pa.float32()),
        ("n_proposals", pa.int32()),
        ("intersection", pa.int64()),
        ("union", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class PredictionTable:
    """Columns of a predictions table, E rows in the order of the expressions.

    Attributes:
        expression_index: int32, 0 ... E - 1.
        expression_id: The dataset's id of the sentence.
        ref_id: The dataset's id of the referred object.
        image_id: The dataset's id of the photo.
        sentence: The expression.
        image_index: int32, row of the photo.
        target_index: int32, row of the true mask; -1 without truth.
        proposal_index: int32, row of the chosen proposal; -1 when there was none to choose.
        counts: Code of the chosen mask at the photo's size; of an empty mask when there was none.
        height: int32, photo height.
        width: int32, photo width.
        score: float32, what the weights make of the parts, before the selection rule weighs areas; NaN without a
            choice.
        score_generative: float32, contrast of the heat; NaN when not part of the method.
        score_local: float32, the same for the local view.
        score_global: float32, the same for the global view.
        score_discriminative: float32, the mix of both views.
        threshold: float32, heat threshold that the mask was cut at; NaN where it was not cut from heat.
        n_proposals: int32, candidates after the method's filters.
        intersection: int64, pixels shared with the truth; -1 without truth.
        union: int64, pixels in either; -1 without truth.
    """

    expression_index: NDArray[np.int32]
    expression_id: list[str]
    ref_id: list[str]
    image_id: list[str]
    sentence: list[str]
    image_index: NDArray[np.int32]
    target_index: NDArray[np.int32]
    proposal_index: NDArray[np.int32]
    counts: list[bytes]
    height: NDArray[np.int32]
    width: NDArray[np.int32]
    score: NDArray[np.float32]
    score_generative: NDArray[np.float32]
    score_local: NDArray[np.float32]
    score_global: NDArray[np.float32]
    score_discriminative: NDArray[np.float32]
    threshold: NDArray[np.float32]
    n_proposals: NDArray[np.int32]
    intersection: NDArray[np.int64]
    union: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.expression_id)


def write_predictions(path: Path, table: PredictionTable, provenance: Mapping[str, Any]) -> None:
    """Write a predictions table at once."""
    columns = {field.name: getattr(table, field.name) for field in fields(table)}
    write_table(path, PREDICTIONS, columns, provenance)


def read_predictions(path: Path) -> PredictionTable:
    """Read a predictions table.

    Raises:
        ArtifactMissingError: It is not there.
        StoreMismatchError: It is another table.
    """
    table = read_table(path, PREDICTIONS)
    found = PredictionTable(
        **{
            field.name: table[field.name].to_numpy()
            if pa.types.is_primitive(field.type)
            else table[field.name].to_pylist()
            for field in PREDICTIONS
        }
    )
    links = (found.image_index >= 0) & (found.target_index >= -1) & (found.proposal_index >= -1)
    check_rows(path, links & np.equal(found.expression_index, np.arange(len(found))), "links to rows of other tables")
    check_rows(path, (found.height > 0) & (found.width > 0) & (found.n_proposals >= 0), "sizes of masks that exist")
    scored = np.isfinite(found.score) == (found.proposal_index >= 0)
    check_rows(path, scored, "a score that is a finite number where a proposal is chosen, and only there")
    within = (found.intersection >= 0) & (found.intersection <= found.union)
    unknown = (found.intersection == -1) & (found.union == -1)
    measured = np.where(found.target_index < 0, unknown, within)
    check_rows(path, measured, "an intersection from 0 to the union, or -1 for both where there is no truth")
    return found
