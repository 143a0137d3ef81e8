"""Intersection and union of every candidate mask with the true masks: measured once, looked up ever after."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from refdiff.dataset.tables import Dataset
from refdiff.errors import StoreMismatchError
from refdiff.masks.rle import check_codes, mask_areas, mask_intersections
from refdiff.parquet import check_rows, read_table, write_table
from refdiff.proposals.tables import ProposalTable

OVERLAP = pa.schema(
    [
        ("target_index", pa.int32()),
        ("proposal_index", pa.int32()),
        ("intersection", pa.int64()),
        ("union", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class OverlapTable:
    """Pairs of true mask and candidate, sorted by both.

    Candidates of a photo are paired with all true masks of the photo, candidates of an expression with its own.

    Attributes:
        target_index: int32 `[n]`.
        proposal_index: int32 `[n]`.
        intersection: int64 `[n]`, pixels.
        union: int64 `[n]`, pixels.
    """

    target_index: NDArray[np.int32]
    proposal_index: NDArray[np.int32]
    intersection: NDArray[np.int64]
    union: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.target_index)

    def lookup(
        self, targets: NDArray[np.integer] | int, proposals: NDArray[np.integer] | range
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Intersection and union of pairs of true mask and candidate, int64 `[n]` each.

        Args:
            targets: `[n]`, or one for all.
            proposals: `[n]`, rows of the proposals table.

        Raises:
            StoreMismatchError: A pair was not measured.
        """
        wanted = _pair_key(np.asarray(targets), np.asarray(proposals, dtype=np.int64))
        rows = np.searchsorted(self._key, wanted)
        found = rows < len(self)
        found[found] = self._key[rows[found]] == wanted[found]
        if not found.all():
            target, proposal = divmod(int(wanted[~found][0]), 1 << 32)
            raise StoreMismatchError(
                f"overlap: target {target} with proposal {proposal} was not measured; "
                "the tables do not belong together, run `dvc repro`"
            )
        return self.intersection[rows], self.union[rows]

    @property
    def _key(self) -> NDArray[np.int64]:
        return _pair_key(self.target_index, self.proposal_index)


def _pair_key(targets: NDArray[np.integer], proposals: NDArray[np.integer]) -> NDArray[np.int64]:
    """Numbers that order pairs as the table does."""
    return (targets.astype(np.int64) << 32) + proposals


def measure_overlap(
    dataset: Dataset, proposals: ProposalTable, photos: Iterable[int] | None = None
) -> Iterator[OverlapTable]:
    """Overlap of the candidates of each photo with its true masks, photo by photo.

    Args:
        dataset: The split; its photos are those of the candidates.
        proposals: Candidates of photos or of expressions.
        photos: Image indexes in rising order; all when None.

    Raises:
        MaskError: A mask is not one of its photo's size.
        StoreMismatchError: A mask is not what its table says.
    """
    for image_index in range(len(dataset.images.image_id)) if photos is None else photos:
        size = int(dataset.images.height[image_index]), int(dataset.images.width[image_index])
        if proposals.per_expression:
            yield _of_expressions(dataset, proposals, image_index, size)
        else:
            yield _of_pairs(
                dataset,
                proposals,
                list(dataset.targets_of(image_index)),
                proposals.rows_of_image(image_index),
                size,
            )


def _of_expressions(
    dataset: Dataset, proposals: ProposalTable, image_index: int, size: tuple[int, int]
) -> OverlapTable:
    parts = [
        _of_pairs(dataset, proposals, [target], proposals.rows_of_expression(expression), size)
        for expression in dataset.expressions_of(image_index)
        if (target := int(dataset.expressions.target_index[expression])) >= 0
    ]
    joined = join_tables(parts)
    order = np.lexsort((joined.proposal_index, joined.target_index))
    return OverlapTable(
        joined.target_index[order],
        joined.proposal_index[order],
        joined.intersection[order],
        joined.union[order],
    )


def _of_pairs(
    dataset: Dataset, proposals: ProposalTable, targets: list[int], rows: range, size: tuple[int, int]
) -> OverlapTable:
    """Every one of `targets` with every one of `rows`, ordered by target."""
    truths, masks = [dataset.targets.counts[target] for target in targets], proposals.counts[rows.start : rows.stop]
    recorded = dataset.targets.area[targets], proposals.area[rows.start : rows.stop]
    for name, codes, areas in (("target", truths, recorded[0]), ("proposal", masks, recorded[1])):
        check_codes(codes, *size)
        if not np.array_equal(mask_areas(codes, *size), areas):
            raise StoreMismatchError(f"a {name} has another area than its table says; make the table again")
    shared = mask_intersections(truths, masks, *size)
    areas = np.add.outer(*recorded)
    return OverlapTable(
        np.repeat(np.asarray(targets, dtype=np.int32), len(rows)),
        np.tile(np.arange(rows.start, rows.stop, dtype=np.int32), len(targets)),
        shared.ravel(),
        (areas - shared).ravel(),
    )


def join_tables(parts: Iterable[OverlapTable]) -> OverlapTable:
    """Tables below each other."""
    tables = list(parts)

    def column(name: str, dtype: type) -> NDArray[Any]:
        return np.concatenate([np.zeros(0, dtype), *(getattr(table, name) for table in tables)])

    return OverlapTable(
        column("target_index", np.int32),
        column("proposal_index", np.int32),
        column("intersection", np.int64),
        column("union", np.int64),
    )


def write_overlap(path: Path, table: OverlapTable, provenance: Mapping[str, Any]) -> None:
    """Write a table."""
    write_table(path, OVERLAP, {name: getattr(table, name) for name in OVERLAP.names}, provenance)


def read_overlap(path: Path) -> OverlapTable:
    """Read a table.

    Raises:
        ArtifactMissingError: It is not there.
        StoreMismatchError: It is another table, or its rows are out of order.
    """
    table = read_table(path, OVERLAP)
    column = {name: table[name].to_numpy() for name in OVERLAP.names}
    if np.any(np.diff(_pair_key(column["target_index"], column["proposal_index"])) <= 0):
        raise StoreMismatchError(f"{path}: rows are not in order; make it again with `dvc repro`")
    check_rows(path, (column["target_index"] >= 0) & (column["proposal_index"] >= 0), "indexes from 0 on")
    area = column["intersection"], column["union"]
    check_rows(path, (area[0] >= 0) & (area[0] <= area[1]), "an intersection from 0 to the union")
    return OverlapTable(
        target_index=column["target_index"],
        proposal_index=column["proposal_index"],
        intersection=column["intersection"],
        union=column["union"],
    )
