"""pooled/<source>.zarr: what scores want of a source's masks, whatever the weights; the reading side (no zarr).

    <canvas mode>_<h>x<w>      float32 [proposals h w], row i for row i of the proposals table: the mask pooled to a
                               grid by the transpose of the bilinear upsampling
    heat_<digest>/inside       float64 [pairs], sums of heat in masks: expression after expression, each with all masks
                               of its photo (or its own, where masks belong to expressions) in the order of the table
    heat_<digest>/total        float64 [expressions], sums over the whole photo
    heat_<digest>/factor       float64 [expressions], heat that a unit of those sums is

A readout whose heat is linear is scored on a grid, any other by its sums; the digest is that of the readout's settings.
The root attributes hold each file's size and the provenance, which has digests of all that the sums were made from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from refdiff.errors import ShardCorruptError, StoreMismatchError
from refdiff.finite import check_finite
from refdiff.geometry import CanvasMode
from refdiff.heat.readout import ReadoutSettings
from refdiff.json_record import read_record
from refdiff.layout import SplitLayout
from refdiff.provenance import digest_input
from refdiff.store.byte_source import LocalFolder
from refdiff.store.fingerprint import digest_facts
from refdiff.store.flat_rows import FlatRows
from refdiff.store.manifest import FileName
from refdiff.store.zarr_chunks import ChunkReader
from refdiff.store.zarr_plan import METADATA

ARTIFACT = "pooled masks"
_REMAKE = "make it again with `dvc repro`"
INSIDE, TOTAL, FACTOR = "inside", "total", "factor"
POOLED_TYPE, SUM_TYPE = "float32", "float64"


def grid_name(mode: CanvasMode, size: tuple[int, int]) -> str:
    """Name of the array of one grid."""
    return f"{mode}_{size[0]}x{size[1]}"


def heat_name(readout: ReadoutSettings) -> str:
    """Name of the group of a readout's sums: other settings have another name."""
    return f"heat_{digest_facts(readout.model_dump(mode='json'))[:16]}"


def heat_inputs(layout: SplitLayout, source: str, readout: ReadoutSettings) -> dict[str, Path]:
    """What the sums of a readout's heat in a source's masks are made from, by name."""
    return {
        "images": layout.dataset / "images.parquet",
        "expressions": layout.dataset / "expressions.parquet",
        "text": layout.text,
        "proposals": layout.proposals(source),
        f"attention/{readout.capture}": layout.attention(readout.capture),
    }


class _Provenance(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    inputs: dict[str, str]


class _Attributes(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    artifact: Literal["pooled masks"]
    files: dict[FileName, Annotated[int, Field(ge=0)]]
    provenance: _Provenance


class _Root(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    attributes: _Attributes


@dataclass(frozen=True, slots=True)
class StoredSums:
    """Sums of a readout's heat of all expressions (see `heat_sums.HeatSums`).

    Attributes:
        inside: float64 `[pairs]`, expression after expression.
        total: float64 `[E]`.
        factor: float64 `[E]`.
    """

    inside: NDArray[np.float64]
    total: NDArray[np.float64]
    factor: NDArray[np.float64]


class PooledStore:
    """Pooled masks of one source; open them with `PooledStore.open`.

    Attributes:
        attributes: Provenance and files.
    """

    def __init__(self, path: Path, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self._path = path
        self._grids: dict[str, FlatRows] = {}

    @staticmethod
    def open(path: Path) -> "PooledStore":
        """Open what pool_masks made.

        Raises:
            ArtifactMissingError: It is not there.
            StoreMismatchError: It is something else.
            ShardCorruptError: A file of it is missing or has another size.
        """
        attributes = read_record(path / METADATA, _Root)["attributes"]
        source = LocalFolder(path)
        for name, size in attributes["files"].items():
            if source.size(name) != size:
                raise ShardCorruptError(
                    f"{path / name}: missing or not {size} bytes long; make it again with `dvc repro`"
                )
        return PooledStore(path, attributes)

    def check_inputs(self, inputs: Mapping[str, Path]) -> None:
        """See that what it holds was made from these, by name.

        Raises:
            StoreMismatchError: It was made from something else.
            ArtifactMissingError: One is not there.
        """
        recorded = self.attributes["provenance"]["inputs"]
        for what, path in inputs.items():
            if recorded.get(what) != digest_input(path):
                raise StoreMismatchError(f"{self._path}: was not made from {path} as it is now; run `dvc repro`")

    def read(self, mode: CanvasMode, size: tuple[int, int], rows: range) -> NDArray[np.float32]:
        """Pooled masks of some rows of the proposals table, float32 `[len(rows) h w]`.

        Raises:
            StoreMismatchError: The grid was not pooled, or there are no such rows.
            ShardCorruptError: A file is damaged.
        """
        grid = self._open(grid_name(mode, size))
        if grid.shape[1:] != size:
            raise StoreMismatchError(
                f"{self._path}: {grid_name(mode, size)} has shape {list(grid.shape)}; make it again with `dvc repro`"
            )
        if rows.stop > grid.shape[0]:
            raise StoreMismatchError(
                f"{self._path}: has {grid.shape[0]} masks, asked for number {rows.stop - 1}; "
                "it was made for other proposals, run `dvc repro`"
            )
        masks = grid.read(rows)
        check_finite(masks, lambda row: f"{self._path}: {grid_name(mode, size)}, mask {rows.start + row}", _REMAKE)
        return masks

    def read_sums(
        self, readout: ReadoutSettings, inputs: Mapping[str, Path], expressions: int, pairs: int
    ) -> StoredSums:
        """All sums of a readout's heat.

        Args:
            readout: Whose heat.
            inputs: What they must have been made from (see `heat_inputs`).
            expressions: Of the dataset.
            pairs: Masks of all expressions.

        Raises:
            StoreMismatchError: They are of other settings, or made from something else.
            ShardCorruptError: A file is damaged.
        """
        name = heat_name(readout)
        if not (self._path / name).is_dir():
            raise StoreMismatchError(f"{self._path}: heat of this readout is not summed ({name}); run `dvc repro`")
        self.check_inputs(inputs)
        lengths = {INSIDE: pairs, TOTAL: expressions, FACTOR: expressions}
        return StoredSums(*(self._read_flat(f"{name}/{part}", length) for part, length in lengths.items()))

    def _read_flat(self, name: str, length: int) -> NDArray[np.float64]:
        array = self._open_array(name, SUM_TYPE)
        if array.plan.shape != (length,) or array.plan.sharded:
            raise StoreMismatchError(
                f"{self._path}: {name} has shape {list(array.plan.shape)}, expected [{length}]; "
                "make it again with `dvc repro`"
            )
        values = array.read_rows()
        check_finite(values, lambda row: f"{self._path}: {name}, number {row}", _REMAKE)
        return values

    def _open(self, name: str) -> FlatRows:
        if name not in self._grids:
            if not (self._path / name).is_dir():
                raise StoreMismatchError(f"{self._path}: masks are not pooled to {name}; run `dvc repro`")
            self._grids[name] = FlatRows(self._open_array(name, POOLED_TYPE))
        return self._grids[name]

    def _open_array(self, name: str, dtype: str) -> ChunkReader:
        array = ChunkReader(LocalFolder(self._path), name)
        if array.plan.dtype != np.dtype(dtype):
            raise StoreMismatchError(
                f"{self._path}: {name} holds {array.plan.dtype} values, expected {dtype}; "
                "make it again with `dvc repro`"
            )
        return array
