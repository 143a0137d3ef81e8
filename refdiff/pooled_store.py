"""pooled/<source>.zarr: every mask of a source brought to the attention grids in use; the reading side (no zarr).

Layout: one float32 array [proposals h w] a grid, named `<canvas mode>_<h>x<w>`, row i for row i of the proposals table,
pooled by the transpose of the bilinear upsampling. The root attributes hold the provenance and each file's size.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from refdiff.byte_source import LocalFolder
from refdiff.errors import ShardCorruptError, StoreMismatchError
from refdiff.flat_rows import FlatRows
from refdiff.geometry import CanvasMode
from refdiff.json_record import read_record
from refdiff.store.manifest import FileName
from refdiff.zarr_chunks import ChunkReader
from refdiff.zarr_plan import METADATA

ARTIFACT = "pooled masks"


def grid_name(mode: CanvasMode, size: tuple[int, int]) -> str:
    """Name of the array of one grid."""
    return f"{mode}_{size[0]}x{size[1]}"


class _Attributes(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    artifact: Literal["pooled masks"]
    files: dict[FileName, Annotated[int, Field(ge=0)]]


class _Root(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    attributes: _Attributes


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
        return grid.read(rows)

    def _open(self, name: str) -> FlatRows:
        if name not in self._grids:
            if not (self._path / name).is_dir():
                raise StoreMismatchError(f"{self._path}: masks are not pooled to {name}; run `dvc repro`")
            self._grids[name] = FlatRows(ChunkReader(LocalFolder(self._path), name))
        return self._grids[name]
