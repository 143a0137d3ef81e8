"""The table of proposals: one row per candidate mask, ordered by photo or by expression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from refdiff.errors import StoreMismatchError
from refdiff.parquet import check_rows, read_provenance, read_table, write_table
from refdiff.proposals.candidates import Proposals, of_codes

PROPOSALS = pa.schema(
    [
        ("proposal_index", pa.int32()),
        ("image_index", pa.int32()),
        ("expression_index", pa.int32()),
        ("rank", pa.int32()),
        ("counts", pa.binary()),
        ("area", pa.int64()),
        ("confidence", pa.float32()),
        ("threshold", pa.float32()),
    ]
)
NO_EXPRESSION = -1


@dataclass(frozen=True, slots=True)
class ProposalTable:
    """Columns of a proposals table.

    Attributes:
        per_expression: Whether the masks belong to expressions (cut from heat) or to photos.
        image_index: int32 `[n]`, rising when the masks belong to photos.
        expression_index: int32 `[n]`, rising when they belong to expressions, else -1.
        rank: int32 `[n]`, position within the photo or expression.
        counts: Codes at the photo's size.
        area: int64 `[n]`, pixels.
        confidence: float32 `[n]`, NaN without one.
        threshold: float32 `[n]`, NaN when not cut from heat.
    """

    per_expression: bool
    image_index: NDArray[np.int32]
    expression_index: NDArray[np.int32]
    rank: NDArray[np.int32]
    counts: list[bytes]
    area: NDArray[np.int64]
    confidence: NDArray[np.float32]
    threshold: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.counts)

    def rows_of_image(self, image_index: int) -> range:
        """Rows of a photo; none where nothing was found.

        Raises:
            StoreMismatchError: The masks belong to expressions.
        """
        if self.per_expression:
            raise StoreMismatchError("proposals: the masks belong to expressions; ask for those of an expression")
        return _span(self.image_index, image_index)

    def rows_of_expression(self, expression_index: int) -> range:
        """Rows of an expression; none where all its masks were empty.

        Raises:
            StoreMismatchError: The masks belong to photos.
        """
        if not self.per_expression:
            raise StoreMismatchError("proposals: the masks belong to photos; ask for those of a photo")
        return _span(self.expression_index, expression_index)

    def rows_for(self, expression_index: int, image_index: int) -> range:
        """Rows that an expression of a photo chooses from, whichever they belong to."""
        if self.per_expression:
            return self.rows_of_expression(expression_index)
        return self.rows_of_image(image_index)

    def proposals(self, rows: range, height: int, width: int) -> Proposals:
        """These rows as proposals of a photo of `height` x `width`."""
        part = slice(rows.start, rows.stop)
        return of_codes(self.counts[part], height, width, self.confidence[part], self.threshold[part])


def _span(column: NDArray[np.int32], value: int) -> range:
    first, last = np.searchsorted(column, [value, value + 1])
    return range(int(first), int(last))


def write_proposals(
    path: Path,
    parts: Sequence[Proposals],
    image_index: Sequence[int],
    expression_index: Sequence[int] | None,
    provenance: Mapping[str, Any],
) -> int:
    """Write the proposals of every photo, or of every expression, in order.

    Args:
        path: The file.
        parts: Proposals of each photo or expression.
        image_index: The photo of each part; not falling.
        expression_index: The expression of each part, rising; None when the parts are photos, each once.
        provenance: Where they come from.

    Returns:
        How many masks were written.

    Raises:
        StoreMismatchError: The parts are not in order.
    """
    keys = np.asarray(image_index if expression_index is None else expression_index, dtype=np.int64)
    if np.any(np.diff(keys) <= 0) or len(keys) != len(parts):
        raise StoreMismatchError(f"{path}: expected one part for each photo or expression, in rising order")
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    total = int(lengths.sum())
    expressions = [NO_EXPRESSION] * len(parts) if expression_index is None else expression_index
    columns = {
        "proposal_index": np.arange(total, dtype=np.int32),
        "image_index": np.repeat(np.asarray(image_index, dtype=np.int32), lengths),
        "expression_index": np.repeat(np.asarray(expressions, dtype=np.int32), lengths),
        "rank": np.arange(total, dtype=np.int32) - np.repeat(np.cumsum(lengths) - lengths, lengths).astype(np.int32),
        "counts": [code for part in parts for code in part.counts],
        "area": np.concatenate([np.zeros(0, np.int64), *(part.areas for part in parts)]),
        "confidence": np.concatenate([np.zeros(0, np.float32), *(part.confidence for part in parts)]),
        "threshold": np.concatenate([np.zeros(0, np.float32), *(part.thresholds for part in parts)]),
    }
    write_table(path, PROPOSALS, columns, {**provenance, "per_expression": expression_index is not None})
    return total


def read_proposals(path: Path) -> ProposalTable:
    """Read a proposals table.

    Raises:
        ArtifactMissingError: It is not there.
        StoreMismatchError: It is another table, or its rows are out of order.
    """
    table = read_table(path, PROPOSALS)
    column = {name: table[name].to_numpy() for name in PROPOSALS.names if name != "counts"}
    per_expression = bool(read_provenance(path).get("per_expression"))
    if np.any((column["expression_index"] != NO_EXPRESSION) != per_expression):
        raise StoreMismatchError(f"{path}: some masks belong to photos, some to expressions; make it again")
    ordered = column["expression_index" if per_expression else "image_index"]
    if np.any(np.diff(ordered) < 0) or not np.array_equal(column["proposal_index"], np.arange(len(table))):
        raise StoreMismatchError(f"{path}: rows are not in order; make it again with `dvc repro`")
    check_rows(path, (column["image_index"] >= 0) & (column["area"] >= 0), "a photo and an area from 0 on")
    return ProposalTable(
        per_expression=per_expression,
        image_index=column["image_index"],
        expression_index=column["expression_index"],
        rank=column["rank"],
        counts=table["counts"].to_pylist(),
        area=column["area"],
        confidence=column["confidence"],
        threshold=column["threshold"],
    )
